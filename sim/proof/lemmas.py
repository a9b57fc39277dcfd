"""What is proven of each mechanism: a circuit with the mechanism, free upsets and an assertion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Array, Cat, Mux, Signal, Value

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.pe import ProcessingElement
from holdfast.gen.protection.check_word import CHECK_WORD, CheckWord
from holdfast.gen.protection.lane_parity import HeldParity
from holdfast.gen.protection.parameter_parity import ParameterChecker, memory_fields
from holdfast.gen.protection.parity import INTERLEAVE, parity
from holdfast.gen.protection.schedule_signature import Signature, taps
from holdfast.gen.protection.stationary_parity import RowParity
from holdfast.gen.protection.weight_parity import WeightChecker

from .solver import Circuit

_LANES = 2
"""Lanes in the lemma of what lanes hold."""


@dataclass(frozen=True)
class Lemma:
    """Says what is proven of a mechanism, and builds the circuit that says it.

    Attributes
    ----------
    claim : str
        One sentence.
    build : Callable
        Returns the circuit for an accelerator.
    """

    claim: str
    build: Callable[[AcceleratorConfig], Circuit]


def _upset(c: Circuit, width: int, name: str = "upset") -> tuple[Value, Value]:
    """Any one bit, two neighbours, or none of a value: what is wrong, and whether anything is."""
    happens, two = c.free(name), c.free(f"{name}_two")
    place = c.free(f"{name}_place", max(1, (width - 1).bit_length()))
    c.given((place < width) & ~(two & (place >= width - 1)))
    mask = Signal(width, name=f"{name}_mask")
    c.m.d.comb += mask.eq(Mux(happens, Mux(two, 3, 1), 0) << place)
    return mask, happens


def _later(c: Circuit, value: Value, cycles: int) -> Value:
    for _ in range(cycles):
        after = Signal(len(value))
        c.m.d.sync += after.eq(value)
        value = after
    return value


def _checked_word(checker: Any, word: Value, width: int, enable: Value, latency: int) -> Circuit:
    """Any word with parity bits, one upset at most, and when the checker looks at it.

    Parameters
    ----------
    word, enable
        The checker's own inputs.
    latency
        Cycles from the enable to the mismatch; the word comes a cycle before that.
    """
    c = Circuit()
    c.unit("checker", checker)
    bits, looks = c.free("bits", width), c.free("looks")
    wrong, happens = _upset(c, width)
    bad_check, check_happens = _upset(c, INTERLEAVE, "check_upset")
    c.given(~(happens & check_happens))
    c.m.d.comb += [
        word.eq(bits ^ wrong),
        checker.check.eq(parity([bits]) ^ bad_check),
        enable.eq(looks),
    ]
    expected = _later(c, looks, latency) & _later(c, happens | check_happens, 1)
    c.holds(checker.mismatch == expected)
    c.reaches(expected)
    return c


def weight_parity(config: AcceleratorConfig) -> Circuit:
    checker = WeightChecker(config)
    width = config.cols * config.weight_bits
    return _checked_word(checker, checker.row, width, checker.taken, 1)


def parameter_parity(config: AcceleratorConfig) -> Circuit:
    fields = memory_fields(config)
    width = sum(field.width for held in fields.values() for field in held if field.name != "check")
    checker = ParameterChecker(width)
    return _checked_word(checker, checker.bits, width, checker.active, 3)


def check_word(config: AcceleratorConfig) -> Circuit:
    """The sequencer's fetch: offset 0 latches the index, then each word follows its address."""
    c = Circuit()
    checker = CheckWord()
    columns = c.unit("checker", checker)("columns")
    word, index = c.free("word", 32), c.free("index", 16)
    wrong, place = c.free("upset"), c.free("upset_place", 5)
    bad_index = c.free("bad_index", 16)
    fetching, offset = c.free("fetching"), Signal(5)
    total, errors, hit = Signal(32), Signal(32), Signal()
    first, check = offset == 0, offset == CHECK_WORD + 1
    mask = Signal(32)
    c.m.d.comb += mask.eq(Mux(first, bad_index, Mux(wrong, 1 << place, 0)))
    c.given(~(mask.any() & hit & ~first))
    c.given(first | fetching)
    true = Signal(32)
    c.m.d.comb += true.eq(Mux(first, index, Mux(check, total, word)))
    with c.m.If(fetching):
        c.m.d.sync += [
            total.eq(Mux(first, true, total ^ true)),
            errors.eq(Mux(first, mask, errors ^ mask)),
            hit.eq(mask.any() | (hit & ~first)),
            offset.eq(Mux(check, 0, offset + 1)),
        ]
    c.m.d.comb += [
        checker.fetching.eq(fetching),
        checker.offset.eq(offset),
        checker.index.eq(true ^ mask),
        checker.word.eq(true ^ mask),
    ]
    whole = Signal()
    with c.m.If(fetching):
        c.m.d.sync += whole.eq(check)
    expected = Signal()
    c.m.d.sync += expected.eq(whole & hit & ~fetching)
    valid = _later(c, whole & ~fetching, 1)
    c.holds(columns == total ^ errors)
    c.holds(errors.any() == hit)
    c.holds((offset <= CHECK_WORD + 1) & (~whole | (first & (total == 0))))
    c.holds(~valid | (checker.mismatch == expected))
    # From reset a fetch is longer than the search: what is at stake is a first wrong word.
    c.reaches(hit)
    return c


def lane_parity(config: AcceleratorConfig) -> Circuit:
    """Registers are alike and independent; two of them show that none sees another."""
    c = Circuit()
    width = sum(field.width for field in memory_fields(config)["scale"][:-1])
    checker = HeldParity(width, _LANES)
    found = c.unit("checker", checker)
    value, takes = c.free("value", width), c.free("takes", _LANES)
    wrong, happens = _upset(c, width)
    lane = c.free("lane", max(1, (_LANES - 1).bit_length()))
    spent, bad, upset = Signal(), Signal(_LANES), Signal(width)
    c.given(~(happens & (spent | Array(takes)[lane])) & (lane < _LANES))
    # There is one upset, so that its bits can be kept apart from what was taken.
    with c.m.If(happens):
        c.m.d.sync += [upset.eq(wrong), spent.eq(1)]
    c.holds((parity([upset]) != 0) == spent)
    held = []
    for index in range(_LANES):
        register = Signal(width, name=f"held_{index}")
        hit = happens & (lane == index)
        with c.m.If(takes[index]):
            c.m.d.sync += [register.eq(value), bad[index].eq(0)]
        with c.m.Elif(hit):
            c.m.d.sync += bad[index].eq(1)
        held.append(register ^ Mux(bad[index], upset, 0))
        c.holds(parity([register]) == found(f"kept_{index}"))
    c.m.d.comb += [checker.value.eq(value), checker.takes.eq(takes), checker.held.eq(Cat(held))]
    c.holds(~bad.any() | spent)
    c.holds(found("wrong") == _later(c, bad, 1))
    c.holds(checker.mismatch == _later(c, bad.any(), 2))
    c.reaches(_later(c, bad.any(), 2))
    return c


def stationary_parity(config: AcceleratorConfig) -> Circuit:
    """A row of processing elements, one upset of a weight or of its shadow in any cycle."""
    c = Circuit()
    cols = config.cols
    checker = RowParity(config)
    found = c.unit("checker", checker)
    load, swap = c.free("load"), c.free("swap")
    upset, of_shadow = c.free("upset"), c.free("of_shadow")
    col_hit = c.free("col", max(1, (cols - 1).bit_length()))
    spent = Signal()
    c.given(~(upset & spent) & (col_hit < cols))
    c.m.d.sync += spent.eq(spent | upset)
    travelling: list[Value] = []
    weights, ghosts, bad = [], [], []
    swap_in: Value = swap
    ghost_before: Value | None = None
    shadows = Signal(cols)
    for col in range(cols):
        pe = ProcessingElement(config.act_bits, config.weight_bits, config.acc_bits)
        registers = c.unit(f"pe_{col}", pe)
        weight_in = c.free(f"weight_{col}", config.weight_bits)
        c.m.d.comb += [pe.weight_in.eq(weight_in), pe.load.eq(load), pe.swap_in.eq(swap_in)]
        weights.append(weight_in.xor())
        travelling.append(swap_in)
        hit = upset & (col_hit == col)
        shadow_bad, active_bad = Signal(), Signal()
        c.m.d.sync += shadow_bad.eq(~load & (shadow_bad ^ (hit & of_shadow)))
        now = hit & ~of_shadow
        c.m.d.sync += active_bad.eq(Mux(swap_in, shadow_bad, active_bad ^ now))
        bad.append(active_bad)
        c.m.d.comb += checker.parities[col].eq(pe.weight.xor() ^ active_bad)
        c.holds(registers("shadow").xor() == shadows[col])
        # The tile whose wave is at this column: the parity of each of its weights.
        ghost = Signal(cols, name=f"tile_{col}")
        if ghost_before is None:
            with c.m.If(swap_in):
                c.m.d.sync += ghost.eq(shadows)
        else:
            c.m.d.sync += ghost.eq(ghost_before)
            with c.m.If(swap_in):
                c.holds(ghost_before == shadows)
        c.holds(pe.weight.xor() == ghost[col])
        ghosts.append(ghost)
        ghost_before, swap_in = ghost, pe.swap_out
    with c.m.If(load):
        c.m.d.sync += shadows.eq(Cat(weights))
    # The loader waits until the swap has passed the row.
    c.given(~(load & Cat(travelling).any()))
    c.m.d.comb += [
        checker.check.eq(Cat(weights).xor()), checker.load.eq(load),
        checker.swap.eq(travelling[-1]),
    ]  # fmt: skip
    error: Value = bad[0]
    for col in range(1, cols):
        before = Signal(name=f"error_{col}")
        c.m.d.sync += before.eq(error)
        c.holds(found(f"sum_{col}") == ghosts[col][:col].xor() ^ before)
        error = before ^ bad[col]
    c.holds(found("shadow") == shadows.xor())
    c.holds(found("active") == ghosts[-1].xor())
    expected = _later(c, error, 1)
    c.holds(checker.mismatch == expected)
    c.reaches(expected)
    return c


def _signatures(c: Circuit, width: int, count: int) -> tuple[list[Signature], list[Value]]:
    units = [Signature(width) for _ in range(count)]
    states = [c.unit(f"signature_{n}", unit)("state") for n, unit in enumerate(units)]
    for name in ("running", "opening", "ending", "start"):
        value = c.free(name)
        c.m.d.comb += [getattr(unit, name).eq(value) for unit in units]
    return units, states


def signature_linear(config: AcceleratorConfig) -> Circuit:
    c = Circuit()
    width = sum(taps(config).values())
    units, states = _signatures(c, width, 3)
    for name, bits in (("observed", width), ("seed", 32)):
        one, two = c.free(f"{name}_one", bits), c.free(f"{name}_two", bits)
        for unit, value in zip(units, (one, two, one ^ two), strict=True):
            c.m.d.comb += getattr(unit, name).eq(value)
    c.holds(states[2] == states[0] ^ states[1])
    c.reaches(states[2].any())
    return c


def signature_keeps(config: AcceleratorConfig) -> Circuit:
    """One bit seen differently makes states differ; equal inputs then leave them different."""
    c = Circuit()
    width = sum(taps(config).values())
    units, states = _signatures(c, width, 2)
    observed, seed = c.free("observed", width), c.free("seed", 32)
    upset, place = c.free("upset"), c.free("upset_place", (width - 1).bit_length())
    c.given(place < width)
    counts = upset & units[0].running & ~units[0].ending
    differ = Signal()
    c.given(~(upset & differ))
    with c.m.If(units[0].start):
        c.m.d.sync += differ.eq(0)
    with c.m.Elif(counts):
        c.m.d.sync += differ.eq(1)
    wrong = Signal(width)
    c.m.d.comb += wrong.eq(Mux(upset, 1 << place, 0))
    for unit, value in zip(units, (observed, observed ^ wrong), strict=True):
        c.m.d.comb += [unit.observed.eq(value), unit.seed.eq(seed)]
    c.holds((states[0] != states[1]) == differ)
    c.holds(~(units[0].ending & differ) | units[0].mismatch | units[1].mismatch)
    c.reaches(differ & units[0].ending)
    return c


LEMMAS: dict[str, list[Lemma]] = {
    "weight_parity": [
        Lemma(
            "one wrong bit, or two neighbours, of a row or its check bits is found", weight_parity
        )
    ],
    "parameter_parity": [
        Lemma(
            "one wrong bit, or two neighbours, of parameters or check bits is found",
            parameter_parity,
        )
    ],
    "program_check": [
        Lemma("one wrong bit of a descriptor, or a wrong index, is found", check_word)
    ],
    "lane_parity": [
        Lemma(
            "one wrong bit, or two neighbours, of what a lane holds (of two lanes) is found",
            lane_parity,
        )
    ],
    "stationary_parity": [
        Lemma(
            "one wrong bit of a weight or its shadow is found when the sum arrives",
            stationary_parity,
        )
    ],
    "schedule_signature": [
        Lemma("the signature is linear", signature_linear),
        Lemma("one bit seen differently leaves another state up to the end", signature_keeps),
    ],
}
"""By protection, what is proven; each claim includes that nothing else raises it."""
