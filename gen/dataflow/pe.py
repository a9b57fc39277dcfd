"""One multiply-accumulate cell."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.roles import Kind, Role


class ProcessingElement(wiring.Component):
    """Multiplies by a double-buffered weight; the product is registered.

    Parameters
    ----------
    act_bits, weight_bits, acc_bits : int
        Widths of activation, weight and partial sum.

    Members
    -------
    act_in, act_out
        Activation from the left, and to the right one cycle later.
    sum_in, sum_out
        Partial sum from above and below; ``sum_out`` wraps modulo ``2**acc_bits``.
    weight_in, load
        ``load`` stores ``weight_in`` into the shadow register.
    swap_in, swap_out
        Makes the shadow weight active in the next cycle; travels with the activations, one cycle
        ahead of the first that uses the new weight.

    Latency
    -------
    An activation in cycle t meets ``sum_in`` in cycle t+1; ``sum_out`` follows in cycle t+2.
    """

    LATENCY = 2
    PRODUCT = 1
    """Cycles from an activation to its product in the register."""

    STATE = {
        "activation": Kind(Role.PE_ACTIVATION, pipeline=True),
        "weight": Kind(Role.PE_WEIGHT, pipeline=True),
        "shadow": Kind(Role.PE_SHADOW, pipeline=True),
        "product": Kind(Role.PE_PRODUCT, pipeline=True),
        "partial_sum": Kind(Role.PE_PARTIAL_SUM, pipeline=True),
        "swap": Kind(Role.CONTROL),
    }

    def __init__(self, act_bits: int, weight_bits: int, acc_bits: int):
        super().__init__(
            {
                "act_in": In(signed(act_bits)),
                "act_out": Out(signed(act_bits)),
                "sum_in": In(signed(acc_bits)),
                "sum_out": Out(signed(acc_bits)),
                "weight_in": In(signed(weight_bits)),
                "load": In(1),
                "swap_in": In(1),
                "swap_out": Out(1),
            }
        )
        self._product_bits = act_bits + weight_bits
        self.weight = Signal(signed(weight_bits))

    def elaborate(self, platform):
        m = Module()
        activation = Signal.like(self.act_in)
        shadow = Signal.like(self.weight_in)
        weight = self.weight
        product = Signal(signed(self._product_bits))
        partial_sum = Signal.like(self.sum_in)
        swap = Signal()

        m.d.sync += [
            activation.eq(self.act_in),
            swap.eq(self.swap_in),
            product.eq(self.act_in * weight),
            partial_sum.eq(self.sum_in + product),
        ]
        with m.If(self.load):
            m.d.sync += shadow.eq(self.weight_in)
        with m.If(self.swap_in):
            m.d.sync += weight.eq(shadow)
        m.d.comb += [
            self.act_out.eq(activation),
            self.swap_out.eq(swap),
            self.sum_out.eq(partial_sum),
        ]
        return m
