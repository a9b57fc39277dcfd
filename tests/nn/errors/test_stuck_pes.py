"""Stuck bits of processing elements: the fault model against the accelerator and the formulas."""

import numpy as np
import pytest
import torch

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.errors.golden_faults import faulty_logits, faulty_weights
from holdfast.nn.errors.stuck_pes import StuckPEs
from holdfast.nn.graph.golden import Golden
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.clipping import clips
from holdfast.nn.quantization.quantized import QuantizedNetwork
from holdfast.sim.compiled.host import compiled_host
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.host import complete
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.random_graph import random_graph

CONFIG = AcceleratorConfig(
    rows=2, cols=3, act_depth=64, weight_depth=160, acc_depth=16, param_depth=24, program_depth=8
)


class Stuck(StuckPEs):
    """Given faults in place of drawn ones."""

    def __init__(self, *stuck):
        super().__init__(0.0, rows=CONFIG.rows, cols=CONFIG.cols)
        self.stuck = list(stuck)

    def start(self, sizes, images, bits, device):
        """Draws nothing."""


class StuckModel(CompiledModel):
    """The accelerator with bits of its weight registers stuck, held in every cycle."""

    stuck = ()

    def step(self, cycles=1):
        for _ in range(cycles):
            super().step()
            for row, col, bit, value in self.stuck:
                name = f"array__pe_{row}_{col}__weight"
                if self.read(name) >> bit & 1 != value:
                    self.flip(name, bit)

    def run_until(self, port, value, max_cycles):
        for cycles in range(max_cycles):
            if self.peek(port) == value:
                return cycles
            self.step()
        return None


def convolutions(channels: int) -> Network:
    net = Network("tiny", (2, 4, 4))
    x = net.conv("b", net.conv("a", "image", channels, 3), 4, 3, activation="none")
    net.dense("logits", x, 4)
    return net


@pytest.fixture(scope="module")
def netlist():
    return accelerator_netlist(CONFIG)


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("channels", [4, 3], ids=["even", "a row unused"])
@pytest.mark.parametrize("stuck", [(0, 1, 6, 1), (1, 0, 7, 1), (1, 2, 3, 0)], ids=str)
def test_the_accelerator_computes_the_same(netlist, channels, stuck):
    graph = random_graph(convolutions(channels), seed=1)
    program = compile_graph(graph, CONFIG)
    codes = np.random.default_rng(1).integers(-128, 128, graph.nodes[0].shape).astype(np.int8)
    model = StuckModel(netlist)
    host = compiled_host(model)
    complete(host.load(program))
    complete(host.write_tensor(program, "image", codes))
    model.stuck = [stuck]
    for step in program.steps:
        if step.name in ("a", "b"):
            complete(host.run(program, step, limit=20_000))
    found = complete(host.read_tensor(program, "b"))
    given = torch.from_numpy(codes[None])
    struck = Golden(faulty_weights(graph, Stuck(stuck))).run(given).outputs["b"][0].numpy()
    np.testing.assert_array_equal(found, struck)
    assert (struck != Golden(graph).run(given).outputs["b"][0].numpy()).any()


def test_fake_quantized_and_integers_have_the_same_faults():
    """Signed and unsigned inputs, negative gammas, an unused row, pixels at the border."""
    torch.manual_seed(3)
    net = Network("block", (3, 8, 8))
    a = net.conv("a", "image", 5, 3, activation="none")
    b = net.conv("b", a, 6, 3)
    net.dense("logits", b, 10)
    source = FloatNetwork(net)
    for module in source.layers.values():
        if hasattr(module, "bn"):
            module.bn.weight.data.uniform_(0.5, 1.5)
            module.bn.weight.data[::2] *= -1
    pixels = torch.rand(64, 3, 8, 8)
    for _ in range(50):
        source.train()(pixels)
    images = (pixels * 255).round().to(torch.uint8)
    found = clips(net, source.eval().tensors(images.float() / 255), 8)
    quantized = QuantizedNetwork(net, found, 8, 8)
    quantized.load_state_dict(source.state_dict(), strict=False)
    graph = quantized.eval().integer_graph()
    codes = (images.long() - 128).to(torch.int8)
    faults = Stuck((1, 2, 6, 1), (0, 0, 7, 0), (1, 1, 5, 1))
    integers = faulty_logits(Golden(graph), codes, faults).float()
    last = graph.nodes[-1]
    reals = quantized(images.float() / 255, faults) / last.scale + last.zero_point
    clean = quantized(images.float() / 255) / last.scale + last.zero_point
    assert (reals - integers).abs().max() <= 1
    assert (clean - integers).abs().mean() > 5


def test_weights_of_one_class_share_an_element():
    model = StuckPEs(0.0, rows=4, cols=3)
    model.stuck = [(1, 2, 3, 1)]
    codes = torch.zeros(7, 9, 2, 2)
    found = model.weights(codes, 8)
    for o in range(7):
        for i in range(9):
            stuck = i in (1, 5) and o in (2, 5)
            assert (found[o, i] == (8 if stuck else 0)).all()
    # rows of channels 9 to 11 are unused, 9 is in row 1: a third class for every second position
    assert model.zero_point_correction(codes, 8).tolist() == [0, 0, 3 * 4 * 8, 0, 0, 3 * 4 * 8, 0]
    model.stuck = [(0, 0, 7, 1)]
    assert model.weights(codes, 8)[0, 0, 0, 0] == -128
    depthwise = torch.ones(6, 1, 3, 3)
    assert torch.equal(model.weights(depthwise, 8), depthwise)


def test_elements_fail_at_the_rate():
    model = StuckPEs(0.1, seed=1, rows=16, cols=16)
    count, bits = 0, set()
    for _ in range(200):
        model.start({}, 1, 8, torch.device("cpu"))
        assert len({fault[:2] for fault in model.stuck}) == len(model.stuck)
        count += len(model.stuck)
        bits |= {(bit % 8, value) for _, _, bit, value in model.stuck}
    assert count == pytest.approx(0.1 * 256 * 200, rel=0.05)
    assert len(bits) == 16
    model = StuckPEs(0.0)
    model.start({}, 1, 8, torch.device("cpu"))
    codes = torch.ones(8, 8, 1, 1)
    assert (
        torch.equal(model.weights(codes, 8), codes)
        and model.zero_point_correction(codes, 8) is None
    )
