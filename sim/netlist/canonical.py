"""One public name for every piece of state in a flattened module.

    canonical = Canonical(module)
    canonical.run()
    canonical.registers     # [("array__pe_0_0__weight", 8, 0), ...]

Registers get wires that nothing else drives and that are no ports, clocked read ports of
memories become unclocked ones with an explicit register behind them, and repeated names of
one signal are dropped.
"""

import re

from holdfast.gen.keywords import VERILOG_KEYWORDS

from .rtlil import Cell, Chunk, Module, Signal, Wire

_FLIP_FLOP_CELLS = {
    "$dff", "$dffe", "$adff", "$adffe", "$aldff", "$aldffe", "$sdff", "$sdffe", "$sdffce",
    "$dffsr", "$dffsre", "$ff",
}  # fmt: skip
_UNSUPPORTED_STATE = {"$sr", "$dlatch", "$adlatch", "$dlatchsr", "$anyinit"}


class Canonical:
    """Rewrites a module so that every flip-flop and memory has one public name of its own.

    Attributes
    ----------
    registers : list[tuple[str, int, int]]
        Name, width and initial value of every flip-flop, after :meth:`run`.
    clock : str
        The clock of all of them.
    """

    def __init__(self, module: Module):
        self.module = module
        self.registers: list[tuple[str, int, int]] = []
        self.clock = ""
        self.names = {name[1:] for name in module.wires if name.startswith("\\")}
        self.names |= {name[1:] for name in module.memories}
        self.aliases: dict[str, list[str]] = {}
        self.count = 0

    def run(self) -> None:
        """Rewrites the module."""
        for target, source in self.module.connections:
            if len(target) == len(source) == 1 and source[0].wire:
                whole = self.module.wires[target[0].wire].width
                if whole == len(source[0]) == self.module.wires[source[0].wire].width:
                    self.aliases.setdefault(source[0].wire, []).append(target[0].wire)
        self.rename_memories()
        self.drop_zero_contents()
        self.split_read_ports()
        self.drop_aliases()
        for cell in self.module.cells:
            if cell.type in _UNSUPPORTED_STATE:
                raise NotImplementedError(f"{cell.type} cell {cell.name}")
            if cell.type in _FLIP_FLOP_CELLS:
                self.flip_flop(cell)

    def fresh_name(self, wish: str) -> str:
        """A name near `wish` that is a plain identifier and not yet taken."""
        name = re.sub(r"\$\d+$", "", wish)
        name = re.sub(r"\W", "_", name).lstrip("_")
        if not name or name[0].isdigit():
            name = f"r{name}"
        if name in VERILOG_KEYWORDS:
            name += "_"
        base, number = name, 1
        while name in self.names:
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name

    def wire(self, width: int, name: str = "", init: str = "") -> Signal:
        """Makes a new wire; private without a name."""
        if name:
            name = f"\\{name}"
        else:
            self.count += 1
            name = f"$holdfast${self.count}"
        self.module.wires[name] = Wire(name, width, init=init)
        return [Chunk(name, 0, width)]

    def cell(self, kind: str, parameters: dict[str, int], **connections: Signal) -> None:
        """Makes a new cell."""
        self.count += 1
        self.module.cells.append(
            Cell(
                kind,
                f"$holdfast${self.count}",
                {f"\\{key}": str(value) for key, value in parameters.items()},
                {f"\\{key}": value for key, value in connections.items()},
            )
        )

    def rename_memories(self) -> None:
        """Makes every memory's name a plain identifier."""
        renamed = {}
        for name, memory in self.module.memories.items():
            if self.is_plain(name):
                continue
            memory.name = "\\" + self.fresh_name(name[1:])
            renamed[name] = memory.name
        self.module.memories = {m.name: m for m in self.module.memories.values()}
        for cell in self.module.cells:
            if cell.type.startswith("$mem"):
                old = _memory_of(cell)
                cell.parameters["\\MEMID"] = _quoted(renamed.get(old, old))

    def drop_zero_contents(self) -> None:
        """Removes initial contents of zeros: every simulation starts there, and text is slow."""
        self.module.cells = [
            cell
            for cell in self.module.cells
            if cell.type != "$meminit_v2"
            or any("1" in chunk.bits for chunk in cell.connections["\\DATA"])
        ]

    def split_read_ports(self) -> None:
        """Turns every clocked read port into an unclocked one and a register behind it."""
        writes: dict[str, list[Cell]] = {}
        for cell in self.module.cells:
            if cell.type == "$memwr_v2":
                writes.setdefault(_memory_of(cell), []).append(cell)
        ports: dict[str, int] = {}
        for cell in list(self.module.cells):
            if cell.type == "$memrd_v2":
                memory = _memory_of(cell)
                port = ports.setdefault(memory, 0)
                ports[memory] += 1
                if cell.number("\\CLK_ENABLE"):
                    self.split_read_port(cell, f"{memory[1:]}__read{port}", writes.get(memory, []))

    def split_read_port(self, read: Cell, name: str, writes: list[Cell]) -> None:
        width = read.number("\\WIDTH")
        data = self.wire(width)
        new = data
        transparent = read.parameters["\\TRANSPARENCY_MASK"].split("'")[1]
        by_port = {write.number("\\PORTID"): write for write in writes}
        for port, flag in enumerate(reversed(transparent)):
            if flag == "1":
                new = self.forward(read, by_port[port], new, width)
        register = self.wire(width, self.fresh_name(name), "0" * width)
        shape = {"WIDTH": width, "CLK_POLARITY": read.number("\\CLK_POLARITY")}
        clock, enable = read.connections["\\CLK"], read.connections["\\EN"]
        if enable == [Chunk(bits="1")]:
            self.cell("$dff", shape, CLK=clock, D=new, Q=register)
        else:
            shape["EN_POLARITY"] = 1
            self.cell("$dffe", shape, CLK=clock, EN=enable, D=new, Q=register)
        self.module.connections.append((read.connections["\\DATA"], register))
        read.connections["\\DATA"] = data
        read.connections["\\CLK"] = [Chunk(bits="x")]
        read.connections["\\EN"] = [Chunk(bits="1")]
        read.parameters["\\CLK_ENABLE"] = "0"
        read.parameters["\\TRANSPARENCY_MASK"] = f"{len(transparent)}'{'0' * len(transparent)}"

    def forward(self, read: Cell, write: Cell, old: Signal, width: int) -> Signal:
        """Returns what the read port sees when `write` hits its address in the same cycle."""
        address, written = read.connections["\\ADDR"], write.connections["\\ADDR"]
        same = self.wire(1)
        self.cell(
            "$eq",
            {
                "A_SIGNED": 0,
                "B_SIGNED": 0,
                "A_WIDTH": sum(map(len, address)),
                "B_WIDTH": sum(map(len, written)),
                "Y_WIDTH": 1,
            },
            A=address,
            B=written,
            Y=same,
        )
        hit, miss, kept, taken, chosen = (self.wire(width) for _ in range(5))
        binary = {"A_SIGNED": 0, "B_SIGNED": 0, "A_WIDTH": width, "B_WIDTH": width}
        shape = binary | {"Y_WIDTH": width}
        self.cell("$and", shape, A=write.connections["\\EN"], B=same * width, Y=hit)
        self.cell("$not", {"A_SIGNED": 0, "A_WIDTH": width, "Y_WIDTH": width}, A=hit, Y=miss)
        self.cell("$and", shape, A=old, B=miss, Y=kept)
        self.cell("$and", shape, A=write.connections["\\DATA"], B=hit, Y=taken)
        self.cell("$or", shape, A=kept, B=taken, Y=chosen)
        return chosen

    def drop_aliases(self) -> None:
        """Removes wires that only repeat another; opt_clean has made their users use the other."""
        used = {name for name, wire in self.module.wires.items() if wire.direction}
        for cell in self.module.cells:
            for signal in cell.connections.values():
                used |= {chunk.wire for chunk in signal}
        for _, source in self.module.connections:
            used |= {chunk.wire for chunk in source}
        self.module.connections = [
            (target, source)
            for target, source in self.module.connections
            if any(chunk.wire in used for chunk in target)
        ]
        for target, _ in self.module.connections:
            used |= {chunk.wire for chunk in target}
        self.module.wires = {name: wire for name, wire in self.module.wires.items() if name in used}

    def flip_flop(self, cell: Cell) -> None:
        """Makes the output of `cell` a wire of its own, under the best name there is."""
        self.check_clock(cell)
        output = cell.connections["\\Q"]
        width = sum(map(len, output))
        wire = self.module.wires[output[0].wire]
        whole = len(output) == 1 and width == wire.width
        if whole and not wire.direction and self.is_plain(wire.name):
            self.registers.append((wire.name[1:], width, _integer(wire.init)))
            return
        # A register that is a port would have its storage outside the design's scope in Verilator.
        init = "".join(self.take_init(chunk) for chunk in output)
        name = self.inner_name(wire) if whole else ""
        name = name or self.fresh_name(self.wish(cell, output, whole))
        register = self.wire(width, name, init)
        cell.connections["\\Q"] = register
        self.module.connections.append((output, register))
        self.registers.append((name, width, _integer(init)))

    def is_plain(self, name: str) -> bool:
        """Tells whether Verilog takes the name as it is."""
        return bool(re.fullmatch(r"\\[A-Za-z]\w*", name)) and name[1:] not in VERILOG_KEYWORDS

    def inner_name(self, port: Wire) -> str:
        """Returns the design's own name of a register that it shows at a port, or ""."""
        free = [
            name[1:]
            for name in self.aliases.get(port.name, [])
            if name not in self.module.wires and self.is_plain(name)
        ]
        return min(free, key=lambda name: (name.count("__"), name), default="")

    def wish(self, cell: Cell, output: Signal, whole: bool) -> str:
        """Returns what a register that needs a new name is best called."""
        public = [chunk for chunk in output if chunk.wire.startswith("\\")]
        if not public:
            return "unnamed"
        chunk = max(public, key=len)
        name = chunk.wire[1:]
        if whole:
            return f"{name}_reg" if self.module.wires[chunk.wire].direction else name
        return f"{name}_{chunk.offset + chunk.width - 1}_{chunk.offset}"

    def take_init(self, chunk: Chunk) -> str:
        """Moves the initial value of a chunk away from its wire."""
        wire = self.module.wires[chunk.wire]
        if not wire.init:
            return "x" * chunk.width
        end = wire.width - chunk.offset
        bits = wire.init[end - chunk.width : end]
        wire.init = wire.init[: end - chunk.width] + "x" * chunk.width + wire.init[end:]
        if set(wire.init) == {"x"}:
            wire.init = ""
        return bits

    def check_clock(self, cell: Cell) -> None:
        clock = cell.connections.get("\\CLK", [Chunk()])[0].wire[1:]
        if cell.number("\\CLK_POLARITY") != 1 or self.clock not in ("", clock):
            register = cell.connections["\\Q"][0].wire[1:]
            raise NotImplementedError(
                f"register {register} is not clocked by the rising edge "
                f"of {self.clock or clock!r} as the others are"
            )
        self.clock = clock


def _memory_of(cell: Cell) -> str:
    return cell.parameters["\\MEMID"].strip('"').replace("\\\\", "\\")


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\") + '"'


def _integer(init: str) -> int:
    return int(init.replace("x", "0") or "0", 2)
