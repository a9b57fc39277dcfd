"""The arrays of an .npz file of a user: looked at before they are read, and never too large."""

import io
import math
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .errors import HoldfastError
from .files import open_file
from .rationed import Rationed
from .text import printable, reason, shown

_PIECE = 1 << 20
_HEADER = 1 << 16
_NUMBERS_AND_TEXT = "biufU"


@dataclass(frozen=True)
class _Header:
    """Holds what an array says of itself, and where its elements begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    begin: int


class Npz:
    """Reads an .npz file.

    Parameters
    ----------
    what : str
        What the file is, for messages.
    largest : int
        Bytes that all arrays together may have.

    Raises
    ------
    HoldfastError
        There is no such file, or it is no .npz.
    """

    def __init__(self, path: Path, what: str, largest: int) -> None:
        self._name = f"{what} {printable(path)}"
        self._largest = self._left = largest
        self._file = open_file(path, what, largest + _PIECE)
        self._stream = Rationed(self._file, largest + _PIECE)
        self._stream.allow(_PIECE)
        try:
            self._zip = zipfile.ZipFile(cast(BinaryIO, self._stream))
        except Exception as error:
            # zipfile raises whatever its parts do.
            self._file.close()
            raise HoldfastError(f"{self._name} cannot be read as .npz: {reason(error)}.") from None
        names = self._zip.namelist()
        self.names = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._file.close()

    def read(
        self, name: str, dtype: Any = np.generic, shape: tuple[int | None, ...] = ()
    ) -> NDArray[Any]:
        """Returns an array in native byte order, C-contiguous.

        Parameters
        ----------
        dtype : type
            What its type has to be, or to be a kind of; numbers and text by default.
        shape : tuple
            What its shape has to be, None for any number; any shape by default.

        Raises
        ------
        HoldfastError
            It is not there, of another type or shape, too large, or damaged.
        """
        if self.names.count(name) != 1:
            often = "more than once" if name in self.names else "not"
            raise HoldfastError(f"{self._name} has {shown(name)} {often}.")
        try:
            return self._array(name, dtype, shape)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError,
                zlib.error) as error:  # fmt: skip
            raise HoldfastError(
                f"{shown(name)} in {self._name} cannot be read: {reason(error)}."
            ) from None

    def _array(self, name: str, dtype: Any, shape: tuple[int | None, ...]) -> NDArray[Any]:
        entry = self._zip.getinfo(f"{name}.npy")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"it is compressed by method {entry.compress_type}, not deflated")
        self._stream.allow(entry.compress_size + _PIECE)
        with self._zip.open(entry) as stream:
            header = _header(stream.read(_HEADER))
        self._check(name, header, dtype, shape)
        size = math.prod(header.shape) * header.dtype.itemsize
        if header.begin + size != entry.file_size:
            raise ValueError(
                f"its shape {list(header.shape)} of {header.dtype} needs {size:,} bytes, "
                f"it has {entry.file_size - header.begin:,}"
            )
        if size > self._left:
            raise ValueError(
                f"with its {size:,} bytes all arrays would have more than {self._largest:,}"
            )
        self._left -= size
        flat = np.empty(size, np.uint8)
        self._stream.allow(entry.compress_size + _PIECE)
        with self._zip.open(entry) as stream:
            stream.read(header.begin)
            for begin in range(0, size, _PIECE):
                piece = flat[begin : begin + _PIECE]
                content = stream.read(len(piece))
                if len(content) < len(piece):
                    raise ValueError("it ends early")
                piece[:] = np.frombuffer(content, np.uint8)
            # Only the end of a member brings its checksum.
            if stream.read(1):
                raise ValueError("it is longer than its table of contents says")
        array = np.frombuffer(flat.data, header.dtype)
        if header.fortran:
            array = np.ascontiguousarray(array.reshape(header.shape[::-1]).T)
        return array.reshape(header.shape).astype(header.dtype.newbyteorder("="), copy=False)

    def _check(self, name: str, header: _Header, dtype: Any, shape: tuple[int | None, ...]) -> None:
        given = header.shape
        fits = not shape or (
            len(given) == len(shape)
            and all(wanted in (None, found) for wanted, found in zip(shape, given, strict=True))
        )
        if header.dtype.kind in _NUMBERS_AND_TEXT and np.issubdtype(header.dtype, dtype) and fits:
            return
        kind = "numbers or text" if dtype is np.generic else dtype.__name__
        sizes = ", ".join("N" if size is None else str(size) for size in shape)
        raise HoldfastError(
            f"{shown(name)} in {self._name} must be {kind}{f' [{sizes}]' if shape else ''}, "
            f"not {shown(str(header.dtype))} {shown(list(given))}."
        )


def _header(content: bytes) -> _Header:
    """Returns what the first bytes of an .npy say; ValueError if it cannot be told."""
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = npy.read_magic(stream)
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, fortran, dtype = read(stream)
    except Exception as error:
        # NumPy raises whatever Python's parser does with a damaged header.
        raise ValueError(f"its header is damaged, {reason(error)}") from None
    if not all(size >= 0 for size in shape):
        raise ValueError(f"its header has the shape {shown(list(shape))}")
    return _Header(shape, dtype, fortran, stream.tell())
