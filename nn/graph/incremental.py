"""Recomputes of a network what changes with some pixels of some tensors, of many runs at once.

    incremental = Incremental(golden, reference)              # one image's golden run
    changed = incremental.pixels(name, runs, elements, codes)
    changed, violations = incremental.compute(node, [changed], count)

A changed pixel has a wrong code in some channel. An output pixel is computed again only where its
window holds one, and passed on only where a code of it is wrong then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.operators.add import AddNode
from holdfast.nn.operators.avgpool import AvgPoolNode
from holdfast.nn.operators.concat import ConcatNode
from holdfast.nn.operators.conv import ConvNode
from holdfast.nn.operators.maxpool import MaxPoolNode
from holdfast.nn.operators.node import Node
from holdfast.nn.operators.shortcut import ShortcutNode

from .golden import Golden, GoldenOutputs
from .output_pixels import Codes, Ints, OutputPixels, clamped, rounded
from .reference import Reference

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = 32
"""Runs of which whole layers are computed at once."""


@dataclass(frozen=True)
class Pixels:
    """Holds changed pixels of one tensor.

    Attributes
    ----------
    keys : int64 [n]
        Number of the run * H * W + pixel, ascending.
    codes : int8 [n, C]
    """

    keys: Ints
    codes: Codes

    def __len__(self) -> int:
        return len(self.keys)

    def chosen(self, where: NDArray[np.bool_]) -> "Pixels":
        """Returns some of them."""
        return Pixels(self.keys[where], self.codes[where])

    @classmethod
    def joined(cls, parts: Sequence["Pixels"]) -> "Pixels":
        """Puts pixels together; no two parts have the same."""
        filled = [part for part in parts if len(part)]
        if len(filled) < 2:
            return filled[0] if filled else parts[0]
        keys = np.concatenate([part.keys for part in filled])
        codes = np.concatenate([part.codes for part in filled])
        if (keys[1:] > keys[:-1]).all():
            return cls(keys, codes)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], codes[order])


Inputs = Sequence[Pixels | None]
"""Changed pixels of a node's inputs; None: nothing is."""
Computed = tuple[Pixels, Ints | None]


class Incremental:
    """Computes changed pixels of runs on one image.

    Parameters
    ----------
    reference : Reference
        The golden run on the image.
    """

    def __init__(self, golden: Golden, reference: Reference):
        self._golden, self._reference, self._graph = golden, reference, golden.graph
        self._rows: dict[str, Codes] = {}
        self._layers: dict[str, tuple[OutputPixels, Ints]] = {}

    def rows(self, name: str) -> Codes:
        """Returns golden codes of a node, pixels first, int8 [H * W, C]."""
        if name not in self._rows:
            codes = self._reference.codes[name]
            self._rows[name] = np.ascontiguousarray(codes.reshape(len(codes), -1).T)
        return self._rows[name]

    def pixels(self, name: str, runs: Ints, elements: Ints, codes: Codes) -> Pixels:
        """Returns the changed pixels of a tensor, from runs, flat indices [C, H, W] and codes."""
        golden = self.rows(name)
        channel, pixel = np.divmod(elements, len(golden))
        every = runs * len(golden) + pixel
        keys = _union([every])
        rows = golden.take(keys % len(golden), 0)
        rows[np.searchsorted(keys, every), channel] = codes
        return self._differing(name, keys, keys % len(golden), rows)

    def compute(self, node: Node, inputs: Inputs, count: int) -> Computed:
        """Computes what changed pixels of a node's inputs change of its output.

        Parameters
        ----------
        count : int
            Runs.

        Returns
        -------
        Pixels
            Those of the output that are wrong.
        int64 [count] or None
            Violations of the output guard beyond the golden run's; None: it does not count here.
        """
        golden = self._golden
        own = type(golden) is not Golden or golden.observe or golden.disturb
        make = None if own else _KINDS.get(type(node).evaluate)
        if make is Incremental._windowed and not self._layer(node)[0].exact:
            make = None
        return (make or Incremental._whole)(self, node, inputs, count)

    def entering(
        self, node: ConvNode, changed: Pixels, count: int, weights: Ints | None = None
    ) -> Ints:
        """Counts violations of a layer's input guard beyond the golden run's, int64 [count].

        Parameters
        ----------
        weights : int64 [H * W, C], optional
            How often each code counts.
        """
        golden = self.rows(node.inputs[0])
        run, pixel = np.divmod(changed.keys, len(golden))
        outside = (
            ((codes < node.input_lo) | (codes > node.input_hi)).astype(np.int64)
            for codes in (changed.codes, golden.take(pixel, 0))
        )
        more = next(outside) - next(outside)
        if weights is not None:
            more *= weights.take(pixel, 0)
        return _summed(run, more.sum(1), count)

    def _differing(self, name: str, keys: Ints, pixel: Ints, rows: Codes) -> Pixels:
        wrong = np.flatnonzero(_differ(rows, self.rows(name).take(pixel, 0)))
        return Pixels(keys[wrong], rows.take(wrong, 0))

    def _layer(self, node: Node) -> tuple[OutputPixels, Ints]:
        """A layer with windows, and its violations in the golden run by output pixel."""
        if node.name not in self._layers:
            assert isinstance(node, ConvNode | AvgPoolNode | MaxPoolNode)
            layer = OutputPixels(self._golden, node, self._reference.codes[node.inputs[0]])
            bad = np.zeros(len(self.rows(node.name)), np.int64)
            if layer.exact:
                found = [layer.codes(windows) for windows in layer.windows.golden()]
                codes, bad = (np.concatenate(part) for part in zip(*found, strict=True))
                assert np.array_equal(codes, self.rows(node.name)), node.name
            self._layers[node.name] = layer, bad
        return self._layers[node.name]

    def _windowed(self, node: Node, inputs: Inputs, count: int) -> Computed:
        """A layer whose output pixels have windows on one input."""
        (changed,) = inputs
        assert changed is not None
        layer, golden_bad = self._layer(node)
        run, pixel = np.divmod(changed.keys, len(self.rows(node.inputs[0])))
        which, image = np.unique(run, return_inverse=True)
        violations = np.zeros(count, np.int64) if layer.guarded else None
        parts = [Pixels(np.empty(0, np.int64), np.empty((0, node.shape[0]), np.int8))]
        codes = layer.admit(changed.codes)
        for number, spot, windows in layer.windows.changed(image, pixel, codes, len(which)):
            rows, bad = layer.codes(windows)
            keys = which[number] * len(golden_bad) + spot
            parts.append(self._differing(node.name, keys, spot, rows))
            if violations is not None:
                violations += _summed(which[number], bad - golden_bad[spot], count)
        return Pixels.joined(parts), violations

    def _added(self, node: Node, inputs: Inputs, count: int) -> Computed:
        assert isinstance(node, AddNode)
        keys, pixel, codes = self._aligned(node, inputs)
        sides = []
        for name, side, factor in zip(
            node.inputs, codes, (node.multiplier_a, node.multiplier_b), strict=True
        ):
            v = side.astype(np.float64)
            v -= self._graph[name].zero_point
            v *= factor * 2.0**-node.shift
            sides.append(v)
        v = sides[0]
        v += sides[1]
        rounded(v, self._graph.rounding)
        v += node.zero_point
        return self._differing(node.name, keys, pixel, clamped(v, node.lo, node.hi)), None

    def _concatenated(self, node: Node, inputs: Inputs, count: int) -> Computed:
        keys, _, codes = self._aligned(node, inputs)
        return Pixels(keys, np.concatenate(codes, 1)), None

    def _subsampled(self, node: Node, inputs: Inputs, count: int) -> Computed:
        assert isinstance(node, ShortcutNode)
        (changed,) = inputs
        assert changed is not None
        channels, height, width = self._graph[node.inputs[0]].shape
        run, pixel = np.divmod(changed.keys, height * width)
        y, x = np.divmod(pixel, width)
        kept = np.flatnonzero((y % node.stride == 0) & (x % node.stride == 0))
        codes = np.full((len(kept), node.shape[0]), node.zero_point, np.int8)
        codes[:, :channels] = changed.codes[kept]
        spot = (y // node.stride * node.shape[2] + x // node.stride)[kept]
        return Pixels(run[kept] * (node.shape[1] * node.shape[2]) + spot, codes), None

    def _aligned(self, node: Node, inputs: Inputs) -> tuple[Ints, Ints, list[Codes]]:
        """Keys and pixels where any input is changed, and codes of all of them there."""
        changed = [part.keys for part in inputs if part is not None]
        keys = changed[0] if len(changed) == 1 else _union(changed)
        pixel = keys % len(self.rows(node.inputs[0]))
        codes = []
        for name, part in zip(node.inputs, inputs, strict=True):
            rows = self.rows(name).take(pixel, 0)
            if part is not None:
                rows[np.searchsorted(keys, part.keys)] = part.codes
            codes.append(rows)
        return keys, pixel, codes

    def _whole(self, node: Node, inputs: Inputs, count: int) -> Computed:
        """A node by the golden model, all of its pixels."""
        given = list(zip(node.inputs, inputs, strict=True))
        runs = [p.keys // len(self.rows(name)) for name, p in given if p is not None]
        touched = np.unique(np.concatenate(runs))
        size = len(self.rows(node.name))
        violations = None
        parts = []
        for begin in range(0, len(touched), _PLAIN):
            part = touched[begin : begin + _PLAIN]
            result = GoldenOutputs()
            tensors = [self._tensor(name, pixels, part) for name, pixels in given]
            output = node.evaluate(self._golden, tensors, result)
            rows = output.numpy().reshape(len(part), -1, size).transpose(0, 2, 1)
            keys = (part[:, None] * size + np.arange(size)).ravel()
            pixel = np.tile(np.arange(size), len(part))
            parts.append(self._differing(node.name, keys, pixel, rows.reshape(len(keys), -1)))
            if found := result.output_violations:
                violations = np.zeros(count, np.int64) if violations is None else violations
                more = found[node.name] - self._reference.violations[node.name]
                violations[part] = more.numpy()
        return Pixels.joined(parts), violations

    def _tensor(self, name: str, changed: Pixels | None, runs: Ints) -> "Tensor":
        """Whole tensors of some runs, int8 [N, C, H, W]."""
        import torch

        golden = self.rows(name)
        rows = np.repeat(golden[None], len(runs), 0)
        if changed is not None:
            run, pixel = np.divmod(changed.keys, len(golden))
            mine = np.flatnonzero(np.isin(run, runs))
            rows[np.searchsorted(runs, run[mine]), pixel[mine]] = changed.codes[mine]
        channels_first = np.ascontiguousarray(rows.transpose(0, 2, 1))
        return torch.from_numpy(channels_first).reshape(len(runs), *self._graph[name].shape)


_KINDS: dict[Callable, Callable[[Incremental, Node, Inputs, int], Computed]] = {
    ConvNode.evaluate: Incremental._windowed,
    AvgPoolNode.evaluate: Incremental._windowed,
    MaxPoolNode.evaluate: Incremental._windowed,
    AddNode.evaluate: Incremental._added,
    ConcatNode.evaluate: Incremental._concatenated,
    ShortcutNode.evaluate: Incremental._subsampled,
}
"""By the arithmetic of a node's kind; one with arithmetic of its own is computed whole."""


def _union(parts: Sequence[Ints]) -> Ints:
    """All numbers of some parts, each once, ascending; fastest where the parts are ascending."""
    every = np.concatenate(parts)
    every.sort(kind="stable")
    first = np.ones(len(every), bool)
    np.not_equal(every[1:], every[:-1], out=first[1:])
    return every[first]


def _differ(a: Codes, b: Codes) -> NDArray[np.bool_]:
    """Rows in which two arrays differ."""
    wide = next(f"i{size}" for size in (8, 4, 2, 1) if a.shape[1] % size == 0)
    wrong: NDArray[np.bool_] = (
        np.ascontiguousarray(a).view(wide) != np.ascontiguousarray(b).view(wide)
    ).any(1)
    return wrong


def _summed(run: Ints, values: Ints, count: int) -> Ints:
    """Sums of values by run; exact, since far below 2**53."""
    return np.bincount(run, values, count).astype(np.int64)
