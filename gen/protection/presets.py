"""Says which protections a unit can have, and the sets that go together, by name."""

from collections.abc import Mapping
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

NONE = "none"

UNITS: dict[str, dict[str, str]] = {
    "program": {"check_word": "program_check"},
    "parameters": {"parity": "parameter_parity"},
    "weights": {"parity": "weight_parity"},
    "control": {"signature": "schedule_signature"},
    "descriptor": {"parity": "descriptor_check"},
    "array": {"parity": "stationary_parity"},
    "lanes": {"parity": "lane_parity"},
}
"""By unit, what can protect it: mechanisms, and the protection of `registry` that each is."""

_LIGHT = ("program_check", "parameter_parity", "weight_parity", "schedule_signature")
_BALANCED = (*_LIGHT, "descriptor_check")
_STRONG = (*_BALANCED, "stationary_parity", "lane_parity")
PRESETS: dict[str, tuple[str, ...]] = {
    NONE: (),
    "light": _LIGHT,
    "balanced": _BALANCED,
    "strong": _STRONG,
}
"""``light``: what never changes during an inference, and the control. ``balanced``: the descriptor
as well. ``strong``: weights and parameters where they are held, too."""


def chosen(table: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """Returns the protections that a table names: ``preset``, and units that differ from it.

    Parameters
    ----------
    what : str
        Where the table is, for the sentence.

    Raises
    ------
    HoldfastError
        There is no such preset, unit or mechanism.
    """
    members = list(named_preset(table.get("preset", NONE)))
    for unit, mechanism in table.items():
        if unit == "preset":
            continue
        if unit not in UNITS:
            raise HoldfastError(
                f"{what} has an unknown unit {shown(unit)}; known are {', '.join(UNITS)}."
            )
        known = UNITS[unit]
        if mechanism not in [NONE, *known]:
            raise HoldfastError(
                f"{what}: {unit} can have {', '.join((NONE, *known))}, not {shown(mechanism)}."
            )
        members = [name for name in members if name not in known.values()]
        if mechanism != NONE:
            members.append(known[mechanism])
    order = [name for known in UNITS.values() for name in known.values()]
    return tuple(sorted(members, key=order.index))


def named_preset(name: Any) -> tuple[str, ...]:
    """Returns a preset's protections; HoldfastError if there is none of that name."""
    if name not in [*PRESETS]:
        raise HoldfastError(f"protection must be one of {', '.join(PRESETS)}, not {shown(name)}.")
    return PRESETS[name]


def preset_of(protections: tuple[str, ...]) -> str | None:
    """Returns the name of the preset that has these protections; None if there is none."""
    return next(
        (name for name, members in PRESETS.items() if set(members) == set(protections)), None
    )
