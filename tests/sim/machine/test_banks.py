import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.sim.machine.banks import stored_after, written
from tests.fault.tiny import program as residual
from tests.sim.small_graphs import small_graph


@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (4, 6), (8, 3)])
def test_parts_of_a_concatenation_write_the_lanes_of_their_channels(rows, cols):
    config = AcceleratorConfig(rows=rows, cols=cols)
    parts = 0
    for seed in range(6):
        graph, _ = small_graph(config, seed, ["concat", "concat_depthwise"])
        program = compile_graph(graph, config)
        for step in program.steps:
            channels = program.channels(step)
            lanes = program.places[step.target].lanes[written(program, step)]
            used = [channel for channel in lanes if channel >= 0]
            assert used == list(range(channels.start, channels.stop)), step.name
            parts += graph[step.target].op == "concat"
    assert parts == 6 * 5


def test_a_shortcut_is_stored_until_it_is_added():
    """Four steps: a, b, and c with a added to it, logits."""
    stored = [stored_after(residual(), step) for step in residual().steps]
    assert stored == [["a"], ["a", "b"], ["d"], ["logits"]]
