"""The text that names a fault of a whole inference.

    c1234/array__pe_3_4__weight[5]            bit 5 inverted in cycle 1234
    c1234/weights__lane_3[17][5]              a memory's word, bit
    c1234/weights__lane_3[17][5:7]            bits 5 to 6
    c1234/array__pe_3_4__weight[5]=1          stuck at 1 from cycle 1234 on
    c1234/array__pe_3_4__weight[5]=0x100      stuck at 0 for 100 cycles

Cycle 0 follows the edge that accepts the start write.
"""

import re

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.fault.injection.lockstep import Upset

from .space import FaultSpace

__all__ = ["parse_upset", "upset_text"]

_TEXT = re.compile(r"c(\d+)/(\w+?)(?:\[(\d+)\])?\[(\d+)(?::(\d+))?\](?:=([01])(?:x(\d+))?)?")


def upset_text(space: FaultSpace, upset: Upset) -> str:
    """The id of a fault whose bits are adjacent."""
    name, word, first = upset.bits[0]
    address = f"[{word}]" if space[name].kind == "memory" else ""
    bits = str(first) if len(upset.bits) == 1 else f"{first}:{first + len(upset.bits)}"
    stuck = "" if upset.stuck is None else f"={upset.stuck}"
    duration = f"x{upset.duration}" if upset.duration else ""
    return f"c{upset.cycle}/{name}{address}[{bits}]{stuck}{duration}"


def parse_upset(space: FaultSpace, cycles: int, text: str) -> Upset:
    """A fault from its id.

    Raises
    ------
    HoldfastError
        The text is no id, or there is no such register, word, bit or cycle.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise HoldfastError(
            f"fault id {shown(text)} is not of the form "
            "cCYCLE/SIGNAL[BIT] or cCYCLE/MEMORY[WORD][BIT]."
        )
    cycle, name, address, first, end, stuck, duration = match.groups()
    if name not in space:
        raise HoldfastError(f"fault {text}: the netlist has no register or memory {name}.")
    state = space[name]
    if (address is None) != (state.kind == "flip-flop"):
        wanted = "no word" if state.kind == "flip-flop" else "a word and a bit"
        raise HoldfastError(f"fault {text}: {name} is a {state.kind} and takes {wanted}.")
    word, bit = int(address or 0), int(first)
    count = int(end) - bit if end else 1
    if word >= state.depth:
        raise HoldfastError(f"fault {text}: {name} has words 0 to {state.depth - 1}.")
    if count < 1 or bit + count > state.width:
        raise HoldfastError(f"fault {text}: {name} has bits 0 to {state.width - 1}.")
    if int(cycle) >= cycles:
        raise HoldfastError(f"fault {text}: the inference has cycles 0 to {cycles - 1}.")
    bits = tuple((name, word, bit + k) for k in range(count))
    return Upset(bits, int(cycle), None if stuck is None else int(stuck), int(duration or 0))
