"""A signature of what a layer's control did, cycle by cycle."""

from collections.abc import Mapping

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.weight_stationary import WeightStationary
from holdfast.gen.datapath import Datapath
from holdfast.gen.layout import Status
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.descriptor import lane_offsets
from holdfast.gen.units.lanes import Lanes
from holdfast.gen.units.requantizer import Requantizer
from holdfast.gen.units.residual_reader import ResidualReader

from .base import Check
from .check_word import CHECK_WORD

SEED_WORD = CHECK_WORD + 1
"""Word of a descriptor's place that holds the seed of its signature."""
BITS = 32
_FEEDBACK = 0x00400007
"""x**32 + x**22 + x**2 + x + 1, primitive: the state repeats after 2**32 - 1 cycles."""


def taps(config: AcceleratorConfig) -> dict[str, int]:
    """Returns the width of each observed value, in their order.

    They are all through which control reaches data. ``address``, ``pad`` and ``sub_block`` say what
    the array reads, ``weight`` and ``load`` what it loads, ``swap`` when each row takes it,
    ``token`` and ``pixel`` what the last stage of the lanes does, ``parameter`` and ``lane`` whose
    parameters they have, ``residual``, ``residual_lane`` and ``present`` what they add, ``output``
    and ``output_lane`` where they write; ``banks`` choose memories, ``busy`` says whose they are,
    ``chained`` chooses registers. Of an address they are the bits that its memory needs: with a
    further one the run ends anyway.
    """
    depths = config.act_depth, config.weight_depth, config.param_depth, max(2, config.acc_depth)
    word, weight, channel, pixel = (max(1, (depth - 1).bit_length()) for depth in depths)
    lane = (max(2, config.word_lanes) - 1).bit_length()
    widths = {
        "address": word,
        "pad": 1,
        "weight": weight,
        "load": config.rows,
        "swap": config.rows,
        "token": 5,
        "pixel": pixel,
        "parameter": channel,
        "lane": config.cols.bit_length(),
        "residual": word,
        "residual_lane": lane,
        "present": 1,
        "output": word,
        "banks": 4 + 2 * config.act_banks,
        "chained": 2,
        "busy": 1,
    }
    if config.sub_blocks > 1:
        widths["sub_block"] = (config.sub_blocks - 1).bit_length()
    if len(lane_offsets(config)) > 1:
        widths["output_lane"] = lane
    return widths


def folded(config: AcceleratorConfig, values: Mapping[str, NDArray[np.integer]]) -> NDArray:
    """Returns what enters the signature in each cycle, uint32 [cycles].

    Parameters
    ----------
    values
        Observed values [cycles] by name, as `taps` lists them; 0 where one does not count.
    """
    result = np.zeros(len(next(iter(values.values()))), np.uint32)
    first = 0
    for name, width in taps(config).items():
        for bit in range(width):
            one = (values[name] >> bit & 1).astype(np.uint32)
            result ^= one << np.uint32((first + bit) % BITS)
        first += width
    return result


def seed(entering: NDArray[np.uint32]) -> int:
    """Returns the seed with which a signature ends as 0.

    Parameters
    ----------
    entering
        What enters in each cycle of a layer up to the one before its last; the seed enters with
        the first.
    """
    back = _inverse()
    words = np.asarray(entering, np.uint32)
    while len(words) > 1:
        words = np.append(words, np.zeros(len(words) % 2, np.uint32))
        words = words[0::2] ^ _apply(back, words[1::2])
        back = [_apply_one(back, column) for column in back]
    return int(words[0]) if len(words) else 0


def _inverse() -> list[int]:
    """The step backwards, as its columns: what each bit of the state becomes."""
    columns = []
    for bit in range(BITS):
        state = 1 << bit
        # The feedback's lowest bit tells whether the highest bit went out.
        out = state & 1
        state = (state ^ _FEEDBACK if out else state) >> 1
        columns.append(state | out << (BITS - 1))
    return columns


def _apply_one(columns: list[int], word: int) -> int:
    result = 0
    for bit, column in enumerate(columns):
        if word >> bit & 1:
            result ^= column
    return result


def _apply(columns: list[int], words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A linear map of words, a table for each of their bytes."""
    result = np.zeros_like(words)
    for first in range(0, BITS, 8):
        part = columns[first : first + 8]
        table = np.array([_apply_one(part, byte) for byte in range(256)], np.uint32)
        result ^= table[words >> np.uint32(first) & np.uint32(255)]
    return result


class Signature(wiring.Component):
    """Shifts what it sees into a linear feedback register.

    Members
    -------
    observed
        What is seen in this cycle.
    start
        A run begins.
    running, opening, ending
        A layer runs; its first cycle; its last, in which nothing enters any more.
    seed
        Enters with the first cycle.
    mismatch
        In the last cycle: the layer did not do what its seed says.

    Latency
    -------
    None.

    Protection
    ----------
    Every difference in one bit of what is observed, and every constant one over any time up to
    2**32 - 2 cycles; all others but one in 2**32. A start alone clears the register, so that a
    difference outlives its layer.

    Source
    ------
    Multiple-input signature register of built-in self-test; the polynomial is primitive over GF(2).
    """

    STATE = {r"\w+": Kind(Role.CHECK)}

    def __init__(self, width: int):
        super().__init__(
            {
                "observed": In(width),
                "start": In(1),
                "running": In(1),
                "opening": In(1),
                "ending": In(1),
                "seed": In(BITS),
                "mismatch": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        state = Signal(BITS)
        shifted = Cat(Const(0, 1), state[:-1]) ^ Mux(state[-1], _FEEDBACK, 0)
        entering = [shifted, Mux(self.opening, self.seed, 0)]
        for bit in range(BITS):
            inputs = Cat(*(word[bit] for word in entering), self.observed[bit::BITS])
            with m.If(self.running & ~self.ending):
                m.d.sync += state[bit].eq(inputs.xor())
        with m.If(self.start):
            m.d.sync += state.eq(0)
        m.d.comb += self.mismatch.eq(self.ending & state.any())
        return m


class ScheduleSignature(Check):
    """Ends a run after a layer whose control did not do what its descriptor asks for."""

    name = "schedule_signature"
    stops = Status.SCHEDULE_CHECK
    sees = frozenset({Role.CONTROL, Role.DESCRIPTOR_WORD, Role.DESCRIPTOR_INDEX})
    dataflow = WeightStationary.name

    def watch(self, m: Module, parts: Datapath) -> Value:
        sequencer = parts.sequencer
        values = self._values(parts)
        widths = taps(self.config)
        observed = Cat(Value.cast(values[name])[:width] for name, width in widths.items())
        m.submodules.signature = signature = Signature(sum(widths.values()))
        m.d.comb += [
            signature.observed.eq(observed),
            signature.start.eq(sequencer.start),
            signature.running.eq(sequencer.running),
            signature.opening.eq(sequencer.opening),
            signature.ending.eq(sequencer.ending),
            signature.seed.eq(sequencer.word),
        ]
        return signature.mismatch

    @staticmethod
    def _values(parts: Datapath) -> dict[str, Value]:
        """What is observed; values that an earlier layer may have left count only with a pixel."""
        feeder, stage, array, loader = parts.dataflow.units.values()
        lanes, reader, writer = parts.lanes, parts.residual_reader, parts.output_writer
        tokens = [lanes.token, *lanes.tokens]
        last = len(lanes.pixels)
        read = 1 + Lanes.STAGE_E + Requantizer.RESIDUAL_STAGE - Lanes.RESIDUAL_READ

        def finished(stage: int) -> Value:
            return tokens[stage].valid & tokens[stage].last

        values = {
            "address": _gated(feeder.address, feeder.token.valid),
            "pad": stage.pad_selected & parts.tokens[2].valid,
            "sub_block": _gated(stage.sub_block_read, parts.tokens[1].valid),
            "weight": loader.address,
            # Rows follow one another: in their order they would meet in one bit of the register.
            "load": Cat(reversed(loader.load)),
            "swap": Cat(row[-1].swap_out for row in reversed(array.pes)),
            "token": tokens[-1],
            "pixel": _gated(lanes.pixels[-1], tokens[last].valid),
            "parameter": parts.parameter_loader.address,
            "lane": parts.parameter_loader.lane,
            "residual": reader.walk.pointer,
            "residual_lane": _gated(reader.offset, finished(read + 1)),
            "present": reader.present & finished(read + ResidualReader.LATENCY),
            "output": writer.walk.pointer,
            "output_lane": writer.walk.offset,
            "banks": Cat(parts.choices),
            "busy": parts.sequencer.busy,
            "chained": Cat(feeder.chained, lanes.chained),
        }
        return values


def _gated(value: Value, valid: Value) -> Value:
    return Value.cast(value) & valid.replicate(len(Value.cast(value)))
