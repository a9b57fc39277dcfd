"""Memories with a read and a write port made of the iCE40's single-ported SPRAM.

The accelerator reads and writes an activation bank in the same cycle; SPRAM has one port. It is
clocked at twice the core clock instead: the edge at the end of a core cycle reads, the one in the
middle of the next writes what the core asked for in the cycle before. The address to read is taken
in the middle of its cycle: the way to the corners of the device, where SPRAM is, is long.
"""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

_WORDS = 1 << 14
_SMALLEST = 1 << 13


class SpramLane(wiring.Component):
    """Holds one lane of a `gen.units.memory.LaneMemory` in one SPRAM; of its 16 bits half are used.

    Parameters
    ----------
    width, depth : int
        At most 16 bits, at most 16384 words.

    Members
    -------
    read_address, read_data
        Data follow one core cycle after the address, as those of any other memory.
    write_address, write_data, write_enable
        A word must not be used that was read while it was written.
    """

    def __init__(self, width: int, depth: int):
        if width > 16 or depth > _WORDS:
            raise ValueError(f"an SPRAM holds 16384 words of 16 bits, not {depth} of {width}")
        address_bits = max(1, (depth - 1).bit_length())
        super().__init__(
            {
                "read_address": In(address_bits),
                "read_data": Out(signed(width)),
                "write_address": In(address_bits),
                "write_data": In(signed(width)),
                "write_enable": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = len(self.write_data)
        # Toggles with the core clock; a copy one half cycle late tells the halves apart.
        turn, late = Signal(), Signal()
        address = Signal.like(self.write_address)
        asked = Signal.like(self.read_address)
        data = Signal(width)
        enable = Signal()
        m.d.sync += [
            turn.eq(~turn),
            address.eq(self.write_address),
            data.eq(self.write_data),
            enable.eq(self.write_enable),
        ]
        m.d.double += [late.eq(turn), asked.eq(self.read_address)]
        first_half = turn ^ late
        word = Signal(16)
        kept = Signal(width)
        m.submodules.cell = Instance(
            "SB_SPRAM256KA",
            i_CLOCK=ClockSignal("double"),
            i_ADDRESS=Mux(first_half, address, asked) | Const(0, 14),
            i_DATAIN=data | Const(0, 16),
            i_MASKWREN=0b1111,
            i_WREN=first_half & enable,
            i_CHIPSELECT=1, i_STANDBY=0, i_SLEEP=0, i_POWEROFF=1,
            o_DATAOUT=word,
        )  # fmt: skip
        with m.If(first_half):
            m.d.double += kept.eq(word)
        m.d.comb += self.read_data.eq(kept.as_signed())
        return m


class SpramPlatform:
    """Holds what `gen.units.memory` asks for the lanes of its memories: SPRAM for the deep ones."""

    def get_lane_memory(self, width: int, depth: int) -> SpramLane | None:
        """A lane in SPRAM, or None for one that is better off in block RAM."""
        return SpramLane(width, depth) if _SMALLEST <= depth <= _WORDS else None
