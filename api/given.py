"""Checks of what a caller gives, so that a wrong type is one sentence."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from types import UnionType
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.files import check_path
from holdfast.base.text import shown


def check_kind(kind: type | UnionType, wanted: str, **values: Any) -> None:
    """HoldfastError if one of the values, by parameter, is of another kind than is wanted."""
    for name, value in values.items():
        if not isinstance(value, kind):
            raise HoldfastError(f"{name} must be {wanted}, not {shown(value)}.")


def path_of(name: str, value: Any) -> Path | None:
    """Returns a parameter as a path; None if it is not given; HoldfastError if it is none."""
    if value is None:
        return None
    if not isinstance(value, str | PathLike):
        raise HoldfastError(f"{name} must be a path, not {shown(value)}.")
    path = Path(value)
    check_path(name, path)
    return path


def names_of(name: str, value: Any) -> tuple[str, ...]:
    """Returns a parameter as names; HoldfastError if it is one text, or anything else."""
    names = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if names is None or not all(isinstance(each, str) for each in names):
        raise HoldfastError(f"{name} must be a list of names, not {shown(value)}.")
    return names
