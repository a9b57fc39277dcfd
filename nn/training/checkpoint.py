"""Checkpoints: archives as PyTorch saves them, with a digest of the rest as their comment."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from holdfast.base.errors import HoldfastError
from holdfast.base.files import read_bytes, write_atomically
from holdfast.base.text import printable

_LARGEST = 1 << 31
_DIGEST_BYTES = hashlib.sha256().digest_size


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes plain data and tensors; raises as :func:`base.files.write_atomically`."""
    stream = io.BytesIO()
    torch.save(content, stream)
    # An archive ends with the length of its comment, 0 as PyTorch writes it.
    whole = stream.getvalue()[:-2] + _DIGEST_BYTES.to_bytes(2, "little")
    write_atomically(path, whole + hashlib.sha256(whole).digest())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Returns what :func:`write_checkpoint` wrote, not a bit of it changed.

    Raises
    ------
    HoldfastError
        The file cannot be read, or is damaged or none of Holdfast's.
    """
    content = read_bytes(path, "checkpoint", _LARGEST)
    whole, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    try:
        if hashlib.sha256(whole).digest() != digest:
            raise ValueError("its digest is another")
        return dict(torch.load(io.BytesIO(content), weights_only=True))
    except Exception as error:
        # torch.load raises whatever its layers do, with advice that does not fit here.
        raise HoldfastError(
            f"{printable(path)} is damaged, or no checkpoint of Holdfast; delete it to start anew."
        ) from error
