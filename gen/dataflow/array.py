"""The systolic array."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role, at

from .pe import ProcessingElement
from .skew import Skew


class SystolicArray(wiring.Component):
    """Multiplies in a weight-stationary array of ``rows`` x ``cols`` processing elements.

    A vector of ``rows`` activations enters per cycle and is skewed inside; column c delivers the
    dot product with its weights ``latency + c`` cycles later. The next weight tile is written row
    by row while the current one streams; ``swap`` makes it active without a bubble.

    Members
    -------
    act
        Activations of one pixel, aligned.
    swap
        One cycle before the first activation vector that uses the loaded weights.
    weight, load
        One row of weights; ``load[r]`` stores it into row r's shadow registers.
    sums
        Partial sum at the foot of each column, column c one cycle after column c-1.

    Latency
    -------
    ``latency = rows + 1`` cycles from ``act`` to ``sums[0]``.
    Row r may be loaded again ``cols`` cycles after ``swap`` reached it, that is from
    ``r + cols - 1`` cycles after ``swap`` on.
    """

    STATE = {
        r"skew__lane_(?P<row>\d+)_(?P<stage>\d+)": Kind(Role.ARRAY_SKEW, pipeline=True),
        r"swap_skew__\w+": Kind(Role.CONTROL),
    }

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.pes = [
            [at(ProcessingElement(config.act_bits, config.weight_bits,
                                  self.sum_bits(config, row)), row=row, col=col)
             for col in range(config.cols)]
            for row in range(config.rows)
        ]  # fmt: skip
        super().__init__(
            {
                "act": In(data.ArrayLayout(signed(config.act_bits), config.rows)),
                "swap": In(1),
                "weight": In(data.ArrayLayout(signed(config.weight_bits), config.cols)),
                "load": In(config.rows),
                "sums": Out(data.ArrayLayout(signed(config.acc_bits), config.cols)),
            }
        )

    @staticmethod
    def latency(rows: int) -> int:
        """Returns cycles from ``act`` to ``sums[0]``."""
        return rows - 1 + ProcessingElement.LATENCY

    @classmethod
    def sum_bits(cls, config: AcceleratorConfig, row: int) -> int:
        """Returns the width of a row's partial sums: what the products above it can need."""
        largest = (row + 1) << (config.act_bits + config.weight_bits - 2)
        return min(config.acc_bits, largest.bit_length() + 1)

    def elaborate(self, platform):
        m = Module()
        rows, cols = self.config.rows, self.config.cols
        m.submodules.skew = skew = Skew(rows, signed(self.config.act_bits))
        m.submodules.swap_skew = swap_skew = Skew(rows, 1)
        m.d.comb += [skew.i.eq(self.act)]
        m.d.comb += [swap_skew.i[row].eq(self.swap) for row in range(rows)]

        above: list[ProcessingElement | None] = [None] * cols
        for row in range(rows):
            left: ProcessingElement | None = None
            for col in range(cols):
                pe = self.pes[row][col]
                m.submodules[f"pe_{row}_{col}"] = pe
                m.d.comb += [
                    pe.weight_in.eq(self.weight[col]),
                    pe.load.eq(self.load[row]),
                    pe.act_in.eq(skew.o[row] if left is None else left.act_out),
                    pe.swap_in.eq(swap_skew.o[row] if left is None else left.swap_out),
                ]
                upper = above[col]
                if upper is not None:
                    m.d.comb += pe.sum_in.eq(upper.sum_out)
                above[col] = left = pe
                if row == rows - 1:
                    m.d.comb += self.sums[col].eq(pe.sum_out)
        return m
