"""Cell networks; expected are the operations that aw_nas calls by these names, written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.progress import Progress

from holdfast.base.errors import HoldfastError
from holdfast.nn.data.images import ImageSet
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import AvgPoolNode
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.genotype import Genotype, cell_network
from holdfast.nn.networks.zoo import WFTT
from holdfast.nn.quantization.clipping import clips
from holdfast.nn.quantization.quantized import QuantizedNetwork
from holdfast.nn.training.loop import Plan, fit
from tests import reference
from tests.nn.layerwise import assert_layers_agree
from tests.random_graph import random_graph

SMALL = cell_network("small", WFTT, 4, 3, (3, 8, 8))


class Plain:
    """Evaluates a genotype on the parameters of a float network, in evaluation."""

    def __init__(self, net):
        self.modules = net.layers

    def conv(self, name, x, **more):
        module = self.modules[name]
        y = F.conv2d(x, module.conv.weight, module.conv.bias, **more)
        if hasattr(module, "bn"):
            bn = module.bn
            y = F.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        return y

    def separable(self, name, x, kernel, stride, dilation=1):
        x = F.relu(x)
        x = self.conv(f"{name}_depthwise", x, stride=stride, dilation=dilation, groups=x.shape[1],
                      padding=dilation * (kernel // 2))  # fmt: skip
        return self.conv(f"{name}_pointwise", x)

    def edge(self, name, op, x, stride):
        if op == "skip_connect" and stride == 1:
            return x
        if op == "skip_connect":
            x = F.relu(x)
            even = self.conv(f"{name}_even", x, stride=2)
            return torch.cat([even, self.conv(f"{name}_odd", x[:, :, 1:, 1:], stride=2)], 1)
        if op == "max_pool_3x3":
            return F.max_pool2d(x, 3, stride, 1)
        if op == "conv_1x1":
            return self.conv(name, x, stride=stride)
        kernel = int(op[-1])
        if op.startswith("relu_conv_bn"):
            return self.conv(name, F.relu(x), stride=stride, padding=kernel // 2)
        if op.startswith("dil_conv"):
            return self.separable(name, x, kernel, stride, 2)
        return self.separable(f"{name}2", self.separable(f"{name}1", x, kernel, stride), kernel, 1)

    def cell(self, name, pairs, inputs, strides, stride):
        nodes = [
            self.conv(f"{name}_input{i}", F.relu(x), stride=s, padding=1)
            for i, (x, s) in enumerate(zip(inputs, strides, strict=True))
        ]
        for pair in pairs:
            node = f"{name}_node{len(nodes)}"
            nodes.append(
                sum(
                    self.edge(f"{node}_{side}", op, nodes[source], stride if source < 2 else 1)
                    for side, (op, source) in zip("ab", pair, strict=True)
                )
            )
        return torch.cat(nodes[2:], 1)


def settled(spec):
    torch.manual_seed(4)
    net = FloatNetwork(spec)
    for module in net.layers.values():
        if hasattr(module, "bn"):
            module.bn.weight.data.uniform_(0.5, 1.5)
            module.bn.bias.data.normal_()
            module.bn.momentum = None
    with torch.no_grad():
        net(torch.rand(16, *spec.input_shape))
    return net.eval()


def test_cells_compute_what_their_genotype_says():
    """Three cells: normal, stride 2, stride 2; all primitives of W-FTT-Net."""
    net = settled(SMALL)
    image = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        plain = Plain(net)
        stem = plain.conv("stem", image, padding=1)
        one = plain.cell("cell1", WFTT.normal, (stem, stem), (1, 1), 1)
        two = plain.cell("cell2", WFTT.reduce, (stem, one), (1, 1), 2)
        three = plain.cell("cell3", WFTT.reduce, (one, two), (2, 1), 2)
        logits = plain.conv("logits", three.mean((2, 3), keepdim=True))
        found = net.tensors(image)
    torch.testing.assert_close(found["cell1"], F.relu(one))
    torch.testing.assert_close(found["cell2"], F.relu(two))
    torch.testing.assert_close(found["cell3"], three)
    torch.testing.assert_close(found["logits"], logits)
    assert three.shape == (2, 64, 2, 2) and three.min() < 0


def test_unknown_primitive():
    edges = ((("conv_7x1_1x7", 0), ("skip_connect", 1)),)
    with pytest.raises(HoldfastError, match="unknown primitive 'conv_7x1_1x7'"):
        cell_network("odd", Genotype(edges, edges), 4)


@pytest.mark.parametrize(
    ("act_bits", "weight_bits", "multiplier_bits", "rounding"),
    [(8, 8, 16, "half_up"), (4, 5, 12, "half_even"), (6, 8, 0, "floor")],
)
def test_both_references_agree(act_bits, weight_bits, multiplier_bits, rounding):
    graph = random_graph(SMALL, 3, act_bits, weight_bits, multiplier_bits, rounding)
    pixels = np.random.default_rng(5).integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)
    codes = image_codes(pixels, act_bits)
    found = Golden(graph).run(codes).outputs
    for name, tensor in reference.run(graph, codes[0].numpy()).items():
        np.testing.assert_array_equal(found[name][0], tensor, err_msg=name)
        assert tensor.min() < tensor.max(), name
    assert {node.offset for node in graph.weighted()} == {0, 1}
    alone = graph["cell1_node2_relu"]
    assert isinstance(alone, AvgPoolNode) and alone.kernel == 1 and alone.lo == alone.zero_point


@pytest.mark.long
def test_training_ends_in_integers(tmp_path):
    """A few batches in floating point and fake-quantized; every layer, and the learnt classes."""
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 10, 64).astype(np.uint8)
    # each class is a colour: easy to learn
    colours = rng.integers(0, 256, (10, 3, 1, 1))
    images = np.clip(colours[labels] + rng.integers(-20, 21, (64, 3, 8, 8)), 0, 255)
    images = images.astype(np.uint8)
    torch.manual_seed(6)
    net = FloatNetwork(SMALL)

    def train(net, name, epochs, rate):
        losses = []
        plan = Plan(name, epochs, 1, rate, half_precision=False, batch=32)
        with Progress(disable=True) as progress:
            fit(net, ImageSet("x", images, labels), plan, tmp_path / name, progress, resume=False,
                on_epoch=lambda _, loss: losses.append(loss))  # fmt: skip
        return losses

    losses = train(net, "float", 6, 0.05)
    assert losses[-1] < 0.7 * losses[0]
    pixels = torch.from_numpy(images)
    with torch.no_grad():
        largest = clips(SMALL, net.eval().tensors(pixels.float() / 255), 8)
    quantized = QuantizedNetwork(SMALL, largest, 8, 8)
    quantized.load_state_dict(net.state_dict(), strict=False)
    assert train(quantized, "quantized", 2, 0.005)[-1] < 0.8 * losses[0]
    quantized.eval()
    assert_layers_agree(quantized, pixels[:8])
    graph = quantized.integer_graph()
    graph.save(tmp_path / "small.safetensors")
    codes = Golden(type(graph).load(tmp_path / "small.safetensors")).logits(image_codes(images, 8))
    with torch.no_grad():
        real = quantized(pixels.float() / 255)
    assert (codes.argmax(1) == real.argmax(1)).double().mean() > 0.9
