"""An operation is one class: made-up ones go from a list of layers to the simulated accelerator."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.errors.exposure import graph_work, network_work
from holdfast.nn.graph.graph import Graph, ModelError
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.spec import LayerSpec, Network, tensor_groups
from holdfast.nn.operators.avgpool import AvgPoolNode
from holdfast.nn.operators.maxpool import MaxPoolNode
from holdfast.nn.operators.registry import OPERATORS
from holdfast.nn.quantization.clipping import clips_on
from holdfast.nn.quantization.quantized import fake_quantized
from holdfast.sim.compiled.build import build_compiled
from holdfast.sim.layers import golden_run, run_layers
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.random_graph import random_graph
from tests.sim.test_cell_network import STREAMED as CONFIG


@dataclass(kw_only=True)
class GlobalMaxNode(MaxPoolNode):
    """The largest code of each channel, of a square map."""

    op = "globalmax"

    @classmethod
    def output_shape(cls, layer, inputs):
        return inputs[0][0], 1, 1

    @classmethod
    def real(cls, layer, inputs):
        return inputs[0].amax((2, 3), keepdim=True)

    @classmethod
    def layer_fan_in(cls, layer, source):
        return 1, *source[1:]

    @classmethod
    def lowered(cls, given):
        side = given.sources[0].shape[1]
        return given.node(cls, kernel=side, stride=side)

    def check(self, graph, sources):
        super().check(graph, sources)
        if (self.kernel, self.kernel) != sources[0].shape[1:]:
            raise ModelError(f"layer {self.name!r} must cover its whole input.")

    def evaluate(self, golden, inputs, result):
        return inputs[0].amax((2, 3), keepdim=True)


@dataclass(kw_only=True)
class LeastZeroNode(AvgPoolNode):
    """A ReLU that keeps the scale: the average of one pixel, cut off at real zero."""

    op = "keeprelu"

    @classmethod
    def real(cls, layer, inputs):
        return inputs[0].clamp(min=0)

    def evaluate(self, golden, inputs, result):
        zero = golden.graph[self.inputs[0]].zero_point
        gain = self.multiplier / 2**self.shift
        y = ((inputs[0].double() - zero) * gain + 0.5).floor() + self.zero_point
        return y.clamp(self.lo, self.hi).to(torch.int8)


@pytest.fixture
def spec(monkeypatch):
    for member in (GlobalMaxNode, LeastZeroNode):
        monkeypatch.setitem(OPERATORS, member.op, member)
    net = Network("made_up", (3, 8, 8))
    net.conv("conv", "image", 6, 3, activation="none")
    net.append(LayerSpec("kept", "keeprelu", ("conv",), activation="relu"))
    net.append(LayerSpec("top", "globalmax", ("kept",)))
    net.dense("logits", "top", 10)
    return net


def test_reals_and_groups(spec):
    net = FloatNetwork(spec).eval()
    pixels = torch.rand(2, 3, 8, 8)
    tensors = net.tensors(pixels)
    wanted = tensors["conv"].clamp(min=0).flatten(2).max(2).values
    assert torch.equal(tensors["top"].flatten(1), wanted)
    groups = tensor_groups(spec)
    assert groups["top"] == groups["kept"] != groups["conv"]


def test_training_quantizes_it(spec):
    torch.manual_seed(1)
    net = FloatNetwork(spec)
    images = np.random.default_rng(1).integers(0, 256, (8, 3, 8, 8)).astype(np.uint8)
    quantized = fake_quantized(net, clips_on(net, images, 8), 8, 8)
    quantized(torch.from_numpy(images).float() / 255).sum().backward()
    assert quantized.layers["conv"].conv.weight.grad.abs().sum() > 0
    assert [node.op for node in quantized.integer_graph().nodes[2:4]] == ["keeprelu", "globalmax"]


def test_file_contract_and_exposure(spec, tmp_path):
    graph = random_graph(spec, seed=2)
    graph.save(tmp_path / "made_up.safetensors")
    loaded = Graph.load(tmp_path / "made_up.safetensors")
    assert loaded["top"] == graph["top"]
    assert network_work(spec) == graph_work(graph)
    loaded["top"].kernel = 7
    with pytest.raises(ModelError, match="must cover its whole input"):
        loaded.validate()


def test_the_accelerator_computes_it(spec):
    """The golden model evaluates the made-up operations by their own rules."""
    program = compile_graph(random_graph(spec, seed=2), CONFIG)
    codes = torch.randint(-128, 128, (2, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    golden = golden_run(program, codes.to(torch.int8))
    runs = run_layers(build_compiled(accelerator_netlist(CONFIG)), program, golden)
    assert [run.mismatches for run in runs] == [0] * 8
    assert {run.name for run in runs} == {"conv", "kept", "top", "logits"}
