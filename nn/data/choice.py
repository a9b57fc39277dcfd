"""Images for a network, from the data at hand."""

from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.base.options import check_whole
from holdfast.nn.graph.graph import Graph

from .cifar import find_data, generated_images, test_images
from .images import ImageSet, check_network

MOST_IMAGES = 10_000
"""As many as the largest test set has."""


def chosen_images(data: Path | None, count: int, seed: int) -> ImageSet:
    """Returns random images of the best test set at hand, or generated ones."""
    check_whole(1, MOST_IMAGES, images=count)
    if find_data(data) is None:
        return generated_images(count, seed)
    full = test_images(data)
    if count > len(full.images):
        raise HoldfastError(f"images must be at most {len(full.images)}, not {count}.")
    return full.drawn(count, seed)


def images_for(graph: Graph, data: Path | None, count: int, seed: int) -> ImageSet:
    """Returns the images of `chosen_images`, if the network takes such.

    Raises
    ------
    HoldfastError
        It takes images of another shape, has other classes, or there are not so many.
    """
    images = chosen_images(data, count, seed)
    check_network(graph.network, graph.nodes[0].shape, graph.classes, images)
    return images
