"""Fault models of the literature on the tensors of a fake-quantized network.

Every model draws anew in every pass; every image, and every element, has faults of its own.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from base.errors import HoldfastError
from base.text import shown
from gen.config import AcceleratorConfig
from nn.networks import Network

__all__ = [
    "CALIBRATED",
    "STORED",
    "STUCK_PES",
    "ActivationBitFlips",
    "FaultModel",
    "MacBitBias",
    "SingleActivationFlip",
    "StuckPEs",
    "StuckWeightBits",
    "StuckWeightCells",
    "WeightBitFlips",
    "bernoulli_positions",
    "fault_model",
    "fault_model_names",
    "replaced",
]


STORED = ("conv", "dense", "add", "maxpool", "avgpool")
"""Operations whose outputs are computed and then stored; shortcuts and concatenations copy."""


class FaultModel:
    """What a pass through a network asks of a fault model; by default nothing is faulty.

    Parameters
    ----------
    seed : int
        Equal seeds give equal faults on one kind of device.

    Attributes
    ----------
    reaches_all : bool
        :meth:`sums` is asked about dense layers and average poolings as well.
    """

    reaches_all = False

    def __init__(self, seed: int = 0) -> None:
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Starts the random numbers anew."""
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, device: torch.device) -> torch.Generator:
        """The stream of random numbers on a device."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def prepare(self, spec: Network) -> None:
        """Names the network, before every pass."""

    def start(self, sizes: Mapping[str, int], images: int, bits: int, device: torch.device) -> None:
        """Begins a pass of ``images`` images; elements of one image's stored tensors by name."""

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        """Faulty weights of a convolution. Those that change receive no gradient.

        Parameters
        ----------
        codes : Tensor
            Integers in floating point, [C_out, C_in / groups, kh, kw], without gradient, as the
            hardware holds them: turned around where gamma is negative.
        bits : int
            Width of a weight.
        """
        return codes

    def surplus(self, codes: Tensor, bits: int) -> Tensor | None:
        """What multiplies the zero point of a convolution's input, [C_out]; None: nothing does.

        An array multiplies codes, not real values, and its biases take the zero point's share back
        for the weights that were meant. Where weights are faulty inside the array, every output
        channel keeps the zero point times the sum of their changes. Parameters as of ``weights``.
        """
        return None

    def sums(
        self,
        values: Tensor,
        macs: int,
        bits: int,
        name: str = "",
        unit: Callable[[], Tensor] | None = None,
    ) -> Tensor:
        """Faulty outputs of a convolution, batch norm folded, before its activation function.

        Parameters
        ----------
        values : Tensor
            Real, [N, C, H, W].
        macs : int
            Multiply-accumulates behind one element.
        bits : int
            Width of an activation.
        name : str
            The layer.
        unit : Callable
            What 1 in the integer sums is worth, [C].
        """
        return values

    def stored(
        self, name: str, values: Tensor, scale: Tensor, zero_point: int, bits: int
    ) -> Tensor:
        """Faulty stored activations.

        Parameters
        ----------
        values : Tensor
            Real, [N, C, H, W]; multiples of ``scale``. The code of a value is its multiple plus
            the zero point, in two's complement of ``bits`` bits.
        """
        return values


class MacBitBias(FaultModel):
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
        They have no faults (see :func:`nn.zoo.spared_by_released_code`).
    """

    def __init__(
        self,
        rate: float,
        seed: int = 0,
        *,
        rounded_rate: bool = False,
        bound: str = "power",
        spared: Collection[str] = (),
    ) -> None:
        super().__init__(seed)
        self.spared = frozenset(spared)
        self.rate = _rate("rate", rate)
        self.rounded_rate = rounded_rate
        if bound not in ("power", "largest"):
            raise HoldfastError(f"bound must be power or largest, not {shown(bound)}.")
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
            flat = _memory(values.detach())
            largest = torch.stack(torch.aminmax(flat)).abs().max().float()
            top = torch.exp2(torch.ceil(torch.log2(largest.clamp(min=1e-5))))
            step = top / 2 ** (bits - 1)
            bound = top if self.bound == "power" else largest
            draw = torch.randint(0, 2 * bits, faulty.shape, generator=generator, device=step.device)
            powers = torch.exp2(torch.arange(bits, device=step.device)) * step
            bias = torch.cat([powers, -powers]).index_select(0, draw)
            there = flat.index_select(0, faulty).float()
            moved = there.div_(step).round_().mul_(step).add_(bias).clamp_(-bound, bound)
        replaced: Tensor = _Replace.apply(values, faulty, moved.to(values.dtype))
        return replaced


class StuckWeightCells(FaultModel):
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

    def __init__(
        self,
        rate: float,
        seed: int = 0,
        *,
        stuck_at_1: float = 0.163,
        rounded_rate: bool = False,
    ) -> None:
        super().__init__(seed)
        self.rate = _rate("rate", rate)
        self.stuck_at_1 = _rate("stuck_at_1", stuck_at_1)
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


class StuckWeightBits(FaultModel):
    """adSAF, single bits: each magnitude bit of the two cells is stuck with probability p.

    It is stuck at 1 with probability ``stuck_at_1``. Only convolutions are affected. (In the
    released code no weight of a faulty pass receives a gradient.)

    Source: FTT-NAS (Ning et al. 2021), ``fixed_point_rram_patch_bit`` of its released code.
    """

    def __init__(self, rate: float, seed: int = 0, *, stuck_at_1: float = 0.16) -> None:
        super().__init__(seed)
        self.rate = _rate("rate", rate)
        self.stuck_at_1 = _rate("stuck_at_1", stuck_at_1)

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        generator = self.generator(codes.device)
        whole = codes.long()
        cells = []
        for sign in (1, -1):
            cell = (sign * whole).clamp(min=0)
            stuck = bernoulli_positions((bits - 1) * codes.numel(), self.rate, generator)
            high = torch.rand(stuck.shape, generator=generator, device=codes.device)
            mask = _bit_masks(whole, stuck, bits - 1)
            ones = _bit_masks(whole, stuck[high < self.stuck_at_1], bits - 1)
            cells.append(cell & ~mask | ones)
        return (cells[0] - cells[1]).to(codes.dtype)


class WeightBitFlips(FaultModel):
    """iBF in weights: every bit of every stored weight of a convolution flips with probability p.

    Weights are in two's complement.
    """

    def __init__(self, rate: float, seed: int = 0) -> None:
        super().__init__(seed)
        self.rate = _rate("rate", rate)

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        whole = codes.long()
        flips = bernoulli_positions(bits * codes.numel(), self.rate, self.generator(codes.device))
        return _signed(whole ^ _bit_masks(whole, flips, bits), bits).to(codes.dtype)


class ActivationBitFlips(FaultModel):
    """iBF in features: every bit of every stored activation flips with probability p.

    Codes are in two's complement; logits are spared. The gradient passes as if nothing had
    happened.
    """

    def __init__(self, rate: float, seed: int = 0) -> None:
        super().__init__(seed)
        self.rate = _rate("rate", rate)

    def stored(
        self, name: str, values: Tensor, scale: Tensor, zero_point: int, bits: int
    ) -> Tensor:
        count = bits * values.numel()
        flips = bernoulli_positions(count, self.rate, self.generator(values.device))
        return _flip(values, flips // bits, flips % bits, scale, zero_point, bits)


class SingleActivationFlip(FaultModel):
    """One flipped bit in one stored activation of every image.

    Source: DeepAxe and DeepXcel (ISQED 2023 and 2024); logits are spared.

    Parameters
    ----------
    uniform : "bits" or "layers"
        Every bit of the network is as likely as any other; or first a layer is drawn, then an
        activation in it, as DeepAxe does, which weights small layers more.
    """

    def __init__(self, seed: int = 0, *, uniform: str = "bits") -> None:
        super().__init__(seed)
        if uniform not in ("bits", "layers"):
            raise HoldfastError(f"uniform must be bits or layers, not {shown(uniform)}.")
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
        return _flip(values, position, bit, scale, zero_point, bits)


class StuckPEs(FaultModel):
    """Processing elements with a bit of their weight register stuck, mapped through the schedule.

    In the weight-stationary array the weight from input channel i to output channel o sits in row
    ``i % rows`` and column ``o % cols``, in every layer: a permanent fault meets all weights of
    that class, and the rows that a layer leaves unused. Each element is faulty with probability p,
    in one bit drawn uniformly, stuck at 0 or at 1. Every pass draws anew.

    Only convolutions without groups are affected. A first layer whose kernel columns the program
    packs into channels is treated as if they were not.

    Parameters
    ----------
    rate : float
        p, per processing element.
    rows, cols : int
        Size of the array.
    """

    def __init__(self, rate: float, seed: int = 0, *, rows: int = 8, cols: int = 8) -> None:
        super().__init__(seed)
        self.rate = _rate("rate", rate)
        self.rows, self.cols = rows, cols
        self.stuck: list[tuple[int, int, int, int]] = []

    def start(self, sizes: Mapping[str, int], images: int, bits: int, device: torch.device) -> None:
        generator = self.generator(torch.device("cpu"))
        elements = bernoulli_positions(self.rows * self.cols, self.rate, generator).tolist()
        # 840 is a multiple of every width of a weight
        draws = torch.randint(0, 2 * 840, (len(elements),), generator=generator).tolist()
        self.stuck = [
            (*divmod(element, self.cols), draw // 2, draw % 2)
            for element, draw in zip(elements, draws, strict=True)
        ]

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        if not self._affects(codes):
            return codes
        return self._held(codes, bits)[:, : codes.shape[1]].to(codes.dtype)

    def surplus(self, codes: Tensor, bits: int) -> Tensor | None:
        if not self._affects(codes):
            return None
        return self._held(codes, bits).sum((1, 2, 3)) - codes.sum((1, 2, 3))

    def _affects(self, codes: Tensor) -> bool:
        return bool(self.stuck) and codes.shape[1] > 1

    def _held(self, codes: Tensor, bits: int) -> Tensor:
        """What the weight registers hold, int64 [C_out, C_in up to a multiple of rows, kh, kw]."""
        held = F.pad(codes.long(), (0, 0, 0, 0, 0, -codes.shape[1] % self.rows))
        for row, col, bit, value in self.stuck:
            part = held[col :: self.cols, row :: self.rows]
            mask = 1 << bit % bits
            held[col :: self.cols, row :: self.rows] = _signed(
                part | mask if value else part & ~mask, bits
            )
        return held


STUCK_PES = "stuck-pes"
"""Of an 8x8 array; ``stuck-pes:4x16`` of another."""
_MODELS: dict[str, Callable[[float, int], FaultModel]] = {
    "mibb": MacBitBias,
    "adsaf": StuckWeightCells,
    "adsaf-bits": StuckWeightBits,
    "ibf-weights": WeightBitFlips,
    "ibf-activations": ActivationBitFlips,
    STUCK_PES: StuckPEs,
}
CALIBRATED = "calibrated:"
"""Begins the name of a model in a file (`nn.calibrated`)."""


def fault_model_names() -> list[str]:
    """Names that :func:`fault_model` accepts, beside those of files."""
    return list(_MODELS)


def fault_model(name: str, rate: float, seed: int = 0) -> FaultModel:
    """The fault model of that name at a rate; ``calibrated:FILE`` is one of `nn.calibrated`,
    ``stuck-pes:ROWSxCOLS`` that of an array.

    Raises
    ------
    HoldfastError
        There is none of that name, or the rate or the array is out of bounds.
    """
    if name.startswith(CALIBRATED):
        # It is built upon this file.
        from nn.calibrated import CalibratedFaults

        return CalibratedFaults(Path(name.removeprefix(CALIBRATED)), rate, seed)
    if name.startswith(f"{STUCK_PES}:"):
        size = re.fullmatch(r"(\d{1,4})x(\d{1,4})", name.removeprefix(f"{STUCK_PES}:"))
        if not size:
            raise HoldfastError(f"{shown(name)} must name its array as in {STUCK_PES}:4x16.")
        array = AcceleratorConfig(rows=int(size[1]), cols=int(size[2]))
        return StuckPEs(rate, seed, rows=array.rows, cols=array.cols)
    if name not in _MODELS:
        raise HoldfastError(
            f"unknown fault model {shown(name)}; known are {', '.join(fault_model_names())} "
            f"and {CALIBRATED}FILE."
        )
    return _MODELS[name](rate, seed)


def bernoulli_positions(count: int, rate: float, generator: torch.Generator) -> Tensor:
    """Which of ``count`` independent trials succeed, sorted, int64; exact for any rate.

    Draws the geometric distances between successes, so that it costs as much as there are faults.
    """
    device = generator.device
    if rate <= 0 or count == 0:
        return torch.empty(0, dtype=torch.int64, device=device)
    if rate >= 1:
        return torch.arange(count, device=device)
    found, last = [], -1
    while last < count:
        expected = (count - last) * rate
        draws = int(expected + 6 * math.sqrt(expected) + 16)
        # failures before a success by inversion, which takes half the time of geometric_
        gaps = torch.empty(draws, dtype=torch.float64, device=device).uniform_(generator=generator)
        gaps.log_().mul_(1 / math.log1p(-rate))
        # a gap beyond the end is as good as one that would overflow the sum
        gaps.clamp_(max=count)
        positions = gaps.long().add_(1).cumsum(0).add_(last)
        found.append(positions)
        last = int(positions[-1])
    every = torch.cat(found)
    return every[: int(torch.searchsorted(every, count))]


class _Replace(torch.autograd.Function):
    """Puts values at positions in memory order; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, positions: Tensor, replacement: Tensor) -> Tensor:
        out = values.clone()
        _memory(out).index_copy_(0, positions, replacement)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def replaced(values: Tensor, where: tuple[Tensor, ...], moved: Tensor) -> Tensor:
    """``values`` with others at some indices, one tensor for each dimension; the gradient passes
    as if nothing had happened.
    """
    positions = sum(at * step for at, step in zip(where, values.stride(), strict=True))
    result: Tensor = _Replace.apply(values, positions, moved.to(values.dtype))
    return result


def _memory(values: Tensor) -> Tensor:
    """A flat view in memory order of a tensor without gaps."""
    return values.as_strided((values.numel(),), (1,))


def _flip(
    values: Tensor, elements: Tensor, bit: Tensor, scale: Tensor, zero_point: int, bits: int
) -> Tensor:
    """Flips bits of the codes of elements in memory order.

    Elements ascend; they may repeat, but not with the same bit.
    """
    if len(elements) == 0:
        return values
    with torch.no_grad():
        where, which = torch.unique_consecutive(elements, return_inverse=True)
        masks = torch.zeros_like(where).scatter_add_(0, which, 1 << bit)
        codes = (
            _memory(values.detach()).index_select(0, where) / scale
        ).round().long() + zero_point
        flipped = (_signed(codes ^ masks, bits) - zero_point) * scale
    replaced: Tensor = _Replace.apply(values, where, flipped.to(values.dtype))
    return replaced


def _bit_masks(like: Tensor, positions: Tensor, bits: int) -> Tensor:
    """For every element the bits, int64, whose positions (element * bits + bit) are given."""
    masks = torch.zeros(like.numel(), dtype=torch.int64, device=like.device)
    masks.scatter_add_(0, positions // bits, 1 << positions % bits)
    return masks.reshape(like.shape)


def _signed(codes: Tensor, bits: int) -> Tensor:
    """The lowest bits of int64 codes as two's complement."""
    half = 1 << bits - 1
    return ((codes + half) & (2 * half - 1)) - half


def _rate(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise HoldfastError(f"{name} must be from 0 to 1, not {value}.")
    return value
