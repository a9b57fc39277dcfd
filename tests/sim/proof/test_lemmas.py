"""Each lemma is proven, and a mechanism with a mistake is refuted."""

import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.parity import INTERLEAVE, parity
from holdfast.sim.proof import lemmas
from holdfast.sim.proof.lemmas import LEMMAS
from holdfast.sim.proof.solver import prove

SMALL = (
    AcceleratorConfig(rows=3, cols=2, act_bits=5, weight_bits=4),
    AcceleratorConfig(rows=2, cols=5),
)
ALL = [lemma.build for held in LEMMAS.values() for lemma in held]


def name(value):
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("build", ALL, ids=name)
@pytest.mark.parametrize("config", SMALL, ids=("3x2", "2x5"))
def test_a_lemma_is_proven(build, config):
    verdict = prove(build(config))
    assert verdict.proven and verdict.method.startswith("induction"), verdict.sentence


@pytest.mark.long
@pytest.mark.parametrize("build", ALL, ids=name)
def test_a_lemma_of_the_reference_configuration_is_proven(build):
    assert prove(build(AcceleratorConfig(rows=8, cols=8))).proven


def weights(*, row=lambda s: s.row, found=lambda s, wrong: wrong & s.taken, early=False, of=parity):
    def elaborate(self, platform):
        m = Module()
        value = found(self, of([row(self)]) != self.check)
        (m.d.comb if early else m.d.sync).__iadd__(self.mismatch.eq(value))
        return m

    return elaborate


def parameters(*, stages=2, gated=True, bits=lambda s: s.bits, of=parity):
    def elaborate(self, platform):
        m = Module()
        active = self.active
        for _ in range(stages):
            after = Signal()
            m.d.sync += after.eq(active)
            active = after
        wrong = of([bits(self)]) != self.check
        m.d.sync += self.mismatch.eq(wrong & active if gated else wrong)
        return m

    return elaborate


def words(*, index=True, cleared=True, enabled=True, masked=True, dropped=0):
    def elaborate(self, platform):
        m = Module()
        columns = Signal(32)
        first = self.index if index else Const(0, 16)
        following = columns ^ (self.word >> dropped << dropped)
        value = Mux((self.offset == 0) if cleared else 0, first, following)
        with m.If(self.fetching if enabled else 1):
            m.d.sync += columns.eq(value)
        found = columns[: 32 if masked else 31].any()
        m.d.sync += self.mismatch.eq(found & ~self.fetching)
        return m

    return elaborate


def lanes(*, enabled=True, skipped=0, dropped=0, of=parity):
    def elaborate(self, platform):
        m = Module()
        wrong = Signal(self._registers)
        for index in range(self._registers):
            kept = Signal(INTERLEAVE, name=f"kept_{index}")
            with m.If(self.takes[index] if enabled else 1):
                m.d.sync += kept.eq(of([self.value]))
            held = self.held[index * self._width : (index + 1) * self._width - dropped]
            if index >= skipped:
                m.d.sync += wrong[index].eq(of([held]) != kept)
        m.d.sync += self.mismatch.eq(wrong.any())
        return m

    return elaborate


def sums(*, straight=False, skipped=0, load=True, swap=True, bypass=False):
    def elaborate(self, platform):
        m = Module()
        shadow = Signal()
        active = Signal()
        total = self.parities[0]
        for col in range(1, self._cols):
            before = Signal(name=f"sum_{col}")
            (m.d.comb if straight else m.d.sync).__iadd__(before.eq(total))
            total = before if col == skipped else before ^ self.parities[col]
        with m.If(self.load if load else 1):
            m.d.sync += shadow.eq(self.check)
        with m.If(self.swap if swap else 1):
            m.d.sync += active.eq(self.check if bypass else shadow)
        m.d.sync += self.mismatch.eq(total != active)
        return m

    return elaborate


def signature(*, feedback=0x00400007, shift=True, top=32, seeded=True, ended=True, either=False):
    def elaborate(self, platform):
        m = Module()
        state = Signal(32)
        shifted = Cat(Const(0, 1), state[:-1]) ^ Mux(state[-1], feedback, 0)
        if not shift:
            shifted = Const(0, 32)
        for bit in range(32):
            seen = self.observed[bit::32] if bit < top else Const(0, 1)
            entering = Cat(shifted[bit], Mux(self.opening, self.seed, 0)[bit], seen)
            with m.If(self.running & ~self.ending):
                m.d.sync += state[bit].eq(entering.any() if either else entering.xor())
        with m.If(self.start):
            m.d.sync += state.eq(0)
        m.d.comb += self.mismatch.eq(self.ending & state[: 32 if ended else 31].any())
        return m

    return elaborate


def plain(values):
    """One parity bit for all: two neighbours cancel."""
    return Cat(values).xor().replicate(INTERLEAVE)


MUTATIONS = [
    (lemmas.weight_parity, "WeightChecker", weights(row=lambda s: s.row[:-1])),
    (lemmas.weight_parity, "WeightChecker", weights(row=lambda s: s.row[1:])),
    (lemmas.weight_parity, "WeightChecker", weights(found=lambda s, wrong: wrong)),
    (lemmas.weight_parity, "WeightChecker", weights(found=lambda s, wrong: Const(0, 1))),
    (lemmas.weight_parity, "WeightChecker", weights(early=True)),
    (lemmas.weight_parity, "WeightChecker", weights(of=plain)),
    (lemmas.parameter_parity, "ParameterChecker", parameters(stages=1)),
    (lemmas.parameter_parity, "ParameterChecker", parameters(stages=3)),
    (lemmas.parameter_parity, "ParameterChecker", parameters(gated=False)),
    (lemmas.parameter_parity, "ParameterChecker", parameters(bits=lambda s: s.bits[:-1])),
    (lemmas.parameter_parity, "ParameterChecker", parameters(of=plain)),
    (lemmas.check_word, "CheckWord", words(index=False)),
    (lemmas.check_word, "CheckWord", words(cleared=False)),
    (lemmas.check_word, "CheckWord", words(enabled=False)),
    (lemmas.check_word, "CheckWord", words(masked=False)),
    (lemmas.check_word, "CheckWord", words(dropped=1)),
    (lemmas.lane_parity, "HeldParity", lanes(enabled=False)),
    (lemmas.lane_parity, "HeldParity", lanes(skipped=1)),
    (lemmas.lane_parity, "HeldParity", lanes(dropped=1)),
    (lemmas.lane_parity, "HeldParity", lanes(of=plain)),
    (lemmas.stationary_parity, "RowParity", sums(straight=True)),
    (lemmas.stationary_parity, "RowParity", sums(skipped=1)),
    (lemmas.stationary_parity, "RowParity", sums(load=False)),
    (lemmas.stationary_parity, "RowParity", sums(swap=False)),
    (lemmas.stationary_parity, "RowParity", sums(bypass=True)),
    (lemmas.signature_keeps, "Signature", signature(feedback=0)),
    (lemmas.signature_keeps, "Signature", signature(shift=False)),
    (lemmas.signature_keeps, "Signature", signature(top=31)),
    (lemmas.signature_keeps, "Signature", signature(ended=False)),
    (lemmas.signature_linear, "Signature", signature(either=True)),
]


@pytest.mark.parametrize(("build", "unit", "elaborate"), MUTATIONS)
def test_a_mistake_in_a_mechanism_is_refuted(build, unit, elaborate, monkeypatch):
    monkeypatch.setattr(getattr(lemmas, unit), "elaborate", elaborate)
    verdict = prove(build(SMALL[0]))
    assert not verdict.proven
    assert verdict.sentence.startswith(("it fails in cycle ", "no induction ")), verdict.sentence
