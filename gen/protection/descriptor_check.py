"""Parity of the descriptor while its layer runs."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.datapath import Datapath
from holdfast.gen.layout import DESCRIPTOR, DESCRIPTOR_WORDS, Status
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.descriptor import Layer

from .base import Check
from .check_word import ProgramCheck
from .parity import INTERLEAVE, parity

_GROUP = 3
"""Words whose parity is one register."""


class DescriptorChecker(wiring.Component):
    """Compares the parity of the held descriptor with that of its check word, in every cycle.

    Members
    -------
    layer
        The descriptor.
    word, index, checking
        The check word and the descriptor's index, in the cycle before the layer runs.
    running
        The layer runs.
    mismatch
        Two cycles after a change, from the layer's third cycle on.

    Protection
    ----------
    One wrong bit, or two neighbours, of the held descriptor. It is blind to what was wrong before
    the descriptor was held, which the check word sees.
    """

    STATE = {r"\w+": Kind(Role.CHECK)}

    def __init__(self) -> None:
        super().__init__(
            {
                "layer": In(Layer),
                "word": In(32),
                "index": In(16),
                "checking": In(1),
                "running": In(1),
                "mismatch": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        expected = Signal(INTERLEAVE)
        settled = Signal()
        with m.If(self.checking):
            m.d.sync += expected.eq(parity([self.word ^ self.index]))
        groups = []
        for first in range(0, DESCRIPTOR_WORDS, _GROUP):
            group = Signal(INTERLEAVE, name=f"group_{first // _GROUP}")
            fields = [f for f in DESCRIPTOR if first <= f.word < first + _GROUP]
            for bit in range(INTERLEAVE):
                # By the bit's place in its word, as in the check word.
                bits = [
                    Value.cast(self.layer[f.name])[number]
                    for f in fields
                    for number in range(f.width)
                    if (f.offset + number) % INTERLEAVE == bit
                ]
                m.d.sync += group[bit].eq(Cat(bits).xor())
            groups.append(group)
        found = [Cat(group[bit] for group in groups).xor() for bit in range(INTERLEAVE)]
        m.d.sync += [
            settled.eq(self.running),
            self.mismatch.eq(settled & self.running & (Cat(found) != expected)),
        ]
        return m


class DescriptorCheck(Check):
    """Ends a run whose descriptor changed while its layer ran."""

    name = "descriptor_check"
    stops = Status.DESCRIPTOR_CHECK
    sees = frozenset({Role.DESCRIPTOR_WORD})
    takes = {ProgramCheck.name: "check words"}

    def watch(self, m: Module, parts: Datapath) -> Value:
        m.submodules.descriptor_checker = checker = DescriptorChecker()
        sequencer = parts.sequencer
        m.d.comb += [
            checker.layer.eq(sequencer.layer),
            checker.word.eq(sequencer.word),
            checker.index.eq(sequencer.index),
            checker.checking.eq(sequencer.go),
            checker.running.eq(sequencer.running),
        ]
        return checker.mismatch
