"""Fault models of the literature on the tensors of a fake-quantized network.

Every model draws anew in every pass; every image, and every element, has faults of its own.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from holdfast.base.options import check_choice

from .base import (
    ErrorModel,
    RatedModel,
    Replace,
    bernoulli_positions,
    bit_masks,
    checked_rate,
    flip,
    memory_order,
    signed,
)


class MacBitBias(RatedModel):
    """MiBB: every multiply-accumulate fails alone and adds a power of two to its feature.

    An element is faulty with probability ``1 - (1 - p) ** macs``. It moves by plus or minus
    ``2 ** b`` steps, b uniform below ``bits``, and stays within the range of its map. A step is
    ``2 ** (S - bits + 1)`` with ``S = ceil(log2(max |f|))`` of the map. The gradient passes as if
    nothing had happened.

    Source: FTT-NAS (Ning et al. 2021) and its released code.

    Parameters
    ----------
    rate : float
        p, faults per multiply-accumulate.
    rounded_rate : bool
        Draw as the released code does: with probability 1 / floor(1 / P) in place of P.
    bound : "power" or "largest"
        Values stay within 2 ** S, or within max |f| as in the code of the paper's time.
    spared : names of convolutions
        They have no faults (see :func:`nn.networks.zoo.spared_by_released_code`).
    """

    name = "mibb"

    def __init__(
        self,
        rate: float,
        seed: int = 0,
        *,
        rounded_rate: bool = False,
        bound: str = "power",
        spared: Collection[str] = (),
    ) -> None:
        super().__init__(rate, seed)
        self.spared = frozenset(spared)
        self.rounded_rate = rounded_rate
        check_choice(("power", "largest"), bound=bound)
        self.bound = bound

    def element_rate(self, macs: int) -> float:
        """Probability that an element of ``macs`` multiply-accumulates is faulty."""
        if self.rate == 1:
            return 1.0
        rate = -math.expm1(macs * math.log1p(-self.rate))
        return 1 / math.floor(1 / rate) if self.rounded_rate and rate > 0 else rate

    def sums(
        self,
        values: Tensor,
        macs: int,
        bits: int,
        name: str = "",
        unit: Callable[[], Tensor] | None = None,
    ) -> Tensor:
        if name in self.spared:
            return values
        generator = self.generator(values.device)
        faulty = bernoulli_positions(values.numel(), self.element_rate(macs), generator)
        if len(faulty) == 0:
            return values
        with torch.no_grad():
            flat = memory_order(values.detach())
            largest = torch.stack(torch.aminmax(flat)).abs().max().float()
            top = torch.exp2(torch.ceil(torch.log2(largest.clamp(min=1e-5))))
            step = top / 2 ** (bits - 1)
            bound = top if self.bound == "power" else largest
            draw = torch.randint(0, 2 * bits, faulty.shape, generator=generator, device=step.device)
            powers = torch.exp2(torch.arange(bits, device=step.device)) * step
            bias = torch.cat([powers, -powers]).index_select(0, draw)
            there = flat.index_select(0, faulty).float()
            moved = there.div_(step).round_().mul_(step).add_(bias).clamp_(-bound, bound)
        replaced: Tensor = Replace.apply(values, faulty, moved.to(values.dtype))
        return replaced


class StuckWeightCells(RatedModel):
    """adSAF, whole cells: a weight is the difference of two cells, each stuck with probability p.

    A stuck cell holds the layer's largest magnitude with probability ``stuck_at_1``, else zero: the
    largest code, whose real value is the channel's own where every channel has a scale. Only
    convolutions are affected.

    Source: FTT-NAS (Ning et al. 2021), ``fixed_point_rram_patch_all`` of its released code.

    Parameters
    ----------
    rounded_rate : bool
        Draw as the released code does, from the integers below 100 / p in per cent: at p = 0.08
        stuck at 1 with 1.36 % in place of 1.304 %.
    """

    name = "adsaf"

    def __init__(
        self, rate: float, seed: int = 0, *, stuck_at_1: float = 0.163, rounded_rate: bool = False
    ) -> None:
        super().__init__(rate, seed)
        self.stuck_at_1 = checked_rate("stuck_at_1", stuck_at_1)
        self.rounded_rate = rounded_rate

    def rates(self) -> tuple[float, float]:
        """Probabilities that a cell is stuck at its largest value, and at zero."""
        if not self.rounded_rate or self.rate == 0:
            return self.rate * self.stuck_at_1, self.rate * (1 - self.stuck_at_1)
        draws = int(100 / self.rate)
        ones = sum(r < 100 * self.stuck_at_1 for r in range(100))
        return ones / draws, (100 - ones) / draws

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        ones, zeros = self.rates()
        if self.rate == 0:
            return codes
        largest = codes.abs().max()
        cells = []
        for sign in (1, -1):
            draw = torch.rand(
                codes.shape, generator=self.generator(codes.device), device=codes.device
            )
            cell = (sign * codes).clamp(min=0)
            cell = torch.where(draw < ones, largest, cell)
            cell = torch.where((draw >= ones) & (draw < ones + zeros), 0, cell)
            cells.append(cell)
        return cells[0] - cells[1]


class StuckWeightBits(RatedModel):
    """adSAF, single bits: each magnitude bit of the two cells is stuck with probability p.

    It is stuck at 1 with probability ``stuck_at_1``. Only convolutions are affected. (In the
    released code no weight of a faulty pass receives a gradient.)

    Source: FTT-NAS (Ning et al. 2021), ``fixed_point_rram_patch_bit`` of its released code.
    """

    name = "adsaf-bits"

    def __init__(self, rate: float, seed: int = 0, *, stuck_at_1: float = 0.16) -> None:
        super().__init__(rate, seed)
        self.stuck_at_1 = checked_rate("stuck_at_1", stuck_at_1)

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        generator = self.generator(codes.device)
        whole = codes.long()
        cells = []
        for sign in (1, -1):
            cell = (sign * whole).clamp(min=0)
            stuck = bernoulli_positions((bits - 1) * codes.numel(), self.rate, generator)
            high = torch.rand(stuck.shape, generator=generator, device=codes.device)
            mask = bit_masks(whole, stuck, bits - 1)
            ones = bit_masks(whole, stuck[high < self.stuck_at_1], bits - 1)
            cells.append(cell & ~mask | ones)
        return (cells[0] - cells[1]).to(codes.dtype)


class WeightBitFlips(RatedModel):
    """iBF in weights: every bit of every stored weight of a convolution flips with probability p.

    Weights are in two's complement.
    """

    name = "ibf-weights"

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        whole = codes.long()
        flips = bernoulli_positions(bits * codes.numel(), self.rate, self.generator(codes.device))
        return signed(whole ^ bit_masks(whole, flips, bits), bits).to(codes.dtype)


class ActivationBitFlips(RatedModel):
    """iBF in features: every bit of every stored activation flips with probability p.

    Codes are in two's complement; logits are spared. The gradient passes as if nothing had
    happened.
    """

    name = "ibf-activations"

    def stored(
        self, name: str, values: Tensor, scale: Tensor, zero_point: int, bits: int
    ) -> Tensor:
        count = bits * values.numel()
        flips = bernoulli_positions(count, self.rate, self.generator(values.device))
        return flip(values, flips // bits, flips % bits, scale, zero_point, bits)


class SingleActivationFlip(ErrorModel):
    """Flips one bit of one stored activation of every image.

    Source: DeepAxe and DeepXcel (ISQED 2023 and 2024); logits are spared.

    Parameters
    ----------
    uniform : "bits" or "layers"
        Every bit of the network is as likely as any other; or first a layer is drawn, then an
        activation in it, as DeepAxe does, which weights small layers more.
    """

    def __init__(self, seed: int = 0, *, uniform: str = "bits") -> None:
        super().__init__(seed)
        check_choice(("bits", "layers"), uniform=uniform)
        self.uniform = uniform
        self._drawn: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def start(self, sizes: Mapping[str, int], images: int, bits: int, device: torch.device) -> None:
        generator = self.generator(device)
        each: dict[str, Any] = {"generator": generator, "device": device}
        counts = torch.tensor(list(sizes.values()), device=device)
        chance = counts.double() if self.uniform == "bits" else torch.ones_like(counts).double()
        layer = torch.multinomial(chance, images, replacement=True, generator=generator)
        # modulo bias is below 2**-30: no layer has 2**32 activations
        element = torch.randint(0, 1 << 62, (images,), **each) % counts[layer]
        bit = torch.randint(0, bits, (images,), **each)
        self._drawn = {}
        for number, name in enumerate(sizes):
            hit = (layer == number).nonzero().flatten()
            self._drawn[name] = hit, element[hit], bit[hit]

    def stored(
        self, name: str, values: Tensor, scale: Tensor, zero_point: int, bits: int
    ) -> Tensor:
        image, element, bit = self._drawn[name]
        # within an image, memory order is as good as any other for a uniform draw
        position = image * values[0].numel() + element
        return flip(values, position, bit, scale, zero_point, bits)
