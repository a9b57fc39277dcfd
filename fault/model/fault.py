"""A single-bit upset, and the text that names it.

    fault = Fault.parse("block1_conv1/i0/c1234/array__pe_3_4__weight[5]")
    fault = Fault.parse("block1_conv1/i0/c1234/weights__lane_3[1234][5]")      # word, bit
    str(fault)                                                                # the id again

Cycle 0 is the clock cycle that follows the rising edge at which the start write's data are
accepted; a flip in cycle k is seen by the edge that ends cycle k. A layer of n cycles has the
cycles 0 to n - 1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .space import FaultSpace, Site

__all__ = ["Fault"]

_ID = re.compile(r"(.+)/i(\d+)/c(\d+)/(\w+?)(?:\[(\d+)\])?\[(\d+)\]")


@dataclass(frozen=True)
class Fault:
    """One bit flipped once.

    Attributes
    ----------
    layer : str
        Step of the program during which it happens.
    image : int
        Number of the image.
    cycle : int
        Clock cycle of the layer.
    site : Site
        The bit.
    """

    layer: str
    image: int
    cycle: int
    site: Site

    def __str__(self) -> str:
        site = self.site
        word = "" if site.address is None else f"[{site.address}]"
        return f"{self.layer}/i{self.image}/c{self.cycle}/{site.signal}{word}[{site.bit}]"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """A fault from its id; :meth:`check` says whether it exists.

        Raises
        ------
        HoldfastError
            The text is not an id.
        """
        match = _ID.fullmatch(text)
        if match is None:
            raise HoldfastError(
                f"fault id {shown(text)} is not of the form LAYER/iIMAGE/cCYCLE/SIGNAL[BIT] "
                "or LAYER/iIMAGE/cCYCLE/MEMORY[WORD][BIT]."
            )
        layer, image, cycle, signal, word, bit = match.groups()
        address = None if word is None else int(word)
        return cls(layer, int(image), int(cycle), Site(signal, address, int(bit)))

    def check(self, space: FaultSpace, cycles: Mapping[str, int], images: int) -> None:
        """Whether this fault exists.

        Parameters
        ----------
        cycles : Mapping
            Clock cycles of every layer.
        images : int
            Number of images.

        Raises
        ------
        HoldfastError
            It does not; names the value and the bound.
        """
        self.check_site(space, list(cycles), images)
        self.check_cycle(cycles[self.layer])

    def check_cycle(self, cycles: int) -> None:
        """As :meth:`check`, the cycle alone, for a layer of so many cycles."""
        if self.cycle >= cycles:
            raise HoldfastError(
                f"fault {self}: cycle {self.cycle} is beyond layer {self.layer}, "
                f"which has cycles 0 to {cycles - 1}."
            )

    def check_site(self, space: FaultSpace, layers: list[str], images: int) -> None:
        """As :meth:`check`, without the cycle."""
        site = self.site
        if self.layer not in layers:
            raise HoldfastError(
                f"fault {self}: layer {self.layer} does not exist; known are {', '.join(layers)}."
            )
        if self.image >= images:
            raise HoldfastError(
                f"fault {self}: image {self.image} does not exist, "
                f"there are images 0 to {images - 1}."
            )
        if site.signal not in space:
            raise HoldfastError(
                f"fault {self}: the netlist has no register or memory {site.signal}."
            )
        state = space[site.signal]
        if (site.address is None) != (state.kind == "flip-flop"):
            wanted = "no word" if state.kind == "flip-flop" else "a word and a bit"
            raise HoldfastError(
                f"fault {self}: {site.signal} is a {state.kind} and takes {wanted}."
            )
        if site.address is not None and site.address >= state.depth:
            raise HoldfastError(
                f"fault {self}: word {site.address} is beyond {site.signal}, "
                f"which has words 0 to {state.depth - 1}."
            )
        if site.bit >= state.width:
            raise HoldfastError(
                f"fault {self}: bit {site.bit} is beyond {site.signal}, "
                f"which has bits 0 to {state.width - 1}."
            )
