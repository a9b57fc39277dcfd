"""Damaged and hostile data, one after the other, in a process of its own.

    python -m tests.nn.hostile_data COUNT SEED FOLDER

Prints what came of them as JSON: how many loaded, how many were refused, what went wrong with which
input, the longest time in seconds and the most memory in MB.
"""

import gzip
import io
import json
import pickle
import random
import signal
import struct
import sys
import tarfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from holdfast.base.errors import HoldfastError
from holdfast.nn.data.cifar import load_cifar10
from holdfast.nn.data.images import CLASSES
from holdfast.nn.data.pictures import read_picture
from tests.nn.mutations import peak

SHAPES = ["(1000000000000,)", "(3, 3, 32, 32)", "(1099511627776, 0)", "(-1, 3, 32, 32)", "()",
          "(True,)", "(3, 3, 32, 31)", "(0, 3, 32, 32)", "[3]", "(3.0,)", "None",
          f"({'9' * 5000},)"]  # fmt: skip
TYPES = ["|u1", "<f8", "|O", "<U9", ">i4", "|V8", "<c16", "|b1", "|S3", "<M8[s]", "", "<i8,<i8"]
# fmt: off
LABELS = [[0.5, 1, 2], [float("nan")] * 3, ["a", "b", "c"], [-1, 0, 1], [256, 1, 2], [1, 2], [],
          [2**40, 0, 1], [True, False, True], [[1], [2], [3]], [None, 1, 2], [10, 9, 0]]
# fmt: on
TAR_TYPES = b"0" + b"1234567xgLKSVM" + b"\0"
SIZES = [b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + bytes(6) + b"\xff" * 5,
         b"-0000000001\0", b"           \0"]  # fmt: skip


def npy(array, shape=None, descr=None):
    """An .npy whose header may say something else than the array."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    content = stream.getvalue()
    if shape is None and descr is None:
        return content
    length = struct.unpack("<H", content[8:10])[0]
    text = (
        f"{{'descr': {descr or array.dtype.str!r}, 'fortran_order': False, "
        f"'shape': {shape or array.shape}, }}"
    ).ljust(length - 1) + "\n"
    return content[:8] + struct.pack("<H", len(text)) + text.encode() + content[10 + length :]


def zipped(members, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as file:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


def tar(members, style=tarfile.GNU_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=style) as file:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return bytearray(stream.getvalue())


def picture(kind, size=(32, 32), seed=0):
    rng = np.random.default_rng(seed)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


class Hostile:
    """Makes inputs and tries them; ``rng`` decides everything."""

    def __init__(self, rng, folder):
        self.rng, self.folder = rng, folder
        pixels = np.random.default_rng(1)
        self.x = pixels.integers(0, 256, (3, 3, 32, 32)).astype(np.uint8)
        self.pictures = {kind: picture(kind) for kind in ("PNG", "JPEG", "BMP", "PPM", "GIF")}

    def mutated(self, content):
        """Bytes with some of them changed."""
        rng, content = self.rng, bytearray(content)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            at = rng.randrange(len(content)) if content else 0
            span = min(rng.choice((1, 2, 4, 8, 64)), len(content) - at)
            how = rng.randrange(7)
            if how <= 1 and content:
                content[at] ^= 1 << rng.randrange(8)
            elif how == 2:
                content[at : at + span] = rng.randbytes(span)
            elif how == 3:
                content[at : at + span] = rng.choice((b"\0", b"\xff", b"\x7f")) * span
            elif how == 4:
                del content[at : at + span]
            elif how == 5:
                content[at:at] = rng.choice((content[at : at + span], b"9" * span))
            elif rng.random() < 0.3:
                del content[at:]
        return bytes(content)

    def maybe(self, content, share=0.5):
        return self.mutated(content) if self.rng.random() < share else content

    def labels(self):
        if self.rng.random() < 0.88:
            return np.array([1, 9, 0], self.rng.choice((np.uint8, np.int64, ">i2")))
        given = self.rng.choice(LABELS)
        try:
            return np.array(given)
        except OverflowError:
            return np.array(given, object)

    def array(self, array):
        """An .npy that is damaged more often than not."""
        rng = self.rng
        if rng.random() < 0.85:
            return npy(np.asfortranarray(array) if rng.random() < 0.3 else array)
        shape = rng.choice([None, *SHAPES])
        return self.maybe(npy(array, shape, rng.choice([None, *TYPES])), 0.3)

    def npz(self):
        rng = self.rng
        members = [
            ("train_x.npy", self.array(self.x)),
            ("train_y.npy", self.array(self.labels())),
            ("test_x.npy", self.array(self.x)),
            ("test_y.npy", self.array(self.labels())),
        ]
        if rng.random() < 0.4:
            index = np.array(rng.choice(([0, 2], [2, 2], [0, 3], [-1, 0], [0, 2**40], [0.5, 1])))
            members += [("exact_test_x.npy", self.array(255 - self.x[:2])),
                        ("exact_test_y.npy", self.array(np.array([3, 4]))),
                        ("exact_train_index.npy", self.array(index)),
                        ("exact_train_x.npy", self.array(self.x[:2]))]  # fmt: skip
        if rng.random() < 0.1:
            members.append(rng.choice(members))
        if rng.random() < 0.1:
            members.pop(rng.randrange(len(members)))
        methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
        return {"c.npz": self.maybe(zipped(members, rng.choices(methods, (8, 8, 1, 1))[0]), 0.3)}

    def batch(self):
        rng = self.rng
        labels = [1, 9, 0] if rng.random() < 0.95 else rng.choice([*LABELS, 7, np.array([1, 2, 3])])
        data = self.x.reshape(3, -1)
        if rng.random() < 0.04:
            data = rng.choice((data.astype(float), data[:2], data[:, :9], data[0], [1], data.T.T,
                               np.asfortranarray(data), data.astype(object)))  # fmt: skip
        batch = {b"data": data, b"labels": labels, b"filenames": [b"a.png"] * 3}
        return self.maybe(pickle.dumps(batch, rng.choice((1, 2, 2, 3, 3, 4, 4))), 0.07)

    def batches(self):
        names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
        return [(name, self.batch()) for name in names]

    def official(self):
        if self.rng.random() < 0.4:
            return dict(self.batches())
        members = [(f"cifar-10-batches-py/{name}", content) for name, content in self.batches()]
        return {"cifar-10-python.tar.gz": self.archive(members)}

    def archive(self, members):
        rng = self.rng
        if rng.random() < 0.15:
            members.append(rng.choice(members))
        if rng.random() < 0.1:
            name = rng.choice(("../x.jpg", "/tmp/x.jpg", "train/cat/../x.jpg", "a\0b", "n" * 300))
            members[0] = (name, members[0][1])
        content = tar(members, rng.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))
        if rng.random() < 0.4:
            # A header of which type, size or name are false, with its sum put right.
            at = 512 * rng.randrange(len(content) // 512)
            field, size = rng.choice(((156, 1), (124, 12), (0, 9), (157, 40), (345, 99)))
            given = {156: bytes([rng.choice(TAR_TYPES)]), 124: rng.choice(SIZES)}
            content[at + field : at + field + size] = given.get(field, rng.randbytes(size))
            content[at + 148 : at + 156] = b" " * 8
            content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
        return self.maybe(gzip.compress(self.maybe(content, 0.3), 1), 0.15)

    def jpeg(self):
        rng = self.rng
        y = {"train": self.labels(), "test": self.labels()}
        members = []
        for split, labels in y.items():
            for number, label in enumerate(labels.tolist()):
                kind = CLASSES[label % 10] if isinstance(label, int) else "cat"
                content = self.pictures[rng.choices(("JPEG", "PNG"), (30, 1))[0]]
                if rng.random() < 0.1:
                    content = self.mutated(content)
                members.append((f"c/{split}/{kind}/{number}.jpg", content))
        if not members:
            members = [("c/train/cat/1.jpg", b"")]
        labels = zipped([(f"{split}_y.npy", npy(labels)) for split, labels in y.items()])
        exact = zipped([("train_index.npy", npy(np.array([1, 2]))),
                        ("train_x.npy", npy(self.x[:2])), ("test_x.npy", npy(self.x)),
                        ("test_y.npy", npy(self.labels()))])  # fmt: skip
        return {"cifar10_jpeg_q75.tar.gz": self.archive(members),
                "cifar10_labels.npz": self.maybe(labels, 0.1),
                "cifar10_exact_subset.npz": self.maybe(exact, 0.1)}  # fmt: skip

    def made(self, files):
        for old in self.folder.iterdir():
            old.unlink()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)

    def load(self):
        """One input of a random format; what it gave, checked."""
        kind = self.rng.choice((self.npz, self.official, self.jpeg, None))
        if kind is None:
            content = self.mutated(self.rng.choice([*self.pictures.values()]))
            pixels = read_picture(content, "p.png")
            assert pixels.shape == (3, 32, 32) and pixels.dtype == np.uint8
            return
        self.made(kind())
        cifar = load_cifar10(self.folder)
        for part in (cifar.train, *cifar.tests):
            count = len(part.images)
            assert count > 0 and part.images.shape == (count, 3, 32, 32)
            assert part.images.dtype == part.labels.dtype == np.uint8
            assert part.labels.shape == (count,) and part.labels.max() < (part.classes or 256)


def bombs(x):
    """Small files that would be large, or make a reader large."""
    y = np.zeros(3, np.uint8)
    zeros = gzip.compress(bytes(1 << 28), 9)

    def npz(first, method=zipfile.ZIP_DEFLATED):
        return {
            "c.npz": zipped(
                [
                    ("train_x.npy", first),
                    ("train_y.npy", npy(y)),
                    ("test_x.npy", npy(x)),
                    ("test_y.npy", npy(y)),
                ],
                method,
            )
        }

    def huge(method):
        content = npy(x, "(100000, 3, 32, 32)", "|u1")[:128].ljust(128) + bytes(1 << 28)
        return npz(content, method)

    yield "shape", npz(npy(x, "(1000000000000, 3, 32, 32)"))
    yield "zip", huge(zipfile.ZIP_DEFLATED)
    yield "bzip2", huge(zipfile.ZIP_BZIP2)
    long = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 28) + b" " * (1 << 28)
    yield "header", npz(long)
    yield "nested header", npz(npy(x, "(" * 4000))
    yield "entries", {"c.npz": zipped([(f"{n}.npy", b"") for n in range(40_000)])}
    yield "zeros", {"cifar-10-python.tar.gz": zeros * 8}
    for kind in (b"x", b"g", b"L", b"S"):
        head = tar([("a", b"")])[:512]
        head[156:157] = kind
        head[124:136] = b"01777777777\0"
        head[482:483] = b"\1"  # sparse: more of it follows
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        yield f"tar {kind}", {"cifar-10-python.tar.gz": gzip.compress(head) + zeros * 8}
    begin = pickle.dumps({b"data": x}, 2)[:-1]
    # Lists of a list twice, sixty deep: its text would be endless.
    laughs = b"]q\x63" + b"](h\x63h\x63eq\x63" * 60
    end = b"X\4\0\0\0junk(" + laughs + b"tsX\6\0\0\0labels](h\x63h\x63h\x63es."
    for name, content in {
        "laughs": pickle.dumps({b"data": x.reshape(3, -1)}, 2)[:-1] + end,
        "named by laughs": b"\x80\x04" + laughs + b"\x8c\1a\x93.",
        "encoded by laughs": b"\x80\x02" + laughs + b"c_codecs\nencode\nX\1\0\0\0ah\x63\x86R.",
        "memo": begin + b"r" + struct.pack("<I", 1 << 31),
        "sets": b"\x80\x04" + b"}" * (1 << 24),
        "marks": b"\x80\x04" + b"(" * (1 << 24),
        "long text": b"\x80\x04X" + struct.pack("<I", (1 << 32) - 1),
        "longer text": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62),
        "again": b"\x80\x02c_codecs\nencode\nq\0X" + struct.pack("<I", 1 << 23) + b"a" * (1 << 23)
        + b"q\1" + b"h\0h\1X\6\0\0\0latin1\x86R" * 1000,
        "nested": b"\x80\x04)" + b"\x85" * 150_000 + b".",
    }.items():  # fmt: skip
        yield name, {f"data_batch_{n}": content for n in range(1, 6)} | {"test_batch": content}
    png = bytearray(picture("PNG"))
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    struct.pack_into(">I", png, 29, zipfile.crc32(png[12:29]))
    yield "png", bytes(png)
    yield "ppm", b"P6 99999 99999 255\n"
    jpeg = bytearray(picture("JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    yield "jpeg", bytes(jpeg)


def main(count, seed, folder):
    rng = random.Random(seed)
    hostile = Hostile(rng, folder)
    outcomes, wrong, slowest = Counter(), [], 0.0

    def late(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    before = list(bombs(hostile.x))

    def attempt(name, work):
        nonlocal slowest
        began = time.monotonic()
        signal.alarm(60)
        try:
            work()
            outcomes["loaded"] += 1
            if name in dict(before):
                wrong.append(f"{name}: loaded")
        except HoldfastError as error:
            outcomes["refused"] += 1
            if not str(error).isprintable() or len(str(error)) > 1000:
                wrong.append(f"{name}: {error!r}"[:400])
        except BaseException:
            wrong.append(f"{name}: {traceback.format_exc()[-1500:]}")
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.monotonic() - began)

    for name, given in before:
        if isinstance(given, bytes):
            attempt(name, lambda given=given: read_picture(given, "p"))
        else:
            hostile.made(given)
            attempt(name, lambda: load_cifar10(folder))
    for number in range(count):
        attempt(f"input {number} of seed {seed}", hostile.load)
    most = peak() / 2**20
    print(json.dumps({**outcomes, "wrong": wrong, "slowest": slowest, "megabytes": most}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
