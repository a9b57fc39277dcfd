"""Registers and memories through a serial line, with the commands of LiteX's UARTBone.

A command is one byte for what to do, one for the number of words (0: 256), four for the word
address (the byte address divided by 4); then four bytes for each word, sent by the host for a
write, by the bridge for a read. Numbers of several bytes begin with the highest.

UARTBone knows no error. A refused read answers with ones in all bits, a refused write changes
nothing, and the bridge remembers both in a word of its own, beyond the accelerator's addresses:

====  ======================================================================================
bits  ``LINK_ADDRESS``
====  ======================================================================================
0     a read was refused
1     a write was refused
2     a byte was lost: its stop bit was missing, or it came while an answer was being sent
3     a command was not completed in time
4-15  0
16-31 words written since the last clear, refused ones included, modulo 65536
====  ======================================================================================

Any write to it clears it.
"""

from enum import IntEnum

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import HostAccess
from .layout import ADDRESS_BITS
from .uart import UartReceiver, UartTransmitter

__all__ = ["LINK_ADDRESS", "LINK_BITS", "Command", "UartBridge"]

LINK_ADDRESS = 1 << ADDRESS_BITS
"""Byte address of the word that the bridge answers itself."""

LINK_BITS = {"read_refused": 0, "write_refused": 1, "byte_lost": 2, "late": 3, "words": 16}
"""First bit of each part of that word."""

_WORD_ADDRESS_BITS = 32


class Command(IntEnum):
    """First byte of a command."""

    WRITE_INCREMENTING = 1
    READ_INCREMENTING = 2
    WRITE_FIXED = 3
    READ_FIXED = 4


class UartBridge(wiring.Component):
    """Turns commands on a serial line into host accesses.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, at least 4: clock frequency / baud rate.
    timeout : int
        Cycles without a byte after which a half command is forgotten; more than ten bits.

    Members
    -------
    uart_rx, uart_tx
        The line from and to the host, high when idle.
    host
        One access per word.

    Latency
    -------
    A read's first byte begins seven cycles after the command's last.

    Back-pressure
    -------------
    The host must not send while an answer is being sent. After a lost byte, everything is ignored
    until the line has been quiet for ``timeout``: the rest of a command must not be taken for
    another.
    """

    NAME = "uart"

    def __init__(self, divisor: int, timeout: int = 1 << 23):
        if timeout <= 10 * divisor:
            raise ValueError(f"timeout must be more than 10 bits of {divisor}, not {timeout}")
        self._divisor = divisor
        self._timeout = timeout
        super().__init__(
            {"uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "host": Out(HostAccess)}
        )

    def elaborate(self, platform):
        m = Module()
        host = self.host
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        command = Signal(3)
        remaining = Signal(8)
        address = Signal(_WORD_ADDRESS_BITS)
        data = Signal(32)
        byte = Signal(2)
        ignoring = Signal()
        silence = Signal(range(self._timeout))
        flags = {name: Signal(name=name) for name in LINK_BITS if name != "words"}
        words = Signal(16)

        writes = Cat(command == c for c in (Command.WRITE_INCREMENTING, Command.WRITE_FIXED)).any()
        fixed = Cat(command == c for c in (Command.WRITE_FIXED, Command.READ_FIXED)).any()
        known = Cat(receiver.data == c for c in Command).any()
        received = receiver.valid & ~ignoring
        late = silence == self._timeout - 1
        forget = late | receiver.broken
        inside = Signal()
        link = Signal()
        was_inside = Signal()
        was_link = Signal()
        refused = Signal()
        written = Signal()
        wait = Signal(2)
        m.d.comb += [
            inside.eq(~address[ADDRESS_BITS - 2 :].any()),
            link.eq(address == LINK_ADDRESS // 4),
            receiver.line.eq(self.uart_rx),
            self.uart_tx.eq(transmitter.line),
            host.address.eq(address << 2),
            host.data.eq(data),
            host.strobe.eq(0b1111),
            transmitter.data.eq(data[24:]),
        ]
        # As ``host.error``, one cycle after the access.
        m.d.comb += refused.eq(~was_link & (~was_inside | host.error))
        m.d.sync += [was_inside.eq(inside), was_link.eq(link), written.eq(0), wait.eq(wait + 1)]
        with m.If(written & refused):
            m.d.sync += flags["write_refused"].eq(1)
        with m.FSM() as fsm:
            with m.State("COMMAND"):
                m.d.sync += [command.eq(receiver.data), byte.eq(0)]
                with m.If(received & known):
                    m.next = "LENGTH"
            with m.State("LENGTH"):
                m.d.sync += remaining.eq(receiver.data)
                with m.If(forget):
                    m.next = "COMMAND"
                with m.Elif(received):
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                with m.If(forget):
                    m.next = "COMMAND"
                with m.Elif(received):
                    m.d.sync += [address.eq(Cat(receiver.data, address)), byte.eq(byte + 1)]
                    with m.If(byte == 3):
                        m.next = "READ"
                        with m.If(writes):
                            m.next = "DATA"
            with m.State("DATA"):
                with m.If(forget):
                    m.next = "COMMAND"
                with m.Elif(received):
                    m.d.sync += [data.eq(Cat(receiver.data, data)), byte.eq(byte + 1)]
                    with m.If(byte == 3):
                        m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += host.write.eq(inside)
                m.d.sync += [
                    remaining.eq(remaining - 1),
                    address.eq(address + ~fixed),
                    words.eq(words + 1),
                    written.eq(1),
                ]
                with m.If(link):
                    m.d.sync += [words.eq(0), *(flag.eq(0) for flag in flags.values())]
                m.next = "DATA"
                with m.If(remaining == 1):
                    m.next = "COMMAND"
            with m.State("READ"):
                m.d.comb += host.read.eq(inside)
                m.d.sync += wait.eq(0)
                m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(wait == 0):
                    m.d.sync += data.eq(refused.replicate(32))
                    with m.If(refused):
                        m.d.sync += flags["read_refused"].eq(1)
                with m.If(wait == 2):
                    m.next = "TAKE"
            with m.State("TAKE"):
                with m.If(link):
                    m.d.sync += data.eq(Cat(*flags.values(), Const(0, 12), words))
                with m.Elif(~data[0]):
                    m.d.sync += data.eq(host.read_data)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += transmitter.valid.eq(1)
                with m.If(transmitter.ready):
                    m.d.sync += [data.eq(data << 8), byte.eq(byte + 1)]
                    with m.If(byte == 3):
                        m.d.sync += [remaining.eq(remaining - 1), address.eq(address + ~fixed)]
                        m.next = "READ"
                        with m.If(remaining == 1):
                            m.next = "COMMAND"

        halfway = Cat(fsm.ongoing(state) for state in ("LENGTH", "ADDRESS", "DATA")).any()
        listening = halfway | fsm.ongoing("COMMAND")
        m.d.sync += silence.eq(silence + 1)
        with m.If(late | receiver.valid | receiver.broken | ~listening):
            m.d.sync += silence.eq(0)
        with m.If(late):
            m.d.sync += ignoring.eq(0)
        with m.If(late & halfway):
            m.d.sync += flags["late"].eq(1)
        with m.If(receiver.broken | (receiver.valid & ~listening)):
            m.d.sync += flags["byte_lost"].eq(1)
        with m.If(receiver.broken):
            m.d.sync += ignoring.eq(1)
        return m
