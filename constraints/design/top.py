"""The top level of a board: clock, reset, accelerator, lights.

text = board_verilog(board, board.config)
"""

from amaranth.back import verilog
from amaranth.hdl import Cat, ClockDomain, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from holdfast.constraints.boards import Board
from holdfast.constraints.families.registry import FAMILIES
from holdfast.gen.accelerator import Accelerator
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.port.uart_bridge import UartBridge
from holdfast.gen.verilog import to_rtlil

from .pll import Pll

TOP = "holdfast_top"
"""Name of the Verilog module."""

DOUBLE = "double"
"""Domain of twice the core clock."""

_HOLD_BITS = 6
_SHOWN_BITS = 21


class BoardTop(wiring.Component):
    """Puts an accelerator behind a serial port on a board.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig
    divisor : int or None
        Core clock cycles per bit of the serial port, if not the board's.

    Members
    -------
    clock
        The board's oscillator.
    button
        Resets while pressed.
    uart_rx, uart_tx
        The serial port, from and to the host.
    leds
        Heartbeat, about once a second; a run has ended (interrupt); bytes come; bytes go; the
        accelerator is out of reset. As many of these as the board has.

    Latency
    -------
    Everything is held in reset for 64 cycles after the PLL has locked or the button was released.
    """

    def __init__(self, board: Board, config: AcceleratorConfig, divisor: int | None = None):
        self.board, self.config = board, config
        self._divisor = board.divisor if divisor is None else divisor
        super().__init__(
            {
                "clock": In(1),
                "button": In(1),
                "uart_rx": In(1),
                "uart_tx": Out(1),
                "leds": Out(board.leds),
            }
        )

    def elaborate(self, platform):
        m = Module()
        board = self.board
        m.domains.sync = core = ClockDomain()
        m.domains.start = start = ClockDomain(reset_less=True)
        m.domains.double = double = ClockDomain(reset_less=True)
        m.submodules.pll = pll = Pll(board)
        m.d.comb += [
            pll.source.eq(self.clock),
            core.clk.eq(pll.clock),
            start.clk.eq(pll.clock),
            double.clk.eq(pll.double),
        ]

        locked, pressed = Signal(), Signal()
        m.submodules.locked = FFSynchronizer(pll.locked, locked, o_domain="start")
        button = self.button ^ board.button_low
        m.submodules.pressed = FFSynchronizer(button, pressed, o_domain="start")
        hold = Signal(_HOLD_BITS, init=-1)
        reset = Signal(init=1)
        with m.If(~locked | pressed):
            m.d.start += hold.eq(-1)
        with m.Elif(hold != 0):
            m.d.start += hold.eq(hold - 1)
        m.d.start += reset.eq(hold != 0)
        m.d.comb += core.rst.eq(reset)

        timeout = max(1 << 20, 20 * self._divisor)
        bridge = UartBridge(self._divisor, timeout, board.checksum)
        m.submodules.accelerator = accelerator = Accelerator(self.config, bridge)
        m.d.comb += [accelerator.uart_rx.eq(self.uart_rx), self.uart_tx.eq(accelerator.uart_tx)]

        beat = Signal((round(board.core_mhz * 1e6) - 1).bit_length())
        m.d.sync += beat.eq(beat + 1)
        lights = [beat[-1], accelerator.interrupt]
        if board.leds > len(lights):
            # The lines are high when idle.
            for line in (accelerator.uart_rx, accelerator.uart_tx):
                lights.append(self._stretched(m, ~line))
            lights.append(~reset)
        shown = [*lights, *[Const(0, 1)] * board.leds][: board.leds]
        for led, light in zip(self.leds, shown, strict=True):
            m.d.comb += led.eq(light ^ board.leds_low)
        return m

    @staticmethod
    def _stretched(m: Module, active) -> Signal:
        """Long enough to be seen."""
        left = Signal(_SHOWN_BITS)
        with m.If(active):
            m.d.sync += left.eq(-1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return left.any()


class AxiTop(wiring.Component):
    """Puts an accelerator with its AXI port, and lights, beside a processing system.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig

    Members
    -------
    s_axi_*, interrupt
        The accelerator's.
    leds
        Heartbeat; a run has ended.
    """

    def __init__(self, board: Board, config: AcceleratorConfig):
        self.board = board
        self._accelerator = Accelerator(config)
        super().__init__(dict(self._accelerator.signature.members) | {"leds": Out(board.leds)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.accelerator = accelerator = self._accelerator
        for name, member in accelerator.signature.members.items():
            inner, outer = getattr(accelerator, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        beat = Signal((round(self.board.core_mhz * 1e6) - 1).bit_length())
        m.d.sync += beat.eq(beat + 1)
        m.d.comb += self.leds.eq(Cat(beat[-1], accelerator.interrupt))
        return m


def board_rtlil(board: Board, config: AcceleratorConfig, divisor: int | None = None) -> str:
    """Returns RTLIL of a board's top level."""
    if board.transport == "axi":
        return to_rtlil(AxiTop(board, config), TOP)
    return to_rtlil(BoardTop(board, config, divisor), TOP, FAMILIES[board.family].memories)


def board_verilog(board: Board, config: AcceleratorConfig, divisor: int | None = None) -> str:
    """Returns Verilog of a board's top level."""
    text = board_rtlil(board, config, divisor)
    return verilog._convert_rtlil_text(text, strip_internal_attrs=True)
