"""Explorations from Python."""

import pytest

from holdfast.api import HoldfastError, explore, load
from holdfast.constraints.families.base import Cost
from holdfast.constraints.flow.synthesis import Synthesis
from holdfast.explore.measurements import area
from holdfast.explore.measurements.reliability import Campaign
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.sim.machine.cycles import step_cycles

SIZES = {"act_depth": 2048, "weight_depth": 2048, "acc_depth": 256, "param_depth": 64}
SMALL = {
    "networks": ["small.safetensors"], "arrays": ["2x1"], "guards": ["off"], "faults": 0,
    "models": [], "jobs": 1, "cache": "kept", "folder": "made", "accelerator": SIZES,
}  # fmt: skip


@pytest.fixture(autouse=True)
def synthesized(place, monkeypatch):
    """Synthesis has tests of its own."""
    made = Synthesis("ecp5", Cost(lut=700, ff=2, dsp=3, mem=4.5), {})
    monkeypatch.setattr(area, "synthesize", lambda *given, **named: made)


def test_points_are_rows(place):
    found = explore(**SMALL)
    config = AcceleratorConfig(2, 1, guard=False, **SIZES)
    steps = compile_graph(load("small.safetensors"), config).steps
    (row,) = found.table().to_pylist()
    assert row == {
        "name": "small 2x1 off", "network": "small", "guard": "off", "front": True,
        "accuracy": None, "sdc1": None, "lut": 700,
        "cycles": sum(step_cycles(compile_graph(load("small.safetensors"), config), s).total()
                      for s in steps),
    }  # fmt: skip
    assert {path.name for path in (place / "kept").iterdir()} == {"area", "latency"}
    assert isinstance(found.figures(), list)


def test_a_disagreement_with_plain_rtl_is_no_result(place, monkeypatch):
    share = {"value": 0.1, "low": 0.0, "high": 0.2}
    found = {"total": {"sdc1": share}, "audit": {"faults": ["c7/weight[1]"]}}
    monkeypatch.setattr(Campaign, "run", lambda self: {"guards": {"off": {"all": found}}})
    with pytest.raises(RuntimeError, match=r"small 2x1 off: c7/weight\[1\]$"):
        explore(**SMALL | {"faults": 60})
    found["audit"]["faults"] = []
    (row,) = explore(**SMALL | {"faults": 60, "cache": "other"}).table().to_pylist()
    assert row["sdc1"] == 0.1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cache": 3}, "cache must be a path, not 3."),
        ({"folder": 3}, "folder must be a path, not 3."),
        ({"data": 3}, "data must be a path, not 3."),
        ({"jobs": "2"}, "jobs must be a whole number, not '2'."),
        ({"networks": "resnet8"}, "networks must be a list of texts, not 'resnet8'."),
        ({"targets": "ecp5"}, "targets must be a list of texts, not 'ecp5'."),
        ({"accelerator": 3}, "accelerator must be a table, not 3."),
        ({"faults": 2.5}, "faults must be an integer, not 2.5."),
        ({"fault": 2}, "a study has no 'fault'; it has networks, arrays, "),
        ({"arrays": ["0x2"]}, "rows must be 1 to 16, not 0."),
    ],
)
def test_mistakes(given, told, place):
    with pytest.raises(HoldfastError) as error:
        explore(**SMALL | given)
    assert str(error.value).startswith(told)
    assert {path.name for path in place.iterdir()} <= {"small.safetensors", "chip.toml", "build"}
