"""Members of a .tar.gz, read into memory: nothing is unpacked to files, no link is followed."""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from holdfast.base.errors import HoldfastError
from holdfast.base.files import open_file
from holdfast.base.rationed import Rationed
from holdfast.base.text import printable, reason, shown

_PACKED = 1 << 28
_UNPACKED = 400_000_000
_HEADERS = 1 << 16


def members(file: Path, wanted: Callable[[str], bool], largest: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the members that are wanted.

    Parameters
    ----------
    largest : int
        Bytes that one of them may have.

    Raises
    ------
    HoldfastError
        The archive cannot be read, or one of them is a link or too large.
    """
    with open_file(file, "archive", _PACKED) as packed:
        try:
            with gzip.GzipFile(fileobj=packed) as unpacked:
                yield from _members(Rationed(cast(BinaryIO, unpacked), _UNPACKED), wanted, largest)
        except HoldfastError:
            raise
        except Exception as error:
            # tarfile and gzip raise whatever damaged headers lead them to.
            raise HoldfastError(f"{printable(file)} cannot be read: {reason(error)}.") from None


def _members(
    stream: Rationed, wanted: Callable[[str], bool], largest: int
) -> Iterator[tuple[str, bytes]]:
    stream.allow(_HEADERS)
    with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as tar:
        last = -1
        while member := tar.next():
            if member.offset <= last:
                raise OSError(f"its member {shown(member.name)} leads back to one before it")
            last = member.offset
            # tarfile keeps all that it has read.
            tar.members.clear()  # type: ignore[attr-defined]
            tar.pax_headers.clear()  # type: ignore[attr-defined]
            if wanted(member.name) and not member.isdir():
                if not member.isreg() or member.issparse():
                    raise OSError(f"its member {shown(member.name)} is no regular file")
                if not 0 <= member.size <= largest:
                    raise OSError(
                        f"its member {shown(member.name)} has {member.size:,} bytes, "
                        f"at most {largest:,} are read"
                    )
                stream.allow(member.size)
                content = cast(BinaryIO, tar.extractfile(member)).read()
                yield member.name, content
            stream.allow(_HEADERS)
