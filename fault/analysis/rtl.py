"""Decides any fault by RTL beside the golden run, from the last kept state before it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

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

    def waits(self, fault: Fault) -> bool:
        """Tells whether a fault costs less together with others."""
        return fault.single and fault.site.address is None and self._session.many is not None

    def resolve(self, fault: Fault) -> Decision | InferenceOutcome:
        """Decides a fault."""
        return self._decided(self._lockstep.inject(fault, self._session.limit))

    def resolve_all(self, faults: Sequence[Fault]) -> list[Decision | InferenceOutcome]:
        """Decides faults that wait."""
        many = self._session.many
        if many is None or not faults:
            return []
        ends = many.inject(faults, self._session.limit)
        return [self._continued(fault, *end) for fault, end in zip(faults, ends, strict=True)]

    def _continued(
        self, fault: Fault, end: RunEnd, violations: int, state: NDArray[np.uint8] | None
    ) -> Decision | InferenceOutcome:
        """Decides a fault whose run was left."""
        if end.kind == "equal":
            effect = self._memories.effect(end.golden_cycle, end.memories)
            if effect.rtl is None:
                return self._window(end, effect, violations)
            return self.resolve(fault)
        if state is None:
            return self._session.read_out(end)
        if end.kind == "unfinished" and end.cycle < fault.cycle:
            return self.resolve(fault)
        self._lockstep.put(state, end.cycle, end.shift)
        return self._decided(end)

    def _decided(self, end: RunEnd) -> Decision | InferenceOutcome:
        """What follows from where the model is."""
        limit = self._session.limit
        while end.kind in ("equal", "unfinished"):
            earliest = 0
            if end.kind == "equal":
                effect = self._memories.effect(end.golden_cycle, end.memories)
                if effect.rtl is None:
                    return self._window(end, effect, self._lockstep.violations())
                earliest = end.cycle + max(effect.rtl - end.golden_cycle, self._session.spacing)
            found = self._lockstep.proceed(limit, earliest)
            end = found if end.detected is None else replace(found, detected=end.detected)
        return self._session.read_out(end)

    def _window(self, end: RunEnd, effect: Effect, violations: int) -> Decision | InferenceOutcome:
        session = self._session
        if session.golden.cycles + end.shift > session.limit:
            # Golden again, but so late that it does not end in time.
            return session.read_out(replace(end, kind="hang", cycle=session.limit))
        latent = any(
            holds_constants(session.program, session.netlist.held[d.memory], d.words)
            for d in end.memories
        )
        so_far = violations - int(session.golden.counts[end.golden_cycle])
        return Decision("window", effect, latent, so_far + effect.counts, end.shift, end.detected)
