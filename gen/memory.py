"""Memories made of lanes."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LaneMemory"]


class LaneMemory(wiring.Component):
    """One read and one write port; every lane has its own address and write enable.

    Parameters
    ----------
    lanes, width, depth : int
        Lanes, signed bits per lane, words.

    Members
    -------
    read_address, read_data
        Data follow one cycle after the address.
    write_address, write_data, write_enable
        A word read while it is written is the old one.
    """

    def __init__(self, lanes: int, width: int, depth: int):
        self._lanes, self._width, self._depth = lanes, width, depth
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
        for lane in range(self._lanes):
            cells = memory.Memory(shape=self._width, depth=self._depth, init=[])
            m.submodules[f"lane_{lane}"] = cells
            read = cells.read_port()
            write = cells.write_port()
            m.d.comb += [
                read.addr.eq(self.read_address[lane]),
                self.read_data[lane].eq(read.data.as_signed()),
                write.addr.eq(self.write_address[lane]),
                write.data.eq(self.write_data[lane]),
                write.en.eq(self.write_enable[lane]),
            ]
        return m
