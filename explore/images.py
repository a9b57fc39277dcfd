"""Images that measurements share: test sets at hand, or generated ones."""

from functools import cache
from pathlib import Path

import numpy as np

from base.cache import file_hash
from nn.data import ImageSet, find_data, generated_images, load_cifar10

__all__ = ["data_identity", "some_images", "test_sets"]


def data_identity(data: Path | None) -> str:
    """What tells the data at hand from others; empty without any."""
    place = find_data(data)
    return file_hash(place.resolve()) if place else ""


@cache
def test_sets(data: Path | None) -> tuple[ImageSet, ...]:
    """Every test set at hand, the largest first; none without CIFAR-10."""
    return load_cifar10(data).tests if find_data(data) else ()


def some_images(data: Path | None, count: int, seed: int) -> ImageSet:
    """Random images of the largest test set, all if it has no more; generated ones without any."""
    sets = test_sets(data)
    if not sets:
        return generated_images(count, seed)
    full = sets[0]
    if count >= len(full.images):
        return full
    chosen = np.random.default_rng(seed).choice(len(full.images), count, replace=False)
    labels = None if full.labels is None else full.labels[chosen]
    return ImageSet(full.name, full.images[chosen], labels)
