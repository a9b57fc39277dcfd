"""Decides faults of the control that stop a run or let it hang, from the control alone."""

import numpy as np

from holdfast.fault.injection.control import ROLES, ControlRun
from holdfast.fault.injection.session import InferenceOutcome, RtlSession
from holdfast.fault.model.fault import Fault

from .closed_forms import rtl_alone


class EndingResolver:
    """Says how a run ends that does not end well; what it has computed until then is not read."""

    def __init__(self, session: RtlSession):
        self._session = session
        run, config = session.schedule.runs[0], session.program.config
        taken = int(run.finish[0]) + run.timing.accumulate + run.timing.total + config.cols
        self._loaded = taken + 1 if config.learnt_guard else 0

    @classmethod
    def of(cls, session: RtlSession) -> "EndingResolver | None":
        """Returns the resolver of a session; None where a guard counts what only the data tell, or
        where RTL alone decides.
        """
        return None if session.guard.on or rtl_alone(session.program.config) else cls(session)

    def resolve(self, fault: Fault) -> InferenceOutcome | None:
        """Decides one inverted bit of the control."""
        session = self._session
        if not fault.single or session.netlist.held[fault.site.signal].role not in ROLES:
            return None
        if session.control is None:
            # It takes seconds, and many campaigns do without.
            session.control = ControlRun(session.netlist, session.lockstep, session.moments())
        end = session.control.ending(fault, session.limit)
        # Before a lane has its first parameters even a guard that is off counts what it is given.
        if end is None or (end.status and fault.cycle < self._loaded):
            return None
        counts = int(session.golden.counts[-1]) if end.status else 0
        nothing = np.empty((0,), np.int8)
        return InferenceOutcome(bool(end.status), end.status, end.cycle, counts, nothing, False)
