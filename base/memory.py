"""Gives memory back to the system that a process does not use for now."""

import ctypes
import mmap
from collections.abc import Iterable
from typing import Any

import numpy as np


def give_back() -> None:
    """Returns what was freed, where the C library keeps it for itself and can be asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def unload(arrays: Iterable[Any]) -> None:
    """Takes the pages of mapped files from this process; they are there again when they are read.

    Parameters
    ----------
    arrays : iterable of array
        Those that are not mapped stay.
    """
    for array in arrays:
        mapped = getattr(array, "_mmap", None) if isinstance(array, np.memmap) else None
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
