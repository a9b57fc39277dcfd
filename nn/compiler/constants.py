"""Makes the weights and parameters of a tile, as they lie in memory."""

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.layout import parameter_words
from holdfast.nn.compiler.mappings.base import Layer

from .tiling import Tile


def tile_weights(layer: Layer, tile: Tile) -> NDArray[np.int8]:
    """Returns weight tiles in the order in which the feeder asks for them, int8 [words, cols]."""
    config, operation = layer.config, layer.operation
    rows, cols, blocks = config.rows, config.cols, tile.blocks
    if tile.fill:
        return np.zeros((tile.tiles * rows, cols), np.int8)
    positions = 1 if tile.hold else operation.fields.kernel_h * operation.fields.kernel_w
    result = np.zeros((tile.tiles, positions, blocks, rows, cols), np.int8)
    for index in range(tile.tiles):
        begin = (tile.first_block + index * tile.step * config.sub_blocks) * rows
        window = layer.source.lanes[begin : begin + blocks * rows]
        window += (-1,) * (blocks * rows - len(window))
        first = (tile.first_tile + index) * cols
        weights = operation.weights(range(first, first + cols), window)
        result[index] = weights.reshape(cols, blocks, rows, -1).transpose(3, 1, 2, 0)
    return result.reshape(-1, cols)


def tile_parameters(layer: Layer, tile: Tile) -> list[list[int]]:
    """Returns the bus words of every output channel, those behind the last one included."""
    config, operation = layer.config, layer.operation
    first, last = (n * config.cols for n in (tile.first_tile, tile.first_tile + tile.tiles))
    channels = operation.channels[first:last]
    channels += (operation.unused,) * (last - first - len(channels))
    return [parameter_words(config, *channel) for channel in channels]
