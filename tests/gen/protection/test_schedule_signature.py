"""The signature's arithmetic, step by step in another form, and as hardware."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.schedule_signature import (
    BITS,
    ScheduleSignature,
    Signature,
    folded,
    seed,
    taps,
)

TERMS = (32, 22, 2, 1, 0)
"""Exponents of the polynomial."""


def multiplied(state):
    """The state as a polynomial over GF(2), times x, modulo the signature's."""
    state <<= 1
    return state ^ sum(1 << term for term in TERMS) if state >> BITS else state


def ended(entering, first):
    """What is left of a register that sees all, the seed in the first cycle."""
    state = 0
    for cycle, word in enumerate(entering):
        state = multiplied(state) ^ word ^ (first if cycle == 0 else 0)
    return state


@given(st.lists(st.integers(0, (1 << BITS) - 1), min_size=1, max_size=70))
def test_a_seed_brings_the_register_to_zero(words):
    assert ended(words, seed(np.array(words, np.uint32))) == 0


def test_the_polynomial_is_primitive():
    """x to the power of 2**32 - 1 is 1, and to that over each of its prime factors is not."""

    def product(a, b):
        result = 0
        while b:
            result ^= a if b & 1 else 0
            a, b = multiplied(a), b >> 1
        return result

    def power(exponent):
        result, base = 1, 2
        while exponent:
            result = product(result, base) if exponent & 1 else result
            base, exponent = product(base, base), exponent >> 1
        return result

    assert power((1 << 32) - 1) == 1
    # 2**32 - 1 = 3 * 5 * 17 * 257 * 65537
    assert all(power(((1 << 32) - 1) // factor) != 1 for factor in (3, 5, 17, 257, 65537))


@given(st.lists(st.integers(0, (1 << BITS) - 1), min_size=2, max_size=40), st.data())
def test_any_one_bit_in_any_cycle_is_left_over(words, data):
    first = seed(np.array(words, np.uint32))
    words[data.draw(st.integers(0, len(words) - 1))] ^= 1 << data.draw(st.integers(0, BITS - 1))
    assert ended(words, first)


@given(
    st.lists(st.integers(0, (1 << BITS) - 1), min_size=2, max_size=40),
    st.integers(1, (1 << BITS) - 1),
    st.data(),
)
def test_a_constant_difference_over_some_cycles_is_left_over(words, difference, data):
    first = seed(np.array(words, np.uint32))
    begin = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(begin + 1, len(words)))
    assert ended([w ^ difference * (begin <= c < end) for c, w in enumerate(words)], first)


@pytest.mark.parametrize("rows, cols", [(1, 1), (2, 3), (8, 8), (16, 16)])
def test_every_bit_that_is_observed_enters_once(rows, cols):
    config = AcceleratorConfig(rows=rows, cols=cols)
    widths = taps(config)
    number = 0
    for name, width in widths.items():
        for bit in range(width):
            values = {other: np.zeros(1, np.int64) for other in widths}
            values[name][0] = 1 << bit
            assert folded(config, values).tolist() == [1 << number % BITS]
            number += 1


def test_the_hardware_does_the_same():
    width, rng = 45, np.random.default_rng(2)
    observed = [int(value) for value in rng.integers(0, 1 << width, 20)]
    words = [value & 0xFFFFFFFF ^ value >> BITS for value in observed]
    first = seed(np.array(words, np.uint32))
    dut = Signature(width)

    async def bench(ctx):
        for wrong in (None, 7):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for cycle, value in enumerate([*observed, rng.integers(1 << width)]):
                ctx.set(dut.running, 1)
                ctx.set(dut.opening, cycle == 0)
                ctx.set(dut.seed, first if cycle == 0 else int(rng.integers(1 << BITS)))
                ctx.set(dut.ending, cycle == len(observed))
                ctx.set(dut.observed, int(value) ^ (cycle == wrong))
                expected = wrong is not None and cycle == len(observed)
                assert ctx.get(dut.mismatch) == expected
                await ctx.tick()
            ctx.set(dut.ending, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_another_dataflow_is_refused():
    with pytest.raises(HoldfastError, match="knows the dataflow weight_stationary, not other"):
        ScheduleSignature.check(AcceleratorConfig(dataflow="other"))
