"""Reads and writes the flattened RTLIL that Yosys emits, as far as netlists need it.

    module = parse_module(text)
    module.cells, module.wires, module.memories, module.connections
    text = module.to_text()

A signal is a list of :class:`Chunk`, most significant first, as RTLIL writes it.
"""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Chunk:
    """Is a constant (`bits`, most significant first) or `width` bits of `wire` from `offset` up."""

    wire: str = ""
    offset: int = 0
    width: int = 0
    bits: str = ""

    def __len__(self) -> int:
        return self.width if self.wire else len(self.bits)

    def to_text(self) -> str:
        """Returns the chunk as RTLIL."""
        if not self.wire:
            return f"{len(self.bits)}'{self.bits}"
        return f"{self.wire} [{self.offset + self.width - 1}:{self.offset}]"


Signal = list[Chunk]


@dataclass
class Wire:
    """Describes a wire; `direction` is "input", "output" or "", `init` its initial bits or ""."""

    name: str
    width: int
    options: str = ""
    direction: str = ""
    signed: bool = False
    init: str = ""


@dataclass
class MemoryDeclaration:
    """Describes a memory of `depth` words."""

    name: str
    width: int
    depth: int


@dataclass
class Cell:
    """Describes a cell; parameter values are kept as RTLIL text."""

    type: str
    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    connections: dict[str, Signal] = field(default_factory=dict)

    def number(self, parameter: str) -> int:
        """Returns the value of a numeric parameter."""
        text = self.parameters[parameter]
        return int(text.split("'")[1], 2) if "'" in text else int(text)


@dataclass
class Module:
    """Holds a module without hierarchy or processes."""

    name: str
    wires: dict[str, Wire] = field(default_factory=dict)
    memories: dict[str, MemoryDeclaration] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    connections: list[tuple[Signal, Signal]] = field(default_factory=list)

    def to_text(self) -> str:
        """Returns the module as RTLIL; attributes other than initial values are dropped."""
        lines = [f"attribute \\top 1\nmodule {self.name}"]
        for wire in self.wires.values():
            if wire.init:
                lines.append(f"  attribute \\init {wire.width}'{wire.init}")
            lines.append(f"  wire width {wire.width} {wire.options} {wire.name}")
        for memory in self.memories.values():
            lines.append(f"  memory width {memory.width} size {memory.depth} {memory.name}")
        for cell in self.cells:
            lines.append(f"  cell {cell.type} {cell.name}")
            lines += [f"    parameter {key} {value}" for key, value in cell.parameters.items()]
            lines += [
                f"    connect {key} {_signal_text(value)}"
                for key, value in cell.connections.items()
            ]
            lines.append("  end")
        for target, source in self.connections:
            lines.append(f"  connect {_signal_text(target)} {_signal_text(source)}")
        lines.append("end\n")
        return "\n".join(lines)


def _signal_text(signal: Signal) -> str:
    return f"{{ {' '.join(chunk.to_text() for chunk in signal)} }}"


_TOKEN = re.compile(r"[{}]|\[\d+(?::\d+)?\]|[\\$]\S+|\d+'[01xzm-]*|-?\d+")


def _constant(text: str) -> str:
    """Bits of a constant, most significant first; RTLIL writes some 32-bit ones in decimal."""
    if "'" not in text:
        return f"{int(text) & 0xFFFFFFFF:032b}"
    width, bits = text.split("'")
    # Yosys abbreviates a run of equal leading bits to one.
    return bits.rjust(int(width), bits[0] if bits and bits[0] in "xz" else "0")


class _Parser:
    def __init__(self, text: str):
        self.lines = text.splitlines()
        self.module = Module("")

    def signals(self, text: str) -> list[Signal]:
        """The signals, usually one or two, that stand in a `connect` line."""
        found: list[Signal] = []
        group: Signal | None = None
        for token in _TOKEN.findall(text):
            if token == "{":
                group = []
                found.append(group)
            elif token == "}":
                group = None
            elif token.startswith("["):
                high, _, low = token[1:-1].partition(":")
                low = low or high
                whole = found[-1].pop()
                found[-1].append(
                    Chunk(whole.wire, whole.offset + int(low), int(high) - int(low) + 1)
                )
            else:
                if token[0] in "\\$":
                    chunk = Chunk(token, 0, self.module.wires[token].width)
                else:
                    chunk = Chunk(bits=_constant(token))
                if group is None:
                    found.append([chunk])
                else:
                    group.append(chunk)
        return found

    def parse(self) -> Module:
        module = self.module
        cell: Cell | None = None
        attributes: dict[str, str] = {}
        for line in self.lines:
            keyword, _, rest = line.strip().partition(" ")
            if keyword == "attribute":
                name, _, value = rest.partition(" ")
                attributes[name] = value
                continue
            if keyword == "module":
                if module.name:
                    raise ValueError(f"more than one module: {module.name} and {rest}")
                module.name = rest
            elif keyword == "wire":
                self.wire(rest, attributes)
            elif keyword == "memory":
                numbers = dict(re.findall(r"(width|size) (\d+)", rest))
                name = rest.split()[-1]
                module.memories[name] = MemoryDeclaration(
                    name, int(numbers.get("width", 1)), int(numbers["size"])
                )
            elif keyword == "cell":
                kind, name = rest.split()
                cell = Cell(kind, name)
                module.cells.append(cell)
            elif keyword == "parameter" and cell is not None:
                if rest.startswith("signed "):
                    rest = rest.removeprefix("signed ")
                name, _, value = rest.partition(" ")
                cell.parameters[name] = value
            elif keyword == "connect" and cell is not None:
                name, _, value = rest.partition(" ")
                signals = self.signals(value)
                cell.connections[name] = signals[0]
            elif keyword == "connect":
                target, source = self.signals(rest)
                module.connections.append((target, source))
            elif keyword == "end":
                cell = None
            elif keyword == "process":
                raise ValueError(f"process in {module.name}")
            attributes = {}
        return module

    def wire(self, rest: str, attributes: dict[str, str]) -> None:
        *options, name = rest.split()
        width = int(options[options.index("width") + 1]) if "width" in options else 1
        direction = next((o for o in options if o in ("input", "output", "inout")), "")
        kept = ""
        if direction:
            kept = f"{direction} {options[options.index(direction) + 1]}"
        signed = "signed" in options
        if signed:
            kept += " signed"
        init = _constant(attributes["\\init"]) if "\\init" in attributes else ""
        self.module.wires[name] = Wire(name, width, kept.strip(), direction, signed, init)


def parse_module(text: str) -> Module:
    """Parses RTLIL that holds exactly one flattened module."""
    return _Parser(text).parse()
