"""A fault of one run, and the text that names it.

    c1234/array__pe_3_4__weight[5]            bit 5 inverted in cycle 1234
    c1234/weights__lane_3[17][5]              a memory's word, bit
    c1234/weights__lane_3[17][5:7]            bits 5 to 6
    c1234/array__pe_3_4__weight[5]=1          stuck at 1 from cycle 1234 on
    c1234/array__pe_3_4__weight[5]=0x100      stuck at 0 for 100 cycles
    stem/i0/c1234/array__pe_3_4__weight[5]    an upset of a layer that runs alone, on image 0

Cycle 0 is the clock cycle that follows the rising edge at which the start write's data are
accepted; a flip in cycle k is seen by the edge that ends cycle k. A run of n cycles has the
cycles 0 to n - 1.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .space import FaultSpace, Site

_NUMBER = r"(\d{1,18})"
_ID = re.compile(
    rf"(?:(.+)/i{_NUMBER}/)?c{_NUMBER}/(\w+?)(?:\[{_NUMBER}\])?\[{_NUMBER}(?::{_NUMBER})?\]"
    rf"(?:=([01])(?:x{_NUMBER})?)?",
    re.ASCII,
)
_MOST_BITS = 1 << 16
"""As many as no register and no word has."""


@dataclass(frozen=True)
class Fault:
    """Names the bits that become wrong.

    Attributes
    ----------
    bits : tuple of Site
        Adjacent bits of one register or memory word.
    cycle : int
        First cycle in which they are wrong.
    stuck : int or None
        None: inverted once. 0, 1: held at this value.
    duration : int
        Cycles for which they are held; 0: to the end.
    layer : str
        Step of the program that runs alone, and whose cycles are counted; empty: the whole
        inference.
    image : int
        Number of the image on which the layer runs.
    name : str
        Id in the grammar of its own model; empty: as above.
    then : tuple of Fault
        What happens to bits in later cycles; each part has ended before the next begins.
    """

    bits: tuple[Site, ...]
    cycle: int
    stuck: int | None = None
    duration: int = 0
    layer: str = ""
    image: int = 0
    name: str = ""
    then: tuple["Fault", ...] = ()

    @property
    def site(self) -> Site:
        """Returns the first bit."""
        return self.bits[0]

    @property
    def single(self) -> bool:
        """Tells whether one bit is inverted once."""
        return len(self.bits) == 1 and self.inverts

    @property
    def inverts(self) -> bool:
        """Tells whether all bits are inverted once, together."""
        return self.stuck is None and not self.then

    def __str__(self) -> str:
        if self.name:
            return self.name
        name, address, first = self.site
        window = f"{self.layer}/i{self.image}/" if self.layer else ""
        word = "" if address is None else f"[{address}]"
        bits = str(first) if len(self.bits) == 1 else f"{first}:{first + len(self.bits)}"
        stuck = "" if self.stuck is None else f"={self.stuck}"
        duration = f"x{self.duration}" if self.duration else ""
        return f"{window}c{self.cycle}/{name}{word}[{bits}]{stuck}{duration}"

    @classmethod
    def parse(cls, text: str, *, in_layer: bool = False) -> Self:
        """Reads a fault's id; the checks say whether the fault exists.

        Parameters
        ----------
        in_layer : bool
            Only upsets of a layer are allowed, otherwise only faults of a whole inference.

        Raises
        ------
        HoldfastError
            The text is not an id, or of the other kind.
        """
        match = _ID.fullmatch(text)
        if match:
            layer, image, cycle, name, word, first, end, stuck, duration = match.groups()
            address = None if word is None else int(word)
            last = int(end) if end else int(first) + 1
            some = range(int(first), min(last, int(first) + _MOST_BITS))
            bits = tuple(Site(name, address, bit) for bit in some)
            fault = cls(
                bits, int(cycle), None if stuck is None else int(stuck), int(duration or 0),
                layer or "", int(image or 0),
            )  # fmt: skip
            if bits and bool(layer) == in_layer and (fault.single or not in_layer):
                return fault
        window = "LAYER/iIMAGE/" if in_layer else ""
        raise HoldfastError(
            f"fault id {shown(text)} is not of the form {window}cCYCLE/SIGNAL[BIT] "
            f"or {window}cCYCLE/MEMORY[WORD][BIT]."
        )

    def check_layer(self, layers: Collection[str], images: int) -> None:
        """Raises a HoldfastError where there is no such layer or image."""
        if self.layer not in layers:
            raise HoldfastError(
                f"fault {self}: layer {self.layer} does not exist; known are {', '.join(layers)}."
            )
        if self.image >= images:
            raise HoldfastError(
                f"fault {self}: image {self.image} does not exist, "
                f"there are images 0 to {images - 1}."
            )

    def check_bits(self, space: FaultSpace) -> None:
        """Raises a HoldfastError where there is no such register, memory, word or bit."""
        for name, address, bit in reversed(self.bits):
            if name not in space:
                raise HoldfastError(f"fault {self}: the netlist has no register or memory {name}.")
            state = space[name]
            if (address is None) != (state.kind == "flip-flop"):
                wanted = "no word" if state.kind == "flip-flop" else "a word and a bit"
                raise HoldfastError(f"fault {self}: {name} is a {state.kind} and takes {wanted}.")
            for what, number, count in (
                ("word", address or 0, state.depth),
                ("bit", bit, state.width),
            ):
                if number >= count:
                    raise HoldfastError(
                        f"fault {self}: {what} {number} is beyond {name}, "
                        f"which has {what}s 0 to {count - 1}."
                    )

    def check_cycle(self, cycles: int) -> None:
        """Raises a HoldfastError where the run has no such cycle."""
        if self.cycle >= cycles:
            window = f"layer {self.layer}" if self.layer else "the inference"
            raise HoldfastError(
                f"fault {self}: cycle {self.cycle} is beyond {window}, "
                f"which has cycles 0 to {cycles - 1}."
            )
