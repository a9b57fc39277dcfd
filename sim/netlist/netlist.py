"""The flattened netlist of a component: its Verilog, and every bit of state in it by name.

    netlist = Netlist.of(Accelerator(config), name="accelerator")
    netlist.verilog, netlist.hash, netlist.ports
    netlist.flip_flops      # (FlipFlop(name="array__pe_0_0__weight", width=8, init=0), ...)
    netlist.memories        # (Memory(name="activations__bank", width=64, depth=2048), ...)

Every flip-flop is one ``reg`` of the Verilog, of the same name and width, and nothing else is:
`Netlist.of` checks this against the text. So ``getattr(dut, flip_flop.name)`` is its cocotb handle,
and ``getattr(dut, memory.name)[address]`` that of a memory word. Hierarchy is flattened with
``__`` between the levels.

Redundant registers stay apart: nothing in the flow merges equal cells. State that cannot be read
by anything (a register without a reader) is removed. The output register of a synchronous
memory read port is a flip-flop called ``<memory>__read<port>``, initially 0.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.files import parse_json
from holdfast.gen.roles import Held, Role, state_of
from holdfast.gen.verilog import to_rtlil
from holdfast.sim.tools import run_yosys

from .canonical import Canonical
from .rtlil import Module, parse_module


@dataclass(frozen=True)
class Port:
    """Describes a port of the top level; `direction` is "input" or "output"."""

    name: str
    width: int
    direction: str
    signed: bool = False


@dataclass(frozen=True)
class FlipFlop:
    """Describes a register: `width` flip-flop bits, in Verilog `name`; `held` is what for."""

    name: str
    width: int
    init: int = 0
    held: Held | None = None


@dataclass(frozen=True)
class Memory:
    """Describes a memory: `depth` words of `width` bits, in Verilog `name`; `held`: what for."""

    name: str
    width: int
    depth: int
    held: Held | None = None


@dataclass(frozen=True)
class Netlist:
    """Holds a flattened design.

    Attributes
    ----------
    top : str
        Name of the Verilog module.
    verilog : str
        The design, without attributes.
    rtlil : str
        The same, cell by cell: what `sim.netlist.rtlil.parse_module` reads.
    ports : tuple[Port, ...]
        Ports, clock and reset among them.
    flip_flops : tuple[FlipFlop, ...]
        Every register, sorted by name.
    memories : tuple[Memory, ...]
        Every memory, sorted by name.
    clock, reset : str
        Names of the ports; empty where the design has none.
    """

    top: str
    verilog: str
    rtlil: str
    ports: tuple[Port, ...]
    flip_flops: tuple[FlipFlop, ...]
    memories: tuple[Memory, ...]
    clock: str
    reset: str

    @classmethod
    def of(cls, component: object, name: str = "top") -> "Netlist":
        """Elaborates `component`, flattens it and enumerates its state."""
        netlist = _flatten(to_rtlil(component, name), name)
        held = state_of(component)
        return replace(
            netlist,
            flip_flops=tuple(replace(ff, held=held(ff.name)) for ff in netlist.flip_flops),
            memories=tuple(replace(memory, held=held(memory.name)) for memory in netlist.memories),
        )

    @cached_property
    def held(self) -> Mapping[str, Held]:
        """Returns what each register and memory is for, by name; those of which no unit says it are
        not in it.
        """
        states: list[FlipFlop | Memory] = [*self.flip_flops, *self.memories]
        return {state.name: state.held for state in states if state.held is not None}

    def names(self, *roles: Role) -> list[str]:
        """Registers and memories of some roles, by name."""
        return [name for name, held in self.held.items() if held.role in roles]

    def cone(self, output: str) -> "Netlist":
        """Returns the part of the design that an output depends on; all inputs stay."""
        module = parse_module(self.rtlil)
        for wire in module.wires.values():
            if wire.direction == "output" and wire.name != f"\\{output}":
                wire.direction = wire.options = ""
        found = run_yosys(_CLEAN, {"flat.il": module.to_text()}, ["cone.il"])["cone.il"]
        module = parse_module(found)
        left = {c.connections["\\Q"][0].wire for c in module.cells if c.type in ("$dff", "$dffe")}
        netlist = replace(
            self,
            verilog=_verilog(module.to_text()),
            rtlil=module.to_text(),
            ports=_ports(module),
            flip_flops=tuple(ff for ff in self.flip_flops if f"\\{ff.name}" in left),
            memories=tuple(m for m in self.memories if f"\\{m.name}" in module.memories),
        )
        _check_registers(netlist)
        return netlist

    def to_json(self) -> str:
        """Returns all of it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Netlist":
        """Returns the netlist that :meth:`to_json` wrote.

        Raises
        ------
        HoldfastError
            The text is no netlist.
        """
        content = parse_json(text, "netlist")
        try:
            for name, kind in (("ports", Port), ("flip_flops", FlipFlop), ("memories", Memory)):
                content[name] = tuple(kind(**_with_role(entry)) for entry in content[name])
            return cls(**content)
        except (KeyError, TypeError, ValueError):
            raise HoldfastError("netlist has other fields than this version writes.") from None

    @cached_property
    def hash(self) -> str:
        """Identifies the design by its content (hexadecimal SHA-256)."""
        return hashlib.sha256(self.verilog.encode()).hexdigest()


def _with_role(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of a port, register or memory as JSON has them, its role made one again."""
    held = entry.get("held")
    if held is None:
        return entry
    role, live = Role(held["role"]), tuple(held["live"])
    return entry | {"held": Held(role, held["place"], held["pipeline"], live)}


_FLATTEN = """
read_rtlil design.il
hierarchy -top {top}
proc -norom
flatten -separator __
opt_clean
write_rtlil flat.il
"""

_CLEAN = """
read_rtlil flat.il
opt_clean
write_rtlil cone.il
"""

_EMIT = """
read_rtlil flat.il
memory_collect
write_verilog -noattr design.v
"""


def _flatten(design: str, top: str) -> Netlist:
    flat = run_yosys(_FLATTEN.format(top=top), {"design.il": design}, ["flat.il"])["flat.il"]
    module = parse_module(flat)
    canonical = Canonical(module)
    canonical.run()
    rtlil = module.to_text()
    netlist = Netlist(
        top=top,
        verilog=_verilog(rtlil),
        rtlil=rtlil,
        ports=_ports(module),
        flip_flops=tuple(
            sorted(
                (FlipFlop(*register) for register in canonical.registers),
                key=lambda flip_flop: flip_flop.name,
            )
        ),
        memories=tuple(
            sorted(
                (Memory(m.name[1:], m.width, m.depth) for m in module.memories.values()),
                key=lambda memory: memory.name,
            )
        ),
        clock=canonical.clock,
        reset="rst" if "\\rst" in module.wires else "",
    )
    _check_registers(netlist)
    return netlist


def _verilog(rtlil: str) -> str:
    verilog = run_yosys(_EMIT, {"flat.il": rtlil}, ["design.v"])["design.v"]
    return re.sub(r"\A/\*.*?\*/\s*", "", verilog, flags=re.DOTALL)


def _ports(module: Module) -> tuple[Port, ...]:
    return tuple(
        Port(wire.name[1:], wire.width, wire.direction, wire.signed)
        for wire in module.wires.values()
        if wire.direction
    )


_REGISTER = re.compile(r"^  (?:output )?reg(?: signed)? (?:\[(\d+):0\] )?(\S+)(?: \[(\d+):0\])?")


def _check_registers(netlist: Netlist) -> None:
    """Asserts that the Verilog's registers are the enumerated ones, no more and no fewer."""
    found = set()
    for line in netlist.verilog.splitlines():
        match = _REGISTER.match(line)
        if match:
            width = int(match[1] or 0) + 1
            depth = int(match[3]) + 1 if match[3] else 0
            found.add((match[2].rstrip(";"), width, depth))
    expected = {(flip_flop.name, flip_flop.width, 0) for flip_flop in netlist.flip_flops}
    expected |= {(memory.name, memory.width, memory.depth) for memory in netlist.memories}
    if found != expected:
        raise AssertionError(
            f"registers of {netlist.top} differ from its enumeration: {sorted(found ^ expected)}"
        )
