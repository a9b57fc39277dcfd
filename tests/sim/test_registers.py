"""What answers like no accelerator, or never ends a run, is one sentence."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.base.errors import HoldfastError
from holdfast.gen.layout import INTERFACE
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.sim.driver import Accelerator
from holdfast.sim.registers import REGISTER, AcceleratorError, check_status
from tests.sim.driven import CONFIG, large_graph, random_codes, tiny_graph


class Registers:
    """A transport to something that only has registers."""

    checked = True

    def __init__(self, **values):
        self.values = {REGISTER[name]: value for name, value in values.items()}

    def write(self, address, data):
        pass

    def read(self, address, length):
        return self.values.get(address, 0).to_bytes(length, "little")


def test_not_an_accelerator():
    with pytest.raises(AcceleratorError, match="its id is 0x00000000, not 0x484f4c44"):
        Accelerator(Registers())


ANSWERS = {
    "id": 0x484F4C44,
    "array": 0x08080302,
    "widths": 0x00001018,
    "interface": INTERFACE << 16,
}


def test_other_version():
    with pytest.raises(AcceleratorError, match=r"registers are of version 0x0001, this client's"):
        Accelerator(Registers(**ANSWERS | {"interface": 0x00010000}))


class Busy(Registers):
    """An accelerator that is busy from its first start on; counters grow as told."""

    def __init__(self, checked=True, **growth):
        super().__init__(**ANSWERS)
        self.checked, self.growth, self.reads = checked, growth, 0

    def write(self, address, data):
        self.values[address] = int.from_bytes(data[:4], "little")
        if address == REGISTER["control"]:
            self.values[address] &= ~1
            # A start of nothing ends at once.
            nothing = self.values.get(REGISTER["count"], 0) == 0
            self.values[REGISTER["status"]] = 0x802 if nothing else 1

    def read(self, address, length):
        self.reads += 1
        for name, growth in self.growth.items():
            register = REGISTER[name]
            self.values[register] = (self.values.get(register, 0) + growth) % (1 << 32)
        return super().read(address, length)


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(
    ("growth", "message"),
    [
        ({}, "is busy but has stood still for 100 reads of its status"),
        ({"cycles": 7, "stall_host": 7}, "is busy but has stood still for 100 reads"),
        ({"cycles": 1}, r"has not ended its run after \d+ cycles"),
        ({"cycles": 1 << 30}, r"has not ended its run after \d+ cycles"),
    ],
)
def test_run_that_does_not_end(checked, growth, message):
    """Frozen counters, waiting for the host for ever, and working for ever."""
    for network in PROGRAMS:
        transport = Busy(checked, **growth)
        accelerator = Accelerator(transport)
        accelerator.load(network)
        with pytest.raises(AcceleratorError, match=message):
            accelerator.run(random_codes(1))
        with pytest.raises(AcceleratorError, match="no network is loaded"):
            accelerator.run(random_codes(1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": 0x00FF1018},
        {"widths": 0x00031018},
        {"widths": 0x03001018},
        {"widths": 0x00001008},
        {"widths": 0x0000FF18},
        {"array": 0},
        {"array": 0x08081102},
        {"array": 0x09080302},
        {"array": 0xFFFFFFFF, "widths": 0xFFFFFFFF},
    ],
)
def test_registers_that_no_accelerator_has(wrong):
    with pytest.raises(AcceleratorError, match="no accelerator has the size and the widths that"):
        Accelerator(Registers(**ANSWERS | wrong))


class Noise:
    """A transport that answers at random, often with the right words where a client asks first."""

    def __init__(self, seed, checked):
        self.source, self.checked = random.Random(seed), checked
        self.known = {REGISTER[name]: value for name, value in ANSWERS.items()}

    def write(self, address, data):
        pass

    def read(self, address, length):
        if address in self.known and self.source.random() < 0.97:
            return self.known[address].to_bytes(4, "little")
        words = (self._word() for _ in range(length // 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def _word(self):
        source = self.source
        likely = source.choice([0, 1, 2, 3, 0x802, 0x10002, (1 << 32) - 1])
        return likely if source.random() < 0.8 else source.getrandbits(32)


PROGRAMS = [compile_graph(graph, CONFIG) for graph in (tiny_graph(), large_graph())]


def _any_answers(seed, checked):
    try:
        accelerator = Accelerator(Noise(seed, checked))
        accelerator.load(PROGRAMS[seed % 2])
        assert accelerator.run(random_codes(1, 1)).dtype == np.int8
        accelerator.counters()
    except HoldfastError as error:
        assert "\n" not in str(error) and len(str(error)) < 300


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_any_answers(seed, checked):
    """Whatever a board answers, the driver ends, with a result or one sentence."""
    _any_answers(seed, checked)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_any_answers_at_length(seed, checked):
    _any_answers(seed, checked)


def test_no_guard():
    accelerator = Accelerator(Registers(**ANSWERS))
    accelerator.guard()
    with pytest.raises(AcceleratorError, match="has no range guard"):
        accelerator.guard(output=True)


def test_status_code_that_does_not_exist():
    with pytest.raises(
        AcceleratorError, match=r"status register holds 0x0000ff02; there is no code 255"
    ):
        check_status(0xFF02, CONFIG)
