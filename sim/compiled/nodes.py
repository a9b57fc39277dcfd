"""A netlist's cells as nodes of at most 64 bits, and where its state lies for many machines."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.netlist.rtlil import Cell, Chunk, Signal, parse_module

_WORD = 64
BLOCK = 256
"""Bytes of the blocks of a machine's memories of which it is noted which are written."""
_PIECE = 32
"""Bits of the pieces that wide registers, and what only moves them, are cut into."""
_BITWISE = ("$mux", "$pmux", "$and", "$or", "$xor", "$not")


@dataclass(eq=False)
class Variable:
    """A value of at most 64 bits: in a register, an input, or what a node computes."""

    width: int
    size: int
    buffer: str = ""
    address: int = -1
    local: str = ""


class Part(NamedTuple):
    """Bits of a variable from ``offset`` on; without one, a constant."""

    variable: Variable | None
    offset: int
    width: int
    value: int = 0


Parts = tuple[Part, ...]
Net = tuple[str, int] | int
"""A wire's name and a bit of it, or a constant bit."""


@dataclass(eq=False)
class Node:
    """What is computed of pins: a cell, a slice of a wide one, or a register's next value."""

    kind: str
    pins: dict[str, Parts]
    result: Variable
    signs: tuple[bool, bool] = (False, False)
    memory: str = ""

    def width(self, pin: str) -> int:
        """Bits of a pin."""
        return sum(part.width for part in self.pins[pin])


@dataclass
class Write:
    """A write port of a memory."""

    port: int
    memory: str
    address: Parts
    data: Parts
    enable: Parts


def natural(width: int) -> int:
    """Bytes of the smallest type of so many bits."""
    return next(size for size in (1, 2, 4, 8) if width <= 8 * size)


def computed(width: int) -> int:
    """Bytes in which a value of so many bits is computed."""
    return 4 if width <= 32 else 8


def storage(width: int) -> int:
    """Bytes that a register or a word of a memory takes."""
    return natural(width) if width <= _WORD else 4 * -(-width // 32)


class Layout:
    """Where registers, inputs and memories of one of many machines lie, in bytes.

    Attributes
    ----------
    registers, inputs : dict of list of Variable
        Of the lowest bits first; ``address`` is to be multiplied with the number of machines.
    memories : dict of int
        Each begins with a block.
    words, stride : int
        Bytes of one machine's memories; of these and a byte for each block, 1 if it was written.
    """

    def __init__(self, netlist: Netlist):
        self.registers: dict[str, list[Variable]] = {}
        self.inputs: dict[str, list[Variable]] = {}
        self.memories: dict[str, int] = {}
        inputs = [p for p in netlist.ports if p.direction == "input" and p.name != netlist.clock]
        self.state = self._place(self.registers, netlist.flip_flops, "s")
        self.ports = self._place(self.inputs, inputs, "p")
        self.words = 0
        for memory in netlist.memories:
            self.memories[memory.name] = self.words
            self.words += -(-storage(memory.width) * memory.depth // BLOCK) * BLOCK
        self.stride = self.words + -(-self.words // BLOCK // 64) * 64

    @staticmethod
    def _place(found: dict[str, list[Variable]], items: Iterable, buffer: str) -> int:
        end = 0
        for item in sorted(items, key=lambda item: -storage(item.width)):
            size, pieces = storage(item.width), []
            for low in range(0, item.width, _PIECE):
                width = min(_PIECE, item.width - low)
                part = min(4, size)
                end += -end % part
                pieces.append(Variable(width, part, buffer, end))
                end += part
            found[item.name] = pieces
        return end


class Logic:
    """Nodes of a netlist.

    Parameters
    ----------
    fixed : Mapping
        Inputs that have one value.

    Attributes
    ----------
    nodes, updates : list of Node
        What is computed, and the registers' next values.
    writes : list of Write
    made : dict
        The node of a variable, by the variable's id.

    Raises
    ------
    NotImplementedError
        For a cell that is not covered.
    """

    def __init__(self, netlist: Netlist, layout: Layout, fixed: Mapping[str, int]):
        self._module = parse_module(netlist.rtlil)
        self._fixed = {f"\\{name}": value for name, value in fixed.items()}
        self._aliases: dict[Net, Net] = {}
        for target, source in self._module.connections:
            self._connect(target, source)
        self._drivers: dict[Net, tuple[Variable, int]] = {}
        self.nodes: list[Node] = []
        self.updates: list[Node] = []
        self.writes: list[Write] = []
        cells = [cell for cell in self._module.cells if not self._folded(cell)]
        for name, pieces in itertools.chain(layout.inputs.items(), layout.registers.items()):
            for number, piece in enumerate(pieces):
                for bit in range(piece.width):
                    self._drivers[f"\\{name}", _PIECE * number + bit] = piece, bit
        results = {cell.name: self._results(cell) for cell in cells}
        for cell in cells:
            self._cell(cell, results[cell.name])
        self.made = {id(node.result): node for node in self.nodes}

    @staticmethod
    def _nets(signal: Signal) -> list[Net]:
        nets: list[Net] = []
        for chunk in reversed(signal):
            if chunk.wire:
                nets += [(chunk.wire, chunk.offset + k) for k in range(chunk.width)]
            else:
                nets += [int(bit == "1") for bit in reversed(chunk.bits)]
        return nets

    def _connect(self, target: Signal, source: Signal) -> None:
        self._aliases.update(zip(self._nets(target), self._nets(source), strict=True))

    def _source(self, net: Net) -> Net:
        while net in self._aliases and not isinstance(net, int):
            net = self._aliases[net]
        if not isinstance(net, int) and net[0] in self._fixed:
            return self._fixed[net[0]] >> net[1] & 1
        return net

    def _folded(self, cell: Cell) -> bool:
        """Tells whether a cell is none: of a multiplexer with a fixed select, the output is what it
        selects.
        """
        if cell.type == "$mux":
            select = self._source(self._nets(cell.connections["\\S"])[0])
            if isinstance(select, int):
                self._connect(cell.connections["\\Y"], cell.connections["\\B" if select else "\\A"])
                return True
        # What memories hold at first is given with the state.
        return cell.type in ("$scopeinfo", "$meminit_v2")

    def _results(self, cell: Cell) -> list[Variable]:
        pin = "\\DATA" if cell.type == "$memrd_v2" else "\\Y"
        nets = self._nets(cell.connections.get(pin, []))
        found = []
        most = _PIECE if cell.type in _BITWISE else _WORD
        for low in range(0, len(nets), most):
            width = min(most, len(nets) - low)
            found.append(Variable(width, computed(width)))
            for bit in range(width):
                self._drivers[nets[low + bit]] = found[-1], bit
        return found

    def _parts(self, nets: Sequence[Net]) -> Parts:
        """The parts of a signal, least significant first."""
        parts: list[Part] = []
        for net in map(self._source, nets):
            last = parts[-1] if parts else Part(None, 0, 0)
            if isinstance(net, int):
                if parts and last.variable is None and last.width < _WORD:
                    parts[-1] = Part(None, 0, last.width + 1, last.value | net << last.width)
                else:
                    parts.append(Part(None, 0, 1, net))
                continue
            variable, bit = self._drivers[net]
            if last.variable is variable and last.offset + last.width == bit:
                parts[-1] = last._replace(width=last.width + 1)
            else:
                parts.append(Part(variable, bit, 1))
        return tuple(parts)

    def _cell(self, cell: Cell, results: Sequence[Variable]) -> None:
        nets = {name[1:]: self._nets(signal) for name, signal in cell.connections.items()}
        if cell.type in ("$dff", "$dffe"):
            self._register(cell, nets)
        elif cell.type == "$memrd_v2":
            if cell.number("\\CLK_ENABLE"):
                raise NotImplementedError("a memory with a read register of its own")
            (result,) = results
            pins = {"A": self._parts(nets["ADDR"])}
            self.nodes.append(Node("read", pins, result, memory=_memory(cell)))
        elif cell.type == "$memwr_v2":
            enables = set(map(self._source, nets["EN"]))
            if len(enables) > 1:
                raise NotImplementedError("a write of parts of a word")
            address, data, enable = (self._parts(nets[n]) for n in ("ADDR", "DATA", "EN"))
            enable = self._parts(nets["EN"][:1])
            self.writes.append(Write(cell.number("\\PORTID"), _memory(cell), address, data, enable))
        elif results:
            self._combinational(cell, nets, results)
        else:
            raise NotImplementedError(f"cells of type {cell.type}")

    def _register(self, cell: Cell, nets: dict[str, list[Net]]) -> None:
        if cell.number("\\CLK_POLARITY") != 1 or (
            cell.type == "$dffe" and not cell.number("\\EN_POLARITY")
        ):
            raise NotImplementedError(f"{cell.type} of another polarity")
        for low in range(0, len(nets["Q"]), _PIECE):
            variable, _ = self._drivers[nets["Q"][low]]
            high = low + variable.width
            pins = {"D": self._parts(nets["D"][low:high])}
            if cell.type == "$dffe":
                pins |= {"E": self._parts(nets["EN"]), "Q": self._parts(nets["Q"][low:high])}
            self.updates.append(Node(cell.type, pins, variable))

    def _combinational(
        self, cell: Cell, nets: dict[str, list[Net]], results: Sequence[Variable]
    ) -> None:
        whole = len(nets.pop("Y"))
        if cell.type == "$pmux":
            select, others = nets.pop("S"), nets.pop("B")
            for way, net in enumerate(select):
                nets[f"S{way}"] = [net]
                nets[f"B{way}"] = others[way * whole : (way + 1) * whole]
        if len(results) > 1 and cell.type not in _BITWISE:
            raise NotImplementedError(f"{cell.type} of {whole} bits")
        a, b = (
            bool(cell.number(f"\\{n}_SIGNED")) if f"\\{n}_SIGNED" in cell.parameters else False
            for n in "AB"
        )
        if len(results) > 1:
            for name, found in nets.items():
                if name[0] != "S":
                    fill = found[-1] if found and a and (b or "B" not in nets) else 0
                    found += [fill] * (whole - len(found))
        for number, result in enumerate(results):
            low = number * _PIECE if len(results) > 1 else 0
            high = low + result.width if len(results) > 1 else None
            pins = {
                name: self._parts(found if name[0] == "S" else found[low:high])
                for name, found in nets.items()
            }
            self.nodes.append(Node(cell.type, pins, result, (a, b)))

    def output(self, name: str) -> Parts:
        """What an output port shows."""
        width = self._module.wires[f"\\{name}"].width
        return self._parts(self._nets([Chunk(f"\\{name}", 0, width)]))


def _memory(cell: Cell) -> str:
    return cell.parameters["\\MEMID"].strip('"').replace("\\\\", "\\").removeprefix("\\")
