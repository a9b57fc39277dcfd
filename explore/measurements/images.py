"""Images that measurements share: test sets at hand, or generated ones."""

from functools import cache
from pathlib import Path

from holdfast.base.cache import digest, file_hash
from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable, reason
from holdfast.nn.data.cifar import find_data, generated_images, load_cifar10
from holdfast.nn.data.images import ImageSet


def data_identity(data: Path | None) -> str:
    """Returns what tells the data at hand from others; empty without any."""
    place = find_data(data)
    if place is None:
        return ""
    inner = place / "cifar-10-batches-py"
    parts = [place, inner] if inner.is_dir() else [place]
    try:
        return digest([file_hash(part.resolve()) for part in parts])
    except OSError as error:
        raise HoldfastError(f"cannot read {printable(place)}: {reason(error)}.") from None


@cache
def test_sets(data: Path | None) -> tuple[ImageSet, ...]:
    """Returns every test set at hand, the largest first; none without CIFAR-10."""
    return load_cifar10(data).tests if find_data(data) else ()


def some_images(data: Path | None, count: int, seed: int) -> ImageSet:
    """Random images of the largest test set, all if it has no more; generated ones without any."""
    sets = test_sets(data)
    if not sets:
        return generated_images(count, seed)
    return sets[0] if count >= len(sets[0].images) else sets[0].drawn(count, seed)
