"""What a changed pixel changes, against whole tensors: of the independent reference where the image
is changed, of the golden model where another tensor is.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from holdfast.gen.config import ROUNDINGS, AcceleratorConfig
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import ConvNode
from holdfast.nn.graph.incremental import Incremental, Pixels
from holdfast.nn.graph.reference import Reference
from holdfast.nn.operators.maxpool import MaxPoolNode
from tests import reference
from tests.sim.small_graphs import OPERATIONS, small_graph

GUARDS = [
    (None, None, None), ("bound", None, None), ("zero", "zero", None), (None, "bound", None),
    ("zero", None, 512),
]  # fmt: skip


def runs_of(tensor, low, high, seed):
    """Copies of a tensor [C, H, W]: as it is, changed at each corner, by one, wholly, at random."""
    draw = np.random.default_rng(seed)
    runs = [tensor]
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        runs.append(tensor.copy())
        runs[-1][draw.integers(len(tensor)), y, x] ^= 1
    for codes in (low, high, draw.integers(low, high + 1, tensor.shape)):
        runs.append(np.broadcast_to(codes, tensor.shape))
    runs.append(tensor.copy())
    runs[-1][0] = high
    for count in (1, 3):
        runs.append(tensor.copy())
        at = draw.integers(tensor.size, size=count)
        runs[-1].ravel()[at] = draw.integers(low, high + 1, count)
    return np.array(runs).astype(np.int8).clip(low, high)


def propagated(golden, clean, name, runs):
    """All tensors behind a changed one [runs, C, H, W], and violations more than the golden run's
    by layer: of the output guard, and of the input guard.
    """
    graph = golden.graph
    incremental = Incremental(golden, Reference.of(clean))
    run, element = np.nonzero((runs != clean.outputs[name].numpy()).reshape(len(runs), -1))
    codes = runs.reshape(len(runs), -1)[run, element]
    changed = {name: incremental.pixels(name, run, element, codes)}
    output, entering = {}, {}
    for node in graph.nodes:
        inputs = [changed.get(source) for source in node.inputs]
        if node.name in changed or all(part is None for part in inputs):
            continue
        found, violations = incremental.compute(node, inputs, len(runs))
        assert (found.keys[1:] > found.keys[:-1]).all()
        changed[node.name] = found
        if violations is not None:
            output[node.name] = violations
        if isinstance(node, ConvNode):
            entering[node.name] = incremental.entering(node, inputs[0], len(runs))
    tensors = {}
    for other, pixels in changed.items():
        rows = np.repeat(incremental.rows(other)[None], len(runs), 0)
        run, pixel = np.divmod(pixels.keys, rows.shape[1])
        assert (rows[run, pixel] != pixels.codes).any(1).all()
        rows[run, pixel] = pixels.codes
        tensors[other] = rows.transpose(0, 2, 1).reshape(len(runs), *graph[other].shape)
    return tensors, output, entering


@dataclass
class Case:
    config: AcceleratorConfig
    guard: tuple


def case(number):
    return Case(
        AcceleratorConfig(
            rows=3, cols=3, act_bits=(8, 8, 5, 2)[number % 4], weight_bits=(8, 5)[number % 2],
            multiplier_bits=(16, 0, 24)[number % 3], rounding=ROUNDINGS[number % 3],
            acc_bits=(24, 32)[number // 2 % 2],
        ),
        GUARDS[number % 5],
    )  # fmt: skip


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_changed_images_and_tensors(operation, number):
    index = list(OPERATIONS).index(operation) * 3 + number
    given = case(index)
    others = sorted(OPERATIONS.keys() - {"one_pixel"})
    operations = [others[index % len(others)], operation]
    graph, image = small_graph(given.config, index, operations)
    output_guard, input_guard, fixed = given.guard
    if fixed:
        fixed = 1 << given.config.act_bits + 1
    golden = Golden(graph, output_guard, input_guard, fixed)
    low, high = reference.code_range(given.config.act_bits)
    clean = golden.run(torch.from_numpy(image.astype(np.int8))[None])
    draw = np.random.default_rng(index)
    names = [node.name for node in graph.nodes]
    for name in (names[0], *draw.choice(names[1:-1], 2)):
        runs = runs_of(clean.outputs[name][0].numpy(), low, high, index)
        tensors, output, entering = propagated(golden, clean, name, runs)
        expect = expected_of_image if name == names[0] else expected_of_tensor
        wanted, outside, inside = expect(golden, name, runs, clean, given.guard)
        assert tensors.keys() == wanted.keys()
        for other, tensor in wanted.items():
            assert np.array_equal(tensors[other], tensor), other
        assert output.keys() == outside.keys()
        assert {n: v.tolist() for n, v in output.items()} == outside
        if input_guard:
            assert {n: v.tolist() for n, v in entering.items()} == inside


def expected_of_image(golden, name, runs, clean, guard):
    counted, tensors = [], []
    for run in runs:
        counts = {}
        tensors.append(
            reference.run(
                golden.graph, run, guard[0] or guard[1], check_output=bool(guard[0]),
                check_input=bool(guard[1]), fixed_bounds=bool(guard[2]), counts=counts,
            )
        )  # fmt: skip
        counted.append(counts)
    whole = {n: np.array([run[n] for run in tensors]) for n in tensors[0]}
    more = [
        {
            layer: [
                int(getattr(c[layer], kind)) - getattr(counted[0][layer], kind) for c in counted
            ]
            for layer in counted[0]
        }
        for kind in ("output", "input")
    ]
    if not guard[0]:
        more[0] = {}
    return whole, more[0], more[1]


def expected_of_tensor(golden, name, runs, clean, guard):
    found = golden.run_from(name, torch.from_numpy(runs), clean.outputs)
    more = [
        {
            layer: (count - getattr(clean, kind)[layer]).tolist()
            for layer, count in getattr(found, kind).items()
        }
        for kind in ("output_violations", "input_violations")
    ]
    return {n: tensor.numpy() for n, tensor in found.outputs.items()}, *more


class Odd(MaxPoolNode):
    """A pooling with an arithmetic of its own."""

    def evaluate(self, golden, inputs, result):
        return MaxPoolNode.evaluate(self, golden, inputs, result) // 2


def test_an_operation_of_ones_own_is_computed_whole():
    config = AcceleratorConfig(rows=2, cols=2)
    graph, image = small_graph(config, 4, ["max_pool"])
    (pool,) = (node for node in graph.nodes if node.op == "maxpool")
    pool.__class__ = Odd
    golden = Golden(graph)
    clean = golden.run(torch.from_numpy(image.astype(np.int8))[None])
    runs = runs_of(clean.outputs["image"][0].numpy(), -128, 127, 1).repeat(5, 0)
    tensors, _, _ = propagated(golden, clean, "image", runs)
    found = golden.run_from("image", torch.from_numpy(runs), clean.outputs)
    for name, tensor in found.outputs.items():
        assert np.array_equal(tensors[name], tensor.numpy()), name


def test_parts_are_joined_in_the_order_of_their_pixels():
    def some(*keys):
        return Pixels(np.array(keys, np.int64), np.array(keys, np.int8)[:, None])

    joined = Pixels.joined([some(4, 9), some(), some(1, 6)])
    assert joined.keys.tolist() == joined.codes.ravel().tolist() == [1, 4, 6, 9]
    assert len(Pixels.joined([some(), some()])) == 0
