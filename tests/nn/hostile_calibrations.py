"""Mutants of files of calibrated fault models, each loaded and drawn from:

python -m tests.nn.hostile_calibrations COUNT FOLDER FILE...
"""

import io
import json
import random
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from holdfast.nn.errors.empirical import CalibratedFaults
from holdfast.nn.networks.spec import Network
from tests.nn.mutations import mutated_bytes, mutated_json, survey

_TYPES = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64, np.float16,
          np.float64, np.longdouble, np.complex64, np.bool_, "U3", "S3", "M8[s]", "V2")  # fmt: skip
_EXTREMES = (0, -1, 1, 127, 128, 1 << 31, -(1 << 31), 1 << 62, -(1 << 63))


def read(path: Path) -> None:
    """Load, and draw what it makes of a layer's sums and codes."""
    model = CalibratedFaults(path, 1.0)
    spec = Network("tiny", (1, 4, 4))
    spec.dense("b", spec.conv("a", "image", 9, 3), 3)
    bits = model.calibration.act_bits
    model.bind(spec)
    model.start({}, 4, bits, torch.device("cpu"))
    for name, shape in (("a", (4, 9, 4, 4)), ("b", (4, 3, 1, 1))):
        values = torch.zeros(shape)
        model.sums(values, 9, bits, name, lambda size=shape[1]: torch.ones(size))
        model.stored(name, values, torch.tensor(0.1), 0, bits)


def mutants(draw: random.Random, count: int, bases: list[bytes]) -> Iterator[bytes]:
    for _ in range(count):
        data = draw.choice(bases)
        choice = draw.randrange(8)
        if choice < 2:
            yield mutated_bytes(draw, data)
            continue
        with np.load(io.BytesIO(data)) as file:
            arrays = {name: file[name] for name in file.files}
        if choice < 5:
            text = mutated_json(draw, json.loads(str(arrays["header"])))
            arrays["header"] = np.array(text.replace("\0", ""))
        elif choice < 7:
            name = draw.choice(list(arrays))
            arrays[name] = _other(draw, arrays[name])
        else:
            yield _bomb(draw, data)
            continue
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        yield stream.getvalue()


def _other(draw: random.Random, array: np.ndarray) -> np.ndarray:
    """An array of another type or shape, or with other numbers."""
    choice = draw.randrange(4)
    if choice == 0:
        return np.zeros(draw.choice([(), 0, 1, 3, (2, 2), array.size + 1]), draw.choice(_TYPES))
    if choice == 1 or array.dtype.kind not in "iu" or not array.size:
        return np.zeros(array.shape, draw.choice(_TYPES))
    changed = array.astype(np.int64)
    flat = changed.reshape(-1)
    at = draw.randrange(flat.size)
    flat[at] = draw.choice([*_EXTREMES, int(flat[at]) + 1, int(flat[at]) - 1])
    return changed if choice == 2 else changed[::-1].copy()


def _bomb(draw: random.Random, data: bytes) -> bytes:
    """An archive in which an array says that it is far larger than it is, or has no .npy."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        chosen = draw.choice(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            if name == chosen:
                content = draw.choice([
                    content[: draw.randrange(len(content))],
                    content.replace(b"'shape': (", b"'shape': (9999999999, "),
                    content.replace(b"'shape': (", b"'shape': (-"),
                    content.replace(b"'descr': '", b"'descr': '|O"),
                    content.replace(b"'shape': (", b"'shape': " + b"(" * 90),
                    b"",
                ])  # fmt: skip
            new.writestr(name, content, draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_BZIP2]))
    return stream.getvalue()


if __name__ == "__main__":
    count, folder, *models = sys.argv[1:]
    files = [Path(model).read_bytes() for model in models]
    torch.set_num_threads(1)
    found = mutants(random.Random(1), int(count), files)
    json.dump(survey(read, found, Path(folder)), sys.stdout)
