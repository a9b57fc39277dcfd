"""SDC-1 that a calibrated fault model predicts for a network, in the integer golden model.

    prediction = predict(calibration, graph, golden, codes, samples=40_000, seed=1)
    prediction["weight"].sdc1                # Estimate: share of all upsets of the structure

A draw is a layer, as likely as an upset corrupts it, a template, and a place in that layer of one
of the images; sums are changed before bias, multiplier, guard and clamp of the network itself.

    SDC-1(s) = sum over l of P(layer l is corrupted | upset of s) * P(class differs | that)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.base.statistics import Estimate, Sample, share
from holdfast.nn.errors.empirical import Calibration, kind_indices
from holdfast.nn.errors.exposure import KINDS, graph_work
from holdfast.nn.errors.templates import Placed, Templates
from holdfast.nn.graph.golden import Golden, GoldenOutputs, classes
from holdfast.nn.graph.graph import AvgPoolNode, ConvNode, Graph, MaxPoolNode
from holdfast.nn.graph.rounding import round_shift

Computed = ConvNode | AvgPoolNode | MaxPoolNode

_EACH = 4
"""Places that a drawn template is tried in."""
_BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """Predicts one structure's shares, per upset.

    Attributes
    ----------
    corrupted : float
        Probability that a layer is corrupted.
    sdc1 : Estimate
    draws : int
    """

    corrupted: float
    sdc1: Estimate
    draws: int


class Corrupter:
    """Layers of some images with corruptions, in integers.

    Parameters
    ----------
    golden : Golden
        With the guard that the network shall have.
    codes : int8 [N, C, H, W]
        The images.
    acc_bits : int
        Width of the accumulators.

    Attributes
    ----------
    reference : GoldenOutputs
        The images without corruption.
    """

    def __init__(self, golden: Golden, codes: Tensor, acc_bits: int):
        self.golden, self._acc_bits = golden, acc_bits
        self.reference = golden.run(codes)
        self._sums: dict[str, Tensor] = {}

    def outputs(
        self, node: Computed, images: Tensor, placed: Placed, chosen: Tensor, templates: Templates
    ) -> Tensor:
        """Returns output codes of a layer, int8 [F, C, H, W].

        Parameters
        ----------
        images : int64 [F]
            Of the draws.
        chosen : int64 [F]
            The draws' templates.
        """
        clean = self.reference.outputs[node.name]
        owner, channel, y, x, change = placed
        result = clean[images]
        where = owner, channel, y, x
        summed = ~templates.code[chosen[owner]]
        if summed.any():
            at = tuple(part[summed] for part in where)
            assert not isinstance(node, MaxPoolNode)
            v = self._changed(node, images, at, change[summed], templates.gain[chosen])
            # The guard sees whole layers.
            whole = torch.zeros(result.shape, dtype=torch.int64)
            whole[at] = v
            result[at] = self.golden.finished(node, whole, GoldenOutputs())[at]
        at = tuple(part[~summed] for part in where)
        codes = templates.changed(chosen[at[0]], result[at].long())
        result[at] = codes.clamp(node.lo, node.hi).to(torch.int8)
        return result

    def _changed(
        self,
        node: ConvNode | AvgPoolNode,
        images: Tensor,
        at: Sequence[Tensor],
        change: Tensor,
        gain: Tensor,
    ) -> Tensor:
        owner, channel, y, x = at
        half = 1 << self._acc_bits - 1
        acc = self._accumulated(node)[images[owner], channel, y, x] + change
        acc = ((acc + half) & (2 * half - 1)) - half
        multiplier, shift = (
            torch.as_tensor(np.broadcast_to(values, node.shape[:1]).copy())[channel]
            for values in (node.multiplier, node.shift)
        )
        rounding = self.golden.graph.rounding
        exact = round_shift(acc * multiplier, shift, rounding)
        # A wrong multiplier or shift: half up, whatever the rounding.
        scaled = acc.double() * multiplier.double() * gain[owner].double()
        scaled = torch.floor(scaled / torch.exp2(shift.double()) + 0.5)
        most = float(1 << 40)
        scaled = scaled.clamp(-most, most).long()
        return torch.where(gain[owner] == 1, exact, scaled) + node.zero_point

    def _accumulated(self, node: ConvNode | AvgPoolNode) -> Tensor:
        if node.name not in self._sums:
            x = self.reference.outputs[node.inputs[0]]
            if isinstance(node, ConvNode):
                x = self.golden.admitted(node, x, GoldenOutputs())
            self._sums[node.name] = self.golden.sums(node, x)
        return self._sums[node.name]

    def wrong_class(self, node: Computed, images: Tensor, outputs: Tensor) -> NDArray[np.bool_]:
        """Tells whether the class differs once a layer's outputs [F, C, H, W] are corrupted."""
        last = self.golden.graph.nodes[-1].name
        top = classes(self.reference.outputs[last].flatten(1))
        wrong = np.zeros(len(images), bool)
        differs = (outputs != self.reference.outputs[node.name][images]).flatten(1).any(1)
        for part in differs.nonzero().flatten().split(_BATCH):
            if node.name == last:
                logits = outputs[part]
            else:
                of = images[part]
                found = self.golden.run_from(
                    node.name, outputs[part], self.reference.outputs, of, {last}
                )
                logits = found.outputs[last]
            wrong[part.numpy()] = (classes(logits.flatten(1)) != top[images[part]]).numpy()
        return wrong


def predict(
    calibration: Calibration,
    graph: Graph,
    golden: Golden,
    codes: Tensor,
    samples: int = 40_000,
    minimum: int = 2000,
    seed: int = 1,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Prediction]:
    """Predicts, by structure.

    Parameters
    ----------
    golden : Golden
        Of the graph, with its guard.
    samples : int
        Draws, divided among the structures as likely as their upsets corrupt layers.
    minimum : int
        Least draws of a structure.
    progress : Callable
        Called with a number of draws that are done.
    """
    layers = graph_work(graph)
    chances = calibration.chances(layers)
    kinds = kind_indices(layers)
    corrupter = Corrupter(golden, codes, calibration.acc_bits)
    templates = calibration.templates
    likely = chances.sum(1) * list(calibration.bits.values())
    predictions = {}
    for number, name in enumerate(calibration.structures):
        chance = torch.from_numpy(chances[number])
        total = float(chance.sum())
        if total == 0:
            predictions[name] = Prediction(0.0, Estimate(0.0, 0.0, 0.0), 0)
            continue
        generator = torch.Generator().manual_seed((seed << 8) + number)
        count = -(-max(minimum, int(samples * likely[number] / likely.sum())) // _EACH)
        first = torch.multinomial(chance, count, replacement=True, generator=generator)
        kind = kinds[first]
        structure = torch.full_like(first, number)
        drawn = calibration.draw(structure, kind, templates, generator).repeat_interleave(_EACH)
        layer = torch.empty(len(drawn), dtype=torch.int64)
        for value in range(len(KINDS)):
            here = (kind == value).repeat_interleave(_EACH)
            among = chance * (kinds == value)
            if here.any():
                layer[here] = torch.multinomial(
                    among, int(here.sum()), replacement=True, generator=generator
                )
        image = torch.randint(0, len(codes), (len(drawn),), generator=generator)
        wrong = np.zeros(len(drawn), bool)
        for at in layer.unique().tolist():
            node = graph[layers[at].name]
            assert isinstance(node, Computed)
            for part in (layer == at).nonzero().flatten().split(_BATCH):
                chosen = drawn[part]
                placed = calibration.place(chosen, node.shape, templates, generator)
                outputs = corrupter.outputs(node, image[part], placed, chosen, templates)
                wrong[part.numpy()] = corrupter.wrong_class(node, image[part], outputs)
                if progress is not None:
                    progress(len(part))
        found = share(Sample.of(wrong.reshape(-1, _EACH)))
        predictions[name] = Prediction(
            total, _product(total, _corrupted(calibration, name), found), len(drawn)
        )
    return predictions


def _corrupted(calibration: Calibration, structure: str) -> Estimate:
    """Share of a structure's faults that corrupted a layer in its campaigns, which its rates are
    known by; images are a cluster.
    """
    counts = calibration.counts[structure]
    faults = max(1.0, sum(counts["corrupted"].values()) / counts["images"])
    return share(Sample.counted(faults, max(faults, counts["faults"])))


def _product(total: float, rate: Estimate, found: Estimate) -> Estimate:
    """A probability known as well as a rate is, times a share with its interval (MOVER)."""
    value = total * found.value
    below = hypot(total * (found.value - found.low), value * (1 - rate.low / rate.value))
    above = hypot(total * (found.high - found.value), value * (rate.high / rate.value - 1))
    return Estimate(value, max(0.0, value - below), min(1.0, value + above))
