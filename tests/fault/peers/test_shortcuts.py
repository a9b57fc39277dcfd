"""The shortcuts of the nearest injector, against the running RTL and against sums by hand."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.peers.shortcuts import STRUCTURES, Shortcuts, convolutions
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GUARD_OFF
from tests import reference
from tests.fault.tiny import CONFIG, graph, images, netlist, program

DELAYS = {"weight": 0, "shadow": 0, "activation": 1, "product": 1, "partial_sum": 2}
REGISTER = re.compile(r"array__pe_(\d)_(\d)__(\w+)")
TAPS = 9 * 2
"""Slices of a 3x3 kernel over 4 channels on 2 rows; a tile streams 4x4 pixels, two at a time."""


@pytest.fixture(scope="module")
def bench():
    """The accelerator, and in which cycles of each layer each element takes its next weight."""
    inference = RtlSession(program(), netlist(), GUARD_OFF, 16)
    codes = images()[0].numpy()
    trace = inference.record(codes)
    inference.golden = trace
    inference.lockstep.load(0)
    swaps = {(row, col): {} for row in range(2) for col in range(2)}
    for cycle in range(trace.cycles):
        for row in range(2):
            # The left element's token leaves it in the cycle of the first product of a tile, and
            # makes the right one take its weight.
            if inference.model.read(f"array__pe_{row}_0__swap"):
                layer = inference.schedule.at(cycle).step.name
                for col in range(2):
                    swaps[row, col].setdefault(layer, []).append(cycle + col)
        inference.model.step(1)
    return SimpleNamespace(
        inference=inference,
        codes=codes,
        trace=trace,
        swaps=swaps,
        golden=Golden(graph()).run(torch.from_numpy(codes)[None]),
        tensors=reference.run(graph(), codes),
    )


def plan_of(bench, shortcuts, **filters):
    space = FaultSpace.of(netlist())
    return Plan(
        space, bench.inference.schedule, UpsetModel(), Filters(**filters), shortcuts.sampler
    )


def test_first_products_are_those_of_the_running_array(bench):
    plan = plan_of(bench, Shortcuts(cycles="first-mac"))
    assert plan.structures == STRUCTURES
    assert convolutions(program()) == ("a", "b", "d")
    bits = {state.signal: state.width for state in plan.space.states}
    # The last column hands no activation on.
    assert len(bits) == 4 * 5 - 2 and sum(bits.values()) == plan.space.bits()
    hits = dict.fromkeys(convolutions(program()), 0)
    seen = set()
    for structure in STRUCTURES:
        for upset in plan.draw(structure, 0, 6000, 1):
            ((name, _, _),) = upset.bits
            row, col, register = REGISTER.fullmatch(name).groups()
            layer = bench.inference.schedule.at(upset.cycle).step.name
            begins = {
                cycle + pixel
                for cycle in bench.swaps[int(row), int(col)][layer]
                for pixel in range(0, 16, CONFIG.rows)
            }
            assert upset.cycle - DELAYS[register] in begins, upset
            hits[layer] += 1
            seen.add((layer, upset.cycle - DELAYS[register] - int(row) - int(col)))
    tiles = {layer: len(cycles) * 8 for layer, cycles in bench.swaps[0, 0].items()}
    assert plan.cycles == sum(tiles[layer] for layer in hits) == len(seen)
    for count in hits.values():
        # A third each, of 18,000: standard deviation 63.
        assert abs(count - 6000) < 4 * 63


def expected(bench, upset, alone_in):
    """The last tensor of an upset in layer b or c by one slice or tile alone, and whether a code
    wrapped.

    With 2 rows no partial sum is too narrow for a wrong one.
    """
    ((name, _, bit),) = upset.bits
    row, col, register = REGISTER.fullmatch(name).groups()
    row, col = int(row), int(col)
    step = bench.inference.schedule.at(upset.cycle).step
    golden, tensors = bench.golden, bench.tensors
    clean = tensors["logits"].astype(np.int8).tobytes()
    node = next(n for n in graph().nodes if n.name == {"b": "b", "d": "c"}[step.name])
    source = next(n for n in graph().nodes if n.name == node.inputs[0])
    moment = upset.cycle - row - col - DELAYS[register]
    begins = np.array(bench.swaps[0, 0][step.name])
    tile = int(np.searchsorted(begins, moment, side="right")) - 1
    if register == "shadow":
        # Until the next swap, at the latest, it is taken or loaded anew.
        return None
    pixel = moment - int(begins[tile])
    if tile < 0 or pixel >= 16:
        return clean, False
    tau, rho = divmod(tile, TAPS)
    tap, block = divmod(rho, 2)
    ky, kx = divmod(tap, 3)
    padded = np.pad(
        tensors[source.name], ((0, 0), (1, 1), (1, 1)), constant_values=source.zero_point
    )

    def operand(p, r):
        y, x = divmod(p, 4)
        return int(padded[2 * block + r, y + ky, x + kx])

    def weight(r, c):
        return int(node.weight[2 * tau + c, 2 * block + r, ky, kx])

    def flipped(value, width):
        value ^= 1 << bit
        value &= (1 << width) - 1
        return value - (1 << width) if value >> width - 1 else value

    changes = []
    if register == "weight":
        wrong = flipped(weight(row, col), 8) - weight(row, col)
        last = pixel // 2 * 2 + 1 if alone_in == "tile" else 15
        changes = [(p, col, operand(p, row) * wrong) for p in range(pixel, last + 1)]
    elif register == "activation":
        wrong = flipped(operand(pixel, row), 8) - operand(pixel, row)
        changes = [(pixel, c, weight(row, c) * wrong) for c in range(col + 1, 2)]
    else:
        rows = [row] if register == "product" else range(row + 1)
        value = sum(operand(pixel, r) * weight(r, col) for r in rows)
        width = 16 if register == "product" else 16 + row
        changes = [(pixel, col, flipped(value, width) - value)]
    codes = tensors[node.name].copy()
    wrapped = False
    zero, relu = int(node.zero_point), node.lo == node.zero_point
    for p, c, wrong in changes:
        channel = 2 * tau + c
        real = int(node.bias[channel]) + int(source.zero_point) * int(node.weight[channel].sum())
        alone = real + sum((operand(p, r) - source.zero_point) * weight(r, c) for r in range(2))
        found = []
        for total in (alone, alone + wrong):
            v = total * int(node.multiplier[channel])
            v = int(reference.round_shift(v, int(node.shift[channel]), graph().rounding)) + zero
            wrapped |= not relu and not -128 <= v <= 127
            found.append(min(max(v, node.lo), node.hi) if relu else (v + 128) % 256 - 128)
        y, x = divmod(p, 4)
        value = int(codes[channel, y, x]) - found[0] + found[1]
        wrapped |= not -128 <= value <= 127
        codes[channel, y, x] = (value + 128) % 256 - 128
    wrong = torch.from_numpy(codes.astype(np.int8))[None]
    result = golden if not changes else Golden(graph()).run_from(node.name, wrong, golden.outputs)
    return result.outputs["logits"][0].numpy().astype(np.int8).tobytes(), wrapped


@pytest.mark.parametrize("cycles", ["all", "first-mac"])
@pytest.mark.parametrize("part", ["slice", "tile"])
def test_a_part_of_the_sum_requantized_alone(bench, cycles, part):
    plan = plan_of(bench, Shortcuts(cycles, part), layers=("b", "d"))
    inference = bench.inference
    shortcuts = Shortcuts(requantize=part)
    sliced = Engine(inference, bench.codes, bench.trace, shortcuts=shortcuts)
    exact = Engine(inference, bench.codes, bench.trace)
    upsets = [upset for name in STRUCTURES for upset in plan.draw(name, 0, 150, 2)]
    compared = wrapped = changed = other = 0
    for upset, result, right in zip(upsets, sliced.run(upsets), exact.run(upsets), strict=True):
        assert result.path == "closed"
        found = expected(bench, upset, part)
        if found is None:
            continue
        output, beyond = found
        assert result.output == output, upset
        compared += 1
        wrapped += beyond
        changed += result.effect not in ("masked", "latent")
        other += result.output != right.output
    assert compared > 350 and changed > 50 and wrapped > 5 and other > 20


@pytest.mark.parametrize(
    ("shortcuts", "filters", "message"),
    [
        (("first-mac", "sum"), {"structures": ("skew",)}, "not structure 'skew'; possible are pe_"),
        (("all", "slice"), {"layers": ("logits",)}, "not layer 'logits'; possible are a, b, d."),
        (("first-mac", "sum"), {"phases": ("drain",)}, "have phases of their own: name none"),
        (("all", "slice"), {"pattern": "^weight$"}, "no register or memory is left"),
    ],
)
def test_what_the_shortcuts_do_not_know(bench, shortcuts, filters, message):
    with pytest.raises(HoldfastError, match=message):
        plan_of(bench, Shortcuts(*shortcuts), **filters)
