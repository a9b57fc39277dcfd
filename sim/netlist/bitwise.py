"""Evaluates a netlist's logic in many cycles at once.

    logic = Logic(parse_module(netlist.rtlil))
    cells = logic.fan_out(nets)               # cells that some nets can change, in order
    cells = logic.sources(nets)               # cells that determine them
    values = {net: waveform}                  # of registers and inputs
    logic.evaluate(cells, values, ones)       # adds the waveforms of what the cells drive
    logic.spread({net: other}, values, ones, cells)     # and what another waveform changes

A waveform is an int whose bit t is a net's value in cycle t; a net is a wire's name and an index.
All cycles of a cell are a handful of operations on such ints. What a multiplier or a memory drives
is left out, and whatever depends on it.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cached_property, reduce
from heapq import heappop, heappush
from operator import or_

from .cells import OPERATIONS, Bits, influenced
from .rtlil import Cell, Module, Signal

Net = tuple[str, int]
"""Wire and index; the wires ``0`` and ``1`` are the constants."""

_STATE = ("$dff", "$dffe", "$memrd_v2", "$memwr_v2")
_OPAQUE = ("$mul", *_STATE)


class Logic:
    """Evaluates the combinational cells of a flattened module.

    Attributes
    ----------
    registers : list of Cell
        ``$dff`` and ``$dffe``.
    memory_reads, memory_writes : list of Cell
    """

    def __init__(self, module: Module):
        self._aliases: dict[Net, Net] = {}
        for target, source in module.connections:
            nets = zip(self._spread(target), self._spread(source), strict=True)
            self._aliases.update(nets)
        self.registers = [c for c in module.cells if c.type in ("$dff", "$dffe")]
        self.memory_reads = [c for c in module.cells if c.type == "$memrd_v2"]
        self.memory_writes = [c for c in module.cells if c.type == "$memwr_v2"]
        known = (*OPERATIONS, *_OPAQUE, "$scopeinfo")
        for cell in module.cells:
            if cell.type not in known:
                raise NotImplementedError(f"cell {cell.name} is of type {cell.type}")
        self.cells = [c for c in module.cells if c.type in (*OPERATIONS, "$mul")]
        self._pins: dict[tuple[int, str], list[Net]] = {}

    @staticmethod
    def _spread(signal: Signal) -> list[Net]:
        nets: list[Net] = []
        for chunk in reversed(signal):
            if chunk.wire:
                name = chunk.wire.removeprefix("\\")
                nets += [(name, chunk.offset + k) for k in range(chunk.width)]
            else:
                nets += [("1" if bit == "1" else "0", 0) for bit in reversed(chunk.bits)]
        return nets

    def pin(self, cell: Cell, name: str) -> list[Net]:
        """Returns nets at a cell's pin, least significant first; empty if it has none."""
        key = id(cell), name
        if key not in self._pins:
            nets = self._spread(cell.connections.get(name, []))
            self._pins[key] = [self._source(net) for net in nets]
        return self._pins[key]

    def _source(self, net: Net) -> Net:
        while net in self._aliases:
            net = self._aliases[net]
        return net

    def net(self, name: str, index: int = 0) -> Net:
        """Returns what drives a bit of a wire."""
        return self._source((name, index))

    def inputs(self, cell: Cell) -> list[Net]:
        """Returns all nets that a cell reads, without constants and the clock."""
        return [
            net
            for name in cell.connections
            if name not in ("\\CLK", _output(cell))
            for net in self.pin(cell, name)
            if net[0] not in "01"
        ]

    @cached_property
    def readers(self) -> Mapping[Net, list[int]]:
        """Numbers of the combinational cells that read a net."""
        found: dict[Net, list[int]] = {}
        for number, cell in enumerate(self.cells):
            for net in dict.fromkeys(self.inputs(cell)):
                found.setdefault(net, []).append(number)
        return found

    @cached_property
    def _drivers(self) -> Mapping[Net, int]:
        return {
            net: number for number, cell in enumerate(self.cells) for net in self.pin(cell, "\\Y")
        }

    @cached_property
    def _ranks(self) -> list[int]:
        """Position of every combinational cell in an order in which inputs come first."""
        ranks: list[int] = [-1] * len(self.cells)
        waiting = [
            len({self._drivers[net] for net in self.inputs(cell) if net in self._drivers})
            for cell in self.cells
        ]
        ready = [number for number, count in enumerate(waiting) if not count]
        position = 0
        while ready:
            number = ready.pop()
            ranks[number] = position
            position += 1
            after = {r for net in self.pin(self.cells[number], "\\Y") for r in self._read(net)}
            for reader in after:
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
        assert position == len(self.cells), "the netlist has a combinational loop"
        return ranks

    def _read(self, net: Net) -> list[int]:
        return self.readers.get(net, [])

    def sources(self, nets: Iterable[Net]) -> list[int]:
        """Numbers of the cells that determine some nets, in order."""
        found: set[int] = set()
        todo = list(nets)
        while todo:
            number = self._drivers.get(todo.pop())
            if number is not None and number not in found:
                found.add(number)
                todo += self.inputs(self.cells[number])
        return sorted(found, key=self._ranks.__getitem__)

    def fan_out(self, nets: Iterable[Net]) -> list[int]:
        """Numbers of the cells that some nets reach, in order."""
        found: set[int] = set()
        todo = list(nets)
        while todo:
            for number in self._read(todo.pop()):
                if number not in found:
                    found.add(number)
                    todo += self.pin(self.cells[number], "\\Y")
        return sorted(found, key=self._ranks.__getitem__)

    def evaluate(self, cells: Iterable[int], values: dict[Net, int], ones: int) -> None:
        """Adds what cells drive to ``values``; ``ones`` has a 1 in every cycle."""
        for number in cells:
            cell = self.cells[number]
            result = self._result(cell, values, {}, ones)
            if result is not None:
                values.update(zip(self.pin(cell, "\\Y"), result, strict=True))

    def spread(
        self, changed: dict[Net, int], values: Mapping[Net, int], ones: int, within: Container[int]
    ) -> tuple[dict[Net, int], int]:
        """Returns what else changes if some nets have other waveforms.

        Parameters
        ----------
        changed : dict
            The nets' other waveforms.
        values : Mapping
            All that :meth:`evaluate` has found.
        within : Container
            The cells that matter.

        Returns
        -------
        dict
            Other waveforms, ``changed`` among them.
        int
            Cycles in which something unknown may have changed.
        """
        changed = dict(changed)
        unknown = 0
        fresh = list(changed)
        for cell in self._reached(fresh, within):
            result = self._result(cell, values, changed, ones)
            outputs = self.pin(cell, "\\Y")
            if result is None:
                unknown |= self.differences(self.inputs(cell), values, changed)
                continue
            for net, other in zip(outputs, result, strict=True):
                if net not in values:
                    unknown |= self.differences(self.inputs(cell), values, changed)
                elif other != values[net]:
                    changed[net] = other
                    fresh.append(net)
        return changed, unknown

    def _reached(self, fresh: list[Net], within: Container[int]) -> Iterator[Cell]:
        """Yields the cells that read some nets, each once, after those that it reads of.

        Nets that are added to the list on the way count as well.
        """
        queue: list[tuple[int, int]] = []
        last = -1
        while fresh or queue:
            while fresh:
                for number in self._read(fresh.pop()):
                    heappush(queue, (self._ranks[number], number))
            if queue:
                _, number = heappop(queue)
                if number != last and number in within:
                    last = number
                    yield self.cells[number]

    def influence(
        self,
        by: Mapping[Net, int],
        wrong: Mapping[Net, int],
        values: Mapping[Net, int],
        ones: int,
        within: Container[int],
    ) -> tuple[dict[Net, int], dict[Net, int]]:
        """Returns where wrong values can reach, whatever they are.

        Parameters
        ----------
        by, wrong : Mapping
            Cycles in which nets may have any other value: those asked for, and more that may be
            wrong at the same time.
        values, ones, within
            As in :meth:`spread`; what is not among the values is taken for wrong.

        Returns
        -------
        dict, dict
            By net, the cycles in which it may depend on ``by``, and in which it may be wrong.
        """
        reached, all_wrong = dict(by), {**wrong}
        for net, wave in by.items():
            all_wrong[net] = all_wrong.get(net, 0) | wave
        fresh = list(all_wrong)
        for cell in self._reached(fresh, within):
            golden: dict[str, Bits] = {}
            unsure: dict[str, Bits] = {}
            asked: dict[str, Bits] = {}
            for name in cell.connections:
                if name == _output(cell):
                    continue
                nets = self.pin(cell, name)
                known = [net in values or net[0] in "01" for net in nets]
                golden[name[1:]] = [values.get(net, ones if net[0] == "1" else 0) for net in nets]
                unsure[name[1:]] = [
                    all_wrong.get(net, 0) if sure else ones
                    for net, sure in zip(nets, known, strict=True)
                ]
                asked[name[1:]] = [reached.get(net, 0) for net in nets]
            outputs = self.pin(cell, "\\Y")
            for found, kind in ((all_wrong, unsure), (reached, asked)):
                if not any(map(any, kind.values())):
                    continue
                waves = influenced(cell, golden, unsure, kind, len(outputs))
                for net, wave in zip(outputs, waves, strict=True):
                    if wave & ones and net[0] not in "01":
                        found[net] = wave & ones
                        if found is all_wrong:
                            fresh.append(net)
        return reached, all_wrong

    @staticmethod
    def differences(
        nets: Iterable[Net], values: Mapping[Net, int], changed: Mapping[Net, int]
    ) -> int:
        """Cycles in which one of some nets has changed."""
        return reduce(or_, (changed[n] ^ values[n] for n in nets if n in changed), 0)

    def _result(
        self, cell: Cell, values: Mapping[Net, int], changed: Mapping[Net, int], ones: int
    ) -> Bits | None:
        if cell.type in _OPAQUE:
            return None
        pins: dict[str, Bits] = {}
        for name in cell.connections:
            if name == _output(cell):
                continue
            bits = []
            for net in self.pin(cell, name):
                value = changed.get(net)
                if value is None:
                    value = values.get(net)
                if value is None:
                    if net[0] not in "01":
                        return None
                    value = ones if net[0] == "1" else 0
                bits.append(value)
            pins[name[1:]] = bits
        return OPERATIONS[cell.type](cell, pins, ones)


def _output(cell: Cell) -> str:
    """The pin that a cell drives."""
    pins = {"$dff": "\\Q", "$dffe": "\\Q", "$memrd_v2": "\\DATA", "$memwr_v2": ""}
    return pins.get(cell.type, "\\Y")
