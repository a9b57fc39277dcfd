"""Interleaved parity in software and in hardware, against a count of ones."""

import numpy as np
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gen.protection.parity import parity, parity_of


def by_hand(bits):
    """Parity bit i is 1 where the bits i, i + 2, ... have an odd number of ones."""
    return sum((sum(bits[i::2]) % 2) << i for i in range(2))


@given(st.lists(st.lists(st.integers(0, 1), min_size=7, max_size=7), min_size=1, max_size=5))
def test_in_software(rows):
    assert parity_of(np.array(rows)).tolist() == [by_hand(row) for row in rows]


def test_in_hardware():
    value, found = Signal(5), Signal(2)
    m = Module()
    m.d.comb += found.eq(parity([value, Const(0b101, 3)]))

    async def bench(ctx):
        for number in range(32):
            ctx.set(value, number)
            bits = [number >> bit & 1 for bit in range(5)] + [1, 0, 1]
            assert ctx.get(found) == by_hand(bits)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
