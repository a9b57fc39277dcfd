"""The error that every room raises for a mistake of the user, and what a disk may refuse."""

import errno
import os

_REFUSALS = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO,
)  # fmt: skip
_OCCUPIED = (
    errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG,
)  # fmt: skip


class HoldfastError(Exception):
    """Tells of a mistake of the user in one sentence; commands print it and exit with 2."""


def disk_reason(found: OSError | str) -> str | None:
    """Returns what a disk refused, from an error or a tool's messages; None if it is something
    else.

    Of an error also that something of another kind lies in a file's or folder's place.
    """
    if isinstance(found, str):
        reasons = (os.strerror(number) for number in _REFUSALS)
        return next((reason for reason in reasons if reason in found), None)
    if found.errno is None and "requested and" in str(found):
        # NumPy's words for a file that took only a part of an array.
        return os.strerror(errno.ENOSPC)
    return os.strerror(found.errno) if found.errno in (*_REFUSALS, *_OCCUPIED) else None
