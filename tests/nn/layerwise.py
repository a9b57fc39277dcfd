"""Compares the two forms of a quantized network layer by layer."""

import torch

from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.quantization.quantized import QuantizedNetwork


def assert_layers_agree(
    quantized: QuantizedNetwork, images: torch.Tensor, share: float = 0.03
) -> None:
    """Every layer, from the same input codes: at most one code apart, and seldom."""
    graph = quantized.integer_graph()
    golden = Golden(graph)
    with torch.no_grad():
        real = quantized.tensors(images.float() / 255)
    codes = {node.name: (torch.round(real[node.name].double() / node.scale)
                         + node.zero_point).to(torch.int8) for node in graph.nodes}  # fmt: skip
    assert torch.equal(codes["image"], image_codes(images, graph.act_bits))
    for node in graph.nodes[1:]:
        # the later input is never computed from the earlier one here: both come from codes
        latest = max(node.inputs, key=[n.name for n in graph.nodes].index)
        found = golden.run_from(latest, codes[latest], codes, keep={node.name})
        difference = (found.outputs[node.name].int() - codes[node.name].int()).abs()
        assert difference.max() <= 1, node.name
        assert (difference > 0).double().mean() < share, node.name
