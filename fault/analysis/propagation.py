"""Propagates corrupted tensors through the rest of the network, in batches, each once.

Only what changes of a layer is computed (`nn.graph.incremental`).

propagator = Propagator(program, schedule, golden, reference)
outcomes = propagator.run(effects)        # what the last tensor is in the end, for every Effect
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import ConvNode
from holdfast.nn.graph.incremental import Incremental, Pixels
from holdfast.nn.graph.reference import Reference
from holdfast.sim.machine.banks import stored_after
from holdfast.sim.machine.schedule import Schedule

from .effect import Effect, Ints

_RUNS, _CODES = 256, 1 << 22
"""Effects that are propagated at once, and codes of the largest tensor of all of them."""


@dataclass(frozen=True)
class Logits:
    """Describes the network's end.

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
    """Computes the rest of the network for one image.

    Parameters
    ----------
    schedule : Schedule or None
        Tells how often inputs are fetched; without it, the input guard's violations count once.
    reference : Reference
        The golden run of the image.

    Attributes
    ----------
    computed : int
        Corruptions that were propagated; others were equal to one of them.
    """

    def __init__(
        self, program: Program, schedule: Schedule | None, golden: Golden, reference: Reference
    ):
        self.program, self.golden = program, golden
        self.computed = 0
        self._known: dict[tuple, Logits] = {}
        self._last = program.graph.nodes[-1].name
        self.unchanged = Logits(reference.codes[self._last].tobytes(), 0)
        self._schedule = schedule
        self._incremental = Incremental(golden, reference)
        self._fetches: dict[str, Ints] = {}
        self._later: dict[str, NDArray[np.bool_]] = {}
        largest = max(codes.size for codes in reference.codes.values())
        self._batch = max(1, min(_RUNS, _CODES // largest))

    def run(self, effects: Sequence[Effect]) -> list[Logits]:
        """Returns the logits for every effect; its own counts are not part of it."""
        keys = [effect.key if effect.tensors else None for effect in effects]
        todo = {
            key: effect
            for key, effect in zip(keys, effects, strict=True)
            if key is not None and key not in self._known
        }
        parts = list(todo.items())
        for begin in range(0, len(parts), self._batch):
            part = dict(parts[begin : begin + self._batch])
            self._known.update(zip(part, self._compute(list(part.values())), strict=True))
            self.computed += len(part)
        return [self.unchanged if key is None else self._known[key] for key in keys]

    def clear_cache(self) -> None:
        """Drop what is known, to bound the memory."""
        self._known.clear()

    def _compute(self, effects: Sequence[Effect]) -> list[Logits]:
        """Takes effects through the graph together: each joins where its tensors are."""
        count = len(effects)
        given = self._given(effects)
        waiting = np.array([self._still_runs(e.step) for e in effects if e.step is not None])
        changed: dict[str, Pixels] = {}
        counts = np.zeros(count, np.int64)
        alarmed = np.zeros(count, bool)
        for number, node in enumerate(self.program.graph.nodes):
            parts = [given[node.name]] if node.name in given else []
            inputs = [self._chosen(changed, name, waiting[:, number]) for name in node.inputs]
            if any(part is not None for part in inputs):
                found, violations = self._incremental.compute(node, inputs, count)
                parts.append(found)
                if violations is not None:
                    counts += violations
                    alarmed |= violations > 0
                entering = inputs[0]
                if isinstance(node, ConvNode) and self.golden.input_guard and entering is not None:
                    more = self._incremental.entering(node, entering, count)
                    alarmed |= more > 0
                    counts += self._fetched(node, entering, count, more)
            if parts:
                changed[node.name] = Pixels.joined(parts)
        return [
            Logits(output, int(more), bool(alarm))
            for output, more, alarm in zip(
                self._outputs(changed.get(self._last), count), counts, alarmed, strict=True
            )
        ]

    def _given(self, effects: Sequence[Effect]) -> dict[str, Pixels]:
        """What the effects say is wrong, by tensor."""
        parts: dict[str, list[tuple[int, Ints, NDArray[np.int8]]]] = {}
        for number, effect in enumerate(effects):
            for name, (elements, codes) in effect.tensors.items():
                parts.setdefault(name, []).append((number, elements, codes))
        result = {}
        for name, found in parts.items():
            runs = np.repeat([run for run, _, _ in found], [len(codes) for _, _, codes in found])
            elements, codes = (np.concatenate([part[k] for part in found]) for k in (1, 2))
            result[name] = self._incremental.pixels(name, runs, elements, codes)
        return result

    def _chosen(
        self, changed: Mapping[str, Pixels], name: str, waiting: NDArray[np.bool_]
    ) -> Pixels | None:
        """Changed pixels of a tensor, of the runs in which its reader has yet to run."""
        if name not in changed:
            return None
        _, height, width = self.program.graph[name].shape
        there = waiting[changed[name].keys // (height * width)]
        chosen = changed[name] if there.all() else changed[name].chosen(there)
        return chosen if len(chosen) else None

    def _still_runs(self, step: Step) -> NDArray[np.bool_]:
        """Which nodes have yet to run after a step: those behind what is stored by then."""
        if step.name not in self._later:
            graph = self.program.graph
            stored = stored_after(self.program, step)
            needed: set[str] = set()
            waiting = [self._last]
            while waiting:
                name = waiting.pop()
                if name not in stored and name not in needed:
                    needed.add(name)
                    waiting += graph[name].inputs
            self._later[step.name] = np.array([node.name in needed for node in graph.nodes])
        return self._later[step.name]

    def _fetched(self, node: ConvNode, entering: Pixels, count: int, once: Ints) -> Ints:
        """Counts the input guard's violations as the hardware does, beyond the golden ones."""
        if self._schedule is None:
            return once
        if node.name not in self._fetches:
            self._fetches[node.name] = _fetches(self.program, self._schedule, node)
        return self._incremental.entering(node, entering, count, self._fetches[node.name])

    def _outputs(self, changed: Pixels | None, count: int) -> list[bytes]:
        """Codes of the last tensor of every run."""
        outputs = [self.unchanged.output] * count
        if changed is not None:
            golden = self._incremental.rows(self._last)
            run, pixel = np.divmod(changed.keys, len(golden))
            which, slot = np.unique(run, return_inverse=True)
            rows = np.repeat(golden[None], len(which), 0)
            rows[slot, pixel] = changed.codes
            for number, codes in zip(which.tolist(), rows.transpose(0, 2, 1), strict=True):
                outputs[number] = codes.tobytes()
        return outputs


def _fetches(program: Program, schedule: Schedule, node: ConvNode) -> Ints:
    """Counts how often the hardware fetches each code of a layer's input, int64 [H * W, C]."""
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
    return pixels[:, order]
