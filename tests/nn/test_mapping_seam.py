"""A mapping of one's own is one file: a function that yields a layer's pieces, and a name."""

import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.gen.dataflow.registry import DATAFLOWS
from holdfast.gen.dataflow.weight_stationary import WeightStationary
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.mappings.base import Room
from holdfast.nn.compiler.mappings.registry import MAPPINGS
from holdfast.nn.compiler.mappings.weight_stationary import weight_stationary
from holdfast.nn.graph.golden import Golden
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.machine.schedule import TIMELINES
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.fault.tiny import CONFIG
from tests.sim.small_graphs import small_graph

OTHER = CONFIG.with_(dataflow="tile_by_tile", program_depth=64)


def tile_by_tile(layer, room):
    """A made-up mapping: every output tile has a descriptor of its own."""
    return weight_stationary(layer, Room(room.weights, layer.config.cols))


def test_a_dataflow_without_a_mapping():
    graph, _ = small_graph(CONFIG, 1, ["conv"])
    with pytest.raises(HoldfastError) as caught:
        compile_graph(graph, OTHER)
    assert str(caught.value) == (
        "the compiler has no mapping for the dataflow 'tile_by_tile', only for weight_stationary."
    )


def test_a_made_up_mapping_runs(monkeypatch):
    monkeypatch.setitem(MAPPINGS, "tile_by_tile", tile_by_tile)
    monkeypatch.setitem(DATAFLOWS, "tile_by_tile", WeightStationary)
    monkeypatch.setitem(TIMELINES, "tile_by_tile", TIMELINES["weight_stationary"])
    graph, codes = small_graph(OTHER, 3, ["conv", "residual"], (3, 4, 4))
    program, usual = compile_graph(graph, OTHER), compile_graph(graph, CONFIG)
    tiles = [descriptor.co_tiles for step in program.steps for descriptor in step.descriptors]
    assert set(tiles) == {1}
    assert len(tiles) == sum(d.co_tiles for step in usual.steps for d in step.descriptors)
    assert len(tiles) > len(usual.descriptors)

    model = CompiledModel(accelerator_netlist(OTHER))
    model.reset()
    host = Accelerator(CompiledBus(model))
    host.load(program)
    wanted = Golden(graph).logits(torch.from_numpy(codes[None].astype(np.int8))).numpy()
    assert (host.run(codes.astype(np.int16)).ravel() == wanted.ravel()).all()
