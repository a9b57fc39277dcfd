"""Memories, and memories made of lanes."""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role


def cells(width: int, depth: int) -> memory.Memory:
    """A memory of zeros whose reader never uses a word of the cycle in which it is written.

    Synthesis may then return anything for it, which saves the logic that block RAM otherwise needs;
    simulation returns the old word.
    """
    return memory.Memory(shape=width, depth=depth, init=[], attrs={"no_rw_check": 1})


class LaneMemory(wiring.Component):
    """Has one read and one write port; every lane has its own address and write enable.

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
    registered : bool
        Every lane has registers of its own before both ports, one cycle more: a memory of most of a
        device's blocks lies everywhere on it. Synthesis must keep them apart (``keep``).
    words, port : Role
        What the memory and its read port hold.

    Members
    -------
    read_address, read_data
        Data follow one cycle after the address, or two with registers.
    write_address, write_data, write_enable
        A word must not be used that was read while it was written.
    """

    DEEPEST = 1 << 14

    def __init__(
        self,
        lanes: int,
        width: int,
        depth: int,
        split: bool = False,
        registered: bool = False,
        words: Role = Role.ACTIVATION_WORDS,
        port: Role = Role.ACTIVATION_PORT,
    ):
        self.STATE = {
            r"lane_(?P<lane>\d+)(?P<part>_rest)?": Kind(words),
            r"lane_\d+(?:_rest)?__read\d+": Kind(port, pipeline=True),
            r"in_rest_\d+|read_address_\d+": Kind(port),
            r"write_enable_\d+": Kind(Role.HOST, live=("layer", "inference")),
            r"write_\w+": Kind(Role.HOST),
        }
        self._lanes, self._width, self._registered = lanes, width, registered
        self.parts = self.split(depth) if split else (depth, 0)
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

    @classmethod
    def split(cls, depth: int) -> tuple[int, int]:
        """Returns words of the two memories of a lane; 0 if there is only one."""
        most = 1 << (depth.bit_length() - 1)
        return (most, depth - most) if most >= cls.DEEPEST else (depth, 0)

    def elaborate(self, platform):
        m = Module()
        first, rest = self.parts
        address_bits = len(self.read_address[0])
        choose = getattr(platform, "get_lane_memory", None)
        for lane in range(self._lanes):
            read_address, write_address = self.read_address[lane], self.write_address[lane]
            write_data, write_enable = self.write_data[lane], self.write_enable[lane]
            if self._registered:
                read_address = self._register(m, read_address, f"read_address_{lane}")
                write_address = self._register(m, write_address, f"write_address_{lane}")
                write_data = self._register(m, write_data, f"write_data_{lane}")
                write_enable = self._register(m, write_enable, f"write_enable_{lane}")
            if choose is not None and not rest:
                chosen = choose(self._width, first)
                if chosen is not None:
                    m.submodules[f"lane_{lane}"] = chosen
                    m.d.comb += [
                        chosen.read_address.eq(read_address),
                        self.read_data[lane].eq(chosen.read_data),
                        chosen.write_address.eq(write_address),
                        chosen.write_data.eq(write_data),
                        chosen.write_enable.eq(write_enable),
                    ]
                    continue
            m.submodules[f"lane_{lane}"] = store = cells(self._width, first)
            read, write = store.read_port(), store.write_port()
            m.d.comb += [
                read.addr.eq(read_address),
                self.read_data[lane].eq(read.data.as_signed()),
                write.addr.eq(write_address),
                write.data.eq(write_data),
                write.en.eq(write_enable),
            ]
            if rest:
                m.submodules[f"lane_{lane}_rest"] = store = cells(self._width, rest)
                read_rest, write_rest = store.read_port(), store.write_port()
                in_rest = Signal(name=f"in_rest_{lane}")
                m.d.sync += in_rest.eq(read_address[address_bits - 1])
                m.d.comb += [
                    read_rest.addr.eq(read_address),
                    write_rest.addr.eq(write_address),
                    write_rest.data.eq(write_data),
                    write_rest.en.eq(write_enable & write_address[address_bits - 1]),
                    write.en.eq(write_enable & ~write_address[address_bits - 1]),
                ]
                with m.If(in_rest):
                    m.d.comb += self.read_data[lane].eq(read_rest.data.as_signed())
        return m

    @staticmethod
    def _register(m: Module, value: Value, name: str) -> Signal:
        register = Signal.like(value, name=name)
        m.d.sync += register.eq(value)
        return register


def weight_memory(config: AcceleratorConfig) -> LaneMemory:
    """Returns the memory of an accelerator's weights."""
    return LaneMemory(
        config.cols, config.weight_bits, config.weight_depth, split=True, registered=True,
        words=Role.WEIGHT_WORDS, port=Role.WEIGHT_PORT,
    )  # fmt: skip
