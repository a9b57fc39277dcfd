"""Faults in whole inferences: exact like RTL, at the cost of what each fault changes.

    engine = Engine(inference, codes, trace)
    results = engine.run(upsets)
    engine.plain(upset)                  # the same by RTL from the first cycle to the last

Each fault takes the first of these paths that decides it (*path*):

============  =====================================================================================
``unread``    a memory word that is not read any more, or is written before it is read: decided by
              the schedule; a register's bit likewise, by `fault.analysis.liveness`
``closed``    a memory word, a register of the array, a lane's bias or multiplier, or a setting in a
              held descriptor, whose effect on its layer has a closed form
``window``    RTL from the last boundary before the fault, or before anything sees it, until every
              live register is golden again; memory words that then differ are resolved as above
``end``       RTL to the end of the inference; of the control alone if it does not end well
============  =====================================================================================

With an added protection, or a dataflow that has no closed forms, it is ``plain`` RTL.

A changed tensor goes through the rest of the network in the golden model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.analysis.closed_forms import rtl_alone
from holdfast.fault.analysis.effect import Effect
from holdfast.fault.analysis.layer_outputs import LayerOutputs
from holdfast.fault.analysis.memories import MemoryFaultAnalysis
from holdfast.fault.analysis.propagation import Logits, Propagator
from holdfast.fault.analysis.resolver import DecidesTogether, Decision, Later, Resolver
from holdfast.fault.analysis.rtl import LockstepResolver
from holdfast.fault.injection.session import InferenceOutcome, RtlSession
from holdfast.fault.injection.trace import Trace
from holdfast.fault.model.fault import Fault
from holdfast.fault.outcome.pattern import Pattern
from holdfast.fault.outcome.verdict import NOTHING, Verdict
from holdfast.fault.peers.shortcuts import EXACT, Shortcuts
from holdfast.gen.protection.schedule_signature import ScheduleSignature
from holdfast.nn.graph.graph import AvgPoolNode, ConvNode
from holdfast.nn.graph.reference import Reference

from .resolvers import RESOLVERS, GoldenInference

PATHS = ("unread", "closed", "window", "end")
_KNOWN, _KEPT = 10_000, 1 << 21
"""Delayed faults whose decisions are kept, and wrong codes in all of these: many faults that begin
apart come to the same.
"""


@dataclass(frozen=True)
class FaultOutcome:
    """Says what one fault did to a whole inference.

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
        """Tells whether two ways to the same fault found the same."""
        mine, its = (
            (r.effect, r.detected, r.sdc5, r.sdc10, r.sdc20, r.counts, r.status, r.output)
            + ((r.cycles,) if r.effect != "hang" else ())
            for r in (self, other)
        )
        return mine == its


class Engine:
    """Decides faults in one image's inference.

    Parameters
    ----------
    codes : int8 [C, H, W]
        The image.
    trace : Trace
        Its golden run.
    liveness : Resolver or None
        When wrong bits of its registers are seen; without it RTL finds out.
    shortcuts : Shortcuts
        Another injector's, instead of the hardware's sums.
    patterns : bool
        Keep each fault's pattern.
    reference : Reference or None
        What the golden model computes of the image; None: it does now.
    """

    def __init__(
        self,
        inference: RtlSession,
        codes: NDArray[np.int8],
        trace: Trace,
        liveness: Resolver | None = None,
        shortcuts: Shortcuts = EXACT,
        patterns: bool = False,
        reference: Reference | None = None,
    ):
        self.inference = inference
        self.program = inference.program
        self._trace = trace
        inference.golden = trace
        golden = inference.guard.golden(self.program.graph)
        reference = reference or Reference.computed(golden, codes)
        outputs = reference.codes
        self._patterns, self._outputs = patterns, outputs
        layers = LayerOutputs(
            self.program, inference.schedule, inference.guard, outputs, keeps_sums=patterns
        )
        self.memories = MemoryFaultAnalysis(layers, inference.netlist.held)
        known = GoldenInference(
            inference, layers, self.memories, liveness, shortcuts.points(layers)
        )
        made = (make(known) for make in RESOLVERS)
        self._resolvers = [resolver for resolver in made if resolver is not None]
        last = self._resolvers[-1]
        assert isinstance(last, LockstepResolver)
        self._rtl = last
        self._delayed: dict[Fault, Decision | InferenceOutcome] = {}
        self._kept = 0
        self.propagator = Propagator(self.program, inference.schedule, golden, reference)
        self._cycles = trace.cycles
        self._counts = int(trace.counts[-1])
        self._guarded = inference.guard.on
        self._timed = ScheduleSignature.name in self.program.config.protections
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
        self.take()
        order = sorted(range(len(upsets)), key=lambda index: upsets[index].cycle)
        decisions: dict[int, Decision | FaultOutcome] = {**self._together(upsets)}
        waiting: dict[Fault, list[int]] = {}
        for done, index in enumerate(order):
            if index not in decisions:
                found = self._decide(upsets[index])
                if isinstance(found, Fault):
                    waiting.setdefault(found, []).append(index)
                else:
                    decisions[index] = found
            if progress is not None:
                progress(done + 1)
        for fault, result in zip(waiting, self._rtl.resolve_all([*waiting]), strict=True):
            for index in waiting[fault]:
                decisions[index] = self._taken(upsets[index], result)
                if upsets[index] != fault:
                    self._keep(fault, result)
        pending = [i for i, d in decisions.items() if isinstance(d, Decision)]
        effects = [d.effect for i in pending if isinstance(d := decisions[i], Decision)]
        outcomes = dict(zip(pending, self.propagator.run(effects), strict=True))
        results = []
        for index in range(len(upsets)):
            decision = decisions[index]
            if isinstance(decision, Decision):
                decision = self._result(upsets[index], decision, outcomes[index])
            results.append(decision)
        return results

    def plain(self, upset: Fault) -> FaultOutcome:
        """Decides a fault by RTL alone, from the first cycle to the last."""
        self.take()
        seen = self.inference.plain(upset)
        return self.seen(upset.cycle, seen, "plain")

    def take(self) -> None:
        """Makes this image's golden run the inference's."""
        if self.inference.golden is not self._trace:
            self.inference.golden = self._trace

    def _together(self, faults: Sequence[Fault]) -> dict[int, Decision]:
        """What the first resolvers decide together, by index; those that do not end the row."""
        decided: dict[int, Decision] = {}
        if rtl_alone(self.program.config):
            return decided
        for resolver in self._resolvers:
            if not isinstance(resolver, DecidesTogether):
                break
            left = [index for index in range(len(faults)) if index not in decided]
            found = resolver.resolve_all([faults[index] for index in left])
            decided |= {
                index: decision
                for index, decision in zip(left, found, strict=True)
                if isinstance(decision, Decision)
            }
        return decided

    def _decide(self, fault: Fault) -> Decision | FaultOutcome | Fault:
        if rtl_alone(self.program.config):
            return self.plain(fault)
        found = self._resolved(fault)
        return found if isinstance(found, Fault) else self._taken(fault, found)

    def _taken(self, fault: Fault, found: Decision | InferenceOutcome) -> Decision | FaultOutcome:
        if isinstance(found, InferenceOutcome):
            return self.seen(fault.cycle, found, "end")
        return found

    def _resolved(self, fault: Fault) -> Decision | InferenceOutcome | Fault:
        """Asks the resolvers in turn, and once for all faults that are delayed to the same; returns
        one that waits for others.
        """
        delayed = False
        for resolver in self._resolvers:
            known = self._delayed.get(fault) if delayed else None
            if known is None and resolver is self._rtl and self._rtl.waits(fault):
                return fault
            found = known or resolver.resolve(fault)
            if isinstance(found, Later):
                delayed, fault = True, replace(fault, cycle=found.cycle)
            elif found is not None:
                if delayed and known is None:
                    self._keep(fault, found)
                return found
        raise AssertionError("RTL decides every fault")

    def _keep(self, fault: Fault, found: Decision | InferenceOutcome) -> None:
        """Keeps what was decided for a delayed fault, in bounded memory."""
        if isinstance(found, Decision):
            codes = sum(len(part) for _, part in found.effect.tensors.values())
        else:
            codes = found.output.size
        if len(self._delayed) >= _KNOWN or self._kept + codes > _KEPT:
            self._delayed.clear()
            self._kept = 0
        if codes <= _KEPT:
            self._delayed[fault] = found
            self._kept += codes

    def _result(self, upset: Fault, decision: Decision, outcome: Logits) -> FaultOutcome:
        counts = (self._counts + decision.counts + outcome.counts) % (1 << 32)
        judged = self._verdict.of(outcome.output)
        effect, died = judged.effect, ""
        if self._timed and decision.shift:
            judged, effect, outcome = NOTHING, "stopped", replace(outcome, output=b"")
        elif not effect:
            effect = "latent" if decision.has_latent_state else "masked"
            if effect == "masked":
                summed = "requantization" if decision.effect.summed else "array"
                died = decision.died or ("later_layer" if decision.effect.tensors else summed)
        detected = self._guarded and counts > self._counts
        seen = decision.detected is not None and detected
        return FaultOutcome(
            effect, died, detected, (decision.detected or 0) - upset.cycle if seen else -1,
            judged.sdc5, judged.sdc10, judged.sdc20, counts,
            self._cycles + decision.shift, 0, outcome.output,
            decision.path, judged.top, self._pattern(decision.effect) if self._patterns else None,
        )  # fmt: skip

    def _pattern(self, effect: Effect) -> Pattern | None:
        if effect.step is None:
            return None
        node = self.program.graph[effect.step.nodes[0]]
        if effect.sums and isinstance(node, ConvNode | AvgPoolNode):
            return Pattern.of_sums(node.name, effect.sums)
        return Pattern.of_codes(effect.step.target, effect.tensors, self._outputs)

    def seen(self, began: int, seen: InferenceOutcome, path: str) -> FaultOutcome:
        """Returns the outcome of a fault, which began in a cycle, by what RTL showed of it."""
        detected = self._guarded and seen.ended and seen.counts > self._counts
        latency = -1
        if detected and seen.detected is not None:
            latency = seen.detected - began
        output = seen.output.tobytes()
        judged = NOTHING
        died = ""
        if not seen.ended:
            effect, output = "hang", b""
        elif seen.status or (self._timed and seen.cycles != self._cycles):
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
