"""Testbench: memory of lanes."""

import cocotb

from holdfast.sim.cocotb.build import parameters
from tests.sim.units import Cycles, pack, unpack


@cocotb.test()
async def random_traffic(dut):
    """Every lane on its own; a word read while it is written is the old one in simulation."""
    lanes, width, depth = (parameters()[name] for name in ("lanes", "width", "depth"))
    bench = await Cycles.start(dut, "read_data")
    address_bits = max(1, (depth - 1).bit_length())
    draw = bench.random
    content = [[0] * depth for _ in range(lanes)]
    expected = None
    # Few words of a large memory, on both sides of a power of two, are met often.
    edge = 1 << depth.bit_length() - 1
    words = range(depth) if depth < 64 else range(edge - 4, depth)
    for cycle in range(1500):
        reads = [draw.choice(words) for _ in range(lanes)]
        # Collisions of read and write are frequent.
        writes = [draw.choice([read, draw.choice(words)]) for read in reads]
        data = [draw.randint(-(1 << width - 1), (1 << width - 1) - 1) for _ in range(lanes)]
        enable = [draw.random() < 0.5 for _ in range(lanes)]
        seen = await bench.step(
            read_address=pack(reads, address_bits),
            write_address=pack(writes, address_bits),
            write_data=pack(data, width),
            write_enable=pack(enable, 1),
        )
        if expected is not None:
            assert unpack(seen["read_data"], width, lanes) == expected, cycle
        expected = [content[lane][reads[lane]] for lane in range(lanes)]
        for lane in range(lanes):
            if enable[lane]:
                content[lane][writes[lane]] = data[lane]
