"""Units say what their state is for."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out

from holdfast.gen.accelerator import Accelerator
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Held, Kind, Role, at, state_of


class Cell(wiring.Component):
    STATE = {"value": Kind(Role.PE_WEIGHT, pipeline=True), r"late_(?P<stage>\d+)": Kind(Role.HOST)}

    def __init__(self):
        super().__init__({"o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        value, late, other = Signal(4), Signal(4, name="late_7"), Signal(4, name="other")
        m.d.sync += [value.eq(value + 1), late.eq(value), other.eq(late)]
        m.d.comb += self.o.eq(other)
        return m


class Pair(wiring.Component):
    """Knows a register of its inner units that they do not know, and a memory."""

    STATE = {r"cell_\d+__other": Kind(Role.GUARD, live=("layer",)), "table": Kind(Role.CONTROL)}

    def __init__(self):
        super().__init__({"o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        for number in range(2):
            m.submodules[f"cell_{number}"] = at(Cell(), row=number, part="x")
        m.submodules.table = memory.Memory(shape=4, depth=2, init=[])
        return m


def test_a_unit_names_its_state_and_where_it_is():
    held = state_of(Pair())
    place = {"row": 1, "part": "x"}
    assert held("cell_1__value") == Held(Role.PE_WEIGHT, place, pipeline=True)
    assert held("cell_1__late_7") == Held(Role.HOST, place | {"stage": 7})
    # What the inner unit does not know, the outer one may.
    assert held("cell_0__other") == Held(Role.GUARD, live=("layer",))
    assert held("table") == Held(Role.CONTROL)
    for name in ("cell_0__surprise", "surprise", "table__read0", "cell_0"):
        assert held(name) is None


@pytest.mark.parametrize("guard", [False, True])
def test_places_of_an_accelerator(guard):
    held = state_of(Accelerator(AcceleratorConfig(rows=3, cols=2, guard=guard)))
    assert held("array__pe_2_1__shadow").place == {"row": 2, "col": 1}
    assert held("array__skew__lane_2_0").place == {"row": 2, "stage": 0}
    assert held("lanes__accumulator_1__cells").role is Role.ACCUMULATOR_WORDS
    assert held("lanes__accumulator_1__cells").place == {"lane": 1}
    assert held("activations_1__lane_2").place == {"bank": 1, "lane": 2, "part": ""}
    assert held("weights__lane_1_rest").place == {"lane": 1, "part": "_rest"}
    assert held("parameters_bias").place == {"field": "bias"}
    assert held("sequencer__word_3").place == {"word": 3}
