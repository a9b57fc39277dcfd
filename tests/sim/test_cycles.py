"""What the cycle model says of the reference size; test_driver holds the model against the RTL."""

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.networks.random_graph import random_graph
from holdfast.nn.networks.spec import Network
from holdfast.sim.machine.cycles import START_CYCLES, step_cycles


def test_a_layer_that_fills_the_array_keeps_it_busy():
    net = Network("one", input_shape=(16, 32, 32))
    x = net.conv("conv", "image", 16, 3)
    net.dense("logits", net.pool("maxpool", "pool", x, 7, 7), 10)
    program = compile_graph(random_graph(net, seed=1), AcceleratorConfig())
    step = program.steps[0]
    assert step.macs == 16 * 32 * 32 * 16 * 9
    cycles = START_CYCLES + sum(step_cycles(program, step).values())
    assert step.macs / (cycles * 8 * 8) >= 0.95
