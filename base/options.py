"""Options of commands: each has a bound, and a message that names option, value and bound.

images: Annotated[int, whole(1, 10_000, "Images to run.")] = 1
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from .errors import HoldfastError
from .files import check_path
from .text import printable, shown

LAST_SEED = 2**31 - 1
_LONGEST = 4000


def check_range(low: float, high: float, **values: float | None) -> None:
    """HoldfastError if one of the values, by option, is outside of bounds; None is not given."""
    for name, value in values.items():
        _check_range(name, value, low, high)


def check_whole(low: int, high: int, **values: int) -> None:
    """HoldfastError if one of the values, by option, is no whole number within bounds."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise HoldfastError(f"{name} must be a whole number, not {shown(value)}.")
        _check_range(name, value, low, high)


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise HoldfastError(f"{name} must be a number, not {shown(value)}.")
    if value is not None and not low <= value <= high:
        raise HoldfastError(f"{name} must be {_plain(low)} to {_plain(high)}, not {shown(value)}.")


def check_choice(known: tuple[str, ...], **values: str) -> None:
    """HoldfastError if one of the values, by option, is not among those known."""
    for name, value in values.items():
        if value not in known:
            *others, last = known
            raise HoldfastError(
                f"{name} must be {', '.join(others)} or {last}, not {shown(value)}."
            )


def whole(low: int, high: int, help: str, *names: str, panel: str | None = None) -> Any:
    """An option that is a whole number within bounds, or several of them, each once.

    Parameters
    ----------
    panel : str, optional
        Title of the group of options in which the command's help lists it.
    """
    return _numeric("whole", low, high, help, names, panel)


def number(low: float, high: float, help: str, *names: str, panel: str | None = None) -> Any:
    """An option that is a number within bounds."""
    return _numeric("number", low, high, help, names, panel)


def path(
    help: str, kind: Callable[..., Any] = typer.Option, *names: str, panel: str | None = None
) -> Any:
    """An option or argument, the ``kind``, that is a path, or several of them."""
    return _checked("path", check_path, help, names, panel, kind)


def text(help: str, *names: str, paths: bool = False, panel: str | None = None) -> Any:
    """An option that is a text, or several of them, each once.

    Parameters
    ----------
    paths : bool
        What stands between its commas may be paths.
    """

    def check(name: str, value: str) -> None:
        if len(value) > _LONGEST:
            raise HoldfastError(
                f"{name} has {len(value):,} characters, at most {_LONGEST:,} are taken."
            )
        for part in value.split(",") if paths else ():
            check_path(name, Path(part))

    return _checked("text", check, help, names, panel)


def grouped(panels: Mapping[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Groups the options of a command in its help: names of parameters by the panel's title."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for title, names in panels.items():
            for name in names.split():
                (option,) = command.__annotations__[name].__metadata__
                option.rich_help_panel = title
        return command

    return decorate


def share(option: str, value: str, zero: bool = False) -> float:
    """Reads a share, given as 0.005 or 0.5%.

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
        found = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        raise HoldfastError(
            f"{option} must be a share such as 0.005 or 0.5%, not {shown(value)}."
        ) from None
    if not (0 <= found <= 1 if zero else 0 < found < 1):
        raise HoldfastError(
            f"{option} must be between 0 and 1 (or 0% and 100%), not {printable(value, 80)}."
        )
    return found


def words(value: str) -> tuple[str, ...]:
    """Returns the words between commas, without blanks, each once."""
    return tuple(dict.fromkeys(word for part in value.split(",") if (word := part.strip())))


def _numeric(
    sort: str, low: float, high: float, help: str, names: tuple[str, ...], panel: str | None
) -> Any:
    def check(name: str, value: float) -> None:
        _check_range(name, value, low, high)

    return _checked(sort, check, f"{help} {_plain(low)} to {_plain(high)}.", names, panel)


def _checked(
    sort: str,
    check: Callable[[str, Any], None],
    help: str,
    names: tuple[str, ...],
    panel: str | None,
    kind: Callable[..., Any] = typer.Option,
) -> Any:
    def callback(param: typer.CallbackParam, value: Any) -> Any:
        name = max(param.opts, key=len)
        several = isinstance(value, list | tuple)
        for one in value if several else [value]:
            if one is not None:
                check(name, one)
        return list(dict.fromkeys(value)) if several and name.startswith("--") else value

    # Tests know by it that an option has a bound.
    callback.sort = sort  # type: ignore[attr-defined]
    return kind(*names, help=help, callback=callback, rich_help_panel=panel)


def _plain(value: float) -> str:
    """A bound as people write it."""
    if value == LAST_SEED:
        return str(value)
    return f"{int(value):,}" if value < 1e15 and value == int(value) else f"{value:g}"
