"""Damage to files: flipped bits, cuts, and what nobody would write."""

import json
import random
from pathlib import Path

HOSTILE = [
    b"", b"[]", b"null", b"{}", b"{", b'"text"', b"NaN", b"\x00", b"\xff\xfe", b"7" * 5000,
    b"[" * 5000, b'{"a":' * 3000, b"1e999", b"PAR1PAR1",
]  # fmt: skip
VALUES = [None, [], {}, "", "x" * 300, -1, 0, 10**40, 1.5, True, [[]], "../../x", "\x00", "[/]"]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file's content after something has happened to it."""
    kind = rng.randrange(7)
    at = rng.randrange(len(content))
    if kind <= 2:
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if kind == 3:
        return content[:at]
    if kind == 4:
        end = min(len(content), at + rng.randrange(1, 64))
        return content[:at] + bytes(end - at) + content[end:]
    if kind == 5:
        return content[:at] + rng.randbytes(rng.randrange(1, 9)) + content[at:]
    return rng.choice(HOSTILE)


def altered(content: bytes, rng: random.Random) -> bytes:
    """JSON with one value somewhere replaced, removed or doubled; else as :func:`damaged`."""
    if rng.random() < 0.4:
        return damaged(content, rng)
    value = json.loads(content)
    here = value
    while True:
        key = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        inner = here[key]
        if not (isinstance(inner, dict | list) and inner) or rng.random() < 0.3:
            break
        here = inner
    if rng.random() < 0.25:
        del here[key]
    else:
        here[key] = rng.choice(VALUES)
    return json.dumps(value).encode()


def harm(path: Path, rng: random.Random, change=damaged) -> None:
    """Put a damaged file, a folder or nothing in a file's place."""
    content = path.read_bytes()
    chance = rng.random()
    if chance < 0.02:
        path.unlink()
    elif chance < 0.04:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(change(content, rng))
