"""Whole layers through the real bus, with random back-pressure, against both references."""

import os
import pickle
import random
from functools import cache

import numpy as np
import pytest
import torch

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.range_guard import fixed_bound
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import ConvNode, Graph
from holdfast.sim.cocotb.build import build_cocotb, run_cocotb
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests import reference
from tests.sim.layer_bench import Case
from tests.sim.small_graphs import OPERATIONS, small_graph

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "1"))
SETTINGS = [
    {},
    {"guard_output": True},
    {"guard_input": True, "guard_zero": True},
    {"guard_output": True, "guard_input": True},
    {"guard_output": True, "guard_input": True, "guard_zero": True},
]


def small(**values) -> AcceleratorConfig:
    """Memories just large enough for small networks; maps are larger than the accumulators."""
    depths = {"act_depth": 640, "weight_depth": 4096, "acc_depth": 24, "param_depth": 512}
    return AcceleratorConfig(**depths | {"program_depth": 256} | values)


CONFIGS = {
    "1x1": small(rows=1, cols=1, act_bits=8, weight_bits=8, acc_bits=20, weight_depth=1 << 15),
    "1x4": small(
        rows=1, cols=4, act_bits=4, weight_bits=3, acc_bits=16, multiplier_bits=8,
        rounding="half_even",
    ),
    "3x2": small(rows=3, cols=2, act_bits=5, weight_bits=6, acc_bits=18, rounding="floor"),
    "2x5": small(rows=2, cols=5, multiplier_bits=0, act_banks=3),
    "5x3": small(
        rows=5, cols=3, act_bits=2, weight_bits=2, acc_bits=12, multiplier_bits=8, act_banks=4,
        rounding="half_even", acc_depth=16,
    ),
    "8x8": small(rows=8, cols=8, act_bits=8, weight_bits=8, acc_bits=32, multiplier_bits=24),
    "4x4": small(rows=4, cols=4, act_bits=7, weight_bits=4, guard=False, rounding="half_even"),
    "6x3": small(rows=6, cols=3, act_bits=3, weight_bits=7, multiplier_bits=0, rounding="floor"),
    "3x5": small(rows=3, cols=5, act_bits=2, weight_bits=6, learnt_bounds=False),
    "4x6": small(
        rows=4, cols=6, act_bits=4, weight_bits=8, learnt_bounds=False, rounding="half_even",
        multiplier_bits=24,
    ),
}  # fmt: skip


def output_violations(case_graph: Graph, counts: dict, node: ConvNode) -> int:
    return counts[node.name].output


def input_fetches(node: ConvNode, x: np.ndarray, program: Program) -> int:
    """Fetches of activations outside the layer's bounds: each output tile and each kernel position
    reads a pixel's whole blocks of channels again; padding is exempt."""
    cfg = program.config
    source = node.inputs[0]
    lanes = program.places[source].lanes
    outside = (x < node.input_lo) | (x > node.input_hi)
    pad = node.padding
    padded = np.pad(outside, ((0, 0), (pad, pad), (pad, pad)))[:, node.offset :, node.offset :]
    kernel_h, kernel_w = node.weight.shape[2:]
    _, height, width = node.shape
    fetched = np.zeros(x.shape[0], np.int64)
    for i in range(kernel_h):
        for j in range(kernel_w):
            rows = slice(i * node.dilation, i * node.dilation + (height - 1) * node.stride + 1)
            columns = slice(j * node.dilation, j * node.dilation + (width - 1) * node.stride + 1)
            window = padded[:, rows, columns][:, :: node.stride, :: node.stride]
            fetched += window.sum((1, 2))
    if node.groups == 1:
        return int(fetched.sum()) * -(-node.shape[0] // cfg.cols)
    lane_of = {channel: lane for lane, channel in enumerate(lanes) if channel >= 0}
    per_group, outputs = node.weight.shape[1], node.shape[0] // node.groups
    total = 0
    for first in range(0, node.shape[0], cfg.cols):
        tile = range(first, min(first + cfg.cols, node.shape[0]))
        groups = {channel // outputs for channel in tile}
        needed = {g * per_group + k for g in groups for k in range(per_group)}
        blocks = [lane_of[channel] // cfg.rows for channel in needed]
        inside = [
            channel
            for channel, lane in lane_of.items()
            if min(blocks) <= lane // cfg.rows <= max(blocks)
        ]
        total += int(fetched[inside].sum())
    return total


def expected(graph: Graph, codes: np.ndarray, guard: dict[str, bool], fixed: bool):
    """Tensors and output counts by both references, which must agree."""
    mode = "zero" if guard.get("guard_zero") else "bound"
    check = {"check_input": "guard_input" in guard, "check_output": "guard_output" in guard}
    counts: dict[str, reference.GuardCounts] = {}
    tensors = reference.run(graph, codes, mode, **check, fixed_bounds=fixed, counts=counts)
    golden = Golden(
        graph,
        mode if check["check_output"] else None,
        mode if check["check_input"] else None,
        fixed_bound(graph.act_bits) if fixed else None,
    ).run(torch.from_numpy(codes[None].astype(np.int8)))
    for name, tensor in tensors.items():
        assert np.array_equal(golden.outputs[name][0].numpy(), tensor), name
    return tensors, counts


@cache
def build(name: str):
    return build_cocotb(accelerator_netlist(CONFIGS[name]))


def run_cases(name: str, cases: list[Case], tmp_path, stall: float):
    """Run on the accelerator; compare tensors and guard counters."""
    path = tmp_path / "cases.pickle"
    path.write_bytes(pickle.dumps(cases))
    results = run_cocotb(
        build(name),
        "tests.sim.layer_bench",
        parameters={"cases": str(path), "stall": stall, "seed": len(cases)},
    )
    wrong = []
    for case, lines in zip(cases, results, strict=True):
        for line in lines:
            steps = [s for s in case.program.steps if s.name == line["name"] or case.at_once]
            inputs = outputs = 0
            for step in steps:
                node = case.program.graph[step.nodes[0]]
                if isinstance(node, ConvNode) and case.guard.get("guard_input"):
                    x = case.tensors[node.inputs[0]]
                    inputs += input_fetches(node, x, case.program)
                if node.name in case.counts:
                    outputs += case.counts[node.name].output
            line |= {"want_output": outputs, "want_input": inputs}
            if (
                line["mismatches"]
                or line["guard_input"] != inputs
                or line["guard_output"] != outputs
            ):
                wrong.append({**line, "guard": case.guard})
    assert not wrong, "\n".join(map(str, wrong))


def make_case(config, seed: int, operations=None, guard=None, at_once=False, shape=None) -> Case:
    graph, codes = small_graph(config, seed, operations, shape)
    guard = guard if config.guard else {}
    fixed = config.guard and not config.learnt_bounds
    if fixed and guard:
        guard = {"guard_output": True, "guard_zero": True}
    tensors, counts = expected(graph, codes, guard, fixed)
    return Case(compile_graph(graph, config), codes, tensors, guard, at_once, counts)


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("name", CONFIGS)
def test_layers(name, tmp_path):
    """Every operation at least once, in random networks."""
    config = CONFIGS[name]
    draw = random.Random(name)
    cases = []
    for _ in range(EXAMPLES):
        deck = draw.sample(sorted(OPERATIONS), len(OPERATIONS))
        # One pixel ends everything else.
        for first in range(0, len(deck), 3):
            hand = sorted(deck[first : first + 3], key=lambda o: o == "one_pixel")
            guard = draw.choice(SETTINGS)
            cases.append(
                make_case(config, draw.randrange(1 << 30), hand, guard, draw.random() < 0.3)
            )
    run_cases(name, cases, tmp_path, stall=0.3)
