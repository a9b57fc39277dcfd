"""The compiled engine: a netlist as a shared library whose state is plain memory.

    model = CompiledModel(netlist)
    model.poke("start", 1)
    model.step()
    cycles = model.run_until("done", 1, max_cycles=100_000)    # None if it did not happen
    model.write_memory("weights__lane_0", codes)
    model.flip("array__pe_0_0__weight", bit=3)
    before = model.snapshot()
    model.restore(before)

A cycle is one rising edge of the clock. Inputs that are poked take effect at the next edge;
outputs read back are those after the last edge under the present inputs. Names are the netlist's;
words of memories have an index. Whole runs cost no more than the bare Verilated model: state is
read and written where it lies, without VPI and without making anything public to Verilator.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.verilate import item_names

from .build import build_compiled


@dataclass(frozen=True)
class Place:
    """Says where an item of the netlist lies in the model's memory.

    Attributes
    ----------
    offset : int
        In bytes, of the first word.
    element : int
        Bytes of a word.
    count, width : int
        Words, and bits of each.
    """

    offset: int
    element: int
    count: int
    width: int


class _Entry(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("size", ctypes.c_uint64)]


class CompiledModel:
    """Runs an instance of a netlist.

    Parameters
    ----------
    netlist : Netlist
        Compiled on first use.

    Attributes
    ----------
    cycles : int
        Clock cycles since construction or the last :meth:`restore`.
    """

    def __init__(self, netlist: Netlist):
        self.netlist = netlist
        self.cycles = 0
        self._library = _load(build_compiled(netlist).library)
        self._model = self._library.holdfast_new()
        size = self._library.holdfast_state_size()
        address = self._library.holdfast_state(self._model)
        self._root: NDArray[np.uint8] = np.ctypeslib.as_array(
            (ctypes.c_uint8 * size).from_address(address)
        )
        self._places, self._views = self._layout()
        # What lies before the first port or register may point into this instance.
        self._start = min(place.offset for place in self._places.values())
        self._inputs = {port.name for port in netlist.ports if port.direction == "input"}
        self._items = item_names(netlist)[len(netlist.ports) :]
        self._ports = {port.name for port in netlist.ports}
        # State was written directly: logic that depends on it has to be computed anew.
        self._unsettled = False
        self._poked = False

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._views.clear()
            self._library.holdfast_delete(self._model)
            self._model = None

    def poke(self, port: str, value: int) -> None:
        """Sets an input."""
        if port not in self._inputs or port == self.netlist.clock:
            raise KeyError(f"{self.netlist.top} has no input {port!r} that can be set")
        self._store(port, 0, value)
        self._poked = True

    def peek(self, port: str) -> int:
        """Reads a port."""
        if port not in self._ports:
            raise KeyError(f"{self.netlist.top} has no port {port!r}")
        self._refresh()
        return self._fetch(port, 0)

    def step(self, cycles: int = 1) -> None:
        """Runs clock cycles."""
        self._settle()
        self._library.holdfast_step(self._model, cycles)
        self._poked = False
        self.cycles += cycles

    def run_until(self, port: str, value: int, max_cycles: int) -> int | None:
        """Runs until `port` has `value` after an edge; returns the cycles that took, or None."""
        place = self._places[port]
        if port not in self._ports or place.element > 8:
            raise KeyError(f"{self.netlist.top} has no port {port!r} of at most 64 bits")
        self._settle()
        ran = self._library.holdfast_run_until(
            self._model, place.offset, place.element, value, max_cycles
        )
        self._poked = False
        reached = ran <= max_cycles
        self.cycles += ran if reached else max_cycles
        return ran if reached else None

    def send(
        self, channel: str, data: str, last: str, words: NDArray[np.uint32], limit: int
    ) -> bool:
        """Offers words on a channel of 32-bit data until all are taken.

        Parameters
        ----------
        channel : str
            What is before ``valid`` and ``ready`` in the names of its ports.
        data, last : str
            Ports of the word, and of the mark of the last one.
        limit : int
            Cycles that each word may wait.

        Returns
        -------
        bool
            Whether all were taken.
        """
        ports = (f"{channel}valid", f"{channel}ready", data, last)
        sizes = [self._places[port].element for port in ports]
        assert sizes == [1, 1, 4, 1], f"{channel} is no channel of 32-bit words"
        self._settle()
        ran = ctypes.c_uint64()
        sent = self._library.holdfast_send(
            self._model, *(self._places[port].offset for port in ports),
            np.ascontiguousarray(words, "<u4").ctypes.data, len(words), limit, ctypes.byref(ran),
        )  # fmt: skip
        self.cycles += ran.value
        self._poked = True
        return sent == len(words)

    def reset(self, cycles: int = 1) -> None:
        """Holds the reset for some cycles."""
        self.poke(self.netlist.reset, 1)
        self.step(cycles)
        self.poke(self.netlist.reset, 0)

    def read(self, name: str, index: int = 0) -> int:
        """Reads a flip-flop, or word `index` of a memory."""
        self._check_state(name, index)
        return self._fetch(name, index)

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Writes a flip-flop, or word `index` of a memory."""
        self._check_state(name, index)
        self._store(name, index, value)
        self._unsettled = True

    def flip(self, name: str, bit: int, index: int = 0) -> None:
        """Inverts one bit of a flip-flop, or of word `index` of a memory."""
        width = self._places[name].width
        if not 0 <= bit < width:
            raise IndexError(f"bit of {name} must be in 0..{width - 1}, not {bit}")
        self.write(name, self.read(name, index) ^ (1 << bit), index)

    def read_memory(self, name: str) -> NDArray[np.unsignedinteger]:
        """Copies a memory: one element per word, or one row of 32-bit parts, lowest first."""
        self._check_state(name, 0)
        return self._views[name].copy()

    def write_memory(self, name: str, words: ArrayLike, start: int = 0) -> None:
        """Writes consecutive words from `start` on; shaped as :meth:`read_memory` returns them."""
        self._check_state(name, start)
        view = self._views[name]
        data = np.asarray(words)
        width = self._places[name].width
        if start + len(data) > len(view):
            raise IndexError(f"{name} has {len(view)} words, not {start + len(data)}")
        if view.ndim == 1:
            if data.size and (int(data.min()) < -(1 << width - 1) or int(data.max()) >> width):
                raise ValueError(f"words of {name} must have {width} bits")
            data = data.astype(np.int64 if data.dtype.kind == "i" else np.uint64)
            data = data.astype(np.uint64) & np.uint64((1 << width) - 1)
        view[start : start + len(data)] = data
        self._unsettled = True

    def snapshot(self) -> "Snapshot":
        """Returns the whole state, inputs and outputs included."""
        self._refresh()
        return Snapshot(self._root.copy(), self.cycles)

    def restore(self, snapshot: "Snapshot") -> None:
        """Returns to a snapshot of this or of another instance of the same netlist."""
        self._root[self._start :] = snapshot.data[self._start :]
        self.cycles = snapshot.cycles
        self._unsettled = self._poked = False

    def differences(self, snapshot: "Snapshot") -> list[str]:
        """Names of flip-flops and memories that differ from a snapshot."""
        found = (ctypes.c_uint32 * len(self._items))()
        count = self._library.holdfast_differences(
            self._model, snapshot.data.ctypes.data_as(ctypes.c_void_p), found
        )
        return [self._items[found[position]] for position in range(count)]

    def native(self) -> "Native":
        """Returns where the state lies, for compiled code that runs the model itself."""
        library = self._library
        step, again, settle = (
            ctypes.cast(function, ctypes.c_void_p).value or 0
            for function in (
                library.holdfast_step, library.holdfast_again, library.holdfast_settle,
            )
        )  # fmt: skip
        state = library.holdfast_state(self._model)
        return Native(self._model, state, step, again, settle, self._places)

    def changed(self, cycles: int = 0) -> None:
        """Compiled code has changed the state, and run some cycles."""
        self._unsettled = True
        self.cycles += cycles

    def _layout(self) -> tuple[dict[str, Place], dict[str, NDArray[np.unsignedinteger]]]:
        netlist = self.netlist
        shapes = [(port.name, port.width, 1) for port in netlist.ports]
        shapes += [(flip_flop.name, flip_flop.width, 1) for flip_flop in netlist.flip_flops]
        shapes += [(memory.name, memory.width, memory.depth) for memory in netlist.memories]
        entries = ctypes.cast(
            self._library.holdfast_entries(self._model), ctypes.POINTER(_Entry * len(shapes))
        ).contents
        places, views = {}, {}
        for entry, (name, width, count) in zip(entries, shapes, strict=True):
            element = entry.size // count
            place = Place(entry.offset, element, count, width)
            assert element * count == entry.size and element * 8 >= width, name
            part = self._root[entry.offset : entry.offset + entry.size]
            if element <= 8:
                view = part.view(f"<u{element}")
            else:
                view = part.view("<u4").reshape(count, -1)
            places[name], views[name] = place, view
        return places, views

    def _fetch(self, name: str, index: int) -> int:
        word = self._views[name][index]
        return int(word) if word.ndim == 0 else int.from_bytes(word.tobytes(), "little")

    def _store(self, name: str, index: int, value: int) -> None:
        place, view = self._places[name], self._views[name]
        if not -(1 << place.width - 1) <= value < 1 << place.width:
            raise ValueError(f"{name} has {place.width} bits, too few for {value}")
        value &= (1 << place.width) - 1
        if view.ndim == 1:
            view[index] = value
        else:
            view[index] = np.frombuffer(value.to_bytes(place.element, "little"), "<u4")

    def _check_state(self, name: str, index: int) -> None:
        place = self._places.get(name)
        if place is None or name in self._ports:
            raise KeyError(f"{self.netlist.top} has no flip-flop or memory {name!r}")
        if not 0 <= index < place.count:
            raise IndexError(f"{name} has words 0..{place.count - 1}, not {index}")

    def _settle(self) -> None:
        if self._unsettled:
            self._library.holdfast_settle(self._model)
            self._unsettled = self._poked = False

    def _refresh(self) -> None:
        self._settle()
        if self._poked:
            self._library.holdfast_eval(self._model)
            self._poked = False


@dataclass(frozen=True)
class Native:
    """Describes a model as compiled code sees it.

    Attributes
    ----------
    model, state : int
        Addresses of the instance and of its state.
    step, again, settle : int
        Addresses of ``void step(model, uint64_t cycles)``; of the same where no input has changed
        since the last step or settling, which is faster; and of ``void settle(model)``, which has
        to follow every write to the state.
    places : dict
        Place of every port, flip-flop and memory.
    """

    model: int
    state: int
    step: int
    again: int
    settle: int
    places: Mapping[str, Place]


@dataclass(frozen=True)
class Snapshot:
    """Holds the state of a :class:`CompiledModel` at one moment."""

    data: NDArray[np.uint8]
    cycles: int


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, number, small = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32
    for name, result, arguments in (
        ("new", pointer, []),
        ("delete", None, [pointer]),
        ("state", pointer, [pointer]),
        ("state_size", number, []),
        ("entries", pointer, [pointer]),
        ("eval", None, [pointer]),
        ("settle", None, [pointer]),
        ("step", None, [pointer, number]),
        ("again", None, [pointer, number]),
        ("run_until", number, [pointer, number, small, number, number]),
        ("send", small, [pointer, *[number] * 4, pointer, small, number, pointer]),
        ("differences", small, [pointer, pointer, pointer]),
    ):
        function = getattr(library, f"holdfast_{name}")
        function.restype, function.argtypes = result, arguments
    return library
