"""The weight-stationary mapping: a tile's weights stay while all output pixels stream past."""

from collections.abc import Iterator

from holdfast.nn.compiler.constants import tile_parameters, tile_weights
from holdfast.nn.compiler.descriptors import layer_descriptor, tile_descriptors
from holdfast.nn.compiler.tiling import layer_tiles

from .base import Layer, Piece, Room


def weight_stationary(layer: Layer, room: Room) -> Iterator[Piece]:
    """Yields a piece for each run of output tiles with regularly spaced input channels."""
    descriptor = layer_descriptor(layer)
    for tile in layer_tiles(layer, room):
        descriptors = tile_descriptors(layer, tile, descriptor)
        # Fields of a residual stay in the descriptors of a fill, which reads none.
        descriptor = descriptors[-1]
        yield Piece(descriptors, tile_weights(layer, tile), tile_parameters(layer, tile))
