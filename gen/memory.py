"""Memories, and memories made of lanes."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig

__all__ = ["LaneMemory", "cells", "weight_memory"]


def cells(width: int, depth: int) -> memory.Memory:
    """A memory of zeros whose reader never uses a word of the cycle in which it is written.

    Synthesis may then return anything for it, which saves the logic that block RAM otherwise needs;
    simulation returns the old word.
    """
    return memory.Memory(shape=width, depth=depth, init=[], attrs={"no_rw_check": 1})


class LaneMemory(wiring.Component):
    """One read and one write port; every lane has its own address and write enable.

    A platform with ``get_lane_memory(width, depth)`` may return a component with the members below,
    for one lane, to be used instead of a memory that synthesis maps.

    Parameters
    ----------
    lanes, width, depth : int
        Lanes, signed bits per lane, words.
    split : bool
        Beyond ``DEEPEST`` words, make each lane of two memories, the largest power of two of words
        and the rest: the first then fits the narrowest, deepest shape of block RAM, which needs the
        least logic to choose between blocks.

    Members
    -------
    read_address, read_data
        Data follow one cycle after the address.
    write_address, write_data, write_enable
        A word must not be used that was read while it was written.
    """

    DEEPEST = 1 << 14

    def __init__(self, lanes: int, width: int, depth: int, split: bool = False):
        self._lanes, self._width = lanes, width
        most = 1 << (depth.bit_length() - 1)
        self.parts = [most, depth - most] if split and most >= self.DEEPEST else [depth, 0]
        addresses = data.ArrayLayout(max(1, (depth - 1).bit_length()), lanes)
        words = data.ArrayLayout(signed(width), lanes)
        super().__init__(
            {
                "read_address": In(addresses),
                "read_data": Out(words),
                "write_address": In(addresses),
                "write_data": In(words),
                "write_enable": In(lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        first, rest = self.parts
        address_bits = len(self.read_address[0])
        choose = getattr(platform, "get_lane_memory", None)
        for lane in range(self._lanes):
            if choose is not None and not rest:
                chosen = choose(self._width, first)
                if chosen is not None:
                    m.submodules[f"lane_{lane}"] = chosen
                    m.d.comb += [
                        chosen.read_address.eq(self.read_address[lane]),
                        self.read_data[lane].eq(chosen.read_data),
                        chosen.write_address.eq(self.write_address[lane]),
                        chosen.write_data.eq(self.write_data[lane]),
                        chosen.write_enable.eq(self.write_enable[lane]),
                    ]
                    continue
            m.submodules[f"lane_{lane}"] = store = cells(self._width, first)
            read, write = store.read_port(), store.write_port()
            m.d.comb += [
                read.addr.eq(self.read_address[lane]),
                self.read_data[lane].eq(read.data.as_signed()),
                write.addr.eq(self.write_address[lane]),
                write.data.eq(self.write_data[lane]),
                write.en.eq(self.write_enable[lane]),
            ]
            if rest:
                m.submodules[f"lane_{lane}_rest"] = store = cells(self._width, rest)
                read_rest, write_rest = store.read_port(), store.write_port()
                in_rest = Signal(name=f"in_rest_{lane}")
                m.d.sync += in_rest.eq(self.read_address[lane][address_bits - 1])
                m.d.comb += [
                    read_rest.addr.eq(self.read_address[lane]),
                    write_rest.addr.eq(self.write_address[lane]),
                    write_rest.data.eq(self.write_data[lane]),
                    write_rest.en.eq(
                        self.write_enable[lane] & self.write_address[lane][address_bits - 1]
                    ),
                    write.en.eq(
                        self.write_enable[lane] & ~self.write_address[lane][address_bits - 1]
                    ),
                ]
                with m.If(in_rest):
                    m.d.comb += self.read_data[lane].eq(read_rest.data.as_signed())
        return m


def weight_memory(config: AcceleratorConfig) -> LaneMemory:
    """The memory of an accelerator's weights."""
    return LaneMemory(config.cols, config.weight_bits, config.weight_depth, split=True)
