"""Registers and memories through a serial line, with the commands of LiteX's UARTBone.

A command is one byte for what to do, one for the number of words (0: 256), four for the word
address (the byte address divided by 4); then four bytes for each word, sent by the host for a
write, by the bridge for a read. Numbers of several bytes begin with the highest.

A bridge with a checksum knows two more commands, whose frames end in the CRC-32 of all their bytes,
lowest byte first: a checked write, of which nothing is carried out before its checksum was right,
and a checked read, whose answer ends in a checksum of its own. Locked, the bridge takes no others:
what is left of a damaged frame is never taken for a command without a checksum.

UARTBone knows no error. A refused read answers with ones in all bits, a refused write changes
nothing, and the bridge remembers both in a word of its own, beyond the accelerator's addresses:

====  ======================================================================================
bits  ``LINK_ADDRESS``
====  ======================================================================================
0     a read was refused
1     a write was refused
2     a byte was lost: its stop bit was missing, it came while an answer was being sent, or a
      checksum was wrong
3     a command was not completed in time
4-7   15 in a bridge with a checksum, otherwise 0
8     the bridge is locked: it takes only commands with a checksum
9-15  0
16-31 words written since the last clear, refused ones included, modulo 65536
====  ======================================================================================

Any write to it clears it; a checked one also locks the bridge, or, if its lowest bit is 0, lets go.
"""

from enum import IntEnum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.layout import ADDRESS_BITS
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.memory import cells

from .axi import HostAccess
from .checksum import Checksum
from .uart import UartReceiver, UartTransmitter

__all__ = ["LINK_ADDRESS", "LINK_BITS", "Command", "UartBridge"]

LINK_ADDRESS = 1 << ADDRESS_BITS
"""Byte address of the word that the bridge answers itself."""

LINK_BITS = {
    "read_refused": (0, 1),
    "write_refused": (1, 1),
    "byte_lost": (2, 1),
    "late": (3, 1),
    "checksum": (4, 4),
    "locked": (8, 1),
    "words": (16, 16),
}
"""First bit and width of each part of that word."""

_FLAGS = ("read_refused", "write_refused", "byte_lost", "late")
_WORD_ADDRESS_BITS = 32
_BUFFER = 256


class Command(IntEnum):
    """First byte of a command."""

    WRITE_INCREMENTING = 1
    READ_INCREMENTING = 2
    WRITE_FIXED = 3
    READ_FIXED = 4
    CHECKED_WRITE = 0xF1
    CHECKED_READ = 0xBA

    @property
    def checked(self) -> bool:
        """Whether the frame ends in a checksum; four bits tell such a command from all others."""
        return self >= 0x80


_CHECKED = [command for command in Command if command.checked]


class UartBridge(wiring.Component):
    """Turns commands on a serial line into host accesses.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, at least 4: clock frequency / baud rate.
    timeout : int
        Cycles without a byte after which a half command is forgotten; more than ten bits.
    checksum : bool
        Whether it knows checked commands. That takes a memory of 256 words, in which the words of a
        write wait for their checksum.

    Members
    -------
    uart_rx, uart_tx
        The line from and to the host, high when idle.
    host
        One access per word.

    Latency
    -------
    A read's first byte begins seven cycles after the command's last, a checked one's seventeen.
    The words of a checked write follow its last byte at one a cycle.

    Back-pressure
    -------------
    The host must not send while an answer is being sent. After a lost byte, everything is ignored
    until the line has been quiet for ``timeout``: the rest of a command must not be taken for
    another. Where three bytes take less time than the words of a checked write, the address of the
    command after it must not follow at once, or counts as lost.
    """

    NAME = "uart"

    STATE = {r"\w+": Kind(Role.HOST)}

    def __init__(self, divisor: int, timeout: int = 1 << 23, checksum: bool = False):
        if timeout <= 10 * divisor:
            raise ValueError(f"timeout must be more than 10 bits of {divisor}, not {timeout}")
        self._divisor = divisor
        self._timeout = timeout
        self._checksum = checksum
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
        flags = {name: Signal(name=name) for name in _FLAGS}
        words = Signal(16)

        writes = Cat(command == c for c in (Command.WRITE_INCREMENTING, Command.WRITE_FIXED)).any()
        fixed = Cat(command == c for c in (Command.WRITE_FIXED, Command.READ_FIXED)).any()
        known = Cat(receiver.data == c for c in Command if not c.checked).any()
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
        frame = None
        step, state = ~fixed, Const(0, 12)
        if self._checksum:
            frame = _Checked(m, remaining, data)
            frame.connect(m, host, receiver, transmitter)
            known = (known & ~frame.locked) | Cat(receiver.data == c for c in _CHECKED).any()
            step = frame.all | step
            state = Cat(Const(0b1111, 4), frame.locked, Const(0, 7))

        def access():
            m.d.comb += host.write.eq(inside)
            m.d.sync += [address.eq(address + step), words.eq(words + 1), written.eq(1)]
            with m.If(link):
                m.d.sync += [words.eq(0), *(flag.eq(0) for flag in flags.values())]

        if frame is not None:
            with m.If(frame.writing):
                access()
                with m.If(link & frame.all):
                    m.d.sync += frame.locked.eq(host.data[0])
        with m.FSM() as fsm:
            with m.State("COMMAND"):
                m.d.sync += [command.eq(receiver.data), byte.eq(0)]
                with m.If(received & known):
                    m.next = "LENGTH"
                if frame is not None:
                    frame.begin(m, receiver, received, known)
            with m.State("LENGTH"):
                m.d.sync += remaining.eq(receiver.data)
                with m.If(forget):
                    m.next = "COMMAND"
                with m.Elif(received):
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                with m.If(forget):
                    m.next = "COMMAND"
                if frame is not None:
                    with m.Elif(received & frame.under_way):
                        # The address is still in use.
                        m.d.comb += frame.damaged.eq(1)
                        m.next = "COMMAND"
                with m.Elif(received):
                    m.d.sync += [address.eq(Cat(receiver.data, address)), byte.eq(byte + 1)]
                    if frame is not None:
                        m.d.sync += [frame.left.eq(remaining), frame.all.eq(0)]
                    with m.If(byte == 3):
                        m.next = "READ"
                        if frame is not None:
                            with m.If(frame.checked):
                                m.next = "CHECK"
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
                m.d.sync += remaining.eq(remaining - 1)
                if frame is None:
                    access()
                else:
                    frame.keep(m)
                m.next = "DATA"
                with m.If(remaining == 1):
                    m.next = "COMMAND"
                    if frame is not None:
                        with m.If(frame.checked):
                            m.next = "CHECK"
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
                    m.d.sync += data.eq(Cat(*flags.values(), state, words))
                with m.Elif(~data[0]):
                    m.d.sync += data.eq(host.read_data)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += transmitter.valid.eq(1)
                with m.If(transmitter.ready):
                    m.d.sync += [data.eq(data << 8), byte.eq(byte + 1)]
                    with m.If(byte == 3):
                        m.d.sync += [remaining.eq(remaining - 1), address.eq(address + step)]
                        m.next = "READ"
                        with m.If(remaining == 1):
                            m.next = "COMMAND"
                            if frame is not None:
                                with m.If(frame.checked):
                                    m.next = "TAIL"
            if frame is not None:
                with m.State("CHECK"):
                    with m.If(forget):
                        m.next = "COMMAND"
                    with m.Elif(received):
                        m.d.sync += byte.eq(byte + 1)
                        with m.If(byte == 3):
                            m.next = "JUDGE"
                with m.State("JUDGE"):
                    with m.If(~frame.checksum.busy):
                        m.next = "COMMAND"
                        with m.If(frame.judge(m, writes)):
                            m.next = "READ"
                with m.State("TAIL"):
                    m.d.comb += [frame.tail.eq(1), transmitter.valid.eq(1)]
                    with m.If(transmitter.ready):
                        m.d.sync += byte.eq(byte + 1)
                        with m.If(byte == 3):
                            m.next = "COMMAND"

        waiting = ("LENGTH", "ADDRESS", "DATA", *(() if frame is None else ("CHECK",)))
        halfway = Cat(fsm.ongoing(state) for state in waiting).any()
        listening = halfway | fsm.ongoing("COMMAND")
        m.d.sync += silence.eq(silence + 1)
        with m.If(late | receiver.valid | receiver.broken | ~listening):
            m.d.sync += silence.eq(0)
        with m.If(late):
            m.d.sync += ignoring.eq(0)
        with m.If(late & halfway):
            m.d.sync += flags["late"].eq(1)
        broken = receiver.broken if frame is None else receiver.broken | frame.damaged
        with m.If(broken | (receiver.valid & ~listening)):
            m.d.sync += flags["byte_lost"].eq(1)
        with m.If(broken):
            m.d.sync += ignoring.eq(1)
        return m


class _Checked:
    """What a bridge with a checksum has more.

    The words of a write wait in a memory, at the number of words that were still to come. Those of
    a checked write are carried out together, those of others as they come.

    Attributes
    ----------
    checked
        The command under way has a checksum.
    locked
        No other is taken.
    damaged
        A frame cannot be what was sent; for one cycle.
    left
        Words of the write that have not been carried out.
    writing, all
        A word is carried out; it is one of a checked write.
    under_way
        Not all words have been carried out.
    tail
        The answer's checksum is being sent.
    """

    def __init__(self, m: Module, remaining: Signal, data: Signal):
        m.submodules.checksum = self.checksum = Checksum()
        m.submodules.waiting = memory = cells(32, _BUFFER)
        self._kept, self._carried = memory.write_port(), memory.read_port()
        self.checked, self.locked, self.damaged = Signal(), Signal(), Signal()
        self.left = Signal(8)
        self.writing, self.all, self.tail = Signal(), Signal(), Signal()
        self._draining = draining = Signal()
        self.under_way = draining | self.writing
        m.d.comb += [
            self._kept.addr.eq(remaining),
            self._kept.data.eq(data),
            self._carried.addr.eq(self.left),
        ]
        m.d.sync += self.writing.eq(draining)
        with m.If(draining):
            m.d.sync += [self.left.eq(self.left - 1), draining.eq(self.all & (self.left != 1))]

    def connect(self, m: Module, host, receiver, transmitter) -> None:
        """Words to the host, bytes of both directions to the checksum."""
        checksum = self.checksum
        m.d.comb += [
            host.data.eq(self._carried.data),
            checksum.feed.eq(Mux(transmitter.valid, transmitter.ready, receiver.valid)),
            checksum.byte.eq(Mux(transmitter.valid, transmitter.data, receiver.data)),
        ]
        with m.If(self.tail):
            m.d.comb += [transmitter.data.eq(checksum.low), checksum.byte.eq(~checksum.low)]

    def begin(self, m: Module, receiver, received, known) -> None:
        """While a command is awaited."""
        m.d.sync += self.checked.eq(receiver.data[7])
        m.d.comb += self.checksum.clear.eq(~received)
        with m.If(received & self.locked & ~known):
            m.d.comb += self.damaged.eq(1)

    def keep(self, m: Module) -> None:
        """A word has come."""
        m.d.comb += self._kept.en.eq(1)
        with m.If(~self.checked):
            m.d.sync += self._draining.eq(1)

    def judge(self, m: Module, writes) -> Value:
        """A checked command is complete; returns whether it is a read to be answered."""
        good = self.checksum.good
        m.d.comb += [self.checksum.clear.eq(1), self.damaged.eq(~good)]
        with m.If(good & writes):
            m.d.sync += [self._draining.eq(1), self.all.eq(1)]
        return good & ~writes
