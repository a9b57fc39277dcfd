"""Board tops, driven through their serial pins in simulation: whole inferences."""

import numpy as np
import pytest
import torch

from holdfast.constraints.boards import find_board
from holdfast.constraints.client import run_images
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import named_guard
from holdfast.nn.graph.shipped import load_network
from holdfast.nn.networks.spec import Network
from holdfast.sim.driver import Accelerator
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.transport.serial import UartTransport
from tests.constraints.design.gate_level import board_line, board_model
from tests.random_graph import random_graph

DIVISOR = 4


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["icebreaker", pytest.param("tangnano20k", marks=pytest.mark.slow)]
)
def test_resnet8(name):
    """A whole inference of the shipped network: every logit is the golden model's."""
    board = find_board(name)
    graph = load_network("resnet8")
    program = compile_graph(graph, board.config, parts=True)
    line = board_line(board, board_model(board, board.config, DIVISOR), DIVISOR)
    line = UartTransport(line)
    image = generated_images(1, 1).images
    (found,) = run_images(line, program, image, named_guard(None, board.config))
    assert found.exact
    if len(program.parts) == 1:
        assert found.cycles == sum(step_cycles(program, step).total() for step in program.steps)


def test_lights_and_button():
    board = find_board("icebreaker")
    model = board_model(board, board.config, DIVISOR)
    assert model.peek("leds") >> 1 & 1 == 1  # off: they light when low
    spec = Network("tiny", (2, 4, 4))
    spec.dense("logits", "image", 4)
    graph = random_graph(spec, seed=1)
    program = compile_graph(graph, board.config)
    accelerator = Accelerator(UartTransport(board_line(board, model, DIVISOR)))
    accelerator.load(program)
    codes = np.random.default_rng(1).integers(-128, 128, (1, 2, 4, 4)).astype(np.int8)
    expected = Golden(graph).run(torch.from_numpy(codes)).outputs["logits"].numpy().reshape(1, -1)
    assert (accelerator.run(codes) == expected).all()
    assert model.peek("leds") >> 1 & 1 == 0
    model.poke("button", 0)
    model.step(20)
    assert model.peek("leds") >> 1 & 1 == 1
