"""The serial line's checksum, bits flipped on the line, and ports that fail."""

import os
import random
from collections import Counter

import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.gen.accelerator import Accelerator as Design
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.port.uart_bridge import LINK_ADDRESS, UartBridge
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.nn.networks.spec import Network
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.registers import REGISTER
from holdfast.sim.transport.base import BusError, Link
from holdfast.sim.transport.serial import UartTransport, open_serial
from tests.random_graph import random_graph
from tests.sim.flipped_line import BITS, Session
from tests.sim.simulated_line import SimulatedLine

CONFIG = AcceleratorConfig(
    rows=1, cols=2, act_depth=16, weight_depth=8, acc_depth=4, param_depth=8, program_depth=4,
    guard=False,
)  # fmt: skip
DIVISOR, TIMEOUT = 4, 200
LIMIT = 2 * TIMEOUT
CODES = np.random.default_rng(1).integers(-128, 128, (2, 1, 2, 2)).astype(np.int8)


@pytest.fixture(scope="module")
def program():
    """Three chunks of weights, of which two are in place before the start."""
    spec = Network("streamed", (1, 2, 2))
    spec.dense("logits", "image", 6)
    program = compile_graph(random_graph(spec, seed=1), CONFIG)
    assert len(program.chunks) == 3
    return program


@pytest.fixture(scope="module")
def expected(program):
    outputs = Golden(program.graph).run(torch.from_numpy(CODES)).outputs
    return outputs["logits"].numpy().reshape(len(CODES), -1)


def model_of(checksum):
    return CompiledModel(Netlist.of(Design(CONFIG, UartBridge(DIVISOR, TIMEOUT, checksum)), "core"))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "checksum"])
def model(request):
    return model_of(request.param), request.param


@pytest.fixture
def line(model):
    found, checksum = model
    return SimulatedLine(released(found), DIVISOR, LIMIT), checksum


def released(model):
    model.poke("uart_rx", 1)
    model.reset(2)
    return model


def driven(program, checksum, images=2):
    def drive(stream):
        accelerator = Accelerator(UartTransport(stream, checksum))
        accelerator.load(program)
        return accelerator.run(CODES[:images])

    return drive


@pytest.mark.parametrize("wanted", [None, True, False])
def test_negotiation(line, program, expected, wanted):
    line, checksum = line
    if wanted and not checksum:
        with pytest.raises(BusError, match="does not answer on the serial line with a checksum"):
            UartTransport(line, wanted)
        return
    transport = UartTransport(line, wanted)
    assert transport.checked == (checksum if wanted is None else wanted)
    accelerator = Accelerator(transport)
    accelerator.load(program)
    assert (accelerator.run(CODES) == expected).all()


def test_clients_after_each_other(line):
    """A bridge that an earlier client has locked serves later ones, with a checksum or without."""
    line, checksum = line
    for wanted in (None, False, None, None, False, False, None):
        transport = UartTransport(line, wanted)
        assert transport.checked == (checksum and wanted is None)
        transport.write(REGISTER["count"], (5).to_bytes(4, "little"))
        assert transport.read(REGISTER["count"], 4) == (5).to_bytes(4, "little")


def test_unlock(line):
    """Commands of LiteX's clients are taken before a client came, and after it has unlocked."""
    line, _ = line
    question = b"\x02\x01" + bytes(4)
    for _ in range(2):
        line.write(question)
        assert line.read(4) == b"HOLD"
        transport = UartTransport(line)
        if transport.checked:
            line.write(question)
            assert line.read(4) == b""
            line.wait(LIMIT)
            transport.unlock()


def test_long_bursts(line):
    """The bridge carries out one frame of a write while the next one comes."""
    line, _ = line
    transport = UartTransport(line)
    before, after = REGISTER["first"], REGISTER["ready"]
    address, size = 1 << 22, 4 * CONFIG.program_depth * 32
    data = np.random.default_rng(3).integers(0, 256, size, np.uint8).tobytes()
    transport.write(before, bytes([7, 0, 0, 0]))
    transport.write(address, data)
    transport.write(after, bytes([9, 0, 0, 0]))
    assert transport.read(address, size) == data
    assert transport.read(before, 4)[0] == 7 and transport.read(after, 4)[0] == 9


def judged(session, expected, flips):
    """What became of a run: right, wrong, or the error."""
    found = session.run(flips)
    if isinstance(found, HoldfastError):
        assert "\n" not in str(found)
        return type(found).__name__
    return "right" if np.array_equal(found, expected) else "wrong"


def register_bits(session):
    """Bits of what is written to and read from registers and the bridge's own word."""
    found, register = [], False
    for access in session.accesses:
        if access.sent:
            address = 4 * int.from_bytes(access.sent[2:6], "big")
            register = address in REGISTER.values() or address == LINK_ADDRESS
        if register:
            size = BITS * len(access.sent + access.answer)
            found += range(access.first_bit, access.first_bit + size)
    return found


def _single_flips(model, program, expected, count):
    session = Session(released(model), DIVISOR, LIMIT, driven(program, False))
    assert np.array_equal(session.result, expected)
    bits = register_bits(session)
    assert len(bits) > 5000
    if count is not None:
        bits = random.Random(1).sample(bits, count)
    seen = Counter(judged(session, expected, {bit}) for bit in bits)
    assert not seen["wrong"], seen
    assert seen["right"] and seen["AcceleratorError"] and seen["BusError"]


def test_single_flips_of_registers(model, program, expected):
    """Without a checksum, too, one flipped bit in the traffic of registers, the start, ``ready``
    and the status among them, is never a wrong result, and the driver ends.
    """
    _single_flips(model[0], program, expected, 200)


@pytest.mark.slow
def test_all_single_flips_of_registers(model, program, expected):
    _single_flips(model[0], program, expected, None)


def _random_flips(program, expected, count):
    drive = driven(program, None, images=1)
    session = Session(released(model_of(True)), DIVISOR, LIMIT, drive)
    assert np.array_equal(session.result, expected[:1])
    source = random.Random(2)
    seen: Counter[str] = Counter()
    for _ in range(count):
        flips = {source.randrange(session.bits) for _ in range(source.randint(1, 3))}
        seen[judged(session, expected[:1], flips)] += 1
    assert not seen["wrong"], seen
    # What was lost is sent again.
    assert seen["right"] > count / 2


@pytest.mark.long
def test_random_flips(program, expected):
    """With the checksum no flips, anywhere, are a wrong result."""
    _random_flips(program, expected, 150)


@pytest.mark.slow
def test_ten_thousand_random_flips(program, expected):
    _random_flips(program, expected, 10_000)


def test_single_flips_are_mended(program, expected):
    """One lost frame that is not a register's is sent again."""
    drive = driven(program, None, images=1)
    session = Session(released(model_of(True)), DIVISOR, LIMIT, drive)
    register = set(register_bits(session))
    others = [bit for bit in range(session.bits) if bit not in register]
    for bit in random.Random(4).sample(others, 20):
        assert judged(session, expected[:1], {bit}) == "right"


class Failing:
    """A line that is gone after some accesses."""

    def __init__(self, line, left):
        self._line, self._left = line, left

    def __getattr__(self, name):
        def access(*arguments):
            self._left -= 1
            if self._left < 0:
                raise OSError(5, "Input/output error\nof a device")
            return getattr(self._line, name)(*arguments)

        return access


@pytest.mark.parametrize("accesses", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89])
def test_line_that_vanishes(line, program, accesses):
    line, _ = line
    with pytest.raises(BusError, match=r"the serial line is gone: .*Input/output error") as caught:
        driven(program, None)(Failing(line, accesses))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("silent", [False, True])
def test_port_that_vanishes(silent):
    pytest.importorskip("serial")
    host, port = os.openpty()
    path = os.ttyname(port)
    if not silent:
        os.close(host)
    try:
        with pytest.raises(BusError, match=r"is gone|cannot open|does not answer"):
            open_serial(Link(path, timeout=0.01))
    finally:
        os.close(port)
        if silent:
            os.close(host)


class Full:
    """A port that takes bytes, and sends none of them."""

    out_waiting = 7

    def write(self, data):
        return len(data)

    def read(self, size):
        return b""


def test_port_that_sends_nothing(monkeypatch):
    serial = pytest.importorskip("serial")
    monkeypatch.setattr(serial, "Serial", lambda *_, **__: Full())
    with pytest.raises(BusError, match=r"it has taken no byte for 0\.05 s"):
        open_serial(Link("port", timeout=0.05))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"baud": 0}, "baud must be 1,200 to 12,000,000, not 0."),
        ({"baud": -9600}, "not -9600."),
        ({"baud": 10**5000}, "baud must be 1,200 to 12,000,000, not "),
        ({"timeout": 0.0}, "timeout must be 0.001 to 3,600, not 0.0."),
        ({"timeout": float("nan")}, "not nan."),
        ({"timeout": float("inf")}, "not inf."),
        ({"place": "/dev/\0"}, r"cannot open /dev/\x00: embedded null byte."),
        ({"place": "/" + "x" * 5000}, "cannot open /xxx"),
        ({"place": ""}, "cannot open "),
        ({"place": "/dev/null"}, "cannot open /dev/null"),
    ],
)
def test_bad_port(arguments, message):
    pytest.importorskip("serial")
    with pytest.raises(HoldfastError) as caught:
        open_serial(Link(**{"place": "/dev/nowhere"} | arguments))
    assert message in str(caught.value) and len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)
