"""Text that comes from users and files, made fit for one sentence in a terminal."""

from typing import Any

_LIMIT = 80


def shown(value: Any, limit: int = _LIMIT) -> str:
    """Returns a value for an error message: text in quotes, everything printable, cut in length.

    Control characters, lone surrogates and whatever else a terminal could obey are written as
    escape sequences. A value whose own representation fails is named by its type.
    """
    try:
        text = repr(value[: 2 * limit] if isinstance(value, str | bytes | list | tuple) else value)
    except Exception:
        # Integers of thousands of digits and lists nested too deep have no representation.
        text = f"a value of type {type(value).__name__}"
    return _cut(printable(text), limit)


def printable(text: object, limit: int | None = None) -> str:
    """Returns text, such as a path, without quotes; what is not printable becomes an escape."""
    whole = str(text)
    if not whole.isprintable():
        whole = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in whole)
    return whole if limit is None else _cut(whole, limit)


def reason(error: BaseException) -> str:
    """Returns what an error of a library says, for the end of a sentence that stays one."""
    told = getattr(error, "strerror", None) or " ".join(str(error).split())
    return printable(told or type(error).__name__, 200).rstrip(".")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
