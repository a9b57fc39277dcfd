"""CIFAR-10 from wherever the user has it, and generated images for whoever does not."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from holdfast.base.errors import HoldfastError
from holdfast.base.files import read_bytes
from holdfast.base.npz import Npz
from holdfast.base.text import printable, reason, shown

from .archive import members
from .batches import LARGEST_BATCH, read_batch
from .images import CLASSES, Bytes, ImageSet, image_set
from .pictures import SIDE, read_picture

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"

_SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
_JPEG, _LABELS, _EXACT = (
    "cifar10_jpeg_q75.tar.gz",
    "cifar10_labels.npz",
    "cifar10_exact_subset.npz",
)
_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_FOLDER = "cifar-10-batches-py"

_MOST_IMAGES = 80_000
_LARGEST = _MOST_IMAGES * 3 * SIDE * SIDE
_LARGEST_PICTURE = 1 << 20
_IMAGES = (None, 3, SIDE, SIDE)


@dataclass(frozen=True)
class Cifar10:
    """Holds the training images and every test set at hand; the largest test set comes first."""

    train: ImageSet
    tests: tuple[ImageSet, ...]


def find_data(path: Path | None = None) -> Path | None:
    """Returns where CIFAR-10 is: ``path``, else $HOLDFAST_DATA, else ../shared/data, else None.

    Raises
    ------
    HoldfastError
        A path was given, by argument or environment, and does not exist.
    """
    named = path or os.environ.get("HOLDFAST_DATA")
    if named:
        if not os.path.isfile(named) and not os.path.isdir(named):
            what = "neither file nor folder" if os.path.exists(named) else "no such file or folder"
            raise HoldfastError(f"no CIFAR-10 data at {printable(named, 300)}: there is {what}.")
        return Path(named)
    return _SHARED if os.path.isfile(_SHARED / _EXACT) else None


def load_cifar10(path: Path | None = None) -> Cifar10:
    """Returns all of CIFAR-10.

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
            "no CIFAR-10 data: name their folder, also as $HOLDFAST_DATA, or "
            "fetch the official archive with holdfast train --download."
        )
    if place.is_dir():
        return _load_folder(place)
    return _load_official_archive(place) if place.name.endswith(".tar.gz") else _load_npz(place)


def sample(images: Bytes, count: int, seed: int) -> Bytes:
    """Returns up to ``count`` of the images, drawn without repetition, in their order."""
    order = np.random.default_rng(seed).permutation(len(images))
    return images[np.sort(order[:count])]


def test_images(path: Path | None = None) -> ImageSet:
    """Returns the best test set that loads within a second or two: exact-932 if it is at hand."""
    place = find_data(path)
    if place is not None and os.path.isfile(place / _EXACT):
        with _npz(place / _EXACT) as file:
            return _split(file, place / _EXACT, "exact-932", "test", len(CLASSES))
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
        raise HoldfastError(f"could not fetch {ARCHIVE_URL}: {reason(error)}.") from error


def generated_images(count: int, seed: int) -> ImageSet:
    """Returns images with the 1/f amplitude spectrum of natural scenes, a few soft-edged shapes,
    colour.

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
    if os.path.exists(folder / _JPEG):
        return _load_jpeg(folder)
    for inner in (folder, folder / _FOLDER):
        if os.path.exists(inner / "test_batch"):
            present = [name for name in _BATCHES if os.path.exists(inner / name)]
            batches = (
                (name, read_bytes(inner / name, "CIFAR-10 batch", LARGEST_BATCH))
                for name in present
            )
            return _official(batches, inner)
    archive = folder / ARCHIVE_URL.rsplit("/", 1)[1]
    if os.path.exists(archive):
        return _load_official_archive(archive)
    for file in sorted(folder.glob("*.npz")):
        with _npz(file) as arrays:
            found = {"train_x", "test_x"} <= set(arrays.names)
        if found:
            return _load_npz(file)
    raise HoldfastError(
        f"no CIFAR-10 data in {printable(folder)}: it holds neither the official batches, nor "
        f"their archive, nor an .npz with train_x and test_x, nor {_JPEG}."
    )


def _npz(file: Path) -> Npz:
    # Labels of eight bytes each, and an index of every image.
    return Npz(file, "data", _LARGEST + 16 * _MOST_IMAGES)


def _split(file: Npz, place: Path, name: str, split: str, classes: int = 0) -> ImageSet:
    """The images of one split of an .npz, and their labels."""
    x = file.read(f"{split}_x", np.uint8, _IMAGES)
    y = file.read(f"{split}_y", np.integer, (None,))
    return image_set(name, x, y, f"{split} images of {printable(place)}", classes)


def _load_npz(file: Path) -> Cifar10:
    with _npz(file) as arrays:
        needed = ("train_x", "train_y", "test_x", "test_y")
        missing = [name for name in needed if name not in arrays.names]
        if missing:
            raise HoldfastError(
                f"{printable(file)} is no CIFAR-10 data: it lacks {', '.join(missing)}."
            )
        train = _split(arrays, file, "official", "train")
        test = _split(arrays, file, "official", "test")
        if "exact_test_x" not in arrays.names:
            return Cifar10(train, (test,))
        exact = _split(arrays, file, "exact-932", "exact_test")
        if np.array_equal(test.images[:932], exact.images):
            raise HoldfastError(
                f"{printable(file)} mixes lossless and JPEG images in its test set; "
                "accuracies on it mean nothing: prepare it without --exact."
            )
        _replace(train.images, arrays, file, "exact_train_index", "exact_train_x")
    return _jpeg_sets(train, test, exact)


def _replace(images: Bytes, file: Npz, place: Path, indices: str, exact: str) -> None:
    """Puts lossless images in the place of their JPEG copies."""
    x = file.read(exact, np.uint8, _IMAGES)
    index = file.read(indices, np.integer, (len(x),))
    wrong = index[(index < 0) | (index >= len(images))]
    if len(wrong):
        raise HoldfastError(
            f"{indices} of {printable(place)} must be from 0 to {len(images) - 1}, not {wrong[0]}."
        )
    if len(np.unique(index)) < len(index):
        raise HoldfastError(f"{indices} of {printable(place)} has an image twice.")
    images[index] = x


def _jpeg_sets(train: ImageSet, test: ImageSet, exact: ImageSet) -> Cifar10:
    """JPEG copies of everything, some of the images also lossless."""
    mixed, copies = (
        ImageSet("JPEG-q75", part.images, part.labels, part.classes) for part in (train, test)
    )
    return Cifar10(mixed, (copies, exact))


def _load_jpeg(folder: Path) -> Cifar10:
    archive, count = folder / _JPEG, len(CLASSES)
    splits = {}
    with _npz(folder / _LABELS) as file:
        for split in ("train", "test"):
            y = file.read(f"{split}_y", np.integer, (None,))
            if len(y) > _MOST_IMAGES:
                raise HoldfastError(
                    f"{printable(folder / _LABELS)} has {len(y):,} {split} labels, at most "
                    f"{_MOST_IMAGES:,} are read."
                )
            x = np.zeros((len(y), 3, SIDE, SIDE), np.uint8)
            told = f"{split} images of {printable(folder / _LABELS)}"
            splits[split] = image_set("JPEG-q75", x, y, told, count)
    decoded = _decoded(archive, sum(len(part.images) for part in splits.values()))
    for split, part in splits.items():
        for label, kind in enumerate(CLASSES):
            # within a class the files are numbered in the official order
            files = sorted(decoded.get((split, kind), {}).items())
            wanted = np.flatnonzero(part.labels == label)
            if len(files) != len(wanted):
                raise HoldfastError(
                    f"{printable(archive)} holds {len(files)} {split} images of class {kind}, "
                    f"not {len(wanted)}."
                )
            for index, (_, image) in zip(wanted, files, strict=True):
                part.images[index] = image
    with _npz(folder / _EXACT) as file:
        exact = _split(file, folder / _EXACT, "exact-932", "test", count)
        _replace(splits["train"].images, file, folder / _EXACT, "train_index", "train_x")
    return _jpeg_sets(splits["train"], splits["test"], exact)


def _decoded(archive: Path, most: int) -> dict[tuple[str, str], dict[str, Bytes]]:
    """The pictures of an archive by split and class, then by file."""
    found: dict[tuple[str, str], dict[str, Bytes]] = {}
    pictures = members(archive, lambda name: name.endswith(".jpg"), _LARGEST_PICTURE)
    for number, (name, content) in enumerate(pictures):
        told = f"{shown(name)} in {printable(archive)}"
        parts = name.split("/")[-3:]
        if len(parts) < 3 or parts[0] not in ("train", "test") or parts[1] not in CLASSES:
            raise HoldfastError(f"{told} is not named as SPLIT/CLASS/FILE of CIFAR-10.")
        files = found.setdefault((parts[0], parts[1]), {})
        if parts[2] in files:
            raise HoldfastError(f"{told} is there twice.")
        if number == most:
            raise HoldfastError(f"{printable(archive)} has more pictures than the {most:,} labels.")
        files[parts[2]] = read_picture(content, told, ("JPEG",))
    return found


def _load_official_archive(file: Path) -> Cifar10:
    batches = members(file, lambda name: name.rsplit("/", 1)[-1] in _BATCHES, LARGEST_BATCH)
    return _official(((name.rsplit("/", 1)[-1], content) for name, content in batches), file)


def _official(batches: Iterable[tuple[str, bytes]], place: Path) -> Cifar10:
    found: dict[str, ImageSet] = {}
    for name, content in batches:
        told = f"{name} in {printable(place)}"
        if name in found:
            raise HoldfastError(f"{told} is there twice.")
        try:
            images, labels = read_batch(content)
        except Exception as error:
            # Of any kind, as the pickle leads to it.
            raise HoldfastError(f"{told} is no CIFAR-10 batch: {reason(error)}.") from None
        found[name] = image_set("official", images, labels, f"images of {told}", len(CLASSES))
    missing = [name for name in _BATCHES if name not in found]
    if missing:
        raise HoldfastError(f"CIFAR-10 in {printable(place)} lacks {', '.join(missing)}.")
    test = found.pop("test_batch")
    parts = [found[name] for name in _BATCHES if name in found]
    train = ImageSet(
        "official",
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts if part.labels is not None]),
        len(CLASSES),
    )
    return Cifar10(train, (test,))
