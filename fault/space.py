"""Every bit of state that a fault can hit, by structure.

    space = FaultSpace.of(netlist)
    space.bits("weight")                       # flip-flop and memory bits of a structure
    space.site("weight", 17)                   # the 17th of them: Site(signal, address, bit)

The space is the enumeration of the netlist that is simulated; every register and memory belongs to
exactly one structure, and one that no rule knows is an error, so that nothing is left out.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from gen.config import AcceleratorConfig
from gen.memory import LaneMemory
from sim.netlist import Netlist

__all__ = ["STRUCTURES", "FaultSpace", "Site", "State", "weight_word"]

_RULES = (
    # What exists only for the guard; its bounds lie beside the other channel parameters.
    (
        "guard",
        r"control_guard_\w+|guard_(?:input|output)(?:_count_now\w*)?|input_stage__(?:checked\w*|below|above)",
    ),
    (
        "guard",
        r"lanes__requantizer_\d+__(?:smaller|larger|outside)|lanes__channel_setup__guard_\w+",
    ),
    ("activation_memory", r"activations_\d+__lane_\d+(?:__read\d+)?"),
    ("weight_memory", r"weights__(?:in_rest|lane)_\d+(?:_rest)?(?:__read\d+)?"),
    ("weight_memory", r"weights__read_address_\d+"),
    ("parameter_memory", r"parameters_[a-z]+(?:_word|__read\d+)?"),
    ("program_memory", r"descriptors(?:__read\d+)?"),
    ("pe_activation", r"array__pe_\d+_\d+__activation"),
    ("weight", r"array__pe_\d+_\d+__(?:weight|shadow)|weight"),
    ("partial_sum", r"array__pe_\d+_\d+__(?:product|partial_sum)"),
    # Control that travels with the pixels.
    ("sequencer", r"array__pe_\d+_\d+__swap|array__swap_skew__\w+|(?:swap|token)(?:_\d+)?"),
    ("sequencer", r"lanes__(?:token|pixel)(?:_\d+)?|lanes__chained"),
    ("sequencer", r"input_stage__(?:pad\w*|sub_block\w*)"),
    ("skew", r"input_stage__(?:selected|act)\w*|array__skew__\w+"),
    ("skew", r"residual_reader__codes\w*|lanes__(?:residual|present)_skew__\w+|lanes__align__\w+"),
    ("accumulators", r"lanes__accumulator_\d+__\w+"),
    ("requantizer", r"lanes__requantizer_\d+__\w+|lanes__(?:bias|parameters)_\d+"),
    ("requantizer", r"lanes__\w+_setup__\w+|lanes__codes?\w*"),
    ("sequencer", r"(?:sequencer|feeder|weight_loader|parameter_loader|residual_reader)__\w+"),
    ("sequencer", r"output_writer__\w+|input_bank|residual_bank|sub_block"),
    ("sequencer", r"for_(?:feeder|residual)_\d+"),
    ("host", r"axi__\w+|host__\w+|control_interrupt|first|count|ready|refused"),
    (
        "host",
        r"weights__write_(?:address|data|enable)_\d+|written_in_run|busy_now|started|(?:activation|program)_word|refusal",
    ),
    ("host", r"cycles|stream(?:_now)?|stall_\w+|register_data|region_read|offset_read"),
)
_PATTERNS = tuple((structure, re.compile(pattern)) for structure, pattern in _RULES)

STRUCTURES = (
    "pe_activation",
    "weight",
    "partial_sum",
    "skew",
    "accumulators",
    "requantizer",
    "guard",
    "activation_memory",
    "weight_memory",
    "parameter_memory",
    "program_memory",
    "sequencer",
    "host",
)
"""In the order of tables. ``weight``: weights and shadow weights of the PEs and the row on its way
to them; ``partial_sum``: with the product register; ``skew``: input stage, input and residual skew,
output alignment; ``accumulators`` and the four memories: with their registers; ``guard``: settings,
counters, flags (its bounds are in ``parameter_memory`` and ``requantizer``); ``sequencer``:
everything
else that controls, tokens and addresses among it; ``host``: bus port and host registers."""


@dataclass(frozen=True)
class State:
    """A register or memory.

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
    """

    signal: str
    structure: str
    kind: str
    width: int
    depth: int

    @property
    def bits(self) -> int:
        """Bits in all."""
        return self.width * self.depth


@dataclass(frozen=True)
class Site:
    """One bit of state; ``address`` is None in a register."""

    signal: str
    address: int | None
    bit: int


class FaultSpace:
    """All state of a netlist.

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
        """The fault space of an accelerator's netlist.

        Raises
        ------
        ValueError
            A register or memory that belongs to no structure.
        """
        states = [
            State(ff.name, structure_of(ff.name), "flip-flop", ff.width, 1)
            for ff in netlist.flip_flops
        ]
        states += [
            State(memory.name, structure_of(memory.name), "memory", memory.width, memory.depth)
            for memory in netlist.memories
        ]
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
        """Bits of a structure, or of all."""
        if structure is None:
            return sum(self._ends[name][-1] for name in self.structures)
        return self._ends[structure][-1]

    def population(self, cycles: int, structure: str | None = None) -> int:
        """Bits times cycles."""
        return self.bits(structure) * cycles

    def site(self, structure: str, index: int) -> Site:
        """Bit ``index`` of a structure, 0 to ``bits(structure) - 1``."""
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


def structure_of(signal: str) -> str:
    """The structure that a register or memory belongs to.

    Raises
    ------
    ValueError
        No rule knows it.
    """
    for structure, pattern in _PATTERNS:
        if pattern.fullmatch(signal):
            return structure
    raise ValueError(f"{signal} belongs to no structure of the fault space")


def weight_word(config: AcceleratorConfig, memory: str, address: int) -> tuple[int, int] | None:
    """Lane and word of the weights that a word of a memory holds; None of another memory."""
    match = re.fullmatch(r"weights__lane_(\d+)(_rest)?", memory)
    if match is None:
        return None
    return int(match[1]), address + (_first_weights(config) if match[2] else 0)


def _first_weights(config: AcceleratorConfig) -> int:
    """Words of a lane that its first memory holds."""
    return LaneMemory.split(config.weight_depth)[0]
