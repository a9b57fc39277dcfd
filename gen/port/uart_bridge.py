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

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.layout import ADDRESS_BITS
from holdfast.gen.roles import Kind, Role

from .axi import HostAccess
from .checked import CheckedFrames
from .uart import UartReceiver, UartTransmitter

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


class Command(IntEnum):
    """Lists the first bytes of commands."""

    WRITE_INCREMENTING = 1
    READ_INCREMENTING = 2
    WRITE_FIXED = 3
    READ_FIXED = 4
    CHECKED_WRITE = 0xF1
    CHECKED_READ = 0xBA

    @property
    def checked(self) -> bool:
        """Tells whether the frame ends in a checksum; four bits tell such a command from all
        others.
        """
        return self >= 0x80


_CHECKED = [command for command in Command if command.checked]


class _Frame:
    """The command under way: what is known of it, and what it does next."""

    def __init__(self, divisor: int, timeout: int):
        self.receiver = UartReceiver(divisor)
        self.transmitter = UartTransmitter(divisor)
        self.command = Signal(3)
        self.remaining = Signal(8)
        self.address = Signal(_WORD_ADDRESS_BITS)
        self.data = Signal(32)
        self.byte = Signal(2)
        self.ignoring = Signal()
        self.silence = Signal(range(timeout))
        self.flags = {name: Signal(name=name) for name in _FLAGS}
        self.words = Signal(16)
        self.writes = self._is(Command.WRITE_INCREMENTING, Command.WRITE_FIXED)
        self.fixed = self._is(Command.WRITE_FIXED, Command.READ_FIXED)
        self.received = self.receiver.valid & ~self.ignoring
        self.late = self.silence == timeout - 1
        self.forget = self.late | self.receiver.broken
        self.inside = Signal()
        self.link = Signal()
        self.was_inside = Signal()
        self.was_link = Signal()
        self.refused = Signal()
        self.written = Signal()
        self.wait = Signal(2)

    def _is(self, *commands: Command) -> Value:
        return Cat(self.command == command for command in commands).any()


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
        frame = _Frame(self._divisor, self._timeout)
        m.submodules.receiver, m.submodules.transmitter = frame.receiver, frame.transmitter
        self._accesses(m, frame)
        checked = None
        step, state = ~frame.fixed, Const(0, 12)
        known = Cat(frame.receiver.data == c for c in Command if not c.checked).any()
        if self._checksum:
            checked = CheckedFrames(m, frame.remaining, frame.data)
            checked.connect(m, self.host, frame.receiver, frame.transmitter)
            with_checksum = Cat(frame.receiver.data == c for c in _CHECKED).any()
            known = (known & ~checked.locked) | with_checksum
            step = checked.all | step
            state = Cat(Const(0b1111, 4), checked.locked, Const(0, 7))
            with m.If(checked.writing):
                self._access(m, frame, step)
                with m.If(frame.link & checked.all):
                    m.d.sync += checked.locked.eq(self.host.data[0])
        with m.FSM() as fsm:
            self._receive(m, frame, checked, known)
            self._receive_words(m, frame, checked, step)
            self._answer(m, frame, checked, step, state)
            if checked is not None:
                self._check(m, frame, checked)
        self._listen(m, frame, checked, fsm)
        return m

    def _accesses(self, m, frame: _Frame) -> None:
        """One word at a time between the line and the host's side."""
        host = self.host
        m.d.comb += [
            frame.inside.eq(~frame.address[ADDRESS_BITS - 2 :].any()),
            frame.link.eq(frame.address == LINK_ADDRESS // 4),
            frame.receiver.line.eq(self.uart_rx),
            self.uart_tx.eq(frame.transmitter.line),
            host.address.eq(frame.address << 2),
            host.data.eq(frame.data),
            host.strobe.eq(0b1111),
            frame.transmitter.data.eq(frame.data[24:]),
        ]
        # As ``host.error``, one cycle after the access.
        m.d.comb += frame.refused.eq(~frame.was_link & (~frame.was_inside | host.error))
        m.d.sync += [
            frame.was_inside.eq(frame.inside),
            frame.was_link.eq(frame.link),
            frame.written.eq(0),
            frame.wait.eq(frame.wait + 1),
        ]
        with m.If(frame.written & frame.refused):
            m.d.sync += frame.flags["write_refused"].eq(1)

    def _access(self, m, frame: _Frame, step) -> None:
        """Carries a written word out."""
        m.d.comb += self.host.write.eq(frame.inside)
        m.d.sync += [
            frame.address.eq(frame.address + step),
            frame.words.eq(frame.words + 1),
            frame.written.eq(1),
        ]
        with m.If(frame.link):
            m.d.sync += [frame.words.eq(0), *(flag.eq(0) for flag in frame.flags.values())]

    def _receive(self, m, frame: _Frame, checked: CheckedFrames | None, known) -> None:
        """The states in which a command comes."""
        data = frame.receiver.data
        with m.State("COMMAND"):
            m.d.sync += [frame.command.eq(data), frame.byte.eq(0)]
            with m.If(frame.received & known):
                m.next = "LENGTH"
            if checked is not None:
                checked.begin(m, frame.receiver, frame.received, known)
        with m.State("LENGTH"):
            m.d.sync += frame.remaining.eq(data)
            with m.If(frame.forget):
                m.next = "COMMAND"
            with m.Elif(frame.received):
                m.next = "ADDRESS"
        with m.State("ADDRESS"):
            with m.If(frame.forget):
                m.next = "COMMAND"
            if checked is not None:
                with m.Elif(frame.received & checked.under_way):
                    # The address is still in use.
                    m.d.comb += checked.damaged.eq(1)
                    m.next = "COMMAND"
            with m.Elif(frame.received):
                m.d.sync += frame.address.eq(Cat(data, frame.address))
                m.d.sync += frame.byte.eq(frame.byte + 1)
                if checked is not None:
                    m.d.sync += [checked.left.eq(frame.remaining), checked.all.eq(0)]
                with m.If(frame.byte == 3):
                    m.next = "READ"
                    if checked is not None:
                        with m.If(checked.checked):
                            m.next = "CHECK"
                    with m.If(frame.writes):
                        m.next = "DATA"

    def _receive_words(self, m, frame: _Frame, checked: CheckedFrames | None, step) -> None:
        """The states in which written words come."""
        with m.State("DATA"):
            with m.If(frame.forget):
                m.next = "COMMAND"
            with m.Elif(frame.received):
                m.d.sync += frame.data.eq(Cat(frame.receiver.data, frame.data))
                m.d.sync += frame.byte.eq(frame.byte + 1)
                with m.If(frame.byte == 3):
                    m.next = "WRITE"
        with m.State("WRITE"):
            m.d.sync += frame.remaining.eq(frame.remaining - 1)
            if checked is None:
                self._access(m, frame, step)
            else:
                checked.keep(m)
            m.next = "DATA"
            with m.If(frame.remaining == 1):
                m.next = "COMMAND"
                if checked is not None:
                    with m.If(checked.checked):
                        m.next = "CHECK"

    def _answer(self, m, frame: _Frame, checked: CheckedFrames | None, step, state) -> None:
        """The states in which words are read and sent."""
        with m.State("READ"):
            m.d.comb += self.host.read.eq(frame.inside)
            m.d.sync += frame.wait.eq(0)
            m.next = "WAIT"
        with m.State("WAIT"):
            with m.If(frame.wait == 0):
                m.d.sync += frame.data.eq(frame.refused.replicate(32))
                with m.If(frame.refused):
                    m.d.sync += frame.flags["read_refused"].eq(1)
            with m.If(frame.wait == 2):
                m.next = "TAKE"
        with m.State("TAKE"):
            with m.If(frame.link):
                m.d.sync += frame.data.eq(Cat(*frame.flags.values(), state, frame.words))
            with m.Elif(~frame.data[0]):
                m.d.sync += frame.data.eq(self.host.read_data)
            m.next = "SEND"
        with m.State("SEND"):
            m.d.comb += frame.transmitter.valid.eq(1)
            with m.If(frame.transmitter.ready):
                m.d.sync += [frame.data.eq(frame.data << 8), frame.byte.eq(frame.byte + 1)]
                with m.If(frame.byte == 3):
                    m.d.sync += frame.remaining.eq(frame.remaining - 1)
                    m.d.sync += frame.address.eq(frame.address + step)
                    m.next = "READ"
                    with m.If(frame.remaining == 1):
                        m.next = "COMMAND"
                        if checked is not None:
                            with m.If(checked.checked):
                                m.next = "TAIL"

    def _check(self, m, frame: _Frame, checked: CheckedFrames) -> None:
        """The states in which a checksum comes, is judged or is sent."""
        with m.State("CHECK"):
            with m.If(frame.forget):
                m.next = "COMMAND"
            with m.Elif(frame.received):
                m.d.sync += frame.byte.eq(frame.byte + 1)
                with m.If(frame.byte == 3):
                    m.next = "JUDGE"
        with m.State("JUDGE"):
            with m.If(~checked.checksum.busy):
                m.next = "COMMAND"
                with m.If(checked.judge(m, frame.writes)):
                    m.next = "READ"
        with m.State("TAIL"):
            m.d.comb += [checked.tail.eq(1), frame.transmitter.valid.eq(1)]
            with m.If(frame.transmitter.ready):
                m.d.sync += frame.byte.eq(frame.byte + 1)
                with m.If(frame.byte == 3):
                    m.next = "COMMAND"

    def _listen(self, m, frame: _Frame, checked: CheckedFrames | None, fsm) -> None:
        """Silence in the middle of a command, and bytes that are lost."""
        receiver, late = frame.receiver, frame.late
        waiting = ("LENGTH", "ADDRESS", "DATA", *(() if checked is None else ("CHECK",)))
        halfway = Cat(fsm.ongoing(state) for state in waiting).any()
        listening = halfway | fsm.ongoing("COMMAND")
        m.d.sync += frame.silence.eq(frame.silence + 1)
        with m.If(late | receiver.valid | receiver.broken | ~listening):
            m.d.sync += frame.silence.eq(0)
        with m.If(late):
            m.d.sync += frame.ignoring.eq(0)
        with m.If(late & halfway):
            m.d.sync += frame.flags["late"].eq(1)
        broken = receiver.broken if checked is None else receiver.broken | checked.damaged
        with m.If(broken | (receiver.valid & ~listening)):
            m.d.sync += frame.flags["byte_lost"].eq(1)
        with m.If(broken):
            m.d.sync += frame.ignoring.eq(1)
