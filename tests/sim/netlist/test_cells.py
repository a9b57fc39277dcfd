"""Every cell in many cycles at once, against Python's integers one cycle at a time."""

import operator
import random

import pytest

from holdfast.sim.netlist.cells import OPERATIONS
from holdfast.sim.netlist.rtlil import Cell

CYCLES = 40
ONES = (1 << CYCLES) - 1


def waveforms(values, width):
    """Bits of a value in each cycle, least significant first, as one int each."""
    return [sum((v >> bit & 1) << t for t, v in enumerate(values)) for bit in range(width)]


def number(value, width, signed):
    """A value of some bits as an integer."""
    return value - (1 << width) if signed and value >> width - 1 else value


BINARY = {
    "$and": operator.and_,
    "$or": operator.or_,
    "$xor": operator.xor,
    "$add": operator.add,
    "$sub": operator.sub,
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$lt": operator.lt,
    "$gt": operator.gt,
    "$ge": operator.ge,
    "$le": operator.le,
    "$logic_and": lambda a, b: bool(a) and bool(b),
    "$logic_or": lambda a, b: bool(a) or bool(b),
}
UNARY = {
    "$not": lambda a, width: ~a,
    "$reduce_or": lambda a, width: a != 0,
    "$reduce_bool": lambda a, width: a != 0,
    "$reduce_and": lambda a, width: a % (1 << width) == (1 << width) - 1,
    "$reduce_xor": lambda a, width: (a % (1 << width)).bit_count() % 2,
    "$logic_not": lambda a, width: a == 0,
}
SHIFTS = {"$shl": operator.lshift, "$shr": operator.rshift, "$sshr": operator.rshift}


def cell(kind, signed, **widths):
    names = {f"\\{pin}_WIDTH": str(width) for pin, width in widths.items()}
    return Cell(kind, "cell", {**names, "\\A_SIGNED": str(signed), "\\B_SIGNED": str(signed)})


def evaluate(kind, signed, width, **operands):
    """The cell's output in every cycle; operands are (values, width)."""
    pins = {pin: waveforms(*operand) for pin, operand in operands.items()}
    widths = {pin: size for pin, (_, size) in operands.items()}
    bits = OPERATIONS[kind](cell(kind, int(signed), Y=width, **widths), pins, ONES)
    assert len(bits) == width
    return [sum((bit >> t & 1) << n for n, bit in enumerate(bits)) for t in range(CYCLES)]


def draws(seed):
    """Widths and values of many cells, some with equal operands."""
    source = random.Random(seed)
    for _ in range(12):
        a, b, y = (source.randint(1, 9) for _ in range(3))
        first = [source.getrandbits(a) for _ in range(CYCLES)]
        second = [
            value % (1 << b) if source.random() < 0.4 else source.getrandbits(b) for value in first
        ]
        yield a, b, y, first, second


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("kind", BINARY)
def test_two_operands(kind, signed):
    for a, b, y, first, second in draws(1):
        found = evaluate(kind, signed, y, A=(first, a), B=(second, b))
        for x, z, value in zip(first, second, found, strict=True):
            expected = BINARY[kind](number(x, a, signed), number(z, b, signed))
            assert value == int(expected) % (1 << y), (a, b, y, x, z)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("kind", UNARY)
def test_one_operand(kind, signed):
    for a, _, y, first, _ in draws(2):
        first[:2] = 0, (1 << a) - 1
        found = evaluate(kind, signed, y, A=(first, a))
        for x, value in zip(first, found, strict=True):
            assert value == int(UNARY[kind](number(x, a, signed), a)) % (1 << y), (a, y, x)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("kind", SHIFTS)
def test_shifts(kind, signed):
    """The operand is widened to the result first; only ``$sshr`` keeps the sign of a signed one."""
    for a, b, y, first, second in draws(3):
        found = evaluate(kind, signed, y, A=(first, a), B=(second, b))
        for x, by, value in zip(first, second, found, strict=True):
            wide = number(x, a, signed)
            if kind == "$shr":
                wide %= 1 << max(a, y)
            assert value == SHIFTS[kind](wide, by) % (1 << y), (a, b, y, x, by)


def test_multiplexers():
    for a, b, _, first, second in draws(4):
        width = max(a, b)
        select = [value & 1 for value in second]
        found = evaluate("$mux", False, width, A=(first, width), B=(second, width), S=(select, 1))
        expected = [z if s else x for x, z, s in zip(first, second, select, strict=True)]
        assert found == expected
        # Of two parts of B, at most one is chosen.
        which = [value % 3 for value in first]
        both = [x | z << width for x, z in zip(second, first, strict=True)]
        found = evaluate(
            "$pmux", False, width, A=(first, width), B=(both, 2 * width),
            S=([(0, 1, 2)[w] for w in which], 2),
        )  # fmt: skip
        expected = [(x, z, x)[w] for x, z, w in zip(first, second, which, strict=True)]
        assert found == expected


def test_no_cell_is_left_out():
    assert {*BINARY, *UNARY, *SHIFTS, "$mux", "$pmux"} == OPERATIONS.keys()
