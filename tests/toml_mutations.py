"""TOML that is almost right."""

import random

VALUES = ["0", "-1", "9" * 30, "9" * 5000, "1e400", "nan", "-inf", "true", "''", '"é"', '"[/x]"',
          '"\\u0000"', '"\\u001b[31m"', "[]", "{}", "[[[]]]", "[1, 'a']", "{a = 1}", "1979-05-27",
          "07:32:00", "0x10", "1_000", '"' + "a" * 100_000 + '"', "[" * 3000 + "]" * 3000, "8.0",
          "['8x8', '8x8']", "['²x²']", "['x']", "['../../x.safetensors']",
          "['" + "a/" * 2000 + "']",
          "['a\\u0000']", '["a\\nb.safetensors"]', "['mibb@nan']", "['mibb@']", "[true]",
          "['resnet8', 'resnet8_int8']"]  # fmt: skip
KEYS = ["x", "rows", "'[/x]'", '"\\u001b"', '""', "a.b", "é", "'" + "k" * 10_000 + "'"]
BYTES = [b"\x00", b"\xff", b"\xef\xbb\xbf", b"[", b"=", b"\r", b'"""', b"#", b"\xed\xb3\xbf"]


def mutated(source: random.Random, text: str) -> bytes:
    """The text with one to three things changed."""
    content = text.encode()
    for _ in range(source.choice((1, 1, 2, 3))):
        content = source.choice((_value, _value, _value, _key, _bytes, _cut, _line))(
            source, content
        )
    return content


def _lines(content: bytes) -> list[bytes]:
    return content.split(b"\n")


def _value(source: random.Random, content: bytes) -> bytes:
    lines = _lines(content)
    at = source.randrange(len(lines))
    key, equals, _ = lines[at].partition(b"=")
    if equals:
        lines[at] = key + b"= " + source.choice(VALUES).encode()
    return b"\n".join(lines)


def _key(source: random.Random, content: bytes) -> bytes:
    line = f"{source.choice(KEYS)} = {source.choice(VALUES)}".encode()
    lines = _lines(content)
    lines.insert(source.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _bytes(source: random.Random, content: bytes) -> bytes:
    at = source.randrange(len(content) + 1)
    return content[:at] + source.choice(BYTES) + content[at + source.randrange(3) :]


def _cut(source: random.Random, content: bytes) -> bytes:
    return content[: source.randrange(len(content) + 1)]


def _line(source: random.Random, content: bytes) -> bytes:
    lines = _lines(content)
    return b"\n".join([*lines, source.choice(lines)])
