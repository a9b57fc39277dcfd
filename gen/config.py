"""Says what an accelerator is made of, validated, read from and written to TOML."""

import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from holdfast.base.errors import HoldfastError
from holdfast.base.files import read_toml
from holdfast.base.text import printable, shown

from .protection.presets import chosen, preset_of
from .window import REGION_BITS, word_stride

ROUNDINGS = ("half_up", "half_even", "floor")

_BOUNDS = {
    "rows": (1, 16),
    "cols": (1, 16),
    "act_bits": (2, 8),
    "weight_bits": (2, 8),
    "acc_bits": (8, 32),
    "multiplier_bits": (0, 24),
    "act_banks": (2, 4),
    "act_depth": (1, 1 << 16),
    "weight_depth": (1, 1 << 20),
    "acc_depth": (1, 1 << 12),
    "param_depth": (1, 1 << 14),
    "program_depth": (1, 1 << 12),
}


_KINDS = {
    "int": "an integer",
    "str": "a string",
    "bool": "true or false",
    "tuple": "a list of names",
}


@dataclass(frozen=True)
class AcceleratorConfig:
    """Parameters of one accelerator.

    Parameters
    ----------
    rows, cols
        Size of the systolic array, 1 to 16 each: input channels times output channels.
    act_bits, weight_bits
        Signed code widths, 2 to 8.
    acc_bits
        Width of partial sums and accumulators, 8 to 32; arithmetic wraps modulo ``2**acc_bits``.
    multiplier_bits
        Width of the unsigned requantization multiplier, 0 (power-of-two scales, no multiplier)
        to 24.
    rounding
        ``half_up``, ``half_even`` or ``floor``.
    guard
        Whether the range guard is in the netlist; it is switched by a register.
    learnt_bounds
        Whether that guard checks outputs against learnt bounds of their channel, and inputs too.
        Without, it replaces by the zero point every output that is further from it than two ranges
        of the codes, for a fifth of the area.
    act_banks
        Activation memories with one read and one write port each, 2 to 4. A residual is read from
        another bank than the layer's input.
    act_depth
        Words of each activation bank; a word holds ``word_lanes`` codes of one pixel.
        0: room for 32,768 codes.
    weight_depth
        Words of the weight memory; a word holds ``cols`` weights. At least ``rows``, at
        most 4 MiB, of a power of two of bytes a word. 0: room for 294,912 weights.
    acc_depth
        Output pixels that the accumulators hold.
    param_depth
        Output channels that the parameter memory holds; at least ``cols``.
    program_depth
        Layer descriptors that the program memory holds.
    dataflow
        Its name in ``gen.dataflow.registry``.
    protections
        Names in ``gen.protection.registry`` of what protects it beside the range guard.

    Raises
    ------
    HoldfastError
        A value is outside its bounds.
    """

    rows: int = 8
    cols: int = 8
    act_bits: int = 8
    weight_bits: int = 8
    acc_bits: int = 24
    multiplier_bits: int = 16
    rounding: str = "half_up"
    guard: bool = True
    learnt_bounds: bool = True
    act_banks: int = 2
    act_depth: int = 0
    weight_depth: int = 0
    acc_depth: int = 1024
    param_depth: int = 1024
    program_depth: int = 64
    dataflow: str = "weight_stationary"
    protections: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.protections, list):
            object.__setattr__(self, "protections", tuple(self.protections))
        for field in fields(self):
            value = getattr(self, field.name)
            kind = getattr(field.type, "__name__", str(field.type))
            if type(value).__name__ != kind:
                wanted = _KINDS[kind]
                raise HoldfastError(f"{field.name} must be {wanted}, not {shown(value)}.")
        for name, per_word in (("act_depth", "word_lanes"), ("weight_depth", "cols")):
            if getattr(self, name) == 0 and 1 <= self.rows <= 16 and 1 <= self.cols <= 16:
                room = {"act_depth": 32768, "weight_depth": 294912}[name]
                object.__setattr__(self, name, -(-room // getattr(self, per_word)))
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise HoldfastError(f"{name} must be {low} to {high}, not {shown(value)}.")
        if self.rounding not in ROUNDINGS:
            raise HoldfastError(
                f"rounding must be one of {', '.join(ROUNDINGS)}, not {shown(self.rounding)}."
            )
        for name in (self.dataflow, *self.protections):
            if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name)):
                raise HoldfastError(
                    "dataflow and protections are names of small letters, digits and _, "
                    f"not {shown(name)}."
                )
        for name, unit in (("weight_depth", "rows"), ("param_depth", "cols")):
            if getattr(self, name) < getattr(self, unit):
                raise HoldfastError(
                    f"{name} must be at least {unit} = {getattr(self, unit)}, "
                    f"not {getattr(self, name)}."
                )
        words = (1 << REGION_BITS) // word_stride(self.weight_bytes)
        if self.weight_depth > words:
            raise HoldfastError(
                f"weight_depth must be at most {words} where cols is {self.cols}, the words that "
                f"the bus can address, not {self.weight_depth}."
            )
        if self.acc_bits < self.act_bits + self.weight_bits:
            raise HoldfastError(
                f"acc_bits must be at least act_bits + weight_bits = "
                f"{self.act_bits + self.weight_bits}, not {self.acc_bits}."
            )

    @property
    def word_lanes(self) -> int:
        """Returns codes in an activation word: the multiple of the rows that covers the columns."""
        return self.rows * self.sub_blocks

    @property
    def weight_bytes(self) -> int:
        """Bytes of a weight word on the bus: one for each column, and one of check bits if any."""
        return self.cols + ("weight_parity" in self.protections)

    @property
    def sub_blocks(self) -> int:
        """Returns channel blocks of ``rows`` codes in one activation word."""
        return -(-self.cols // self.rows)

    @property
    def add_multiplier_bits(self) -> int:
        """Returns the width of the residual add's multipliers."""
        return max(self.multiplier_bits, 8)

    @property
    def learnt_guard(self) -> bool:
        """Tells whether the guard has learnt bounds."""
        return self.guard and self.learnt_bounds

    @property
    def guard_bits(self) -> int:
        """Returns the width of an output bound."""
        return self.act_bits + 8

    @property
    def max_shift(self) -> int:
        """Returns the largest requantization shift."""
        return self.acc_bits + self.multiplier_bits - 1

    @property
    def signature(self) -> int:
        """Returns 16 bits that tell which descriptors and parameters the accelerator takes."""
        facts: list[int | str]
        facts = [self.rows, self.cols, self.act_bits, self.weight_bits, self.acc_bits]
        facts += [self.multiplier_bits, ROUNDINGS.index(self.rounding)]
        facts += [self.dataflow] * (self.dataflow != AcceleratorConfig.dataflow)
        facts += self.protections
        return crc32(repr(facts).encode()) & 0xFFFF

    @property
    def name(self) -> str:
        """Returns the short name: array size, widths and guard, such as ``8x8_a8w8_guard``;
        ``_fixedguard`` has no learnt bounds.
        """
        guard = "_guard" if self.learnt_guard else "_fixedguard" if self.guard else ""
        more = "".join(f"_{name}" for name in self.protections)
        if self.protections and preset_of(self.protections):
            more = f"_{preset_of(self.protections)}"
        return f"{self.rows}x{self.cols}_a{self.act_bits}w{self.weight_bits}{guard}{more}"

    @property
    def values(self) -> dict[str, Any]:
        """Returns values by name; dataflow and protections only if they are not the default."""
        values = asdict(self)
        for name in ("dataflow", "protections"):
            if values[name] == getattr(AcceleratorConfig, name):
                del values[name]
        return values

    def with_(self, **changes: Any) -> "AcceleratorConfig":
        """Returns a copy with some values changed, validated; depths of 0 are derived again."""
        return replace(self, **changes)

    @classmethod
    def from_toml(cls, path: str | Path) -> "AcceleratorConfig":
        """Reads a configuration; missing keys take their defaults.

        Raises
        ------
        HoldfastError
            The file is missing, is not TOML, or holds an unknown key or a bad value.
        """
        values = read_toml(Path(path), "configuration")
        if "protection" in values:
            table = values.pop("protection")
            if not isinstance(table, dict) or "protections" in values:
                raise HoldfastError(
                    f"configuration {printable(path)} must name its protections once, in a table "
                    "protection or in a list protections."
                )
            named = chosen(table, f"protection in configuration {printable(path)}")
            values["protections"] = list(named)
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise HoldfastError(
                    f"configuration {printable(path)} has an unknown key {shown(key)}; "
                    f"known are {', '.join(known)}."
                )
        return cls(**values)

    def to_toml(self) -> str:
        """Returns the configuration as TOML, every value explicit."""
        lines = []
        for key, value in self.values.items():
            shape = list(value) if isinstance(value, tuple) else value
            text = str(shape).lower() if isinstance(shape, bool) else repr(shape).replace("'", '"')
            lines.append(f"{key} = {text}\n")
        return "".join(lines)
