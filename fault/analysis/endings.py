"""Decides faults of the control that stop a run or let it hang, from the control alone."""

import numpy as np

from holdfast.fault.injection.control import ROLES, ControlEnd, ControlRun
from holdfast.fault.injection.session import InferenceOutcome, RtlSession
from holdfast.fault.model.checked import checked_roles
from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role

from .closed_forms import rtl_alone

_ROWS = (Role.WEIGHT_WORDS, Role.CHECK_WORDS, Role.PARAMETER_WORDS)


class EndingResolver:
    """Says how a run ends that does not end well; what it has computed until then is not read."""

    def __init__(self, session: RtlSession):
        self._session = session
        self._roles = frozenset(ROLES) | checked_roles(session.program.config)
        self._known: dict[tuple[Role, int], ControlEnd | None] = {}
        run, config = session.schedule.runs[0], session.program.config
        taken = int(run.finish[0]) + run.timing.accumulate + run.timing.total + config.cols
        self._loaded = taken + 1 if config.learnt_guard else 0

    def _ending(self, fault: Fault, role: Role) -> ControlEnd | None:
        """Returns how a fault ends the run."""
        assert self._session.control is not None
        # Of a row that is read in this cycle any wrong bit is found.
        key = (role, fault.cycle)
        if role not in _ROWS or key not in self._known:
            end = self._session.control.ending(fault, self._session.limit)
            if role not in _ROWS:
                return end
            self._known[key] = end
        return self._known[key]

    @classmethod
    def of(cls, session: RtlSession) -> "EndingResolver | None":
        """Returns the resolver of a session; None where a guard counts what only the data tell, or
        where RTL alone decides.
        """
        return None if session.guard.on or rtl_alone(session.program.config) else cls(session)

    def resolve(self, fault: Fault) -> InferenceOutcome | None:
        """Decides one inverted bit of the control."""
        session = self._session
        role = session.netlist.held[fault.site.signal].role
        if not fault.single or role not in self._roles:
            return None
        if session.control is None:
            # It takes seconds, and many campaigns do without.
            session.control = ControlRun(
                session.netlist, session.lockstep, session.moments(), self._roles
            )
        end = self._ending(fault, role)
        # Before a lane has its first parameters even a guard that is off counts what it is given.
        if end is None or (end.status and fault.cycle < self._loaded):
            return None
        counts = int(session.golden.counts[-1]) if end.status else 0
        nothing = np.empty((0,), np.int8)
        return InferenceOutcome(bool(end.status), end.status, end.cycle, counts, nothing, False)
