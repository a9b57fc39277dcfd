"""Runs the control of an accelerator alone: what decides when a run ends, and how.

    control = ControlRun(session.netlist, session.lockstep, session.moments())
    end = control.ending(fault, session.limit)

The control is a part of the netlist (`sim.netlist.accelerator.control_netlist`) that nothing else
reaches, so that it does here what it does in the whole accelerator, at a tenth of the cost. It does
not know what is computed: of a run that ends well it says nothing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.accelerator import control_netlist
from holdfast.sim.netlist.netlist import Netlist

from .lockstep import LockstepRun

ROLES = (Role.CONTROL, Role.DESCRIPTOR_WORD, Role.DESCRIPTOR_INDEX)
"""Roles of what a fault can strike here."""

_AFTER = 64
"""Cycles after a stop in which nothing may begin anew."""


class ControlEnd(NamedTuple):
    """Says how a run ended that did not end well.

    Attributes
    ----------
    status : int
        `gen.layout.Status`; 0: it has not ended when it is a hang.
    cycle : int
        Of the interrupt, or the limit.
    """

    status: int
    cycle: int


class ControlRun:
    """Runs an accelerator's control beside its golden run.

    Parameters
    ----------
    whole : LockstepRun
        The whole accelerator's, with a golden run: of any image, for they have the same control.
    moments : tuple of arrays
        As of `LockstepRun.record`.
    roles : frozenset of Role
        What else a fault can strike that only the control decides.
    """

    def __init__(
        self,
        netlist: Netlist,
        whole: LockstepRun,
        moments: tuple[NDArray, NDArray],
        roles: frozenset[Role] = frozenset(),
    ):
        part = control_netlist(netlist)
        self._model = model = CompiledModel(part)
        known = {*ROLES, *roles}
        self._known = {ff.name for ff in part.flip_flops if ff.held and ff.held.role in known}
        self._known |= {mem.name for mem in part.memories if mem.held and mem.held.role in known}
        told = {str(held.place.get("told")): name for name, held in part.held.items()}
        self._names = [told[which] for which in ("status", "busy", "done")]
        state = whole.golden.states[0]
        for flip_flop in part.flip_flops:
            model.write(flip_flop.name, whole.value(state, flip_flop.name))
        for port in part.ports:
            if port.direction == "input" and port.name != part.clock:
                model.poke(port.name, whole.value(state, port.name))
        for memory in part.memories:
            model.write_memory(memory.name, whole.memory(memory.name))
        # What follows from the state is computed before the clock runs.
        model.snapshot()
        self._lockstep = LockstepRun(model, roles)
        trace = self._lockstep.record(whole.golden.cycles + 1, *moments)
        assert trace.cycles == whole.golden.cycles, "the control alone ends elsewhere"
        assert np.array_equal(trace.indices, whole.golden.indices)
        self._lockstep.golden = trace

    def ending(self, fault: Fault, limit: int) -> ControlEnd | None:
        """Returns how a fault of the control ends the run; None if it ends well, or nothing is
        known of it.
        """
        if any(site.signal not in self._known for site in fault.bits):
            return None
        end = self._lockstep.inject(fault, limit)
        if end.kind == "hang" and end.cycle >= limit:
            return ControlEnd(0, end.cycle)
        if end.kind == "equal" and self._lockstep.golden.cycles + end.shift > limit:
            # It does what the golden run does, but so late that it does not end in time.
            return ControlEnd(0, limit)
        if end.kind != "ended":
            return None
        told = self._told()
        self._model.step(_AFTER)
        if self._told() != told or told[1:] != (0, 1) or not told[0]:
            return None
        return ControlEnd(told[0], end.cycle)

    def _told(self) -> tuple[int, ...]:
        return tuple(self._model.read(name) for name in self._names)
