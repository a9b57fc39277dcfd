"""Says what each register and memory is for, said by the unit that has it.

    class Counter(wiring.Component):
        STATE = {"value": Kind(Role.COUNTER)}

    held = state_of(Accelerator(config))
    held("array__pe_3_4__weight")        # Held(Role.PE_WEIGHT, {"row": 3, "col": 4}, ...)

``STATE`` maps regular expressions of a unit's own names to kinds; named groups become the place. A
name that a unit does not know is looked up in the unit around it, where it has the inner unit's
name in front. So nothing outside `gen` spells a name of the hardware.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from amaranth.hdl import Fragment

_LEVEL = "__"
T = TypeVar("T")


class Role(StrEnum):
    """Holds what state holds."""

    PE_ACTIVATION = "pe_activation"
    PE_WEIGHT = "pe_weight"
    PE_SHADOW = "pe_shadow"
    PE_PRODUCT = "pe_product"
    PE_PARTIAL_SUM = "pe_partial_sum"
    WEIGHT_ROW = "weight_row"
    """A row of weights on its way to the shadows."""
    ARRAY_SKEW = "array_skew"
    INPUT_WORD = "input_word"
    """The codes of one pixel as they leave the memory."""
    INPUT_VECTOR = "input_vector"
    """The same, padding in its place, as they enter the array."""
    OUTPUT_SKEW = "output_skew"
    RESIDUAL = "residual"
    ACCUMULATOR_WORDS = "accumulator_words"
    ACCUMULATOR_READ = "accumulator_read"
    ACCUMULATOR_FETCHED = "accumulator_fetched"
    ACCUMULATOR_STORED = "accumulator_stored"
    ACCUMULATOR_ADDEND = "accumulator_addend"
    ACCUMULATOR_TOTAL = "accumulator_total"
    REQUANTIZER = "requantizer"
    LANE_BIAS = "lane_bias"
    LANE_PARAMETERS = "lane_parameters"
    """A channel's parameters in the form in which its requantizer takes them."""
    GUARD = "guard"
    GUARD_COUNTER = "guard_counter"
    ACTIVATION_WORDS = "activation_words"
    ACTIVATION_PORT = "activation_port"
    WEIGHT_WORDS = "weight_words"
    WEIGHT_PORT = "weight_port"
    PARAMETER_WORDS = "parameter_words"
    PARAMETER_PORT = "parameter_port"
    PROGRAM_WORDS = "program_words"
    PROGRAM_PORT = "program_port"
    DESCRIPTOR_WORD = "descriptor_word"
    DESCRIPTOR_INDEX = "descriptor_index"
    CONTROL = "control"
    """State machines, addresses, and tokens that travel with the pixels."""
    CHECK = "check"
    """Of a protection; nothing that is computed depends on it."""
    CHECK_WORDS = "check_words"
    COUNTER = "counter"
    """Of cycles; read by nothing but the host."""
    HOST = "host"


@dataclass(frozen=True)
class Kind:
    """Holds what a unit says of some of its state.

    Attributes
    ----------
    role : Role
    pipeline : bool
        Written before it is used from a layer's first pixel on: before it the value does not
        matter.
    live : tuple of str
        Next to the idle accelerator: ``layer`` if the next layer depends on it when the host has
        written nothing but a start, ``inference`` if the next inference does.
    """

    role: Role
    pipeline: bool = False
    live: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
    """Holds what one register or memory is for.

    Attributes
    ----------
    place : Mapping
        Where it is, such as ``row`` and ``col``, ``lane``, ``bank``, ``word`` or ``field``.
    """

    role: Role
    place: Mapping[str, int | str] = field(default_factory=dict)
    pipeline: bool = False
    live: tuple[str, ...] = ()


def at(component: T, **place: int | str) -> T:
    """Say where a component is, and return it."""
    component.place = place  # type: ignore[attr-defined]
    return component


def state_of(component: Any) -> Callable[[str], Held | None]:
    """Elaborates a component; returns what a flattened name in it is for, None if nobody says."""
    units = dict(_units(Fragment.get(component, None), (), {}))

    def held(name: str) -> Held | None:
        parts = name.split(_LEVEL)
        for depth in range(len(parts) - 1, -1, -1):
            unit, place = units.get(tuple(parts[:depth]), (None, {}))
            local = _LEVEL.join(parts[depth:])
            for pattern, kind in getattr(unit, "STATE", {}).items():
                if match := re.fullmatch(pattern, local):
                    found = {
                        key: int(text) if text.isdigit() else text
                        for key, text in match.groupdict(default="").items()
                    }
                    return Held(kind.role, {**place, **found}, kind.pipeline, kind.live)
        return None

    return held


def _units(
    fragment: Any, path: tuple[str, ...], place: Mapping[str, int | str]
) -> Iterator[tuple[tuple[str, ...], tuple[Any, Mapping[str, int | str]]]]:
    """Every named unit of a hierarchy, with its place, those of the units around it included."""
    unit = (fragment.origins or [None])[0]
    place = {**place, **getattr(unit, "place", {})}
    yield path, (unit, place)
    for inner, name, _ in fragment.subfragments:
        if name:
            yield from _units(inner, (*path, name), place)
