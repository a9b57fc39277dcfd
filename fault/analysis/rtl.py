"""Decides any fault by RTL beside the golden run, from the last kept state before it."""

from dataclasses import replace

from holdfast.fault.injection.session import InferenceOutcome, RtlSession
from holdfast.fault.injection.trace import RunEnd
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.purpose import holds_constants

from .effect import Effect
from .memories import MemoryFaultAnalysis
from .resolver import Decision


class LockstepResolver:
    """Runs a fault until all live registers are golden again, or to the end of the inference.

    Memory words that then differ are analysed; where that cannot be, RTL runs on.
    """

    def __init__(self, session: RtlSession, memories: MemoryFaultAnalysis):
        self._session, self._memories = session, memories
        self._lockstep = session.lockstep

    def resolve(self, fault: Fault) -> Decision | InferenceOutcome:
        """Decides a fault."""
        end = self._lockstep.inject(fault, self._session.limit)
        while end.kind == "equal":
            effect = self._memories.effect(end.golden_cycle, end.memories)
            if effect.rtl is None:
                return self._window(end, effect)
            later = max(effect.rtl - end.golden_cycle, self._session.spacing)
            found = self._lockstep.proceed(self._session.limit, end.cycle + later)
            end = found if end.detected is None else replace(found, detected=end.detected)
        return self._session.read_out(end)

    def _window(self, end: RunEnd, effect: Effect) -> Decision | InferenceOutcome:
        session = self._session
        if session.golden.cycles + end.shift > session.limit:
            # Golden again, but so late that it does not end in time.
            return session.read_out(replace(end, kind="hang", cycle=session.limit))
        latent = any(
            holds_constants(session.program, session.netlist.held[d.memory], d.words)
            for d in end.memories
        )
        so_far = self._lockstep.violations() - int(session.golden.counts[end.golden_cycle])
        return Decision("window", effect, latent, so_far + effect.counts, end.shift, end.detected)
