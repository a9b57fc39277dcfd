"""The netlists that bitstreams are made from, simulated with the vendors' cells as Yosys has them:
a whole layer of ResNet-8 through the serial pins, and the registers that the guard consists of.

Minutes per board: ``nox -s tests -- -m slow``.
"""

import dataclasses

import numpy as np
import pytest
import torch

from holdfast.constraints.boards import find_board
from holdfast.constraints.flow.bitstream import synthesize_board
from holdfast.fault.model.space import FaultSpace
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import Graph, InputNode
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.driver import Accelerator
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.transport.serial import UartTransport
from tests.constraints.design.gate_level import board_line, gate_model, register_bits

pytestmark = pytest.mark.slow

BOARDS = ["icebreaker", "tangnano20k", "ulx3s"]


@pytest.fixture(scope="module", params=BOARDS)
def synthesized(request, tmp_path_factory):
    board = find_board(request.param)
    # As fast as the line can be: everything else is the bitstream's netlist.
    board = dataclasses.replace(board, baud=round(board.core_mhz * 1e6 / 4))
    folder = tmp_path_factory.mktemp(request.param)
    return board, synthesize_board(board, board.config, folder, lambda _: None)


def last_layer():
    """The last layer of ResNet-8 as a network of its own, and what comes in."""
    graph = load_network("resnet8")
    codes = torch.as_tensor(image_codes(generated_images(1, 2).images, graph.act_bits))
    layer = graph.nodes[-1]
    outputs = Golden(graph).run(codes).outputs
    before = graph[layer.inputs[0]]
    source = InputNode(
        name=before.name, shape=before.shape, scale=before.scale, zero_point=before.zero_point,
        lo=before.lo, hi=before.hi,
    )  # fmt: skip
    alone = dataclasses.replace(graph, nodes=[source, layer])
    return alone, outputs[before.name].numpy(), outputs[layer.name].numpy().reshape(-1)


def test_layer(synthesized):
    board, design = synthesized
    graph, codes, expected = last_layer()
    assert isinstance(graph, Graph) and len(np.unique(expected)) > 3
    accelerator = Accelerator(UartTransport(board_line(board, gate_model(board, design))))
    accelerator.load(compile_graph(graph, board.config, parts=True))
    accelerator.guard(output=True, input=True)
    assert (accelerator.run(codes.astype(np.int8)).reshape(-1) == expected).all()


def test_lanes_keep_their_registers(synthesized):
    """Equal address registers of the weight memory's lanes have not become one."""
    board, design = synthesized
    found = register_bits(design)
    width = (board.config.weight_depth - 1).bit_length()
    for port in ("read", "write"):
        lanes = [
            found[f"accelerator.weights.{port}_address_{lane}"] for lane in range(board.config.cols)
        ]
        assert len(set().union(*lanes)) == board.config.cols * width, port


def test_guard_survives(synthesized):
    """Every register bit of the guard is a flip-flop of the netlist."""
    board, design = synthesized
    space = FaultSpace.of(accelerator_netlist(board.config))
    wanted = {state.signal: state.width for state in space.states if state.structure == "guard"}
    assert len(wanted) > 5
    found = {name.replace(".", "__"): bits for name, bits in register_bits(design).items()}
    lost = {
        name: width - len(found.get(f"accelerator__{name}", ()))
        for name, width in wanted.items()
        if len(found.get(f"accelerator__{name}", ())) < width
    }
    assert lost == {}
    kept = set().union(*(found[f"accelerator__{name}"] for name in wanted))
    assert len(kept) == sum(wanted.values())
