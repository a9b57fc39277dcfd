"""Known answers: what single flips in a 2x2 accelerator have to do."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.fault.injection.layerwise import inject, layer_cycles, observe
from holdfast.fault.injection.observation import Ending
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.fault.outcome.classify import banks_after
from holdfast.fault.outcome.effects import EFFECTS
from holdfast.fault.results.layers import summarize
from holdfast.fault.sampling.sample import sample
from holdfast.gen.layout import DESCRIPTOR_STRIDE, DESCRIPTOR_WORDS, Status
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON, GuardSettings
from holdfast.sim.machine.banks import tensor
from tests.fault.tiny import CONFIG, build, graph, images, netlist, program

# Layer b: 4 channels of 4x4, 3x3 kernel, 4 output channels: 2 output tiles of 9 x 2 reduction tiles
# of 16 pixels. The start is seen in cycle 0; the descriptor is fetched and checked in the next
# DESCRIPTOR_WORDS + 2, and a pixel enters the array five cycles after the units start.
FIRST_PIXEL = DESCRIPTOR_WORDS + 2 + 5
PIXELS = 16
GAP = 5  # cycles between output tiles
WEIGHT_BITS = 8


def layer_b(cycle, *site):
    """An upset in layer b on image 0."""
    return Fault((Site(*site),), cycle, layer="b")


@pytest.fixture(scope="module")
def space():
    return FaultSpace.of(netlist())


@pytest.fixture(scope="module")
def reference():
    return {0: Golden(graph()).run(images()[:1])}


@pytest.fixture(scope="module")
def cycles():
    return layer_cycles(build(), program(), images()[:1])


def outputs_of_b(reference, faults):
    """Layer b's output with each fault, from the RTL."""
    (runs,) = observe(build(), program(), reference, faults)
    assert all(o.ending.clean for o in runs.observations)
    whole = FaultSpace.of(netlist())
    return [
        tensor(program(), "b", banks_after(program(), whole, runs.golden, o))
        for o in runs.observations
    ]


def patches(codes):
    """Input codes of layer b's array: [kernel position, channel, pixel]."""
    zero = graph()["a"].zero_point
    padded = np.pad(codes.astype(np.int64), ((0, 0), (1, 1), (1, 1)), constant_values=zero)
    return np.array(
        [padded[:, y : y + 4, x : x + 4].reshape(4, -1) for y in range(3) for x in range(3)]
    )


def requantized(acc):
    """Accumulators [channel, pixel] to codes, by the contract."""
    node = graph()["b"]
    total = acc + node.bias[:, None]
    shift = node.shift[:, None]
    rounded = (total * node.multiplier[:, None] + (1 << (shift - 1))) >> shift
    return np.clip(rounded + node.zero_point, node.lo, node.hi).astype(np.int8).reshape(4, 4, 4)


def flipped(weight, bit):
    code = (int(weight) & 0xFF) ^ 1 << bit
    return code - 256 if code & 0x80 else code


def test_weight_register_changes_the_rest_of_its_tile(reference):
    node = graph()["b"]
    weights = node.weight.astype(np.int64).reshape(4, 4, 9)
    inputs = patches(reference[0].outputs["a"][0].numpy())
    clean = np.einsum("ocp,pcx->ox", weights, inputs)
    faults, expected = [], []
    generator = np.random.default_rng(0)
    for _ in range(40):
        output_tile, position, block = (int(generator.integers(n)) for n in (2, 9, 2))
        row, col, pixel, bit = (int(generator.integers(n)) for n in (2, 2, PIXELS, WEIGHT_BITS))
        tile = (output_tile * 9 + position) * 2 + block
        gap = 0 if output_tile == 0 else GAP
        cycle = FIRST_PIXEL + row + col + tile * PIXELS + gap + pixel
        site = Site(f"array__pe_{row}_{col}__weight", None, bit)
        faults.append(Fault((site,), cycle, layer="b"))
        output, channel = output_tile * 2 + col, block * 2 + row
        before = weights[output, channel, position]
        acc = clean.copy()
        acc[output, pixel:] += (flipped(before, bit) - before) * inputs[position, channel, pixel:]
        expected.append(requantized(acc))
    assert np.array_equal(requantized(clean), reference[0].outputs["b"][0].numpy())
    results = outputs_of_b(reference, faults)
    wrong = [
        str(fault)
        for fault, result, wanted in zip(faults, results, expected, strict=True)
        if not np.array_equal(result, wanted)
    ]
    assert not wrong
    assert sum(not np.array_equal(e, requantized(clean)) for e in expected) > 20


def test_weight_word_flipped_before_it_is_loaded(reference):
    node = graph()["b"]
    inputs = patches(reference[0].outputs["a"][0].numpy())
    base = program().steps[1].descriptors[0].weight_base
    faults, expected = [], []
    generator = np.random.default_rng(1)
    for _ in range(20):
        output_tile, position, block = (int(generator.integers(n)) for n in (2, 9, 2))
        row, col, bit = (int(generator.integers(n)) for n in (2, 2, WEIGHT_BITS))
        word = base + ((output_tile * 9 + position) * 2 + block) * 2 + row
        faults.append(layer_b(0, f"weights__lane_{col}", word, bit))
        weights = node.weight.astype(np.int64).reshape(4, 4, 9)
        output, channel = output_tile * 2 + col, block * 2 + row
        weights[output, channel, position] = flipped(weights[output, channel, position], bit)
        expected.append(requantized(np.einsum("ocp,pcx->ox", weights, inputs)))
    for result, wanted in zip(outputs_of_b(reference, faults), expected, strict=True):
        assert np.array_equal(result, wanted)


def test_memory_words_that_the_layer_does_not_read(cycles):
    faults = [
        layer_b(100, "weights__lane_0", 511, 0),
        layer_b(100, "activations_1__lane_0", 127, 7),
        layer_b(100, "descriptors", DESCRIPTOR_STRIDE - 1, 3),
        # the first layer's weights: read again with the next image
        layer_b(100, "weights__lane_0", 0, 0),
        # a parameter of a later layer
        layer_b(100, "parameters_bias", 11, 0),
    ]
    results = inject(build(), program(), images(), faults)
    assert [(r.effect, r.died) for r in results] == [
        ("masked", "never_read"),
        ("masked", "never_read"),
        ("masked", "never_read"),
        ("latent", ""),
        ("latent", ""),
    ]


def test_stopped_and_hang(cycles):
    descriptor = program().steps[1].first * DESCRIPTOR_STRIDE
    faults = [
        layer_b(0, "descriptors", descriptor, 0),
        *(layer_b(300, "sequencer__fsm_state", None, bit) for bit in range(3)),
        layer_b(300, "control_interrupt", None, 0),
        layer_b(300, "axi__fsm_state", None, 0),
    ]
    results = inject(build(), program(), images(), faults)
    assert (results[0].effect, results[0].status) == ("stopped", Status.BAD_DESCRIPTOR)
    assert [r.effect for r in results[1:4]].count("hang") == 2
    assert [r.effect for r in results[4:]] == ["hang", "hang"]
    assert results[4].cycles == 2 * cycles["b"] + 1000


def test_input_word_corrupts_the_layer_and_the_residual_that_reads_it_again(reference):
    place = program().places["a"]
    faults = [
        Fault(
            (Site(f"activations_{place.bank}__lane_{lane}", place.base + word, bit),), 0, layer="b"
        )
        for word, lane, bit in ((0, 0, 7), (9, 1, 7), (17, 0, 6), (30, 1, 5))
    ]
    results = inject(build(), program(), images(), faults)
    golden = Golden(graph())
    clean = reference[0].outputs["logits"].flatten()
    for fault, result in zip(faults, results, strict=True):
        pixel, half = divmod(fault.site.address - place.base, 2)
        lane = half * 2 + int(fault.site.signal[-1])
        codes = reference[0].outputs["a"].clone()
        channel = place.lanes[lane]
        codes[0, channel, pixel // 4, pixel % 4] ^= torch.tensor(1 << fault.site.bit).to(torch.int8)
        logits = golden.run_from("a", codes, reference[0].outputs).outputs["logits"].flatten()
        if torch.equal(logits, clean):
            expected = "masked"
        else:
            expected = "benign" if logits.argmax() == clean.argmax() else "sdc1"
        assert result.effect == expected, str(fault)


@pytest.mark.long
def test_order_does_not_matter_and_a_fresh_accelerator_agrees(space, cycles):
    faults = sample(space, cycles, images=2, count=0, minimum=5, seed=4)
    results = inject(build(), program(), images(), faults, GUARD_ON)
    backwards = inject(build(), program(), images(), faults[::-1], GUARD_ON)
    assert results == backwards[::-1]
    assert {r.structure for r in results} == set(space.structures)
    for result in results[::22]:
        assert inject(
            build(), program(), images(), [Fault.parse(result.id, in_layer=True)], GUARD_ON
        ) == [result]


@pytest.mark.long
def test_registers_are_dead_when_idle(reference):
    """Flips every register bit before the host's writes: only live ones disturb the run."""
    faults = [
        Fault((Site(ff.name, None, bit),), -1, layer="d")
        for ff in netlist().flip_flops
        for bit in range(ff.width)
    ]
    (runs,) = observe(build(), program(), reference, faults, GUARD_OFF)
    golden = runs.golden
    disturbed = set()
    for o in runs.observations:
        memories = [name for name in o.memories if "accumulator" not in name]
        ending = replace(o.ending, alarms={})
        alarms = any(o.ending.alarms.values())
        if ending != Ending(golden.cycles, ended=True) or alarms or memories:
            disturbed.add(o.fault.site.signal)
    assert disturbed
    assert all("layer" in netlist().held[name].live for name in disturbed), disturbed


@pytest.mark.long
def test_guard_off_detects_nothing_and_its_own_bits_give_false_alarms(space, cycles):
    faults = sample(space, cycles, counts={"weight": 25, "guard": 15, "accumulators": 10}, seed=2)
    faults += [
        Fault((Site("guard_output", None, 4),), 200, layer="d"),
        layer_b(2, "parameters_bounds", 9, 14),
    ]
    off, on = (inject(build(), program(), images(), faults, g) for g in (GUARD_OFF, GUARD_ON))
    assert [r.id for r in off] == [r.id for r in on] == [str(f) for f in faults]
    assert not any(r.detected or r.false_alarm for r in off)
    assert off[-2].guard_output == 16
    assert any(r.detected and not r.false_alarm for r in on if r.structure == "weight")
    assert on[-2].detected and on[-2].false_alarm and on[-2].guard_output == 16
    (half,) = inject(build(), program(), images(), faults[-2:-1], GuardSettings(input=True))
    assert half.guard_output == 16 and not half.detected


def test_summary_counts_each_fault_once_and_weights_the_total(space, cycles):
    faults = sample(space, cycles, count=0, minimum=5, seed=9)
    seen = []
    results = inject(build(), program(), images(), faults, progress=seen.append)
    assert seen == list(range(1, len(faults) + 1))
    rows = summarize(results, space, cycles)
    assert [row.structure for row in rows] == [*space.structures, "total"]
    for row in rows:
        assert sum(row.counts[effect] for effect in EFFECTS) == row.faults
    total = rows[-1]
    assert total.population == space.bits() * sum(cycles.values())
    assert Counter(r.effect for r in results) == Counter(
        {effect: total.counts[effect] for effect in EFFECTS if total.counts[effect]}
    )
    weighted = sum(row.shares["masked"].value * row.population for row in rows[:-1])
    assert total.shares["masked"].value == pytest.approx(weighted / total.population)


def test_bad_requests(cycles):
    beyond = layer_b(cycles["b"], "first", None, 0)
    with pytest.raises(HoldfastError, match=f"which has cycles 0 to {cycles['b'] - 1}"):
        inject(build(), program(), images(), [beyond])
    with pytest.raises(HoldfastError, match="image 2 does not exist, there are images 0 to 1"):
        inject(
            build(), program(), images(), [Fault((Site("first", None, 0),), 0, layer="b", image=2)]
        )


def test_guard_that_is_not_there():
    bare = compile_graph(graph(), CONFIG.with_(guard=False))
    with pytest.raises(HoldfastError, match="accelerator 2x2_a8w8 has none"):
        inject(build(), bare, images(), [], GuardSettings(output=True))
