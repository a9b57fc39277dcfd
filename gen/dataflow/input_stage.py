"""From activation words to the vector that enters the array."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.range_guard import RangeGuard
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.descriptor import Layer


class InputStage(wiring.Component):
    """Selects the channel block, checks its range and inserts padding.

    Members
    -------
    layer
        Bounds, padding value and zero point.
    sub_block, pad, valid
        Of the address that was read in this cycle; the word follows one cycle later. Without
        ``valid`` there is no pixel, and nothing is counted.
    word
        Word of the input bank.
    enable, use_zero
        Input guard settings. Padding is exempt from the guard.
    act
        ``rows`` activations, three cycles after the address.
    violation
        Rows whose value was replaced; exists in configurations with learnt bounds, else constant 0.

    Protection
    ----------
    Range guard per row.
    """

    LATENCY = 3

    STATE = {
        r"(?:pad|sub_block)\w*": Kind(Role.CONTROL),
        r"checked\w*|below|above": Kind(Role.GUARD),
        "selected": Kind(Role.INPUT_WORD, pipeline=True),
        "act": Kind(Role.INPUT_VECTOR, pipeline=True),
    }

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        shape = signed(config.act_bits)
        self.sub_block_read = Signal(range(max(2, config.sub_blocks)), name="sub_block")
        self.pad_selected = Signal()
        super().__init__(
            {
                "layer": In(Layer),
                "sub_block": In(range(max(2, config.sub_blocks))),
                "pad": In(1),
                "valid": In(1),
                "word": In(data.ArrayLayout(shape, config.word_lanes)),
                "enable": In(1),
                "use_zero": In(1),
                "act": Out(data.ArrayLayout(shape, config.rows)),
                "violation": Out(config.rows),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows = self.config.rows
        shape = signed(self.config.act_bits)
        sub_block, pad_selected = self.sub_block_read, self.pad_selected
        pad_read = Signal()
        selected = Signal(data.ArrayLayout(shape, rows))
        act = Signal.like(selected)
        m.d.sync += [sub_block.eq(self.sub_block), pad_read.eq(self.pad), pad_selected.eq(pad_read)]
        if self.config.learnt_guard:
            checked_read = Signal()
            checked = Signal()
            below = Signal(shape)
            # Padding takes the upper bound's way.
            above = Signal(shape)
            bound = Mux(self.use_zero, self.layer.zero_in, self.layer.input_hi)
            m.d.sync += [
                checked_read.eq(self.valid & ~self.pad & self.enable),
                checked.eq(checked_read),
                below.eq(Mux(self.use_zero, self.layer.zero_in, self.layer.input_lo)),
                above.eq(Mux(pad_read, self.layer.pad_value, bound)),
            ]
        m.d.comb += self.act.eq(act)
        for row in range(rows):
            choices = Array(
                self.word[block * rows + row] for block in range(self.config.sub_blocks)
            )
            m.d.sync += selected[row].eq(
                choices[sub_block] if self.config.sub_blocks > 1 else choices[0]
            )
            if self.config.learnt_guard:
                m.submodules[f"guard_{row}"] = guard = RangeGuard(self.config.act_bits)
                m.d.comb += [
                    guard.value.eq(selected[row]),
                    guard.lo.eq(self.layer.input_lo),
                    guard.hi.eq(self.layer.input_hi),
                    guard.below.eq(below),
                    guard.above.eq(above),
                    guard.check.eq(checked),
                    guard.override.eq(pad_selected),
                    self.violation[row].eq(guard.violation),
                ]
                m.d.sync += act[row].eq(guard.result)
            else:
                m.d.sync += act[row].eq(Mux(pad_selected, self.layer.pad_value, selected[row]))
        return m
