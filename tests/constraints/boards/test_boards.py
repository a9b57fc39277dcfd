"""Boards: their pins against amaranth-boards, and what a bad request says."""

import re

import pytest
from amaranth_boards.arty_a7 import ArtyA7_100Platform
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from holdfast.base.errors import HoldfastError
from holdfast.constraints.boards import board_names, find_board

ISSUE = {"ulx3s", "icebreaker", "tangnano20k", "arty_a7_100", "pynq_z2", "kv260"}

PIN = {
    "lpf": r'^LOCATE COMP "(\S+)" SITE "(\w+)";',
    "pcf": r"^set_io -nowarn (\S+) (\w+)",
    "cst": r'^IO_LOC "(\S+)" (\w+);',
    "xdc": r"PACKAGE_PIN (\w+) .*get_ports \{ (\S+) \}",
}


def pins(name):
    board = find_board(name)
    found = {}
    for first, second in re.findall(
        PIN[board.pin_file.suffix[1:]], board.pin_file.read_text(), re.MULTILINE
    ):
        port, pin = (second, first) if board.pin_file.suffix == ".xdc" else (first, second)
        assert port not in found
        found[port] = pin
    return found


def published(platform, *, clock, button):
    """Pins of the same ports in amaranth-boards."""
    resources = {(r.name, r.number): r for r in platform.resources}

    def names(resource):
        return resource.ios[0].names

    uart = {io.name: io.ios[0].names for io in resources["uart", 0].ios if hasattr(io, "ios")}
    found = {
        "clock": names(resources[clock])[0],
        "button": names(resources[button])[0],
        "uart_rx": uart["rx"][0],
        "uart_tx": uart["tx"][0],
    }
    leds = sorted(number for name, number in resources if name == "led")
    return found | {f"leds[{n}]": names(resources["led", n])[0] for n in leds}


@pytest.mark.parametrize(
    ("name", "platform", "clock", "button"),
    [
        ("ulx3s", ULX3S_85F_Platform, ("clk25", 0), ("button_pwr", 0)),
        ("icebreaker", ICEBreakerPlatform, ("clk12", 0), ("button", 0)),
        ("arty_a7_100", ArtyA7_100Platform, ("clk100", 0), ("rst", 0)),
    ],
)
def test_pins(name, platform, clock, button):
    assert pins(name) == published(platform, clock=clock, button=button)


def test_pins_of_vendors_tables():
    """Sipeed's wiki (27 MHz crystal, BL616, lights, S1), TUL's and AMD's constraint files."""
    nano = {"clock": "4", "button": "88", "uart_rx": "70", "uart_tx": "69"}
    assert pins("tangnano20k") == nano | {f"leds[{n}]": str(15 + n) for n in range(6)}
    assert pins("pynq_z2") == {"leds[0]": "R14", "leds[1]": "P14"}
    assert pins("kv260") == {"leds[0]": "H12", "leds[1]": "E10"}


def test_all_boards():
    assert set(board_names()) == ISSUE
    for name in ISSUE:
        board = find_board(name)
        assert board.pin_file.is_file()
        assert (board.baud > 0) == (board.transport == "uart")
        if board.baud:
            # A receiver that samples in the middle of a bit tolerates a few per cent.
            wrong = board.core_mhz * 1e6 / board.divisor / board.baud - 1
            assert abs(wrong) < 0.01, name


def test_unknown_board():
    with pytest.raises(HoldfastError, match=r"there is no board 'ulx4m'; known are arty_a7_100, "):
        find_board("ulx4m")
