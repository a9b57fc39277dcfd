"""Compiles the C++ beside this file on first use, and loads it."""

import ctypes
from collections.abc import Callable
from pathlib import Path

from holdfast.sim.compiled.build import processor
from holdfast.sim.verilate import cached, compile_sources, link, tool_versions


def native_library(name: str, declare: Callable[[ctypes.CDLL], None]) -> ctypes.CDLL:
    """Compiles ``<name>.cpp`` beside this file on first use, and loads it."""
    source = Path(__file__).with_name(f"{name}.cpp")
    flags = ["-O3", "-std=gnu++20", "-fPIC", "-march=native", "-Wall"]

    def make(folder: Path) -> None:
        copy = folder / source.name
        copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        link(compile_sources([copy], folder, flags), folder / "library.so", ["-shared"])

    path = (
        cached(
            name, [source.read_text(encoding="utf-8"), *flags, *tool_versions(), processor()], make
        )
        / "library.so"
    )
    library = ctypes.CDLL(str(path))
    declare(library)
    return library
