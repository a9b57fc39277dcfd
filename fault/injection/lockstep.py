"""A compiled model that runs beside its recorded golden run.

    lockstep = LockstepRun(model)
    trace = lockstep.record(limit, moments, empty)       # from the present state, cycle 0
    lockstep.golden = trace
    end = lockstep.inject(fault, limit)                  # from the nearest boundary, until equal
    end.memories                                         # words that differ there

A fault costs its own window: the model starts from the golden state at or before the fault and
stops at the first boundary at which every live register is golden again; registers are compared
exactly. What the memories then still hold is returned. *Free* registers are read by nothing but
the host: counters. Where a layer begins late, or early, the run is compared with the golden run of
so many cycles before: from equal states on, both do the same.
"""

import ctypes
from dataclasses import fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.sim.compiled.model import CompiledModel, Native

from .native import GoldenArrays, native_library
from .trace import Differences, RunEnd, Trace

__all__ = []


FREE = (Role.COUNTER, Role.GUARD_COUNTER)
"""Registers that influence nothing but what the host reads; a test flips every bit of them."""

_INTERRUPT = "interrupt"
_ROOM = 1 << 16
_NEVER = (1 << 64) - 1


class _Range(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("at", "packed", "size")]


class _Flip(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("at", "mask")]


class _Fault(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("cycle", "mode", "duration", "limit", "sync", "earliest", "pause")
    ]


class _Reply(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_uint64), ("cycle", ctypes.c_uint64), ("shift", ctypes.c_int64),
        ("boundary", ctypes.c_uint64), ("detected", ctypes.c_uint64),
        ("differences", ctypes.c_uint64),
    ]  # fmt: skip


class LockstepRun:
    """Runs faults on a model.

    Parameters
    ----------
    model : CompiledModel
        Of an accelerator, in the state of cycle 0 before :meth:`record`.
    watched : frozenset of Role
        Registers that a protection looks at in every cycle.
    """

    def __init__(self, model: CompiledModel, watched: frozenset[Role] = frozenset()):
        self.model = model
        self._library = native_library("lockstep", _declare)
        native = model.native()
        netlist = model.netlist
        registers = [flip_flop.name for flip_flop in netlist.flip_flops]
        free = [ff.name for ff in netlist.flip_flops if ff.held and ff.held.role in FREE]
        # What they hold is not used while the pipeline is empty.
        pipeline = [ff for ff in netlist.flip_flops if ff.held and ff.held.pipeline]
        held = [ff.name for ff in pipeline if ff.held and ff.held.role not in watched]
        self._guards = netlist.names(Role.GUARD_COUNTER)
        inputs = [p.name for p in netlist.ports if p.direction == "input"]
        inputs.remove(netlist.clock)
        apart = {*free, *held}
        groups = [[n for n in registers if n not in apart], held, free, inputs]
        self.groups = groups
        parts, offset = [], 0
        self._packed: dict[str, int] = {}
        sizes = []
        for names in groups:
            part, offset = self._ranges(native, names, offset, 1)
            parts.append(part)
            sizes.append(offset)
        memories, memory_size = self._ranges(native, [m.name for m in netlist.memories], 0, 8)
        self.memory_bytes = memory_size
        parts.append(memories)
        self._memories = sorted((self._packed[m.name], m.name) for m in netlist.memories)
        self.state_bytes = sizes[-1]
        self._places = native.places
        flat = [entry for part in parts for entry in part]
        guards = [native.places[name].offset for name in self._guards]
        (index,) = netlist.names(Role.DESCRIPTOR_INDEX)
        places = [self.state_bytes, memory_size]
        places += [native.places[index].offset, native.places[_INTERRUPT].offset]
        places += [len(guards), *guards]
        self._handle = self._library.lockstep_new(
            native.model, native.state, native.step, native.again, native.settle,
            (_Range * len(flat))(*(_Range(*entry) for entry in flat)),
            (ctypes.c_uint64 * 5)(*map(len, parts)),
            (ctypes.c_uint64 * len(places))(*places),
        )  # fmt: skip
        self._differences = [np.empty(_ROOM, np.uint32) for _ in range(3)]
        self._trace: Trace | None = None

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.lockstep_delete(self._handle)
            self._handle = None

    def _ranges(
        self, native: Native, names: list[str], offset: int, align: int
    ) -> tuple[list[tuple[int, int, int]], int]:
        """Ranges of the model's memory in its order, adjacent ones joined, and the packed size."""
        ranges: list[tuple[int, int, int]] = []
        for name in sorted(names, key=lambda name: native.places[name].offset):
            place = native.places[name]
            offset += -offset % align
            self._packed[name] = offset
            size = place.element * place.count
            at, packed, length = ranges[-1] if ranges else (-1, -1, 0)
            if at + length == place.offset and packed + length == offset:
                ranges[-1] = (at, packed, length + size)
            else:
                ranges.append((place.offset, offset, size))
            offset += size
        return ranges, offset + -offset % align

    def record(self, limit: int, moments: NDArray[np.uint64], empty: NDArray[np.uint8]) -> Trace:
        """Run from the present state, which is that of cycle 0, to the interrupt.

        Parameters
        ----------
        moments : uint64
            Cycles in which the state is kept: ascending, 0 the first, all before the end.
        empty : uint8
            1 for those of them in which the pipeline is empty.

        Raises
        ------
        RuntimeError
            It does not come within ``limit`` cycles.
        """
        cycles = self._library.lockstep_record(self._handle, limit, _pointer(moments), len(moments))
        self.model.changed(cycles)
        if not cycles:
            raise RuntimeError(f"the golden run has not ended after {limit} cycles")
        sizes = (ctypes.c_uint64 * 6)()
        self._library.lockstep_sizes(self._handle, sizes)
        trace = Trace(
            moments=np.append(moments, np.uint64(cycles)),
            empty=np.append(empty, np.uint8(0)),
            states=np.empty((sizes[0] // self.state_bytes, self.state_bytes), np.uint8),
            first=np.empty(sizes[1], np.uint64),
            words=np.empty(sizes[2], np.uint32),
            values=np.empty(sizes[2], np.uint32),
            counts=np.empty(sizes[3], np.uint32),
            indices=np.empty(sizes[4], np.uint64),
            begin=np.empty(sizes[5], np.uint8),
        )
        arrays = [getattr(trace, field.name) for field in fields(trace)[2:]]
        self._library.lockstep_take(self._handle, *map(_pointer, arrays))
        return trace

    @property
    def golden(self) -> Trace:
        """The golden run that faults are compared with."""
        assert self._trace is not None
        return self._trace

    @golden.setter
    def golden(self, trace: Trace) -> None:
        self._trace = trace
        self._library.lockstep_golden(self._handle, ctypes.byref(GoldenArrays.of(trace)))

    def load(self, cycle: int) -> None:
        """Puts the model into the golden state of a cycle."""
        trace = self.golden
        boundary = int(np.searchsorted(trace.moments, cycle, side="right")) - 1
        self._library.lockstep_load(self._handle, boundary)
        self._library.lockstep_advance(self._handle, cycle)
        self.model.changed()

    def put(self, state: NDArray[np.uint8], cycle: int, shift: int) -> None:
        """Puts the model into the packed state of another that is late, registers and inputs
        before the memories; :meth:`proceed` runs it on.
        """
        moment = max(0, cycle - shift)
        boundary = int(np.searchsorted(self.golden.moments, moment, side="right")) - 1
        self._library.lockstep_put(self._handle, boundary, _pointer(state), cycle, shift)
        self.model.changed()

    def inject(self, fault: Fault, limit: int, *, whole: bool = False) -> RunEnd:
        """Run a fault until the state is golden again, the interrupt comes, or it hangs.

        Parameters
        ----------
        limit : int
            Cycle at which a run that has not ended hangs.
        whole : bool
            Start at cycle 0 and run to the end, whatever the state: the plain RTL inference.
        """
        if whole:
            self.load(0)
            self._library.lockstep_advance(self._handle, fault.cycle)
        else:
            self.load(fault.cycle)
        detected = None
        for part, following in zip([fault, *fault.then], [*fault.then, None], strict=True):
            end = self._disturb(part, limit, not whole, following.cycle if following else 0)
            detected = end.detected if detected is None else detected
            if end.kind != "paused":
                break
        return replace(end, detected=detected)

    def _disturb(self, part: Fault, limit: int, sync: bool, pause: int) -> RunEnd:
        flips = []
        for name, word, bit in part.bits:
            place = self._places[name]
            flips.append((place.offset + (word or 0) * place.element + bit // 8, 1 << bit % 8))
        mode = 0 if part.stuck is None else 1 + part.stuck
        duration = part.duration or (limit + 1)
        return self._run(flips, _Fault(part.cycle, mode, duration, limit, sync, 0, pause))

    def proceed(self, limit: int, earliest: int) -> RunEnd:
        """Run the last fault on, until the state is golden at ``earliest`` (of the faulty run) or
        later.
        """
        return self._run([], _Fault(0, 0, 0, limit, 1, earliest, 0))

    def _run(self, flips: list[tuple[int, int]], fault: _Fault) -> RunEnd:
        reply = _Reply()
        self._library.lockstep_run(
            self._handle, (_Flip * len(flips))(*(_Flip(*flip) for flip in flips)), len(flips),
            ctypes.byref(fault), ctypes.byref(reply), *map(_pointer, self._differences), _ROOM,
        )  # fmt: skip
        self.model.changed()
        kind = ("equal", "ended", "hang", "paused")[reply.kind]
        count = reply.differences
        if count > _ROOM:
            self._differences = [np.empty(count, np.uint32) for _ in range(3)]
            raise RuntimeError(f"{count} memory words differ, more than {_ROOM}")
        return RunEnd(
            kind=kind,
            cycle=reply.cycle,
            shift=reply.shift,
            golden_cycle=reply.cycle - reply.shift if kind == "equal" else self.golden.cycles,
            detected=None if reply.detected == _NEVER else reply.detected,
            memories=self.words(*(a[:count] for a in self._differences))
            if kind in ("equal", "ended")
            else [],
        )

    def words(
        self, parts: NDArray[np.uint32], golden: NDArray[np.uint32], faulty: NDArray[np.uint32]
    ) -> list[Differences]:
        """Memory words from differing 32-bit parts of the packed memories, in ascending order."""
        count = len(parts)
        ends = np.searchsorted(4 * parts.astype(np.int64), [s for s, _ in self._memories[1:]])
        bounds = [0, *ends.tolist(), count]
        found = []
        for (start, name), low, high in zip(self._memories, bounds, bounds[1:], strict=False):
            if low == high:
                continue
            element = self._places[name].element
            first = 4 * parts[low:high].astype(np.int64) - start
            values = golden[low:high], faulty[low:high]
            if element > 4:
                words, which = np.unique(first // element, return_inverse=True)
                whole = [np.zeros(len(words), np.int64) for _ in values]
                for total, part in zip(whole, values, strict=True):
                    np.bitwise_or.at(total, which, part.astype(np.int64) << 8 * (first % element))
                found.append(Differences(name, words, *whole))
                continue
            old, new = (np.ascontiguousarray(v).view(f"<u{element}") for v in values)
            words = (first[:, None] + np.arange(0, 4, element)).ravel() // element
            wrong = old != new
            found.append(
                Differences(
                    name, words[wrong], old[wrong].astype(np.int64), new[wrong].astype(np.int64)
                )
            )
        return found

    def state(self) -> NDArray[np.uint8]:
        """Returns the registers of the present state, packed."""
        packed = np.empty(self.state_bytes, np.uint8)
        self._library.lockstep_state(self._handle, _pointer(packed))
        return packed

    def states(self, begin: int, end: int) -> NDArray[np.uint8]:
        """Returns registers and inputs of the golden run in some cycles, packed, [cycle, byte]."""
        packed = np.empty((end - begin, self.state_bytes), np.uint8)
        self.load(begin)
        self._library.lockstep_states(self._handle, end - begin, _pointer(packed))
        self.model.changed(end - begin)
        return packed

    def packed(self, name: str) -> int:
        """Where a register, an input or a memory begins in a packed state."""
        return self._packed[name]

    def size(self, name: str) -> int:
        """Bytes of a register, an input or a memory."""
        return self._places[name].element * self._places[name].count

    def place(self, name: str, bit: int) -> tuple[int, int] | None:
        """Returns byte and bit of a register's or input's bit in a packed state; else None."""
        start = self._packed.get(name)
        return None if start is None else (start + bit // 8, bit % 8)

    def violations(self) -> int:
        """Guard violations that the present state has counted."""
        state = self.state()
        return sum(self.value(state, name) for name in self._guards)

    def value(self, state: NDArray[np.uint8], name: str) -> int:
        """Returns a register in a packed state."""
        start = self._packed[name]
        return int.from_bytes(state[start : start + self._places[name].element].tobytes(), "little")

    def differing(self, state: NDArray[np.uint8], other: NDArray[np.uint8]) -> list[str]:
        """Registers that differ between two packed states."""
        wrong = np.unique(self._owners[np.flatnonzero(state != other)])
        return [self.model.netlist.flip_flops[number].name for number in wrong if number >= 0]

    @cached_property
    def _owners(self) -> NDArray[np.int64]:
        """The number of the register that each byte of a packed state is of; -1: of none."""
        owners = np.full(self.state_bytes, -1)
        for number, flip_flop in enumerate(self.model.netlist.flip_flops):
            start = self._packed[flip_flop.name]
            owners[start : start + self._places[flip_flop.name].element] = number
        return owners

    def memory(self, name: str, cycle: int = 0) -> NDArray[np.uint64]:
        """Returns a memory of words of at most 64 bits, at cycle 0 of the golden run."""
        place = self._places[name]
        start = self._packed[name]
        data = self.golden.begin[start : start + place.element * place.count]
        return np.ascontiguousarray(data).view(f"<u{place.element}").astype(np.uint64)


def _declare(library: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    for name, result, arguments in (
        ("new", pointer, [pointer] * 8),
        ("delete", None, [pointer]),
        ("record", number, [pointer, number, pointer, number]),
        ("sizes", None, [pointer, pointer]),
        ("take", None, [pointer] * 8),
        ("golden", None, [pointer, pointer]),
        ("load", None, [pointer, number]),
        ("put", None, [pointer, number, pointer, number, ctypes.c_int64]),
        ("advance", None, [pointer, number]),
        ("run", None, [pointer, pointer, number] + [pointer] * 5 + [number]),
        ("state", None, [pointer, pointer]),
        ("states", None, [pointer, number, pointer]),
    ):
        function = getattr(library, f"lockstep_{name}")
        function.restype, function.argtypes = result, arguments


def _pointer(array: NDArray) -> int:
    return array.ctypes.data
