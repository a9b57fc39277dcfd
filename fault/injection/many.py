"""Runs faults in many machines at once, beside a golden run.

    many = ManyRuns(netlist, lockstep)
    ends = many.inject(faults, limit)           # as LockstepRun.inject does, one by one

Each machine starts from the golden state before its fault and runs until it is golden again, or
ends; then it takes the next fault. When few are left, the others run on alone. The machines'
memories and registers are compared with the golden run that the `LockstepRun` has.
"""

import ctypes
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.sim.compiled.build import processor
from holdfast.sim.compiled.many import MACHINES, build_many
from holdfast.sim.compiled.nodes import BLOCK, Layout
from holdfast.sim.netlist.netlist import Netlist

from .lockstep import LockstepRun
from .native import GoldenArrays, native_library
from .trace import RunEnd, Trace

_FASTEST = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
"""What a processor needs so that many machines are faster than one after the other."""
_LEAST = 4
"""Machines that have to be busy for the same."""
_NEVER = (1 << 64) - 1
_KINDS = ("equal", "ended", "hang", "unfinished")


class _Reply(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_uint64), ("cycle", ctypes.c_uint64), ("shift", ctypes.c_int64),
        ("detected", ctypes.c_uint64), ("counted", ctypes.c_uint64), ("first", ctypes.c_uint64),
        ("differences", ctypes.c_uint64), ("saved", ctypes.c_uint64),
    ]  # fmt: skip


class ManyEnd(NamedTuple):
    """Says where a faulty run was left.

    Attributes
    ----------
    end : RunEnd
        Its kind may be ``"unfinished"`` too.
    violations : int
        Guard violations counted.
    state : uint8 or None
        For `LockstepRun.put`, unless the run was left because it was golden, or hangs.
    """

    end: RunEnd
    violations: int
    state: NDArray[np.uint8] | None


class ManyRuns:
    """Machines of an accelerator beside its golden run.

    Parameters
    ----------
    lockstep : LockstepRun
        Of the same netlist, whose golden run is compared with.
    """

    def __init__(self, netlist: Netlist, lockstep: LockstepRun):
        library = ctypes.CDLL(str(build_many(netlist, "interrupt")))
        self._functions = library.machines_step, library.machines_output
        self._lockstep = lockstep
        self._library = native_library("many", _declare)
        self._layout = layout = Layout(netlist)
        known = layout.registers | layout.inputs
        parts = [*lockstep.groups, netlist.names(Role.GUARD_COUNTER)]
        parts += [netlist.names(Role.DESCRIPTOR_INDEX)]
        items = [
            [
                number
                for name in names
                for place, piece in enumerate(known[name])
                for number in (
                    piece.address * MACHINES, piece.size, lockstep.packed(name) + 4 * place,
                )
            ]
            for names in parts
        ]  # fmt: skip
        sizes = {memory.name: lockstep.size(memory.name) for memory in netlist.memories}
        memories = [
            number
            for name in sorted(sizes, key=lockstep.packed)
            for number in (layout.memories[name], lockstep.packed(name), sizes[name])
        ]
        counts = [*(len(part) // 3 for part in items[:5]), len(sizes)]
        extents = [MACHINES, layout.state, layout.ports, layout.words, layout.stride, BLOCK]
        extents += [lockstep.state_bytes, lockstep.memory_bytes]
        self._handle = self._library.many_new(
            *(ctypes.cast(function, ctypes.c_void_p) for function in self._functions),
            _numbers(extents), _numbers([*chain(*items)]), _numbers(counts), _numbers(memories),
        )  # fmt: skip
        self._trace: Trace | None = None

    @staticmethod
    def pays() -> bool:
        """Tells whether this machine is one on which many are faster."""
        return set(processor().split()) >= _FASTEST

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.many_delete(self._handle)
            self._handle = None

    def _follow(self) -> None:
        """Takes the golden run that the lockstep has now."""
        trace = self._lockstep.golden
        if trace is not self._trace:
            self._trace = trace
            self._library.many_golden(self._handle, ctypes.byref(GoldenArrays.of(trace)))

    def inject(self, faults: Sequence[Fault], limit: int) -> list[ManyEnd]:
        """Runs faults of one inverted bit of a register each.

        Parameters
        ----------
        limit : int
            Cycle at which a run that has not ended hangs.
        """
        self._follow()
        order = sorted(range(len(faults)), key=lambda number: faults[number].cycle)
        numbers = [number for index in order for number in self._struck(faults[index])]
        replies, sizes = (_Reply * len(faults))(), (ctypes.c_uint64 * 2)()
        self._library.many_run(
            self._handle, _numbers(numbers), len(faults), limit, _LEAST, replies, sizes
        )
        words = [np.empty(sizes[0], np.uint32) for _ in range(3)]
        saved = np.empty(sizes[1], np.uint8)
        arrays: list[NDArray] = [*words, saved]
        self._library.many_take(self._handle, *(array.ctypes.data for array in arrays))
        states = saved.reshape(-1, self._lockstep.state_bytes + self._lockstep.memory_bytes)
        ends: dict[int, ManyEnd] = {}
        for index, reply in zip(order, replies, strict=True):
            ends[index] = self._end(reply, words, states)
        return [ends[index] for index in range(len(faults))]

    def _struck(self, fault: Fault) -> tuple[int, ...]:
        assert fault.single
        name, _, bit = fault.site
        piece = self._layout.registers[name][bit // 32]
        at = piece.address * MACHINES + bit % 32 // 8
        return fault.cycle, at, 1 << bit % 8, piece.size

    def _end(
        self, reply: _Reply, words: Sequence[NDArray[np.uint32]], states: NDArray[np.uint8]
    ) -> ManyEnd:
        kind = _KINDS[reply.kind]
        part = slice(reply.first, reply.first + reply.differences)
        last = self._lockstep.golden.cycles
        end = RunEnd(
            kind=kind,
            cycle=reply.cycle,
            shift=reply.shift,
            golden_cycle=reply.cycle - reply.shift if kind == "equal" else last,
            detected=None if reply.detected == _NEVER else reply.detected,
            memories=self._lockstep.words(*(a[part] for a in words)) if kind in _KINDS[:2] else [],
        )
        state = None if reply.saved == _NEVER else states[reply.saved]
        return ManyEnd(end, reply.counted, state)


def _numbers(values: Sequence[int]) -> ctypes.Array:
    return (ctypes.c_uint64 * len(values))(*values)


def _declare(library: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    for name, result, arguments in (
        ("new", pointer, [pointer] * 6),
        ("delete", None, [pointer]),
        ("golden", None, [pointer, pointer]),
        ("run", None, [pointer, pointer, number, number, number, pointer, pointer]),
        ("take", None, [pointer] * 5),
    ):
        function = getattr(library, f"many_{name}")
        function.restype, function.argtypes = result, arguments
