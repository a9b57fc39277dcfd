"""A bridge of a serial line in front of a memory, and commands to it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.port.uart_bridge import Command, UartBridge
from holdfast.sim.compiled.model import CompiledModel
from tests.sim.simulated_line import SimulatedLine

DIVISOR = 8
TIMEOUT = 1000
WORDS = 64


class Target(wiring.Component):
    """A bridge in front of a memory; addresses beyond it are refused."""

    uart_rx: In(1, init=1)
    uart_tx: Out(1, init=1)
    accesses: Out(16)

    def __init__(self, checksum):
        super().__init__()
        self._checksum = checksum

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart = bridge = UartBridge(DIVISOR, TIMEOUT, self._checksum)
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


def line_of(netlist):
    model = CompiledModel(netlist)
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
