"""The check word of a descriptor."""

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from holdfast.gen.datapath import Datapath
from holdfast.gen.layout import DESCRIPTOR_STRIDE, DESCRIPTOR_WORDS, Status
from holdfast.gen.roles import Kind, Role

from .base import Check

CHECK_WORD = DESCRIPTOR_WORDS
"""Word of a descriptor's place that holds its check word."""


def check_words(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Returns the check word of each descriptor: the XOR of its words and of its index.

    Parameters
    ----------
    words
        [n, ``DESCRIPTOR_WORDS``], as they lie in the program memory from index 0 on.
    """
    index = np.arange(len(words), dtype=np.uint32)
    return np.bitwise_xor.reduce(words.astype(np.uint32), axis=1) ^ index


class CheckWord(wiring.Component):
    """Compares a descriptor with its check word while it is fetched.

    Members
    -------
    fetching, offset, index
        Of the sequencer: a word is fetched or the descriptor checked, the word's number, and the
        descriptor's.
    word
        The word before.
    mismatch
        From two cycles after the last word on, until the next descriptor is fetched.

    Protection
    ----------
    Every odd number of wrong bits in each of the 32 columns of bits of a descriptor, in memory or
    on the way out of it; an index that is not that of the words. It is blind to two wrong bits in
    one column, and to a wrong index whose descriptor is fetched as a whole.
    """

    STATE = {r"\w+": Kind(Role.CHECK)}

    def __init__(self) -> None:
        super().__init__(
            {
                "fetching": In(1),
                "offset": In(range(DESCRIPTOR_STRIDE)),
                "index": In(16),
                "word": In(32),
                "mismatch": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        columns = Signal(32)
        with m.If(self.fetching):
            m.d.sync += columns.eq(Mux(self.offset == 0, self.index, columns ^ self.word))
        m.d.sync += self.mismatch.eq(columns.any() & ~self.fetching)
        return m


class ProgramCheck(Check):
    """Ends a run before a descriptor that differs from its check word does anything."""

    name = "program_check"
    stops = Status.PROGRAM_CHECK
    sees = frozenset({Role.PROGRAM_WORDS, Role.PROGRAM_PORT})

    def watch(self, m: Module, parts: Datapath) -> Value:
        m.submodules.check_word = check = CheckWord()
        sequencer = parts.sequencer
        m.d.comb += [
            check.fetching.eq(sequencer.fetching),
            check.offset.eq(sequencer.address),
            check.index.eq(sequencer.index),
            check.word.eq(sequencer.word),
        ]
        return check.mismatch
