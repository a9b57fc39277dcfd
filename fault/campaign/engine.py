"""Faults in whole inferences: exact like RTL, at the cost of what each fault changes.

    engine = Engine(inference, codes, trace)
    results = engine.run(upsets)
    engine.plain(upset)                  # the same by RTL from the first cycle to the last

Each fault takes the first of these paths that decides it (*path*):

============  =====================================================================================
``unread``    a memory word that is not read any more, or is written before it is read: decided by
              the schedule; a register's bit likewise, by `fault.analysis.liveness`
``closed``    a memory word, or a register of the array, whose effect on its layer has a closed form
``window``    RTL from the last boundary before the fault, or before anything sees it, until every
              live register is golden again; memory words that then differ are resolved as above
``end``       RTL to the end of the inference
============  =====================================================================================

A changed tensor goes through the rest of the network in the golden model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.fault.analysis.liveness import LivenessTable
from holdfast.fault.analysis.memories import Effect, MemoryFaultAnalysis
from holdfast.fault.analysis.propagation import Logits, Propagator
from holdfast.fault.analysis.registers import RegisterFaultAnalysis
from holdfast.fault.injection.lockstep import (
    Differences,
    RunEnd,
    Trace,
)
from holdfast.fault.injection.session import InferenceOutcome, RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.purpose import holds_constants
from holdfast.fault.outcome.pattern import Pattern
from holdfast.fault.outcome.verdict import NOTHING, Verdict
from holdfast.nn.graph.graph import AvgPoolNode, ConvNode

__all__ = ["PATHS", "Engine", "FaultOutcome"]

PATHS = ("unread", "closed", "window", "end")


@dataclass(frozen=True)
class FaultOutcome:
    """One fault's whole-inference outcome.

    Attributes
    ----------
    effect, died
        As in `fault.outcome.classify`, over the whole inference.
    detected : bool
        A guard that is on counted more than in the golden run.
    latency : int
        Cycles from the fault to the first additional count, where it was seen in RTL; else -1.
    sdc5, sdc10, sdc20 : bool
        As in `fault.outcome.verdict`.
    counts, cycles, status : int
        Guard violations, cycles to the interrupt, `gen.layout.Status`.
    output : bytes
        Codes of the last tensor; empty if the host could not read it, or the run was stopped.
    top : int
        The class; -1 without an output.
    path : str
        One of :data:`PATHS`, or ``plain``.
    pattern : Pattern or None
        What was wrong in the layer that it struck, if the engine keeps that: not by plain RTL.
    """

    effect: str
    died: str
    detected: bool
    latency: int
    sdc5: bool
    sdc10: bool
    sdc20: bool
    counts: int
    cycles: int
    status: int
    output: bytes
    path: str
    top: int = -1
    pattern: Pattern | None = field(default=None, compare=False)

    def agrees(self, other: "FaultOutcome") -> bool:
        """Whether two ways to the same fault found the same."""
        mine, its = (
            (r.effect, r.detected, r.sdc5, r.sdc10, r.sdc20, r.counts, r.status, r.output)
            + ((r.cycles,) if r.effect != "hang" else ())
            for r in (self, other)
        )
        return mine == its


@dataclass
class _Decision:
    """How the end of the network is to be worked out."""

    path: str
    effect: Effect
    left: bool
    counts: int
    cycles: int
    detected: int | None = None
    died: str = ""


class Engine:
    """Decides faults in one image's inference.

    Parameters
    ----------
    codes : int8 [C, H, W]
        The image.
    trace : Trace
        Its golden run.
    liveness : LivenessTable or None
        When wrong bits of its registers are seen; without it RTL finds out.
    analysis : type
        One of `fault.peers.slice` for its shortcut.
    patterns : bool
        Keep each fault's pattern.
    """

    def __init__(
        self,
        inference: RtlSession,
        codes: NDArray[np.int8],
        trace: Trace,
        liveness: LivenessTable | None = None,
        analysis: type[MemoryFaultAnalysis] = MemoryFaultAnalysis,
        patterns: bool = False,
    ):
        self.inference = inference
        self.program = inference.program
        self._trace = trace
        self._liveness = liveness
        inference.golden = trace
        self._lockstep = inference.lockstep
        golden = inference.guard.golden(self.program.graph)
        reference = golden.run(torch.from_numpy(np.ascontiguousarray(codes))[None])
        outputs = {name: value[0].numpy() for name, value in reference.outputs.items()}
        self._patterns, self._outputs = patterns, outputs
        self._memory_faults = analysis(
            self.program, inference.schedule, inference.guard, outputs, inference.netlist.held,
            keeps_sums=patterns,
        )  # fmt: skip
        self._closed = RegisterFaultAnalysis(self._memory_faults)
        self.propagator = Propagator(self.program, inference.schedule, golden, reference)
        self._memories = {memory.name for memory in inference.netlist.memories}
        self._cycles = trace.cycles
        self._counts = int(trace.counts[-1])
        self._guarded = inference.guard.output or inference.guard.input
        self._verdict = Verdict(self.program.graph, reference)

    def run(
        self, upsets: Sequence[Fault], progress: Callable[[int], None] | None = None
    ) -> list[FaultOutcome]:
        """Results, in the order of the faults.

        Parameters
        ----------
        progress : Callable
            Called with the number of faults simulated so far.
        """
        self._take()
        order = sorted(range(len(upsets)), key=lambda index: upsets[index].cycle)
        decisions: dict[int, _Decision | FaultOutcome] = {}
        for done, index in enumerate(order):
            decisions[index] = self._decide(upsets[index])
            if progress is not None:
                progress(done + 1)
        pending = [i for i, d in decisions.items() if isinstance(d, _Decision)]
        effects = [d.effect for i in pending if isinstance(d := decisions[i], _Decision)]
        outcomes = dict(zip(pending, self.propagator.run(effects), strict=True))
        results = []
        for index in range(len(upsets)):
            decision = decisions[index]
            if isinstance(decision, _Decision):
                decision = self._result(upsets[index], decision, outcomes[index])
            results.append(decision)
        return results

    def plain(self, upset: Fault) -> FaultOutcome:
        """A fault by RTL alone, from the first cycle to the last."""
        self._take()
        seen = self.inference.plain(upset)
        return self._seen(upset.cycle, seen, "plain")

    def _take(self) -> None:
        """Make this image's golden run the inference's."""
        if self.inference.golden is not self._trace:
            self.inference.golden = self._trace

    def _decide(self, upset: Fault) -> _Decision | FaultOutcome:
        names = {name for name, _, _ in upset.bits}
        began = upset.cycle
        if upset.stuck is None and len(names) == 1 and names <= self._memories:
            decided = self._memory(upset)
            if isinstance(decided, _Decision):
                return decided
            # Nothing but the word differs until it is read.
            upset = Fault(upset.bits, decided)
        elif upset.single:
            name, _, bit = upset.site
            effect = self._closed.resolve(name, bit, upset.cycle)
            if effect is not None and effect.rtl is None:
                counts = self._counts + effect.counts
                return _Decision("closed", effect, False, counts, self._cycles)
            event = self._liveness.after(name, bit, began) if self._liveness else None
            if event is not None:
                if event.kind == "written":
                    nothing = Effect()
                    return _Decision(
                        "unread", nothing, False, self._counts, self._cycles, died="overwritten"
                    )
                upset = Fault(upset.bits, event.cycle)
        return self._rtl(upset, began)

    def _memory(self, upset: Fault) -> _Decision | int:
        """Decide flips in one memory word, or tell the cycle in which RTL has to take over."""
        (name, address), *others = {(site.signal, site.address or 0) for site in upset.bits}
        if others:
            return upset.cycle
        golden = self._memory_faults.golden_word(name, address, upset.cycle)
        if golden is None:
            return upset.cycle
        faulty = golden
        for _, _, bit in upset.bits:
            faulty ^= 1 << bit
        word, before, after = (np.array([value]) for value in (address, golden, faulty))
        effect = self._memory_faults.resolve(upset.cycle, [Differences(name, word, before, after)])
        if effect.rtl is not None:
            return effect.rtl
        left = self._holds_constants(name, word)
        decision = _Decision("closed", effect, left, self._counts + effect.counts, self._cycles)
        if effect.step is None:
            decision.path = "unread"
            written = self._memory_faults.overwritten(name, address, upset.cycle)
            decision.died = "overwritten" if written else "never_read"
        return decision

    def _holds_constants(self, memory: str, words: NDArray[np.int64]) -> bool:
        return holds_constants(self.program, self.inference.netlist.held[memory], words)

    def _rtl(self, upset: Fault, began: int) -> _Decision | FaultOutcome:
        limit = self.inference.limit
        end = self._lockstep.inject(upset, limit)
        while end.kind == "equal":
            effect = self._memory_faults.resolve(end.golden_cycle, end.memories)
            if effect.rtl is None:
                return self._window(end, effect)
            later = max(effect.rtl - end.golden_cycle, self.inference.spacing)
            end = self._again(end, later)
        return self._seen(began, self.inference.read_out(end), "end")

    def _again(self, end: RunEnd, later: int) -> RunEnd:
        found = self._lockstep.proceed(self.inference.limit, end.cycle + later)
        if end.detected is None:
            return found
        return RunEnd(
            found.kind, found.cycle, found.shift, found.golden_cycle, end.detected, found.memories
        )

    def _window(self, end: RunEnd, effect: Effect) -> _Decision:
        left = any(self._holds_constants(d.memory, d.words) for d in end.memories)
        so_far = self._lockstep.violations() - int(self.inference.golden.counts[end.golden_cycle])
        counts = self._counts + so_far + effect.counts
        return _Decision("window", effect, left, counts, self._cycles + end.shift, end.detected)

    def _result(self, upset: Fault, decision: _Decision, outcome: Logits) -> FaultOutcome:
        counts = (decision.counts + outcome.counts) % (1 << 32)
        judged = self._verdict.of(outcome.output)
        effect, died = judged.effect, ""
        if not effect:
            effect = "latent" if decision.left else "masked"
            if effect == "masked":
                summed = "requantization" if decision.effect.summed else "array"
                died = decision.died or ("later_layer" if decision.effect.tensors else summed)
        detected = self._guarded and counts > self._counts
        seen = decision.detected is not None and detected
        return FaultOutcome(
            effect, died, detected, (decision.detected or 0) - upset.cycle if seen else -1,
            judged.sdc5, judged.sdc10, judged.sdc20, counts, decision.cycles, 0, outcome.output,
            decision.path, judged.top, self._pattern(decision.effect) if self._patterns else None,
        )  # fmt: skip

    def _pattern(self, effect: Effect) -> Pattern | None:
        if effect.step is None:
            return None
        node = self.program.graph[effect.step.nodes[0]]
        if effect.sums and isinstance(node, ConvNode | AvgPoolNode):
            return Pattern.of_sums(node.name, effect.sums)
        return Pattern.of_codes(effect.step.target, effect.tensors, self._outputs)

    def _seen(self, began: int, seen: InferenceOutcome, path: str) -> FaultOutcome:
        detected = self._guarded and seen.ended and seen.counts > self._counts
        latency = -1
        if detected and seen.detected is not None:
            latency = seen.detected - began
        output = seen.output.tobytes()
        judged = NOTHING
        died = ""
        if not seen.ended:
            effect, output = "hang", b""
        elif seen.status:
            effect, output = "stopped", b""
        else:
            judged = self._verdict.of(output)
            effect = judged.effect or ("latent" if seen.has_latent_state else "masked")
            died = "array" if effect == "masked" else ""
        return FaultOutcome(
            effect, died, detected, latency, judged.sdc5, judged.sdc10, judged.sdc20,
            seen.counts if seen.ended else 0, seen.cycles, seen.status if seen.ended else 0,
            output, path, judged.top,
        )  # fmt: skip
