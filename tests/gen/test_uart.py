"""The serial line and the bridge behind it, against a memory."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from gen.layout import ADDRESS_BITS
from gen.uart import UartReceiver
from gen.uart_bridge import LINK_ADDRESS, Command, UartBridge
from sim.fast import FastModel
from sim.fast_line import SimulatedLine
from sim.netlist import Netlist

# Two components exist only to be refused.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

DIVISOR = 8
TIMEOUT = 1000
WORDS = 64


class Target(wiring.Component):
    """A bridge in front of a memory; addresses beyond it are refused."""

    uart_rx: In(1, init=1)
    uart_tx: Out(1, init=1)
    accesses: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart = bridge = UartBridge(DIVISOR, TIMEOUT)
        m.submodules.cells = cells = memory.Memory(shape=32, depth=WORDS, init=[])
        read, write = cells.read_port(), cells.write_port()
        host = bridge.host
        refused = host.address >= 4 * WORDS
        # The memory's register and three more.
        answer = read.data
        for _ in range(3):
            following = Signal(32)
            m.d.sync += following.eq(answer)
            answer = following
        m.d.sync += [
            host.error.eq(refused),
            self.accesses.eq(self.accesses + (host.read | host.write)),
        ]
        m.d.comb += [
            bridge.uart_rx.eq(self.uart_rx),
            self.uart_tx.eq(bridge.uart_tx),
            read.addr.eq(host.address[2:]),
            write.addr.eq(host.address[2:]),
            write.data.eq(host.data),
            write.en.eq(host.write & ~refused & (host.strobe == 0b1111)),
            host.read_data.eq(answer),
        ]
        return m


@pytest.fixture(scope="module")
def netlist():
    return Netlist.of(Target(), "target")


@pytest.fixture
def line(netlist):
    model = FastModel(netlist)
    model.poke("uart_rx", 1)
    model.reset(2)
    return SimulatedLine(model, DIVISOR, limit=2 * TIMEOUT)


def command(kind, address, count, words=()):
    data = bytes([kind, count & 0xFF]) + (address // 4).to_bytes(4, "big")
    return data + b"".join(word.to_bytes(4, "big") for word in words)


def read_words(line, address, count, kind=Command.READ_INCREMENTING):
    line.write(command(kind, address, count))
    data = line.read(4 * count)
    assert len(data) == 4 * count
    return [int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4)]


def status(line):
    return read_words(line, LINK_ADDRESS, 1)[0]


def clear(line):
    line.write(command(Command.WRITE_INCREMENTING, LINK_ADDRESS, 1, [0]))


def test_random_bursts_against_a_model(line):
    source = random.Random(1)
    expected = [source.getrandbits(32) for _ in range(WORDS)]
    line.write(command(Command.WRITE_INCREMENTING, 0, WORDS, expected))
    written = WORDS
    for _ in range(150):
        count = source.randrange(1, 9)
        start = source.randrange(WORDS - count + 1)
        words = [source.getrandbits(32) for _ in range(count)]
        match source.choice(list(Command)):
            case Command.WRITE_INCREMENTING as kind:
                line.write(command(kind, 4 * start, count, words))
                expected[start : start + count] = words
                written += count
            case Command.WRITE_FIXED as kind:
                line.write(command(kind, 4 * start, count, words))
                expected[start] = words[-1]
                written += count
            case Command.READ_INCREMENTING as kind:
                assert read_words(line, 4 * start, count, kind) == expected[start : start + count]
            case Command.READ_FIXED as kind:
                assert read_words(line, 4 * start, count, kind) == [expected[start]] * count
    assert read_words(line, 0, WORDS) == expected
    assert status(line) == written << 16


def test_bytes_are_those_of_uartbone(line):
    """As LiteX's clients send them: command, words, word address and data, highest byte first."""
    line.write(bytes.fromhex("01 02 00000003 11223344 A5B6C7D8"))
    line.write(bytes.fromhex("02 02 00000003"))
    assert line.read(8) == bytes.fromhex("11223344 A5B6C7D8")
    line.write(bytes.fromhex("03 02 00000005 00000001 00000002"))
    line.write(bytes.fromhex("04 02 00000005"))
    assert line.read(8) == bytes.fromhex("00000002 00000002")
    line.write(bytes.fromhex("02 01 00000006"))
    assert line.read(4) == bytes(4)


def test_length_zero_is_256_words(line):
    line.write(command(Command.WRITE_FIXED, 4, 256, range(256)))
    assert status(line) == 256 << 16
    line.write(command(Command.READ_FIXED, 4, 256))
    assert line.read(4 * 256) == (255).to_bytes(4, "big") * 256


def test_refused_accesses_are_remembered(line):
    assert read_words(line, 4 * WORDS, 1) == [0xFFFFFFFF]
    assert status(line) == 0b0001
    line.write(command(Command.WRITE_INCREMENTING, 4 * WORDS, 2, [1, 2]))
    assert status(line) == 0b0011 | 2 << 16
    clear(line)
    assert status(line) == 0
    # The accelerator does not see these: they would wrap to addresses that exist.
    before = line.model.peek("accesses")
    assert read_words(line, LINK_ADDRESS + 4, 1) == [0xFFFFFFFF]
    assert read_words(line, (1 << 34) - 4, 1) == [0xFFFFFFFF]
    line.write(command(Command.WRITE_INCREMENTING, 1 << (ADDRESS_BITS + 1), 1, [1]))
    assert line.model.peek("accesses") == before
    assert status(line) == 0b0011 | 1 << 16


def test_unknown_bytes_are_ignored(line):
    line.write(bytes(range(5, 256)) + b"\0")
    assert status(line) == 0


@pytest.mark.parametrize("length", range(1, 14))
def test_half_command_is_forgotten(line, length):
    line.write(command(Command.WRITE_INCREMENTING, 0, 2, [0x01020304] * 2)[:length])
    line.wait(TIMEOUT + 10)
    assert status(line) & 0xFFFF == 0b1000
    assert status(line) >> 16 == (length - 6) // 4 * (length > 6)


def test_pauses_within_a_command(line):
    clear(line)
    for byte in command(Command.WRITE_INCREMENTING, 8, 1, [0xA0B0C0D0]):
        line.write(bytes([byte]))
        line.wait(TIMEOUT - 12 * DIVISOR)
    assert read_words(line, 8, 1) == [0xA0B0C0D0]
    assert status(line) == 1 << 16


@pytest.mark.parametrize("place", [0, 1, 3, 7, 30])
def test_framing_error_hides_the_rest_of_the_command(line, place):
    before = read_words(line, 0, WORDS)
    # The data of this burst would be commands of its own.
    evil = int.from_bytes(command(Command.WRITE_INCREMENTING, 0, 1)[:4], "big")
    sent = command(Command.WRITE_INCREMENTING, 128, 16, [evil] * 16)
    line.write(sent[:place])
    line.write(sent[place : place + 1], stop=0)
    line.write(sent[place + 1 :])
    line.wait(TIMEOUT + 10)
    assert status(line) & 0xFFFF == 0b0100
    after = read_words(line, 0, WORDS)
    words = max(0, place - 6) // 4
    assert after == before[:32] + [evil] * words + before[32 + words :]


def test_break_and_noise(line):
    model = line.model
    for low in (1, 2, 3):
        model.poke("uart_rx", 0)
        model.step(low)
        model.poke("uart_rx", 1)
        model.step(DIVISOR)
    assert status(line) == 0
    model.poke("uart_rx", 0)
    model.step(3 * TIMEOUT)
    model.poke("uart_rx", 1)
    model.step(TIMEOUT + 10)
    assert status(line) == 0b0100


def test_bytes_during_an_answer_are_lost(line):
    line.write(command(Command.READ_INCREMENTING, 0, 4))
    line.write(b"\x01")
    assert len(line.read(16)) == 16
    assert status(line) == 0b0100


@pytest.mark.parametrize("period", [0.96, 0.98, 1.02, 1.04])
def test_other_clock(line, period):
    line.period = period * DIVISOR
    line.write(command(Command.WRITE_INCREMENTING, 0, 8, range(8)))
    assert status(line) == 8 << 16


def test_random_bytes_never_hang(line):
    source = random.Random(2)
    for _ in range(60):
        for _ in range(source.randrange(40)):
            data = bytes([source.choice([0, 1, 2, 3, 4, source.randrange(256)])])
            line.write(data, stop=source.random() > 0.02)
        while line.read(1):
            pass
        line.wait(TIMEOUT + 10)
        clear(line)
        assert status(line) == 0


def test_arguments():
    with pytest.raises(ValueError, match="divisor must be at least 4, not 3"):
        UartReceiver(3)
    with pytest.raises(ValueError, match="timeout must be more than 10 bits of 8, not 80"):
        UartBridge(8, 80)
