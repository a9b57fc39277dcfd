"""Shapes that the units share: the decoded descriptor and the token that travels with a pixel."""

from math import gcd

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR

Layer = data.StructLayout(
    {
        field.name: signed(field.width) if field.signed else unsigned(field.width)
        for field in DESCRIPTOR
    }
)
"""A descriptor's fields by name."""


class Token(data.Struct):
    """Holds what the pixel in a pipeline stage means; all zero in a bubble."""

    valid: 1
    start: 1
    """First pixel of a tile."""
    end: 1
    """Last pixel of a tile."""
    first: 1
    """First reduction tile: nothing accumulated yet."""
    last: 1
    """Last reduction tile: the sum is complete."""


def lane_offsets(config: AcceleratorConfig) -> list[int]:
    """Lanes of an activation word at which an output tile can begin."""
    return list(range(0, config.word_lanes, gcd(config.cols, config.word_lanes)))
