import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.machine.roofline import roofline, total


@pytest.fixture(scope="module")
def layers():
    program = compile_graph(load_network("resnet8"), AcceleratorConfig(rows=8, cols=8))
    return {s.name: roofline(program, s, step_cycles(program, s)) for s in program.steps}


def test_parts_add_up(layers):
    whole = total(layers.values())
    assert whole.cycles == sum(part.cycles for part in layers.values())
    for part in (*layers.values(), whole):
        parts = part.compute + part.unused + sum(part.stalls.values())
        assert parts == pytest.approx(part.cycles)
        assert part.unused >= 0


def test_bounds(layers):
    # 1024 pixels x 2 output tiles x 18 reduction tiles with all 64 multipliers busy.
    body = layers["block1_conv1"]
    assert body.compute == 1024 * 2 * 18 and body.unused == 0 and body.bound == "compute"
    # Nine packed channels in each kernel row, two blocks of 8: 9 of 16 rows.
    assert layers["stem"].unused == pytest.approx(layers["stem"].compute * (16 / 9 - 1))
    assert layers["stem"].bound == "compute"
    # No multiplications of the network; one pixel for each weight tile.
    assert layers["pool"].compute == 0 and layers["pool"].bound == "array"
    assert layers["logits"].bound == "weights"
