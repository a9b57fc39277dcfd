"""Propagates corrupted tensors through the rest of the network, in batches, each once.

propagator = Propagator(program, schedule, golden, reference)
outcomes = propagator.run(effects)        # what the last tensor is in the end, for every Effect
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.graph.golden import Golden, GoldenOutputs
from holdfast.nn.graph.graph import ConvNode, Node
from holdfast.sim.machine.banks import live_after
from holdfast.sim.machine.schedule import Schedule

from .effect import Effect

__all__ = ["Logits", "Propagator"]

_BATCH = 32


@dataclass(frozen=True)
class Logits:
    """The network's end.

    Attributes
    ----------
    output : bytes
        Codes of the last tensor, int8.
    counts : int
        Guard violations beyond the golden run's, in the layers that were recomputed.
    alarmed : bool
        One of these layers has more violations than in the golden run.
    """

    output: bytes
    counts: int
    alarmed: bool = False


class Propagator:
    """The rest of the network for one image.

    Parameters
    ----------
    schedule : Schedule or None
        Tells how often inputs are fetched; without it, the input guard's violations count once.
    reference : GoldenOutputs
        The golden run of the image alone, all nodes kept.

    Attributes
    ----------
    computed : int
        Corruptions that were propagated; others were equal to one of them.
    """

    def __init__(
        self, program: Program, schedule: Schedule | None, golden: Golden, reference: GoldenOutputs
    ):
        self.program, self.golden, self.reference = program, golden, reference
        self.computed = 0
        self._known: dict[tuple, Logits] = {}
        self._order = {node.name: index for index, node in enumerate(program.graph.nodes)}
        self._last = program.graph.nodes[-1].name
        self.unchanged = Logits(reference.outputs[self._last].numpy().tobytes(), 0)
        self._schedule = schedule
        self._fetches: dict[str, Tensor] = {}

    def run(self, effects: Sequence[Effect]) -> list[Logits]:
        """Returns the logits for every effect; its own counts are not part of it."""
        keys = [effect.key if effect.tensors else None for effect in effects]
        todo: dict[tuple[str, tuple[str, ...]], dict[tuple, Effect]] = {}
        for key, effect in zip(keys, effects, strict=True):
            if key is not None and key not in self._known:
                assert effect.step is not None
                group = effect.step.name, tuple(sorted(effect.tensors))
                todo.setdefault(group, {})[key] = effect
        for (name, tensors), members in todo.items():
            step = next(step for step in self.program.steps if step.name == name)
            parts = list(members.items())
            for begin in range(0, len(parts), _BATCH):
                part = dict(parts[begin : begin + _BATCH])
                outcomes = self._compute(step, tensors, list(part.values()))
                self._known.update(zip(part, outcomes, strict=True))
                self.computed += len(part)
        return [self.unchanged if key is None else self._known[key] for key in keys]

    def clear_cache(self) -> None:
        """Drop what is known, to bound the memory."""
        self._known.clear()

    def _compute(
        self, step: Step, tensors: tuple[str, ...], effects: Sequence[Effect]
    ) -> list[Logits]:
        values: dict[str, Tensor] = {}
        for name in tensors:
            clean = self.reference.outputs[name]
            batch = clean.repeat(len(effects), 1, 1, 1)
            flat = batch.numpy().reshape(len(effects), -1)
            for row, effect in zip(flat, effects, strict=True):
                indices, codes = effect.tensors[name]
                row[indices] = codes
            values[name] = batch
        nodes = self._nodes(step, tensors)
        for node in nodes:
            for source in node.inputs:
                if source not in values and all(source != other.name for other in nodes):
                    clean = self.reference.outputs[source]
                    values[source] = clean.expand(len(effects), -1, -1, -1)
        result = self.golden.compute(nodes, values)
        output = result.outputs[self._last] if nodes else values[self._last]
        counts = self._counts(nodes, {**values, **result.outputs}, result, len(effects))
        alarms = self._alarms(result, len(effects))
        return [
            Logits(row.tobytes(), int(count), bool(alarm))
            for row, count, alarm in zip(output.flatten(1).numpy(), counts, alarms, strict=True)
        ]

    def _nodes(self, step: Step, tensors: tuple[str, ...]) -> list[Node]:
        """Nodes that have yet to run after a step and depend on tensors that are wrong."""
        graph = self.program.graph
        stored = {*live_after(self.program, step), step.target}
        needed: set[str] = set()
        waiting = [graph.nodes[-1].name]
        while waiting:
            name = waiting.pop()
            if name not in stored and name not in needed:
                needed.add(name)
                waiting += graph[name].inputs
        changed = set(tensors)
        nodes = []
        for node in graph.nodes:
            if node.name in needed and changed.intersection(node.inputs):
                changed.add(node.name)
                nodes.append(node)
        return nodes

    def _alarms(self, result: GoldenOutputs, batch: int) -> np.ndarray:
        """Tells whether one of the recomputed layers has more violations than the golden one."""
        alarms = torch.zeros(batch, dtype=torch.bool)
        for kind in ("output_violations", "input_violations"):
            for name, found in getattr(result, kind).items():
                alarms |= found > getattr(self.reference, kind)[name]
        return alarms.numpy()

    def _counts(
        self, nodes: Sequence[Node], values: dict[str, Tensor], result: GoldenOutputs, batch: int
    ) -> np.ndarray:
        """Violations of the recomputed layers beyond the golden ones, as the hardware counts."""
        counts = torch.zeros(batch, dtype=torch.int64)
        for name, found in result.output_violations.items():
            counts += found - self.reference.output_violations[name]
        for node in nodes:
            if isinstance(node, ConvNode) and self.golden.input_guard:
                if self._schedule is None:
                    counts += result.input_violations[node.name]
                    counts -= self.reference.input_violations[node.name]
                    continue
                source = node.inputs[0]
                if node.name not in self._fetches:
                    self._fetches[node.name] = _fetches(self.program, self._schedule, node)
                fetches = self._fetches[node.name]
                for sign, codes in ((1, values[source]), (-1, self.reference.outputs[source])):
                    bad = (codes < node.input_lo) | (codes > node.input_hi)
                    counts += sign * (bad * fetches).sum((1, 2, 3))
        return counts.numpy()


def _fetches(program: Program, schedule: Schedule, node: ConvNode) -> Tensor:
    """Counts how often the hardware fetches each element of a layer's input, int64 [C, H, W]."""
    bounds = node.input_lo, node.input_hi
    # The runs that fill lanes behind the last channel check nothing.
    runs = [
        run
        for run in schedule.runs
        if node.name in run.step.nodes
        and (run.descriptor.input_lo, run.descriptor.input_hi) == bounds
    ]
    place = program.places[runs[0].step.reads[0]]
    words = np.zeros((place.size, program.config.word_lanes), np.int64)
    rows = program.config.rows
    for run in runs:
        addresses, pad, subs = run.inputs
        inside = ~np.tile(pad, (run.tiles, 1))
        for sub in np.unique(subs):
            chosen = addresses[inside & (subs == sub)[:, None]] - place.base
            reads = np.bincount(chosen, minlength=place.size)
            words[:, sub * rows : (sub + 1) * rows] += reads[:, None]
    pixels = words.reshape(place.height * place.width, -1)
    lanes = {channel: lane for lane, channel in enumerate(place.lanes) if channel >= 0}
    order = [lanes[channel] for channel in range(len(lanes))]
    return torch.from_numpy(pixels[:, order].T.reshape(-1, place.height, place.width).copy())
