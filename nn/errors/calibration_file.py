"""The file of a calibrated fault model, taken as hostile: read and checked before it is used.

An .npz: arrays of numbers, and JSON in the text array ``header``. Nothing in it is executed.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.files import parse_json
from holdfast.base.npz import Npz
from holdfast.base.text import printable, shown
from holdfast.nn.graph.contract import is_plain

from .exposure import KINDS, STRUCTURES

FORMAT = 1
HEADER = ("provenance", "array", "act_bits", "weight_bits", "acc_bits", "guard", "bits", "counts",
          "rates")  # fmt: skip

_LARGEST = 1 << 26
_BY_TEMPLATE = {"structure": np.integer, "kind": np.integer, "code": np.bool_, "gain": np.floating,
                "height": np.integer, "width": np.integer, "begin": np.integer}  # fmt: skip
_BY_ELEMENT = ("channel", "y", "x", "golden", "change")
_WIDTHS = {"act_bits": (2, 8), "weight_bits": (2, 8), "acc_bits": (8, 32)}
_ARRAY = {"rows": (1, 16), "cols": (1, 16), "acc_depth": (1, 1 << 12)}
_GUARD = {"output": bool, "input": bool, "zero": bool, "fixed": bool, "mode": str}
_SIDE = 1 << 16
_MANY = 1 << 53


def read_calibration(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Returns the header of a file, format included, and its arrays by name.

    Raises
    ------
    HoldfastError
        There is no such file, it is damaged, of another format, or its parts do not fit together.
    """
    if not os.path.exists(path):
        raise HoldfastError(f"there is no calibrated fault model {printable(path, 300)}.")
    where = f"calibrated fault model {printable(path, 200)}"
    with Npz(path, "calibrated fault model", _LARGEST) as file:
        text = file.read("header", np.str_)
        if text.shape:
            raise HoldfastError(f"the header of {where} must be one text, not {len(text)}.")
        header = parse_json(str(text), f"the header of {where}")
        if header.get("format") != FORMAT:
            raise HoldfastError(
                f"{where} is of format {shown(header.get('format'))}; this Holdfast reads format "
                f"{FORMAT}: fit it again."
            )
        kinds = _BY_TEMPLATE | dict.fromkeys(_BY_ELEMENT, np.integer)
        arrays = {name: file.read(name, kind, (None,)) for name, kind in kinds.items()}
    try:
        _check_header(header)
        _check_templates(header, arrays)
    except _Breach as breach:
        raise HoldfastError(f"{where} is damaged: {breach}.") from None
    return header, arrays


class _Breach(Exception):
    """Holds what does not hold, without a full stop."""


def _need(holds: object, what: str, value: Any) -> None:
    if not holds:
        raise _Breach(f"{what}, not {shown(value)}")


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _check_header(header: Mapping[str, Any]) -> None:
    for name in HEADER:
        _need(name in header, f"its header must hold {name}", list(header))
    for name, (low, high) in _WIDTHS.items():
        value = header[name]
        _need(_is_whole(value, low, high), f"{name} must be {low} to {high}", value)
    for name, known in (("array", set(_ARRAY)), ("guard", set(_GUARD))):
        value = header[name]
        _need(isinstance(value, dict) and set(value) <= known,
              f"its {name} must hold {', '.join(sorted(known))}", value)  # fmt: skip
    for name, (low, high) in _ARRAY.items():
        value = header["array"].get(name)
        _need(_is_whole(value, low, high), f"{name} of its array must be {low} to {high}", value)
    _need(all(isinstance(v, _GUARD[name]) for name, v in header["guard"].items()),
          "settings of its guard must be true or false, its mode a text",
          header["guard"])  # fmt: skip
    provenance = header["provenance"]
    _need(isinstance(provenance, dict) and is_plain(provenance),
          "its provenance must be a flat JSON object", provenance)  # fmt: skip
    bits, counts, rates = header["bits"], header["counts"], header["rates"]
    _need(isinstance(bits, dict) and bits and set(bits) <= set(STRUCTURES)
          and all(_is_whole(value, 1, _MANY) for value in bits.values()),
          "its bits must be whole numbers by structure", bits)  # fmt: skip
    _need(isinstance(counts, dict) and set(counts) == set(bits)
          and all(_is_count(value) for value in counts.values()),
          "its counts must be those of each structure", counts)  # fmt: skip
    _need(isinstance(rates, list) and len(rates) == len(bits)
          and all(isinstance(row, list) and len(row) == len(KINDS) for row in rates)
          and all(_is_rate(value) for row in rates for value in row),
          f"its rates must be {len(KINDS)} numbers, not negative, for each of its "
          f"{len(bits)} structures", rates)  # fmt: skip


def _is_rate(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MANY


def _is_count(value: Any) -> bool:
    """Faults and images, and how many corrupted each kind of layer."""
    if not isinstance(value, dict) or not isinstance(value.get("corrupted"), dict):
        return False
    corrupted = value["corrupted"]
    return (
        _is_whole(value.get("faults"), 0, _MANY)
        and _is_whole(value.get("images"), 1, _MANY)
        and set(corrupted) <= set(KINDS)
        and all(_is_whole(number, 0, _MANY) for number in corrupted.values())
    )


def _check_templates(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    count, elements = len(arrays["structure"]), len(arrays["change"])
    for name, array in arrays.items():
        wanted = elements if name in _BY_ELEMENT else count + (name == "begin")
        _need(len(array) == wanted, f"its {name} must have {wanted} entries", len(array))
    low, high = -(1 << header["act_bits"] - 1), (1 << header["act_bits"] - 1) - 1
    for name, least, most in (
        ("structure", 0, len(header["bits"]) - 1),
        ("kind", 0, len(KINDS) - 1),
        ("height", 1, _SIDE),
        ("width", 1, _SIDE),
        ("begin", 0, elements),
        ("channel", 0, _SIDE - 1),
        ("golden", low, high),
        ("change", -(1 << 31), (1 << 31) - 1),
    ):
        array = arrays[name]
        for value in (int(array.min()), int(array.max())) if len(array) else ():
            _need(least <= value <= most, f"its {name} must be {least} to {most}", value)
    begin = arrays["begin"]
    fills = begin[0] == 0 and begin[-1] == elements and (begin[1:] > begin[:-1]).all()
    _need(fills, f"its begin must rise from 0 to {elements}", begin.tolist()[:20])
    ends = begin.astype(np.int64)
    lengths = ends[1:] - ends[:-1]
    for name, side in (("y", "height"), ("x", "width")):
        inside = (arrays[name] >= 0) & (arrays[name] < np.repeat(arrays[side], lengths))
        _need(inside.all(), f"its {name} must lie inside of each {side}", arrays[name][~inside][:1])
    gain = arrays["gain"]
    sane = np.abs(gain.astype(np.float64)) < 1 << 32
    _need(sane.all(), "its gain must be below 2^32", gain[~sane][:1])
    structure, kind = (arrays[name].astype(np.int64) for name in ("structure", "kind"))
    group = structure * len(KINDS) + kind
    _need((np.diff(group) >= 0).all(), "its templates must be sorted by structure and kind",
          group.tolist()[:20])  # fmt: skip
    rates = np.array(header["rates"], float)
    present = np.bincount(group, minlength=rates.size).reshape(rates.shape) > 0
    _need((present == (rates > 0)).all(), "it must have templates exactly where rates are above 0",
          header["rates"])  # fmt: skip
