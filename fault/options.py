"""Values of the campaign's options."""

from math import inf

from base.errors import HoldfastError

__all__ = ["element", "names", "rates", "share"]


def share(option: str, text: str, zero: bool = False) -> float:
    """A share, given as 0.005 or 0.5%.

    Parameters
    ----------
    zero : bool
        0 and 1 are shares as well.

    Raises
    ------
    HoldfastError
        It is none.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise HoldfastError(f"{option} must be a share such as 0.005 or 0.5%, not {text!r}.") from (
            None
        )
    if not (0 <= value <= 1 if zero else 0 < value < 1):
        raise HoldfastError(f"{option} must be between 0 and 1 (or 0% and 100%), not {text}.")
    return value


def names(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(name for name in text.split(",") if name)


def element(text: str) -> tuple[int, int]:
    """Row and column of a processing element, given as 3.4; HoldfastError if it is none."""
    row, _, col = text.partition(".")
    if not (row.isdigit() and col.isdigit()):
        raise HoldfastError(f"a processing element is ROW.COLUMN, not {text!r}.")
    return int(row), int(col)


def rates(text: str) -> dict[str, float]:
    """Raw rates, given as flip-flop=A,memory=B; HoldfastError if they are not."""
    if not text:
        return {}
    found: dict[str, float] = {}
    for part in names(text):
        name, _, value = part.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise HoldfastError(f"--fit takes NAME=NUMBER, not {part!r}.") from None
    if found.keys() != {"flip-flop", "memory"} or not all(0 <= v < inf for v in found.values()):
        raise HoldfastError(
            f"--fit needs flip-flop=A,memory=B, both 0 or more and finite, not {text!r}."
        )
    return found
