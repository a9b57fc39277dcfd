"""Families whose bitstreams nextpnr and a packer make."""

from dataclasses import dataclass
from typing import Any

from holdfast.constraints.boards import Board

from .base import Family


@dataclass(frozen=True)
class Program:
    """Names a tool: its native name, that of the wheel's program, and the package it comes in."""

    native: str
    wheel: str
    package: str


class NextpnrFamily(Family):
    """Places and routes a family with open tools.

    Attributes
    ----------
    arch : str
        What edalize calls it.
    placer, packer : Program
    packer_tool : str
        What edalize calls the packer.
    pins : str
        The type of the pin file, as edalize calls it.
    placed, bitstream : str
        Suffixes of what placement and the packer make.
    """

    arch: str
    placer: Program
    packer: Program
    packer_tool: str
    pins: str
    placed: str
    bitstream: str

    def options(self, board: Board, time_first: bool) -> list[str]:
        """Returns nextpnr's options beside those of every family."""
        return [*board.tools]

    def place_settings(self, board: Board) -> dict[str, Any]:
        """Returns further settings of edalize's nextpnr."""
        return {}

    def pack_settings(self, board: Board) -> dict[str, Any]:
        """Returns the settings of edalize's packer."""
        return {}
