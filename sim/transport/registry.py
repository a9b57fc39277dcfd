"""The transports that can be opened by name.

transport = open_transport(Link("serial:/dev/ttyUSB0"))    # or plainly "/dev/ttyUSB0"
"""

from collections.abc import Callable
from dataclasses import replace

from .base import Link, Transport
from .serial import open_serial
from .simulated import open_simulated

TRANSPORTS: dict[str, Callable[[Link], Transport]] = {"serial": open_serial, "sim": open_simulated}
"""What opens an accelerator, by the name that stands before a colon."""


def transport_name(place: str) -> str:
    """Returns the name that a place begins with; a place without one is a serial port."""
    name, colon, _ = place.partition(":")
    return name if colon and name in TRANSPORTS else "serial"


def open_transport(link: Link) -> Transport:
    """Opens an accelerator; its place is a name of `TRANSPORTS`, a colon and what that takes."""
    name = transport_name(link.place)
    return TRANSPORTS[name](replace(link, place=link.place.removeprefix(f"{name}:")))
