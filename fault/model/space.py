"""Every bit of state that a fault can hit, by structure.

    space = FaultSpace.of(netlist)
    space.bits("weight")                       # flip-flop and memory bits of a structure
    space.site("weight", 17)                   # the 17th of them: Site(signal, address, bit)

The space is the enumeration of the netlist that is simulated; every register and memory belongs to
exactly one structure, by the role that its unit gives it, and one without a role is an error, so
that nothing is left out.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Held, Role
from holdfast.gen.units.memory import LaneMemory
from holdfast.sim.netlist.netlist import FlipFlop, Memory, Netlist

_ROLES = {
    "pe_activation": (Role.PE_ACTIVATION,),
    "weight": (Role.PE_WEIGHT, Role.PE_SHADOW, Role.WEIGHT_ROW),
    "partial_sum": (Role.PE_PRODUCT, Role.PE_PARTIAL_SUM),
    "skew": (Role.INPUT_WORD, Role.INPUT_VECTOR, Role.ARRAY_SKEW, Role.RESIDUAL, Role.OUTPUT_SKEW),
    "accumulators": (
        Role.ACCUMULATOR_WORDS,
        Role.ACCUMULATOR_READ,
        Role.ACCUMULATOR_FETCHED,
        Role.ACCUMULATOR_STORED,
        Role.ACCUMULATOR_ADDEND,
        Role.ACCUMULATOR_TOTAL,
    ),
    "requantizer": (Role.REQUANTIZER, Role.LANE_BIAS, Role.LANE_PARAMETERS),
    "guard": (Role.GUARD, Role.GUARD_COUNTER),
    "activation_memory": (Role.ACTIVATION_WORDS, Role.ACTIVATION_PORT),
    "weight_memory": (Role.WEIGHT_WORDS, Role.WEIGHT_PORT),
    "parameter_memory": (Role.PARAMETER_WORDS, Role.PARAMETER_PORT),
    "program_memory": (Role.PROGRAM_WORDS, Role.PROGRAM_PORT),
    "sequencer": (Role.DESCRIPTOR_WORD, Role.DESCRIPTOR_INDEX, Role.CONTROL),
    "host": (Role.COUNTER, Role.HOST),
    "check": (Role.CHECK, Role.CHECK_WORDS),
}
_STRUCTURE = {role: name for name, roles in _ROLES.items() for role in roles}

STRUCTURES = tuple(_ROLES)
"""In the order of tables. ``weight``: weights and shadow weights of the PEs and the row on its way
to them; ``partial_sum``: with the product register; ``skew``: input stage, input and residual skew,
output alignment; ``accumulators`` and the four memories: with their registers; ``guard``: settings,
counters, flags (its bounds are in ``parameter_memory`` and ``requantizer``); ``sequencer``:
everything else that controls, tokens and addresses among it; ``host``: bus port and host
registers; ``check``: what protections hold."""


@dataclass(frozen=True)
class State:
    """Describes a register or memory.

    Attributes
    ----------
    signal : str
        Hierarchical name in the netlist.
    structure : str
        One of :data:`STRUCTURES`.
    kind : str
        ``"flip-flop"`` or ``"memory"``.
    width, depth : int
        Bits of a word, and words; a register has a depth of 1.
    held : Held
        Role and place.
    """

    signal: str
    structure: str
    kind: str
    width: int
    depth: int
    held: Held

    @property
    def bits(self) -> int:
        """Returns bits in all."""
        return self.width * self.depth


class Site(NamedTuple):
    """Names one bit of state; ``address`` is None in a register."""

    signal: str
    address: int | None
    bit: int


class FaultSpace:
    """Lists all state of a netlist.

    Parameters
    ----------
    states : sequence of State
        Sorted by name within each structure.
    """

    def __init__(self, states: tuple[State, ...]):
        self.states = states
        self._by_name = {state.signal: state for state in states}

    @classmethod
    def of(cls, netlist: Netlist) -> "FaultSpace":
        """Returns the fault space of an accelerator's netlist.

        Raises
        ------
        ValueError
            A register or memory that belongs to no structure.
        """
        states = []
        for register in netlist.flip_flops:
            role = (structure_of(register), "flip-flop", register.width, 1)
            states.append(State(register.name, *role, netlist.held[register.name]))
        for memory in netlist.memories:
            role = (structure_of(memory), "memory", memory.width, memory.depth)
            states.append(State(memory.name, *role, netlist.held[memory.name]))
        return cls(tuple(sorted(states, key=lambda state: state.signal)))

    def __getitem__(self, signal: str) -> State:
        return self._by_name[signal]

    def __contains__(self, signal: str) -> bool:
        return signal in self._by_name

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures that this netlist has, in the order of tables."""
        return tuple(name for name in STRUCTURES if name in self._groups)

    def members(self, structure: str) -> tuple[State, ...]:
        """Registers and memories of a structure, by name."""
        return self._groups[structure]

    def bits(self, structure: str | None = None) -> int:
        """Returns bits of a structure, or of all."""
        if structure is None:
            return sum(self._ends[name][-1] for name in self.structures)
        return self._ends[structure][-1]

    def population(self, cycles: int, structure: str | None = None) -> int:
        """Returns bits times cycles."""
        return self.bits(structure) * cycles

    def site(self, structure: str, index: int) -> Site:
        """Returns bit ``index`` of a structure, 0 to ``bits(structure) - 1``."""
        ends = self._ends[structure]
        if not 0 <= index < ends[-1]:
            raise IndexError(f"{structure} has {ends[-1]} bits, not {index}")
        position = bisect_right(ends, index)
        state = self._groups[structure][position]
        offset = index - (ends[position] - state.bits)
        word, bit = divmod(offset, state.width)
        return Site(state.signal, word if state.kind == "memory" else None, bit)

    @cached_property
    def _groups(self) -> dict[str, tuple[State, ...]]:
        groups: dict[str, list[State]] = {}
        for state in self.states:
            groups.setdefault(state.structure, []).append(state)
        return {name: tuple(members) for name, members in groups.items()}

    @cached_property
    def _ends(self) -> dict[str, list[int]]:
        return {
            name: list(accumulate(state.bits for state in members))
            for name, members in self._groups.items()
        }


def structure_of(state: FlipFlop | Memory) -> str:
    """Returns the structure that a register or memory belongs to.

    Raises
    ------
    ValueError
        No unit says what it is for.
    """
    if state.held is None:
        raise ValueError(f"{state.name} belongs to no structure of the fault space")
    return _STRUCTURE[state.held.role]


def check_row(config: AcceleratorConfig, held: Held, address: int) -> int | None:
    """Returns the row of weights whose check bits a word of a memory holds; None of others."""
    if held.role is not Role.CHECK_WORDS:
        return None
    return address + (LaneMemory.split(config.weight_depth)[0] if held.place["part"] else 0)


def weight_word(config: AcceleratorConfig, held: Held, address: int) -> tuple[int, int] | None:
    """Returns lane and word of the weights that a memory's word holds; None of another memory."""
    if held.role is not Role.WEIGHT_WORDS:
        return None
    first = LaneMemory.split(config.weight_depth)[0] if held.place["part"] else 0
    return int(held.place["lane"]), address + first
