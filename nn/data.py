"""CIFAR-10 from wherever the user has it, and generated images for whoever does not."""

import io
import os
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import HoldfastError

__all__ = [
    "CLASSES",
    "Cifar10",
    "ImageSet",
    "download",
    "find_data",
    "generated_images",
    "load_cifar10",
    "sample",
    "test_images",
]

Bytes = NDArray[np.uint8]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_JPEG, _LABELS, _EXACT = (
    "cifar10_jpeg_q75.tar.gz",
    "cifar10_labels.npz",
    "cifar10_exact_subset.npz",
)
_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]


@dataclass(frozen=True)
class ImageSet:
    """Images and what they are.

    Attributes
    ----------
    name : str
        ``official`` (CIFAR-10), ``JPEG-q75`` (all its images, JPEG quality 75), ``exact-932``
        (official test images 0 to 931, lossless) or ``generated``.
    images : uint8 [N, 3, 32, 32]
    labels : uint8 [N], or None for generated images
    """

    name: str
    images: Bytes
    labels: Bytes | None


@dataclass(frozen=True)
class Cifar10:
    """The training images and every test set at hand; the largest test set comes first."""

    train: ImageSet
    tests: tuple[ImageSet, ...]


def find_data(path: Path | None = None) -> Path | None:
    """Where CIFAR-10 is: ``path``, else $HOLDFAST_DATA, else ../shared/data, else None.

    Raises
    ------
    HoldfastError
        A path was given, by argument or environment, and does not exist.
    """
    named = path or os.environ.get("HOLDFAST_DATA")
    if named:
        if not Path(named).exists():
            raise HoldfastError(f"no CIFAR-10 data at {named}: there is no such file or folder.")
        return Path(named)
    return _SHARED if (_SHARED / _EXACT).exists() else None


def load_cifar10(path: Path | None = None) -> Cifar10:
    """All of CIFAR-10.

    The place may be an .npz with train_x, train_y, test_x, test_y; a folder that holds one; the
    official batches, or their archive; or the JPEG copies with their labels. Where some training
    images are at hand lossless as well, they take the place of their JPEG copies.

    Raises
    ------
    HoldfastError
        There are no data, or they cannot be read.
    """
    place = find_data(path)
    if place is None:
        raise HoldfastError(
            "no CIFAR-10 data: name a folder with --data or $HOLDFAST_DATA, or "
            "have the official archive fetched with --download."
        )
    if place.is_dir():
        return _load_folder(place)
    return _load_official_archive(place) if place.name.endswith(".tar.gz") else _load_npz(place)


def sample(images: Bytes, count: int, seed: int) -> Bytes:
    """Up to ``count`` of the images, drawn without repetition, in their order."""
    order = np.random.default_rng(seed).permutation(len(images))
    return images[np.sort(order[:count])]


def test_images(path: Path | None = None) -> ImageSet:
    """The best test set that loads within a second or two: exact-932 where it is at hand."""
    place = find_data(path)
    if place is not None and (place / _EXACT).exists():
        arrays = _read_npz(place / _EXACT, "test_x", "test_y")
        return ImageSet("exact-932", arrays["test_x"], arrays["test_y"])
    return load_cifar10(place).tests[-1]


def download(folder: Path) -> Path:
    """Fetches the official archive (163 MiB) into a folder, checks it, and returns its path.

    Raises
    ------
    HoldfastError
        The site does not answer, or the archive's MD5 is not the published one.
    """
    import pooch

    name = ARCHIVE_URL.rsplit("/", 1)[1]
    try:
        return Path(
            pooch.retrieve(ARCHIVE_URL, f"md5:{ARCHIVE_MD5}", name, folder, progressbar=False)
        )
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise HoldfastError(f"could not fetch {ARCHIVE_URL}: {reason}.") from error


def generated_images(count: int, seed: int) -> ImageSet:
    """Images with the 1/f amplitude spectrum of natural scenes, a few soft-edged shapes, colour.

    They exercise a network's full range of activations; they have no classes.

    Source: D. J. Field, "Relations between the statistics of natural images and the response
    properties of cortical cells", 1987.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32))
    frequency[0, 0] = np.inf
    noise = rng.normal(size=(count, 3, 32, 17)) + 1j * rng.normal(size=(count, 3, 32, 17))
    shared = noise.mean(1, keepdims=True) * 2
    image = np.fft.irfft2((shared + 0.5 * noise) / frequency, s=(32, 32))
    image *= 0.15 / image.std((1, 2, 3), keepdims=True)
    image += rng.uniform(0.3, 0.7, size=(count, 3, 1, 1))
    y, x = np.mgrid[:32, :32]
    for _ in range(3):
        cx, cy, rx, ry, turn = (
            rng.uniform(low, high, (count, 1, 1))
            for low, high in ((0, 32), (0, 32), (3, 12), (3, 12), (0, np.pi))
        )
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        inside = 0.5 - 0.5 * np.tanh(2 * ((u / rx) ** 2 + (v / ry) ** 2 - 1))
        colour = rng.uniform(-0.4, 0.4, (count, 3, 1, 1))
        image += colour * inside[:, None]
    return ImageSet("generated", (image.clip(0, 1) * 255).round().astype(np.uint8), None)


def _load_folder(folder: Path) -> Cifar10:
    if (folder / _JPEG).exists():
        return _load_jpeg(folder)
    for inner in (folder, folder / "cifar-10-batches-py"):
        if (inner / "test_batch").exists():
            return _official(
                {
                    name: (inner / name).read_bytes()
                    for name in [*_BATCHES, "test_batch"]
                    if (inner / name).exists()
                },
                inner,
            )
    archive = folder / ARCHIVE_URL.rsplit("/", 1)[1]
    if archive.exists():
        return _load_official_archive(archive)
    for file in sorted(folder.glob("*.npz")):
        with _npz(file) as arrays:
            found = {"train_x", "test_x"} <= set(arrays.files)
        if found:
            return _load_npz(file)
    raise HoldfastError(
        f"no CIFAR-10 data in {folder}: it holds neither the official batches, nor "
        f"their archive, nor an .npz with train_x and test_x, nor {_JPEG}."
    )


@contextmanager
def _npz(file: Path) -> Iterator[Any]:
    """The arrays of a file; what is wrong with it is told as the user's mistake."""
    try:
        arrays = np.load(file, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("it is a single array")
        with arrays:
            yield arrays
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise HoldfastError(f"{file} cannot be read as .npz: {error}.") from error


def _read_npz(file: Path, *needed: str) -> dict[str, Any]:
    with _npz(file) as arrays:
        missing = [name for name in needed if name not in arrays.files]
        if missing:
            raise HoldfastError(f"{file} is no CIFAR-10 data: it lacks {', '.join(missing)}.")
        return {name: arrays[name] for name in arrays.files}


def _load_npz(file: Path) -> Cifar10:
    arrays = _read_npz(file, "train_x", "train_y", "test_x", "test_y")
    for split in ("train", "test"):
        x, y = arrays[f"{split}_x"], arrays[f"{split}_y"]
        if x.dtype != np.uint8 or x.shape != (len(x), 3, 32, 32) or y.shape != (len(x),):
            raise HoldfastError(
                f"{split}_x and {split}_y of {file} must be uint8 [N, 3, 32, 32] and labels [N], "
                f"not {x.dtype} {list(x.shape)} and {list(y.shape)}."
            )
    if "exact_test_x" not in arrays:
        return Cifar10(
            ImageSet("official", arrays["train_x"], arrays["train_y"]),
            (ImageSet("official", arrays["test_x"], arrays["test_y"]),),
        )
    if np.array_equal(arrays["test_x"][:932], arrays["exact_test_x"]):
        raise HoldfastError(
            f"{file} mixes lossless and JPEG images in its test set; "
            "accuracies on it mean nothing: prepare it without --exact."
        )
    return _mixed(arrays)


def _mixed(arrays: dict[str, Any]) -> Cifar10:
    """JPEG copies of everything, some of the images also lossless."""
    train = arrays["train_x"].copy()
    train[arrays["exact_train_index"]] = arrays["exact_train_x"]
    return Cifar10(
        ImageSet("JPEG-q75", train, arrays["train_y"]),
        (
            ImageSet("JPEG-q75", arrays["test_x"], arrays["test_y"]),
            ImageSet("exact-932", arrays["exact_test_x"], arrays["exact_test_y"]),
        ),
    )


def _load_jpeg(folder: Path) -> Cifar10:
    from PIL import Image

    labels = _read_npz(folder / _LABELS, "train_y", "test_y")
    exact = _read_npz(folder / _EXACT, "train_index", "train_x", "test_x", "test_y")
    decoded: dict[tuple[str, int], dict[str, Bytes]] = {}
    try:
        with tarfile.open(folder / _JPEG) as tar:
            for member in tar:
                if not member.name.endswith(".jpg"):
                    continue
                split, kind, file = member.name.split("/")[-3:]
                stream = tar.extractfile(member)
                assert stream is not None
                image = np.asarray(Image.open(io.BytesIO(stream.read())).convert("RGB"))
                decoded.setdefault((split, CLASSES.index(kind)), {})[file] = image
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        raise HoldfastError(f"{folder / _JPEG} cannot be read: {error}.") from error
    arrays: dict[str, Any] = {
        "exact_train_index": exact["train_index"],
        "exact_train_x": exact["train_x"],
        "exact_test_x": exact["test_x"],
        "exact_test_y": exact["test_y"],
    }
    for split in ("train", "test"):
        y = labels[f"{split}_y"]
        x = np.empty((len(y), 3, 32, 32), np.uint8)
        for label in range(len(CLASSES)):
            # within a class the files are numbered in the official order
            files = sorted(decoded.get((split, label), {}).items())
            if len(files) != np.count_nonzero(y == label):
                raise HoldfastError(
                    f"{folder / _JPEG} holds {len(files)} {split} images of class "
                    f"{CLASSES[label]}, not {np.count_nonzero(y == label)}."
                )
            x[np.flatnonzero(y == label)] = np.stack([i for _, i in files]).transpose(0, 3, 1, 2)
        arrays[f"{split}_x"], arrays[f"{split}_y"] = x, y
    return _mixed(arrays)


def _load_official_archive(file: Path) -> Cifar10:
    batches = {}
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                name = member.name.rsplit("/", 1)[-1]
                if name in _BATCHES or name == "test_batch":
                    stream = tar.extractfile(member)
                    assert stream is not None
                    batches[name] = stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise HoldfastError(f"{file} cannot be read: {error}.") from error
    return _official(batches, file)


def _official(batches: dict[str, bytes], place: Path) -> Cifar10:
    missing = [name for name in [*_BATCHES, "test_batch"] if name not in batches]
    if missing:
        raise HoldfastError(f"CIFAR-10 in {place} lacks {', '.join(missing)}.")
    x, y = {}, {}
    for name, content in batches.items():
        try:
            batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
            x[name] = np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32)
            y[name] = np.asarray(batch[b"labels"], np.uint8)
        except (
            pickle.UnpicklingError,
            EOFError,
            KeyError,
            ValueError,
            TypeError,
            IndexError,
            AttributeError,
        ) as error:
            raise HoldfastError(f"{name} in {place} is no CIFAR-10 batch: {error}.") from error
    return Cifar10(
        ImageSet(
            "official",
            np.concatenate([x[name] for name in _BATCHES]),
            np.concatenate([y[name] for name in _BATCHES]),
        ),
        (ImageSet("official", x["test_batch"], y["test_batch"]),),
    )


class _BatchUnpickler(pickle.Unpickler):
    """Reads NumPy arrays, lists, numbers and strings; refuses anything that could run code."""

    _ALLOWED = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if name == "_reconstruct":
            from numpy._core import multiarray

            return multiarray._reconstruct
        return super().find_class(module, name)
