"""Says what an error model at network level is asked, and how it changes tensors.

A member of :data:`nn.errors.registry.MODELS` is a :class:`RatedModel` with a name, in a file of its
own.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from holdfast.base.errors import HoldfastError
from holdfast.nn.networks.spec import Network


class ErrorModel:
    """Holds what a pass through a network asks of a fault model; by default nothing is faulty.

    Parameters
    ----------
    seed : int
        Equal seeds give equal faults on one kind of device.

    Attributes
    ----------
    covers_dense_and_pooling : bool
        :meth:`sums` is asked about dense layers and average poolings as well.
    content : str
        Digest of the file that the model is read from, if it is.
    """

    covers_dense_and_pooling = False
    content = ""

    def __init__(self, seed: int = 0) -> None:
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Starts the random numbers anew."""
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, device: torch.device) -> torch.Generator:
        """Returns the stream of random numbers on a device."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def bind(self, spec: Network) -> None:
        """Names the network, before every pass."""

    def start(self, sizes: Mapping[str, int], images: int, bits: int, device: torch.device) -> None:
        """Begins a pass of ``images`` images; elements of one image's stored tensors by name."""

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        """Returns faulty weights of a convolution. Those that change receive no gradient.

        Parameters
        ----------
        codes : Tensor
            Integers in floating point, [C_out, C_in / groups, kh, kw], without gradient, as the
            hardware holds them: turned around where gamma is negative.
        bits : int
            Width of a weight.
        """
        return codes

    def zero_point_correction(self, codes: Tensor, bits: int) -> Tensor | None:
        """Returns what multiplies the zero point of a convolution's input, [C_out]; None: nothing
        does.

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
        """Returns faulty outputs of a convolution, batch norm folded, before its activation
        function.

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
        """Returns faulty stored activations.

        Parameters
        ----------
        values : Tensor
            Real, [N, C, H, W]; multiples of ``scale``. The code of a value is its multiple plus
            the zero point, in two's complement of ``bits`` bits.
        """
        return values


class RatedModel(ErrorModel):
    """An error model that is found by name, with a rate.

    Attributes
    ----------
    name : str
    parameter : str
        What may stand behind the name and a colon, as messages call it; empty: nothing.
    needs_parameter : bool
    of_array : bool
        The parameter is the size of an array, ``ROWSxCOLS``.
    """

    name: ClassVar[str] = ""
    parameter: ClassVar[str] = ""
    needs_parameter: ClassVar[bool] = False
    of_array: ClassVar[bool] = False

    def __init__(self, rate: float, seed: int = 0) -> None:
        super().__init__(seed)
        self.rate = checked_rate("rate", rate)

    @classmethod
    def named(cls, parameter: str | None, rate: float, seed: int) -> "RatedModel":
        """Makes the model of a name; ``parameter`` is what stands behind its colon.

        Raises
        ------
        HoldfastError
            The parameter or the rate is none of this model.
        """
        return cls(rate, seed)


def bernoulli_positions(count: int, rate: float, generator: torch.Generator) -> Tensor:
    """Draws which of ``count`` independent trials succeed, sorted, int64; exact for any rate.

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


class Replace(torch.autograd.Function):
    """Puts values at positions in memory order; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, positions: Tensor, replacement: Tensor) -> Tensor:
        out = values.clone()
        memory_order(out).index_copy_(0, positions, replacement)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def replaced(values: Tensor, where: tuple[Tensor, ...], moved: Tensor) -> Tensor:
    """``values`` with others at some indices, one tensor for each dimension; the gradient passes
    as if nothing had happened.
    """
    positions = sum(at * step for at, step in zip(where, values.stride(), strict=True))
    result: Tensor = Replace.apply(values, positions, moved.to(values.dtype))
    return result


def memory_order(values: Tensor) -> Tensor:
    """Returns a flat view in memory order of a tensor without gaps."""
    return values.as_strided((values.numel(),), (1,))


def flip(
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
            memory_order(values.detach()).index_select(0, where) / scale
        ).round().long() + zero_point
        flipped = (signed(codes ^ masks, bits) - zero_point) * scale
    replaced: Tensor = Replace.apply(values, where, flipped.to(values.dtype))
    return replaced


def bit_masks(like: Tensor, positions: Tensor, bits: int) -> Tensor:
    """For every element the bits, int64, whose positions (element * bits + bit) are given."""
    masks = torch.zeros(like.numel(), dtype=torch.int64, device=like.device)
    masks.scatter_add_(0, positions // bits, 1 << positions % bits)
    return masks.reshape(like.shape)


def signed(codes: Tensor, bits: int) -> Tensor:
    """Returns the lowest bits of int64 codes as two's complement."""
    half = 1 << bits - 1
    return ((codes + half) & (2 * half - 1)) - half


def checked_rate(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise HoldfastError(f"{name} must be from 0 to 1, not {value}.")
    return value
