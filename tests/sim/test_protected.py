"""Protected accelerators behind the driver: what is found, said and repeated."""

import numpy as np
import pytest
import torch

from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.gen.protection.presets import PRESETS
from holdfast.gen.roles import Role
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.protected import descriptor_words, parameter_words, weight_words
from holdfast.sim.registers import AcceleratorError, DetectedError
from tests.sim.driven import CONFIG, random_codes, tiny_graph

STRONG = CONFIG.with_(guard=False, protections=PRESETS["strong"])


@pytest.fixture(scope="module")
def graph():
    return tiny_graph()


@pytest.fixture(scope="module")
def program(graph):
    return compile_graph(graph, STRONG)


def expected_of(graph, codes):
    return Golden(graph).run(torch.from_numpy(codes)).outputs["logits"].numpy()


@pytest.fixture
def chip(program):
    model = CompiledModel(accelerator_netlist(STRONG))
    model.reset()
    accelerator = Accelerator(CompiledBus(model))
    accelerator.load(program)
    return model, accelerator


def memory(model, role, **place):
    found = [m for m in model.netlist.memories if m.held.role is role]
    return next(m.name for m in found if place.items() <= m.held.place.items())


def flip(model, name, word, bit):
    words = model.read_memory(name)
    words[word] ^= 1 << bit
    model.write_memory(name, words)


def test_without_a_fault_nothing_is_found(chip, graph):
    _, accelerator = chip
    codes = random_codes(1, 3)
    expected = expected_of(graph, codes)
    assert np.array_equal(accelerator.run(codes).reshape(expected.shape), expected)
    assert accelerator.recoveries == []


@pytest.mark.parametrize(
    ("role", "place", "word", "found"),
    [
        (Role.WEIGHT_WORDS, {"lane": 1}, 2, "met a row of weights whose parity is wrong"),
        (Role.CHECK_WORDS, {}, 2, "met a row of weights whose parity is wrong"),
        (Role.PARAMETER_WORDS, {"field": "bias"}, 1, "met channel parameters whose parity is"),
        (Role.PARAMETER_WORDS, {"field": "scale"}, 1, "met channel parameters whose parity is"),
        (Role.PROGRAM_WORDS, {}, 17, "differs from its check word"),
        (Role.PROGRAM_WORDS, {}, 19, "did not do what its signature says"),
    ],
)
def test_a_flipped_bit_of_a_memory_is_found_and_mended(chip, graph, role, place, word, found):
    model, accelerator = chip
    codes = random_codes(1, 1)
    expected = expected_of(graph, codes)
    flip(model, memory(model, role, **place), word, 0)
    logits = accelerator.run(codes)
    assert np.array_equal(logits.reshape(expected.shape), expected)
    (sentence,) = accelerator.recoveries
    assert sentence == f"the accelerator stopped: descriptor 0 {found}" + (
        " wrong." if found.endswith(" is") else "."
    )


def test_without_retries_the_error_is_told(chip, graph):
    model, accelerator = chip
    flip(model, memory(model, Role.PROGRAM_WORDS), DESCRIPTOR_STRIDE + 4, 30)
    with pytest.raises(DetectedError, match=r"^the accelerator stopped: descriptor 1 differs from"):
        accelerator.run(random_codes(1, 1), retries=0)
    assert accelerator.recoveries == []


def test_a_run_of_another_length_is_told(chip, graph, program):
    """A count that is one less ends well, and too early."""
    model, accelerator = chip
    (count,) = [ff.name for ff in model.netlist.flip_flops if ff.name == "count"]
    write = accelerator._registers.start

    def start(**settings):
        model.write(count, model.read(count) - 1)
        write(**settings)

    accelerator._registers.start = start
    with pytest.raises(DetectedError, match=r"^the accelerator ran \d+ cycles instead of \d+\.$"):
        accelerator.run(random_codes(1, 1), retries=0)


def test_a_program_for_another_protection_is_told(chip, graph):
    _, accelerator = chip
    other = compile_graph(graph, STRONG.with_(protections=PRESETS["light"]))
    accelerator.load(other)
    with pytest.raises(AcceleratorError, match="descriptor 0 holds a value that this accelerator"):
        accelerator.run(random_codes(1, 1))


def test_check_bits_are_beside_what_they_check(program):
    """Each of them by its definition."""
    words = descriptor_words(program, 0, len(program.descriptors))
    for index, descriptor in enumerate(words.tolist()):
        check = index
        for word in descriptor[:19]:
            check ^= word
        assert check == 0
    (chunk,) = program.chunks
    rows = weight_words(program.config, chunk.weights)
    for *weights, checks in rows.tolist():
        for bit in range(2):
            ones = sum((w & 0xFF & 0x55 << bit).bit_count() for w in weights)
            assert checks >> bit & 1 == ones % 2
    parameters = parameter_words(program.config, chunk.parameters)
    assert np.array_equal(parameters[:, [0, 2, 3]], chunk.parameters[:, [0, 2, 3]])
    assert np.array_equal(parameters[:, 1] & 0x3FFFFFFF, chunk.parameters[:, 1])
