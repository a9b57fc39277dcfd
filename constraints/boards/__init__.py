"""The boards: one TOML file each with what is on it, and a pin file in the vendor's format.

board = find_board("ulx3s")
board.config, board.core_mhz, board.pin_file
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Board:
    """Holds what is on a board, and how the accelerator is put on it.

    Attributes
    ----------
    name, title : str
        Name in commands, and in print.
    family : str
        A key of `constraints.families.registry.FAMILIES`.
    part, package : str
        As the family's tools call them; ``package`` is empty where the part includes it.
    tools : tuple of str
        Options that choose the device in nextpnr.
    clock_mhz, core_mhz : float
        Oscillator, and the clock that the accelerator has to reach.
    transport : str
        ``uart`` or ``axi``.
    baud : int
        Bits per second of the serial port; 0 without.
    checksum : bool
        Whether the serial port knows commands with a checksum.
    leds : int
        Light-emitting diodes that are used: heartbeat, run ended, and so on.
    leds_low, button_low : bool
        Whether they light, or read as pressed, when low.
    memory : str
        What the memories are made of.
    lut, ff, dsp, mem : int
        What the device has, in the units of `constraints.families.base.Cost`.
    source : str
        Where the pins are from.
    config : AcceleratorConfig
        What is built without ``--config``.
    """

    name: str
    title: str
    family: str
    part: str
    package: str
    tools: tuple[str, ...]
    clock_mhz: float
    core_mhz: float
    transport: str
    baud: int
    checksum: bool
    leds: int
    leds_low: bool
    button_low: bool
    memory: str
    lut: int
    ff: int
    dsp: int
    mem: int
    source: str
    config: AcceleratorConfig

    @property
    def pin_file(self) -> Path:
        """Pins, in the format of the family's tools."""
        found = (path for path in _FOLDER.glob(f"{self.name}.*") if path.suffix != ".toml")
        return next(found)

    @property
    def divisor(self) -> int:
        """Returns core clock cycles per bit of the serial port."""
        return round(self.core_mhz * 1e6 / self.baud)


def board_names() -> list[str]:
    """Names of all boards."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def find_board(name: str) -> Board:
    """Returns a board by its name.

    Raises
    ------
    HoldfastError
        There is none.
    """
    if name not in board_names():
        raise HoldfastError(
            f"there is no board {shown(name)}; known are {', '.join(board_names())}."
        )
    values: dict[str, Any] = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    values["tools"] = tuple(values["tools"])
    return Board(**values | {"name": name, "config": AcceleratorConfig(**values["config"])})
