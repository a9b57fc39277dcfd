"""An environment file: how often bits are upset, says whom, and in which kind of memory they lie.

    environment = Environment.read(Path("leo.toml"))
    environment.fit("weight_memory", memory=True)      # upsets of a bit in 1e9 hours

::

    format = 1
    source = "Test report 12, table 3, neutrons at sea level"
    unit = "FIT/Mbit"            # of the rates; or FIT/Mibit, upsets/bit/day, cm2/bit
    covered = ["stopped"]        # effects that the system around notices and makes safe

    [rates]
    flip_flop = 40
    block_ram = 70.5

    [memories]                   # those that do not lie in block RAM
    program_memory = "lut_ram"

A unit of ``cm2/bit`` is that of cross-sections, and needs ``flux``, in particles per cm2 and hour.
A Mbit has 10**6 bits, a Mibit 2**20.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.files import read_toml
from holdfast.base.text import printable, shown
from holdfast.fault.model.space import STRUCTURES, FaultSpace

KINDS = ("flip_flop", "block_ram", "lut_ram", "ultra_ram", "other_ram")
"""Kinds of bits; all but the first are of memories."""
UNITS = {"FIT/Mbit": 1e-6, "FIT/Mibit": 2.0**-20, "upsets/bit/day": 1e9 / 24, "cm2/bit": 1e9}
"""Upsets of a bit in 1e9 hours by the unit of its rate; times the flux for a cross-section."""
COVERED = ("stopped", "hang")
_KEYS = ("format", "source", "unit", "flux", "covered", "rates", "memories")
_FORMAT, _LONGEST, _MOST = 1, 500, 1e15


@dataclass(frozen=True)
class Environment:
    """Holds upset rates.

    Attributes
    ----------
    source : str
        Where the rates are from.
    unit : str
        One of :data:`UNITS`, that of ``rates``.
    rates : Mapping
        By kind of bit.
    flux : float or None
        Particles per cm2 and hour, with ``cm2/bit``.
    memories : Mapping
        Kinds of the structures whose memories do not lie in block RAM.
    covered : tuple of str
        Effects that the system notices: of ``stopped`` and ``hang``.
    """

    source: str
    unit: str
    rates: Mapping[str, float]
    flux: float | None = None
    memories: Mapping[str, str] = field(default_factory=dict)
    covered: tuple[str, ...] = ("stopped",)

    @classmethod
    def read(cls, path: Path) -> "Environment":
        """Reads a file.

        Raises
        ------
        HoldfastError
            It is no environment file, or a rate is negative or no number.
        """
        name = f"environment {printable(path)}"
        found = read_toml(path, "environment")
        if found.get("format") != _FORMAT:
            raise HoldfastError(
                f"{name} must begin with format = {_FORMAT}, not {shown(found.get('format'))}."
            )
        _known(name, "key", found, _KEYS)
        source = found.get("source")
        if not isinstance(source, str) or not source.strip() or len(source) > _LONGEST:
            raise HoldfastError(
                f"{name} must name the source of its rates, in 1 to {_LONGEST} characters."
            )
        unit = found.get("unit")
        if not isinstance(unit, str) or unit not in UNITS:
            raise HoldfastError(f"{name}: unit must be {', '.join(UNITS)}, not {shown(unit)}.")
        rates = _table(name, "rates", found)
        _known(name, "kind of bit", rates, KINDS)
        memories = _table(name, "memories", found)
        _known(name, "structure", memories, STRUCTURES)
        for structure, kind in memories.items():
            if kind not in KINDS[1:]:
                raise HoldfastError(
                    f"{name}: {structure} must lie in {', '.join(KINDS[1:])}, not {shown(kind)}."
                )
        flux = found.get("flux")
        if (unit == "cm2/bit") != (flux is not None):
            needs = "needs a flux" if flux is None else "goes without a flux"
            raise HoldfastError(f"{name}: a rate in {unit} {needs}.")
        covered = found.get("covered", ["stopped"])
        if not isinstance(covered, list) or any(effect not in COVERED for effect in covered):
            raise HoldfastError(
                f"{name}: covered must be a list of {' and '.join(COVERED)}, not {shown(covered)}."
            )
        return cls(
            source.strip(), unit, {kind: _rate(name, kind, v) for kind, v in rates.items()},
            None if flux is None else _rate(name, "flux", flux), memories, tuple(covered),
        )  # fmt: skip

    def kind(self, structure: str, memory: bool) -> str:
        """Returns the kind of a structure's bits."""
        return self.memories.get(structure, "block_ram") if memory else "flip_flop"

    def fit(self, structure: str, memory: bool) -> float:
        """Returns how often a bit is upset in 1e9 hours.

        Raises
        ------
        HoldfastError
            There is no rate of its kind.
        """
        kind = self.kind(structure, memory)
        if kind not in self.rates:
            raise HoldfastError(
                f"the environment has no rate of {kind}, in which bits of {structure} lie."
            )
        return self.rates[kind] * UNITS[self.unit] * (1.0 if self.flux is None else self.flux)

    def check(self, space: FaultSpace) -> None:
        """Raises a HoldfastError where a bit of a design has no rate."""
        for state in space.states:
            self.fit(state.structure, state.kind == "memory")


def _table(name: str, key: str, found: Mapping[str, Any]) -> dict[str, Any]:
    table = found.get(key, {})
    if not isinstance(table, dict):
        raise HoldfastError(f"{name}: {key} must be a table, not {shown(table)}.")
    return table


def _known(name: str, what: str, found: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in found:
        if key not in known:
            raise HoldfastError(
                f"{name}: {what} {shown(key)} is not known; known are {', '.join(known)}."
            )


def _rate(name: str, key: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MOST:
        raise HoldfastError(f"{name}: {key} must be 0 to {_MOST:g}, not {shown(value)}.")
    return float(value)
