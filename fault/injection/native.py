"""Compiles the C++ beside this file on first use, and loads it; tells it of a golden run."""

import ctypes
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from holdfast.sim.compiled.build import processor
from holdfast.sim.verilate import cached, compile_sources, link, tool_versions

from .trace import Trace


def native_library(name: str, declare: Callable[[ctypes.CDLL], None]) -> ctypes.CDLL:
    """Compiles ``<name>.cpp`` beside this file on first use, and loads it."""
    beside = [Path(__file__).with_name(file) for file in (f"{name}.cpp", "golden.hpp")]
    texts = [path.read_text(encoding="utf-8") for path in beside]
    flags = ["-O3", "-std=gnu++20", "-fPIC", "-march=native", "-Wall"]

    def make(folder: Path) -> None:
        for path, text in zip(beside, texts, strict=True):
            (folder / path.name).write_text(text, encoding="utf-8")
        objects = compile_sources([folder / beside[0].name], folder, flags)
        link(objects, folder / "library.so", ["-shared"])

    folder = cached(name, [*texts, *flags, *tool_versions(), processor()], make)
    library = ctypes.CDLL(str(folder / "library.so"))
    declare(library)
    return library


class GoldenArrays(ctypes.Structure):
    """Holds what ``golden.hpp`` has of a golden run; the trace has to outlive it."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("boundaries", "cycles", "descriptors")] + [
        (field.name, ctypes.c_void_p) for field in fields(Trace)
    ]

    @classmethod
    def of(cls, trace: Trace) -> "GoldenArrays":
        """Returns the arrays of a recorded run."""
        sizes = len(trace.states), trace.cycles, len(trace.indices)
        return cls(*sizes, *(getattr(trace, field.name).ctypes.data for field in fields(trace)))
