"""The serial line and the bridge behind it, against a memory."""

import random
import zlib

import pytest

from holdfast.gen.layout import ADDRESS_BITS
from holdfast.gen.port.uart import UartReceiver
from holdfast.gen.port.uart_bridge import LINK_ADDRESS, Command, UartBridge
from holdfast.sim.netlist.netlist import Netlist
from tests.gen.bridged_memory import DIVISOR, TIMEOUT, WORDS, Target, command, line_of, read_words

# Two components exist only to be refused.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "checksum"])
def netlist(request):
    return Netlist.of(Target(request.param), "target")


@pytest.fixture(scope="module")
def checked_netlist():
    return Netlist.of(Target(True), "target")


@pytest.fixture
def line(netlist):
    """What a bridge does without checked commands does not depend on whether it knows them."""
    return line_of(netlist)


@pytest.fixture
def checked(checked_netlist):
    return line_of(checked_netlist)


def status(line):
    """The bridge's own word, without what tells that it knows checked commands."""
    found = read_words(line, LINK_ADDRESS, 1)[0]
    assert found >> 4 & 0xFFF in (0, 0xF)
    return found & ~0xF0


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
    line.write(bytes(set(range(5, 256)) - {0xF1, 0xBA}) + b"\0")
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


KNOWS, LOCKED = 0xF0, 0x1F0


def frame(kind, address, count, words=()):
    """A checked command."""
    data = command(kind, address, count, words)
    return data + zlib.crc32(data).to_bytes(4, "little")


def checked_read(line, address, count):
    """Words, or None without an answer."""
    line.write(frame(Command.CHECKED_READ, address, count))
    data = line.read(4 * count + 4)
    if not data:
        return None
    assert data[-4:] == zlib.crc32(data[:-4]).to_bytes(4, "little")
    assert len(data) == 4 * count + 4
    return [int.from_bytes(data[i : i + 4], "big") for i in range(0, 4 * count, 4)]


def link(line):
    return checked_read(line, LINK_ADDRESS, 1)[0]


def test_checked_bytes(checked):
    """Frames with checksums from another implementation of CRC-32."""
    checked.write(
        bytes.fromhex("F1 02 00000003 11223344 A5B6C7D8") + _crc("F1020000000311223344A5B6C7D8")
    )
    checked.write(bytes.fromhex("BA 02 00000003") + _crc("BA0200000003"))
    assert checked.read(12) == bytes.fromhex("11223344 A5B6C7D8") + _crc("11223344A5B6C7D8")


def _crc(text):
    """CRC-32 by its definition: division of polynomials over bits, lowest first."""
    bits = [byte >> n & 1 for byte in bytes.fromhex(text) for n in range(8)]
    rest = 0
    for index, bit in enumerate([*bits, *[0] * 32]):
        rest = rest << 1 | (bit ^ (index < 32))
        if rest >> 32:
            rest ^= 0x104C11DB7
    value = int(f"{rest ^ 0xFFFFFFFF:032b}"[::-1], 2)
    return value.to_bytes(4, "little")


def test_checked_bursts_against_a_model(checked):
    source = random.Random(5)
    expected = [0] * WORDS
    written = 0
    for _ in range(100):
        count = source.randrange(1, 9)
        start = source.randrange(WORDS - count + 1)
        words = [source.getrandbits(32) for _ in range(count)]
        match source.randrange(4):
            case 0 | 1:
                kind = source.choice([Command.CHECKED_WRITE, Command.WRITE_INCREMENTING])
                sent = (frame if kind.checked else command)(kind, 4 * start, count, words)
                checked.write(sent)
                expected[start : start + count] = words
                written += count
            case 2:
                checked.write(command(Command.WRITE_FIXED, 4 * start, count, words))
                expected[start] = words[-1]
                written += count
            case _:
                assert checked_read(checked, 4 * start, count) == expected[start : start + count]
                assert read_words(checked, 4 * start, count, Command.READ_FIXED) == (
                    [expected[start]] * count
                )
    assert checked_read(checked, 0, WORDS) == expected
    assert link(checked) == KNOWS | written << 16


def test_every_flip_of_a_frame_is_seen(checked):
    """Of one bit, and of two at random: nothing is written, nothing answered, and it is told."""
    checked.write(frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, [1]))
    source = random.Random(6)
    for sent in (
        frame(Command.CHECKED_WRITE, 8, 2, [0x01020304, 0xF1F2F3F4]),
        frame(Command.CHECKED_READ, 8, 2),
    ):
        bits = 8 * len(sent)
        flips = [(bit,) for bit in range(bits)]
        flips += [source.sample(range(bits), 2) for _ in range(100)]
        for flipped in flips:
            damaged = bytearray(sent)
            for bit in flipped:
                damaged[bit // 8] ^= 1 << bit % 8
            # What comes at once is not taken for a command: it may be a part of the frame.
            checked.write(bytes(damaged) + frame(Command.CHECKED_WRITE, 8, 1, [7]))
            assert checked.read(1) == b""
            checked.wait(TIMEOUT)
            assert link(checked) & ~0xC == LOCKED
            checked.write(frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, [1]))
    assert checked_read(checked, 0, WORDS) == [0] * WORDS


def test_locked(checked):
    """Then only checked commands are taken, until a checked write lets go."""
    clear(checked)
    assert status(checked) == 0
    checked.write(frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, [1]))
    assert link(checked) == LOCKED
    for kind in (*Command, 0, 5, 255):
        if kind not in (Command.CHECKED_READ, Command.CHECKED_WRITE):
            checked.write(command(kind, 0, 1, [3]))
            checked.wait(TIMEOUT + 10)
            assert link(checked) == LOCKED | 0b0100
            checked.write(frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, [1]))
    assert checked.read(1) == b""
    assert checked_read(checked, 0, 2) == [0, 0]
    checked.write(frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, [2]))
    assert link(checked) == KNOWS
    checked.write(command(Command.WRITE_INCREMENTING, 0, 1, [3]))
    # Without a checksum nothing locks.
    checked.write(command(Command.WRITE_INCREMENTING, LINK_ADDRESS, 1, [1]))
    assert read_words(checked, 0, 2) == [3, 0]
    assert status(checked) == 0


def test_refused_checked_accesses(checked):
    assert checked_read(checked, 4 * WORDS, 1) == [0xFFFFFFFF]
    assert link(checked) == KNOWS | 0b0001
    checked.write(frame(Command.CHECKED_WRITE, 4 * WORDS - 4, 2, [1, 2]))
    assert link(checked) == KNOWS | 0b0011 | 2 << 16
    assert checked_read(checked, 4 * WORDS - 4, 1) == [1]


def test_longest_frames(checked):
    """256 words are carried out in more than the time of three bytes: the next command's address
    must not come earlier.
    """
    sent = frame(Command.CHECKED_WRITE, 0, 256, range(256))
    checked.write(sent)
    checked.wait(DIVISOR * 10)
    assert link(checked) == KNOWS | 0b0010 | 256 << 16
    assert checked_read(checked, 0, WORDS) == list(range(WORDS))
    checked.write(frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, [0]))
    checked.write(sent + frame(Command.CHECKED_WRITE, 0, 1, [99]))
    checked.wait(TIMEOUT)
    assert link(checked) == KNOWS | 0b0110 | 256 << 16
    assert checked_read(checked, 0, WORDS) == list(range(WORDS))
    # Sixty-four are fast enough.
    checked.write(frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, [0]))
    checked.write(b"".join(frame(Command.CHECKED_WRITE, 0, 64, [n] * 64) for n in range(4)))
    assert link(checked) == KNOWS | 256 << 16
    assert checked_read(checked, 0, 64) == [3] * 64


def test_arguments():
    with pytest.raises(ValueError, match="divisor must be at least 4, not 3"):
        UartReceiver(3)
    with pytest.raises(ValueError, match="timeout must be more than 10 bits of 8, not 80"):
        UartBridge(8, 80)
