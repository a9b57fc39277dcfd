"""Values of the campaign's options."""

import re

from holdfast.base.errors import HoldfastError
from holdfast.base.options import words
from holdfast.base.text import shown

__all__ = ["element", "rates"]

_ELEMENT = re.compile(r"(\d{1,3})\.(\d{1,3})", re.ASCII)
_MOST = 1e12


def element(text: str) -> tuple[int, int]:
    """Row and column of a processing element, given as 3.4; HoldfastError if it is none."""
    found = _ELEMENT.fullmatch(text)
    if found is None:
        raise HoldfastError(f"a processing element is ROW.COLUMN, not {shown(text)}.")
    return int(found[1]), int(found[2])


def rates(text: str) -> dict[str, float]:
    """Raw rates, given as flip-flop=A,memory=B; HoldfastError if they are not."""
    if not text:
        return {}
    found: dict[str, float] = {}
    for part in words(text):
        name, _, value = part.partition("=")
        if name in found:
            raise HoldfastError(f"--fit has {name} twice.")
        try:
            found[name] = float(value)
        except ValueError:
            raise HoldfastError(f"--fit takes NAME=NUMBER, not {shown(part)}.") from None
    if found.keys() != {"flip-flop", "memory"} or not all(0 <= v <= _MOST for v in found.values()):
        raise HoldfastError(
            f"--fit needs flip-flop=A,memory=B, both 0 to {_MOST:g}, not {shown(text)}."
        )
    return found
