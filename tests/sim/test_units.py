"""Every unit of the accelerator in cocotb, at several sizes."""

from dataclasses import asdict

import pytest
from amaranth.hdl import signed

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.array import SystolicArray
from holdfast.gen.dataflow.feeder import Feeder
from holdfast.gen.dataflow.input_stage import InputStage
from holdfast.gen.dataflow.pe import ProcessingElement
from holdfast.gen.dataflow.skew import Skew
from holdfast.gen.dataflow.weight_loader import WeightLoader
from holdfast.gen.port.axi import AxiSubordinate
from holdfast.gen.protection.range_guard import RangeGuard
from holdfast.gen.units.accumulator import AccumulatorLane
from holdfast.gen.units.memory import LaneMemory
from holdfast.gen.units.output_writer import OutputWriter
from holdfast.gen.units.parameter_loader import ParameterLoader
from holdfast.gen.units.residual_reader import ResidualReader
from holdfast.gen.units.sequencer import Sequencer
from holdfast.sim.cocotb.build import build_cocotb, run_cocotb
from holdfast.sim.netlist.netlist import Netlist
from tests.sim.lane import RequantizerLane

SIZES = {"1x1": (1, 1), "3x2": (3, 2), "2x5": (2, 5), "4x4": (4, 4), "5x3": (5, 3)}


def sized(*names: str):
    """Parametrize a test by array size."""
    return pytest.mark.parametrize("size", [SIZES[name] for name in names], ids=names)


def config(size: tuple[int, int] = (2, 2), **values) -> AcceleratorConfig:
    depths = {"act_depth": 16, "weight_depth": 16, "acc_depth": 9, "param_depth": 16}
    return AcceleratorConfig(*size, **depths | {"program_depth": 4} | values)


def bench(component: object, module: str, **parameters) -> None:
    """Run all tests of a testbench on a component."""
    netlist = Netlist.of(component, "unit")
    cfg = getattr(component, "config", None)
    given = {"config": asdict(cfg)} if cfg else {}
    inputs = [port.name for port in netlist.ports if port.direction == "input"]
    run_cocotb(
        build_cocotb(netlist),
        f"tests.sim.unit_{module}",
        parameters={**given, "inputs": inputs, **parameters},
        timeout=300,
    )


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("widths", [(8, 8, 24), (2, 2, 8), (8, 3, 11)])
def test_processing_element(widths):
    names = ("act_bits", "weight_bits", "acc_bits")
    bench(ProcessingElement(*widths), "pe", **dict(zip(names, widths, strict=True)))


@pytest.mark.long(keep=2)
@sized("1x1", "3x2", "2x5", "4x4")
def test_array(size):
    bench(SystolicArray(config(size, act_bits=6, weight_bits=5, acc_bits=12)), "array")


@pytest.mark.long(keep=1)
@sized("2x5", "3x2")
def test_feeder(size):
    bench(Feeder(config(size)), "feeder")


@pytest.mark.long(keep=2)
@sized("1x1", "2x5", "5x3")
def test_weight_loader(size):
    bench(WeightLoader(config(size)), "loaders", unit="weights")


@pytest.mark.long(keep=1)
@sized("1x1", "2x5")
def test_parameter_loader(size):
    bench(ParameterLoader(config(size)), "loaders", unit="parameters")


@pytest.mark.parametrize(
    ("lanes", "width", "depth", "split"),
    [(1, 8, 1, False), (3, 5, 7, False), (2, 3, LaneMemory.DEEPEST + 5, True)],
)
def test_memory(lanes, width, depth, split):
    memory = LaneMemory(lanes, width, depth, split)
    assert len(memory.parts) == 2 and bool(memory.parts[1]) == split
    bench(memory, "memory", lanes=lanes, width=width, depth=depth)


def test_range_guard():
    bench(RangeGuard(3), "guard", unit="guard", width=3)


@pytest.mark.parametrize(("lanes", "reverse"), [(4, False), (5, True)])
def test_skew(lanes, reverse):
    shapes = {"lanes": lanes, "reverse": reverse}
    bench(Skew(lanes, signed(3), reverse), "guard", unit="skew", width=3, **shapes)


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("guard", [{}, {"learnt_bounds": False}, {"guard": False}])
@sized("2x5", "3x2")
def test_input_stage(size, guard):
    bench(InputStage(config(size, act_bits=5, **guard)), "input_stage")


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("values", [{"acc_bits": 16}, {"acc_bits": 9, "acc_depth": 5}])
def test_accumulator(values):
    bench(AccumulatorLane(config(act_bits=4, weight_bits=4, **values)), "accumulator")


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(
    "values",
    [
        {"rounding": "half_up", "multiplier_bits": 16},
        {"rounding": "half_even", "multiplier_bits": 8, "acc_bits": 17, "act_bits": 5},
        {"rounding": "floor", "multiplier_bits": 24, "acc_bits": 32},
        {"rounding": "half_even", "multiplier_bits": 0, "acc_bits": 20, "act_bits": 3},
        {"rounding": "half_up", "multiplier_bits": 0, "act_bits": 2, "acc_bits": 10},
        {"rounding": "half_even", "multiplier_bits": 24, "acc_bits": 32, "guard": False},
        {"rounding": "half_up", "multiplier_bits": 3, "act_bits": 4, "acc_bits": 12},
        {"rounding": "half_up", "multiplier_bits": 16, "learnt_bounds": False},
        {"rounding": "floor", "multiplier_bits": 8, "act_bits": 5, "learnt_bounds": False},
        {"rounding": "half_even", "multiplier_bits": 0, "act_bits": 2, "learnt_bounds": False},
    ],
    ids=lambda v: "-".join(map(str, v.values())),
)
def test_requantizer(values):
    bench(RequantizerLane(config(**{"weight_bits": 4} | values)), "requantizer")


@pytest.mark.long(keep=1)
@sized("3x2", "5x3", "2x5")
def test_output_writer(size):
    bench(OutputWriter(config(size, act_bits=6)), "walk", unit="writer")


@pytest.mark.long(keep=1)
@sized("3x2", "5x3", "2x5")
def test_residual_reader(size):
    bench(ResidualReader(config(size, act_bits=6)), "walk", unit="reader")


def test_sequencer():
    narrow = config((3, 2), act_bits=6, multiplier_bits=16)
    bench(Sequencer(narrow, 9), "sequencer", drain=9)


@pytest.mark.long
def test_axi():
    bench(AxiSubordinate(), "axi")
