"""Every bit of state of an accelerator can be flipped and read back in RTL."""

import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.registry import DATAFLOWS
from holdfast.gen.dataflow.weight_stationary import WeightStationary
from holdfast.sim.cocotb.build import build_cocotb, run_cocotb
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.sim.small import flip_flop_bits, memory_bits

CONFIG = AcceleratorConfig(
    rows=2, cols=2, act_bits=3, weight_bits=3, acc_bits=8, multiplier_bits=3, act_depth=4,
    weight_depth=4, acc_depth=3, param_depth=2, program_depth=1,
)  # fmt: skip


@pytest.mark.long
def test_every_bit_of_an_accelerator_flips_and_reads_back():
    netlist = accelerator_netlist(CONFIG)
    names = {memory.name for memory in netlist.memories}
    banks = {name for name in names if name.startswith("activations_")}
    assert len(banks) == CONFIG.act_banks * CONFIG.word_lanes
    inputs = {port.name: 0 for port in netlist.ports if port.direction == "input"}
    del inputs["clk"]
    results = run_cocotb(
        build_cocotb(netlist),
        "tests.sim.flip_bench",
        parameters={
            "inputs": inputs,
            "flip_flops": [(f.name, f.width) for f in netlist.flip_flops],
            "memories": [(m.name, m.width, m.depth) for m in netlist.memories],
        },
        testcase="flip_every_bit",
    )
    assert results == {"flipped": flip_flop_bits(netlist) + memory_bits(netlist)}
    weights = CONFIG.weight_bits * CONFIG.cols * CONFIG.weight_depth
    activations = CONFIG.act_bits * CONFIG.word_lanes * CONFIG.act_depth * CONFIG.act_banks
    assert memory_bits(netlist) > weights + activations


def test_a_dataflow_of_ones_own_is_in_the_key(monkeypatch):
    keys = []

    def remembered(kind, key, make):
        keys.append(key)
        raise InterruptedError

    monkeypatch.setattr("holdfast.sim.netlist.accelerator.cached", remembered)
    monkeypatch.setitem(DATAFLOWS, "own", type("Own", (WeightStationary,), {}))
    for digest in ("1", "1", "2"):
        monkeypatch.setattr(
            "holdfast.sim.netlist.accelerator.outside_hash",
            lambda *kinds, digest=digest: f"{[kind.__name__ for kind in kinds]} {digest}",
        )
        with pytest.raises(InterruptedError):
            accelerator_netlist(CONFIG.with_(dataflow="own"))
    assert keys[0] == keys[1] != keys[2]
    assert "['Own', 'LearntGuard'] 2" in keys[2]
