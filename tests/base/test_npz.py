import io
import struct
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from holdfast.base.errors import HoldfastError
from holdfast.base.npz import Npz

KINDS = st.one_of(
    arrays.integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"),
    arrays.unicode_string_dtypes(endianness="?"),
    arrays.boolean_dtypes(),
)


def read(path, name="a", largest=1 << 20, **wanted):
    with Npz(path, "file", largest) as file:
        return file.read(name, **wanted)


@given(st.data(), st.booleans(), st.booleans())
def test_numbers_and_text_are_read_as_numpy_does(tmp_path_factory, data, fortran, packed):
    array = data.draw(arrays.arrays(KINDS, arrays.array_shapes(min_dims=0, min_side=0)))
    file = tmp_path_factory.mktemp("npz") / "a.npz"
    save = np.savez_compressed if packed else np.savez
    save(file, a=np.asfortranarray(array) if fortran else array)
    found = read(file)
    assert found.dtype.isnative and found.flags.c_contiguous
    with np.load(file) as wanted:
        np.testing.assert_array_equal(found, wanted["a"])


def header(text, version=1):
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode()


def described(shape="(2,)", descr="'|u1'"):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (described("(10**12,)") + b"ab", "header is damaged"),
        (described("(1000000000000,)") + b"ab", "needs 1,000,000,000,000 bytes, it has 2"),
        (described("(3,)") + b"ab", r"its shape \[3\] of uint8 needs 3 bytes, it has 2"),
        (described("(1,)") + b"ab", "needs 1 bytes, it has 2"),
        (described("(-2,)") + b"ab", r"its header has the shape \[-2\]"),
        (described("(" * 5000) + b"ab", "header is damaged"),
        (described("(2,)", "'|O'") + bytes(16), r"must be numbers or text, not 'object' \[2\]"),
        (described("(2,)", "'|V1'") + b"ab", "must be numbers or text"),
        (described("(2,)", "[('x', '|u1')]") + b"ab", "must be numbers or text"),
        (described("(2,)", "'nonsense'") + b"ab", "header is damaged"),
        (header("x" * (1 << 17), 2), "header is damaged"),
        (header("{}\n", 3), "header is damaged"),
        (b"no header", "header is damaged"),
        (b"", "header is damaged"),
        (described("(2000000,)") + bytes(2_000_000), "all arrays would have more than 1,048,576"),
    ],
)  # fmt: skip
def test_what_a_header_says_is_checked(tmp_path, content, message):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", content)
    with pytest.raises(HoldfastError, match=message) as caught:
        read(tmp_path / "a.npz")
    assert str(caught.value).isprintable() and "a.npz" in str(caught.value)


def test_types_and_shapes_that_are_wanted(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 3), np.int16))
    file = tmp_path / "a.npz"
    assert read(file, dtype=np.integer, shape=(None, 3)).shape == (2, 3)
    for wanted, message in (
        ({"dtype": np.uint8}, r"'a' in file .* must be uint8, not 'int16' \[2, 3\]"),
        ({"dtype": np.integer, "shape": (None,)}, r"must be integer \[N\], not"),
        ({"shape": (None, 4)}, r"must be numbers or text \[N, 4\], not"),
    ):
        with pytest.raises(HoldfastError, match=message):
            read(file, **wanted)
    with pytest.raises(HoldfastError, match="has 'b' not"):
        read(file, "b")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, method):
    """They unpack without a limit."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as file:
        file.writestr("a.npy", described() + b"ab")
    with pytest.raises(HoldfastError, match="compressed by method"):
        read(tmp_path / "a.npz")


def test_a_name_twice_and_a_long_table_of_contents(tmp_path):
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as file:
        warnings.simplefilter("ignore")
        file.writestr("a.npy", described() + b"ab")
        file.writestr("a.npy", described() + b"cd")
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    with pytest.raises(HoldfastError, match="has 'a' more than once"):
        read(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        for number in range(9000):
            file.writestr(f"{number:0100}", b"")
    with pytest.raises(HoldfastError, match="a part has more than the 1,048,576 bytes"):
        read(tmp_path / "b.npz", largest=1 << 24)


def test_a_flipped_bit_is_seen(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(1000, dtype=np.uint8))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(bytes(range(50)))] ^= 4
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(HoldfastError, match=r"'a' in file .* cannot be read: Bad CRC-32"):
        read(tmp_path / "a.npz")
