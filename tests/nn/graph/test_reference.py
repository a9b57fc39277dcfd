"""What is kept of a golden run is what the independent reference computes."""

import numpy as np
import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.reference import Reference
from tests import reference
from tests.sim.small_graphs import small_graph


@pytest.mark.parametrize("guard", [None, "bound"])
def test_codes_and_violations_as_they_are_read_again(tmp_path, guard):
    graph, image = small_graph(AcceleratorConfig(rows=3, cols=3), 2, ["conv", "max_pool"])
    for node in graph.weighted():
        node.guard_lo[:], node.guard_hi[:] = -20, 20
    image = image.astype(np.int8)
    counts = {}
    wanted = reference.run(
        graph, image, guard, check_output=bool(guard), check_input=False, counts=counts
    )
    found = Reference.computed(Golden(graph, guard), image)
    found.save(tmp_path)
    for each in (found, Reference.load(tmp_path, graph)):
        assert list(each.codes) == [node.name for node in graph.nodes]
        for name, codes in wanted.items():
            assert np.array_equal(each.codes[name], codes), name
        outside = {layer: count.output for layer, count in counts.items()} if guard else {}
        assert each.violations == outside
    assert not guard or sum(found.violations.values())
