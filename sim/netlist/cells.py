"""Evaluates one cell of a netlist in many cycles at once.

A waveform is an int whose bit t is a net's value in cycle t. `OPERATIONS` has a function for every
type of cell: of the cell, the waveforms at its pins, and an int with a 1 in every cycle.
"""

from collections.abc import Callable
from functools import reduce
from operator import and_, or_, xor

from .rtlil import Cell

__all__ = ["OPERATIONS", "Bits"]


Bits = list[int]
"""Waveforms, least significant bit first."""


def _extended(bits: Bits, width: int, signed: bool) -> Bits:
    fill = bits[-1] if signed and bits else 0
    return (bits + [fill] * (width - len(bits)))[:width]


def _signed(cell: Cell) -> bool:
    return all(cell.number(f"\\{name}_SIGNED") for name in "AB")


def _operands(cell: Cell, pins: dict[str, Bits], width: int) -> tuple[Bits, Bits]:
    signed = _signed(cell)
    return _extended(pins["A"], width, signed), _extended(pins["B"], width, signed)


def _bitwise(operation: Callable[[int, int], int]) -> Callable[[Cell, dict, int], Bits]:
    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        a, b = _operands(cell, pins, cell.number("\\Y_WIDTH"))
        return [operation(x, y) for x, y in zip(a, b, strict=True)]

    return result


def _not(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
    signed = bool(cell.number("\\A_SIGNED"))
    return [ones ^ bit for bit in _extended(pins["A"], cell.number("\\Y_WIDTH"), signed)]


def _sum(a: Bits, b: Bits, carry: int) -> tuple[Bits, int]:
    total = []
    for x, y in zip(a, b, strict=True):
        either = x ^ y
        total.append(either ^ carry)
        carry = x & y | carry & either
    return total, carry


def _add(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
    return _sum(*_operands(cell, pins, cell.number("\\Y_WIDTH")), 0)[0]


def _subtract(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
    a, b = _operands(cell, pins, cell.number("\\Y_WIDTH"))
    return _sum(a, [ones ^ bit for bit in b], ones)[0]


def _widest(cell: Cell) -> int:
    return max(cell.number("\\A_WIDTH"), cell.number("\\B_WIDTH"))


def _below(a: Bits, b: Bits, signed: bool, ones: int) -> int:
    """a < b."""
    if signed:
        a, b = [*a[:-1], ones ^ a[-1]], [*b[:-1], ones ^ b[-1]]
    return ones ^ _sum(a, [ones ^ bit for bit in b], ones)[1]


def _compare(swap: bool, invert: bool) -> Callable[[Cell, dict, int], Bits]:
    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        a, b = _operands(cell, pins, _widest(cell))
        if swap:
            a, b = b, a
        below = _below(a, b, _signed(cell), ones)
        return _flag(cell, ones ^ below if invert else below)

    return result


def _equal(invert: bool) -> Callable[[Cell, dict, int], Bits]:
    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        a, b = _operands(cell, pins, _widest(cell))
        differ = reduce(or_, (x ^ y for x, y in zip(a, b, strict=True)), 0)
        return _flag(cell, differ if invert else ones ^ differ)

    return result


def _flag(cell: Cell, value: int) -> Bits:
    return _extended([value], cell.number("\\Y_WIDTH"), False)


def _reduction(operation: Callable[[int, int], int], invert: bool) -> Callable:
    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        value = reduce(operation, pins["A"])
        return _flag(cell, ones ^ value if invert else value)

    return result


def _logic(operation: Callable[[int, int], int]) -> Callable[[Cell, dict, int], Bits]:
    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        return _flag(cell, operation(reduce(or_, pins["A"]), reduce(or_, pins["B"])))

    return result


def _choose(when: int, then: int, otherwise: int) -> int:
    return otherwise ^ (when & (then ^ otherwise))


def _mux(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
    (select,) = pins["S"]
    return [_choose(select, b, a) for a, b in zip(pins["A"], pins["B"], strict=True)]


def _parallel_mux(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
    result, width = pins["A"], len(pins["A"])
    for number, select in reversed(list(enumerate(pins["S"]))):
        part = pins["B"][number * width : (number + 1) * width]
        result = [_choose(select, b, a) for a, b in zip(result, part, strict=True)]
    return result


def _shift(left: bool, arithmetic: bool) -> Callable[[Cell, dict, int], Bits]:
    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        signed = bool(cell.number("\\A_SIGNED"))
        width = cell.number("\\Y_WIDTH")
        bits = _extended(pins["A"], max(width, len(pins["A"])), signed)
        fill = bits[-1] if arithmetic and signed else 0
        for position, select in enumerate(pins["B"]):
            by = min(1 << position, len(bits))
            kept = len(bits) - by
            moved = [0] * by + bits[:kept] if left else bits[by:] + [fill] * by
            bits = [_choose(select, new, old) for new, old in zip(moved, bits, strict=True)]
        return bits[:width]

    return result


OPERATIONS: dict[str, Callable[[Cell, dict[str, Bits], int], Bits]] = {
    "$not": _not,
    "$and": _bitwise(and_),
    "$or": _bitwise(or_),
    "$xor": _bitwise(xor),
    "$add": _add,
    "$sub": _subtract,
    "$eq": _equal(False),
    "$ne": _equal(True),
    "$lt": _compare(False, False),
    "$gt": _compare(True, False),
    "$ge": _compare(False, True),
    "$le": _compare(True, True),
    "$reduce_or": _reduction(or_, False),
    "$reduce_bool": _reduction(or_, False),
    "$reduce_and": _reduction(and_, False),
    "$reduce_xor": _reduction(xor, False),
    "$logic_not": _reduction(or_, True),
    "$logic_and": _logic(and_),
    "$logic_or": _logic(or_),
    "$mux": _mux,
    "$pmux": _parallel_mux,
    "$shl": _shift(True, False),
    "$shr": _shift(False, False),
    "$sshr": _shift(False, True),
}
