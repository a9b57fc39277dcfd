"""Evaluates one cell of a netlist in many cycles at once.

A waveform is an int whose bit t is a net's value in cycle t. `OPERATIONS` has a function for every
type of cell: of the cell, the waveforms at its pins, and an int with a 1 in every cycle.
"""

from collections.abc import Callable
from functools import reduce
from operator import and_, or_, xor

from .rtlil import Cell

Bits = list[int]
"""Waveforms, least significant bit first."""
Operation = Callable[[Cell, dict[str, Bits], int], Bits]


def _extended(bits: Bits, width: int, signed: bool) -> Bits:
    fill = bits[-1] if signed and bits else 0
    return (bits + [fill] * (width - len(bits)))[:width]


def _sum(a: Bits, b: Bits, carry: int) -> tuple[Bits, int]:
    total = []
    for x, y in zip(a, b, strict=True):
        either = x ^ y
        total.append(either ^ carry)
        carry = x & y | carry & either
    return total, carry


def _inverted(bits: Bits, ones: int) -> Bits:
    return [ones ^ bit for bit in bits]


def _below(a: Bits, b: Bits, ones: int, signed: bool) -> int:
    """Computes a < b."""
    if signed:
        a, b = [*a[:-1], ones ^ a[-1]], [*b[:-1], ones ^ b[-1]]
    return ones ^ _sum(a, _inverted(b, ones), ones)[1]


def _differ(a: Bits, b: Bits) -> int:
    return reduce(or_, map(xor, a, b), 0)


def _binary(compute: Callable[[Bits, Bits, int, bool], Bits], wide: bool = False) -> Operation:
    """An operation on two operands, extended to the result or, if wide, to the wider of the two."""

    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        signed = all(cell.number(f"\\{name}_SIGNED") for name in "AB")
        width = cell.number("\\Y_WIDTH")
        size = max(len(pins["A"]), len(pins["B"])) if wide else width
        a, b = (_extended(pins[name], size, signed) for name in "AB")
        return _extended(compute(a, b, ones, signed), width, False)

    return result


def _relation(compute: Callable[[Bits, Bits, int, bool], int]) -> Operation:
    return _binary(lambda *operands: [compute(*operands)], wide=True)


def _not(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
    signed = bool(cell.number("\\A_SIGNED"))
    return _inverted(_extended(pins["A"], cell.number("\\Y_WIDTH"), signed), ones)


def _reduction(operation: Callable[[int, int], int], invert: bool = False) -> Operation:
    def result(cell: Cell, pins: dict[str, Bits], ones: int) -> Bits:
        value = reduce(operation, pins["A"])
        return _extended([ones ^ value if invert else value], cell.number("\\Y_WIDTH"), False)

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


def _shift(left: bool, arithmetic: bool) -> Operation:
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


OPERATIONS: dict[str, Operation] = {
    "$not": _not,
    "$and": _binary(lambda a, b, *_: [*map(and_, a, b)]),
    "$or": _binary(lambda a, b, *_: [*map(or_, a, b)]),
    "$xor": _binary(lambda a, b, *_: [*map(xor, a, b)]),
    "$add": _binary(lambda a, b, *_: _sum(a, b, 0)[0]),
    "$sub": _binary(lambda a, b, ones, _: _sum(a, _inverted(b, ones), ones)[0]),
    "$eq": _relation(lambda a, b, ones, _: ones ^ _differ(a, b)),
    "$ne": _relation(lambda a, b, *_: _differ(a, b)),
    "$lt": _relation(_below),
    "$gt": _relation(lambda a, b, *more: _below(b, a, *more)),
    "$ge": _relation(lambda a, b, ones, signed: ones ^ _below(a, b, ones, signed)),
    "$le": _relation(lambda a, b, ones, signed: ones ^ _below(b, a, ones, signed)),
    "$reduce_or": _reduction(or_),
    "$reduce_bool": _reduction(or_),
    "$reduce_and": _reduction(and_),
    "$reduce_xor": _reduction(xor),
    "$logic_not": _reduction(or_, invert=True),
    "$logic_and": _relation(lambda a, b, *_: reduce(or_, a) & reduce(or_, b)),
    "$logic_or": _relation(lambda a, b, *_: reduce(or_, a) | reduce(or_, b)),
    "$mux": _mux,
    "$pmux": _parallel_mux,
    "$shl": _shift(True, False),
    "$shr": _shift(False, False),
    "$sshr": _shift(False, True),
}


def influenced(
    cell: Cell, golden: dict[str, Bits], wrong: dict[str, Bits], by: dict[str, Bits], width: int
) -> Bits:
    """Cycles in which wrong inputs of some kind may matter to each output bit.

    Parameters
    ----------
    golden, wrong, by : dict
        At every pin: right values, cycles in which they may be wrong, and in which they may be of
        the kind asked for. Where nothing better is known of a cell, each input matters.
    """
    sizes = {len(bits) for bits in golden.values()}
    if cell.type in ("$and", "$or") and sizes == {width}:
        # The other input lets it pass if it is not, for certain, the value that decides alone.
        decides = -1 if cell.type == "$or" else 0
        return [
            by["A"][k] & (golden["B"][k] ^ decides | wrong["B"][k])
            | by["B"][k] & (golden["A"][k] ^ decides | wrong["A"][k])
            for k in range(width)
        ]
    if cell.type in ("$mux", "$pmux"):
        result = [0] * width
        rest = -1
        for number, select in enumerate(golden["S"]):
            unsure, asked = wrong["S"][number], by["S"][number]
            chosen = select | unsure
            for k, wave in enumerate(by["B"][number * width : (number + 1) * width]):
                if wave or asked:
                    result[k] |= wave & chosen | asked
            rest &= ~select | unsure
        for k, wave in enumerate(by["A"]):
            if wave:
                result[k] |= wave & rest
        if cell.type == "$mux" and by["S"][0]:
            # Selecting wrongly between equal bits does nothing.
            for k, (a, b) in enumerate(zip(golden["A"], golden["B"], strict=True)):
                differ = a ^ b | wrong["A"][k] | wrong["B"][k]
                result[k] &= differ | ~by["S"][0]
        return result
    return [reduce(or_, (bit for bits in by.values() for bit in bits), 0)] * width
