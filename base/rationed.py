"""A stream for parsers that believe the lengths a file states."""

import os
from typing import BinaryIO


class Rationed:
    """Hands out no more than was allowed since the last time, and nothing beyond an end.

    What a false length can then cost is an error, neither memory nor time. An OSError tells it.

    Parameters
    ----------
    end : int
        Position up to which may be read.
    """

    def __init__(self, stream: BinaryIO, end: int) -> None:
        self._stream, self._end = stream, end
        self._allowed = self._left = 0

    def allow(self, count: int) -> None:
        """From here on, ``count`` bytes may be read."""
        self._allowed = self._left = count

    def read(self, size: int | None = -1) -> bytes:
        most = self._left + 1
        content = self._stream.read(most if size is None or size < 0 else min(size, most))
        self._left -= len(content)
        if self._left < 0:
            raise OSError(f"a part has more than the {self._allowed:,} bytes that it may")
        self._check(self._stream.tell())
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            self._check(offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def _check(self, position: int) -> None:
        if not 0 <= position <= self._end:
            raise OSError(f"it reaches to byte {position:,}; at most {self._end:,} are read")
