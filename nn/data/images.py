"""Images and their labels, checked for values; and what a network needs to know of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable, shown

Bytes = NDArray[np.uint8]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


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
    classes : int
        How many there are in the whole set, where that is known; else 0.
    """

    name: str
    images: Bytes
    labels: Bytes | None
    classes: int = 0

    def drawn(self, count: int, seed: int) -> "ImageSet":
        """Returns so many of the images, drawn at random without repetition."""
        chosen = np.random.default_rng(seed).choice(len(self.images), count, replace=False)
        labels = None if self.labels is None else self.labels[chosen]
        return ImageSet(self.name, self.images[chosen], labels, self.classes)


def class_name(index: int, classes: int) -> str:
    """Returns what to call a class of so many: CIFAR-10's name where there are ten, else its
    number.
    """
    return CLASSES[index] if classes == len(CLASSES) else str(index)


def check_network(name: str, shape: tuple[int, ...], classes: int, *sets: ImageSet) -> None:
    """Check that a network takes such images, and has the classes of their labels.

    Parameters
    ----------
    name : str
        Of the network.
    shape : tuple of int
        Of the images that it takes, (C, H, W).

    Raises
    ------
    HoldfastError
        Images have another shape, labels another number of classes.
    """
    network = f"network {printable(name, 80)}"
    for found in sets:
        given = found.images.shape[1:]
        if shape != given:
            raise HoldfastError(
                f"{network} takes images of shape {shape}, those at hand have {given}."
            )
        if found.labels is None:
            continue
        if found.classes and classes != found.classes:
            raise HoldfastError(
                f"{network} has {classes} classes, the {found.name} images have {found.classes}."
            )
        if int(found.labels.max()) >= classes:
            raise HoldfastError(
                f"{network} has {classes} classes, a label of the {found.name} images is "
                f"{found.labels.max()}; they count from 0."
            )


def image_set(name: str, images: Bytes, labels: Any, told: str, classes: int = 0) -> ImageSet:
    """Images with the labels given for them, once both are what they should be.

    Parameters
    ----------
    images : uint8 [N, C, H, W]
    labels : list or array
        Whatever the data have as labels.
    told : str
        What to call the images in messages.
    classes : int
        How many there are, where that is known; else 0.

    Raises
    ------
    HoldfastError
        There are no images, or their labels are not as many, or no whole numbers from 0 up.
    """
    if len(images) == 0:
        raise HoldfastError(f"there are no {told}.")
    if len(labels) != len(images):
        raise HoldfastError(f"the {len(images)} {told} have {len(labels)} labels.")
    last = (classes or 256) - 1
    for index, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, int | np.integer):
            # What is nested in many ways would take for ever to show.
            what = shown(label) if isinstance(label, str | float | bool) else type(label).__name__
            raise HoldfastError(f"label {index} of the {told} is no whole number: {what}.")
        if not 0 <= label <= last:
            raise HoldfastError(
                f"label {index} of the {told} must be from 0 to {last}, not {shown(int(label))}."
            )
    return ImageSet(name, images, np.array(labels, np.uint8), classes)
