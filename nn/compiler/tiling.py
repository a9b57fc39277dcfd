"""Cuts a layer into runs of output tiles that one descriptor can say."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from holdfast.nn.compiler.mappings.base import Layer, Room
from holdfast.nn.graph.graph import ConvNode

from .checks import check_room
from .lanes import pixel_words


@dataclass(frozen=True)
class Tile:
    """Describes a run of output tiles with regularly spaced input channels.

    Attributes
    ----------
    first_tile, tiles : int
        Output tiles, of ``cols`` channels each.
    first_block, blocks : int
        Blocks of ``rows`` input lanes that the first output tile is made of.
    step : int
        Words from one output tile's input channels to the next's.
    lane_mask : int
        Columns that are written.
    hold : bool
        One weight tile serves all reduction tiles.
    fill : bool
        Writes the zero point into lanes that hold no channel, and reads nothing that counts.
    """

    first_tile: int
    tiles: int
    first_block: int
    blocks: int
    step: int
    lane_mask: int
    hold: bool = False
    fill: bool = False


def layer_tiles(layer: Layer, room: Room) -> Iterator[Tile]:
    """Yields the runs of a layer, none with more weights or parameters than there is room for."""
    config, operation, who = layer.config, layer.operation, f"layer {layer.step.name}"
    for run in _runs(layer):
        hold = operation.weight is None and run.blocks == 1
        positions = 1 if hold else operation.fields.kernel_h * operation.fields.kernel_w
        words = config.rows * run.blocks * positions
        check_room(who, words, room.weights, "words of weight memory")
        check_room(who, config.cols, room.channels, "channels of parameter memory")
        most = min(room.weights // words, room.channels // config.cols)
        for tile in range(0, run.tiles, most):
            yield replace(
                run,
                first_tile=run.first_tile + tile,
                tiles=min(most, run.tiles - tile),
                first_block=run.first_block + tile * run.step * config.sub_blocks,
                hold=hold,
            )
    yield from _fills(layer)


def _runs(layer: Layer) -> list[Tile]:
    """Returns output tiles, and for each the run of input channel blocks that it needs."""
    config, operation = layer.config, layer.operation
    lane_of = {channel: lane for lane, channel in enumerate(layer.source.lanes) if channel >= 0}
    count = len(operation.channels)
    tiles = -(-count // config.cols)
    every_lane = (1 << config.cols) - 1
    if operation.weight is not None and operation.groups == 1:
        return [Tile(0, tiles, 0, max(lane_of.values()) // config.rows + 1, 0, every_lane)]
    runs: list[Tile] = []
    for tile in range(tiles):
        outputs = range(tile * config.cols, min((tile + 1) * config.cols, count))
        needs: dict[int, int] = {}
        for column, output in enumerate(outputs):
            for channel in operation.inputs(output, len(lane_of)):
                block = lane_of[channel] // config.rows
                needs[block] = needs.get(block, 0) | 1 << column
        first, last = min(needs, default=0), max(needs, default=0)
        if operation.fields.maximum and last > first:
            # A maximum cannot take zeros from rows of another block: one block at a time.
            needs[first] |= every_lane & ~((1 << len(outputs)) - 1)
            runs += [Tile(tile, 1, block, 1, 0, mask) for block, mask in needs.items()]
            continue
        new = Tile(tile, 1, first, last - first + 1, 0, every_lane)
        longer = _joined(runs[-1], new, config.sub_blocks) if runs else None
        if longer:
            runs[-1] = longer
        else:
            runs.append(new)
    return runs


def _joined(run: Tile, tile: Tile, sub_blocks: int) -> Tile | None:
    """Returns a run with one more output tile, or None where that is spaced in another way."""
    words, remainder = divmod(tile.first_block - run.first_block, sub_blocks)
    if remainder or words < 0 or run.blocks != tile.blocks:
        return None
    if run.tiles > 1:
        return replace(run, tiles=run.tiles + 1) if words == run.step * run.tiles else None
    if run.first_tile == tile.first_tile - 1 and run.lane_mask == tile.lane_mask:
        return replace(run, tiles=2, step=words)
    return None


def _fills(layer: Layer) -> Iterator[Tile]:
    """Yields output tiles for the lanes behind the last channel, if an input guard would see them.

    They hold what another tensor has left there; its violations would be counted.
    """
    config, count = layer.config, len(layer.operation.channels)
    read = any(
        isinstance(node, ConvNode) and layer.step.target in node.inputs
        for node in layer.graph.nodes
    )
    if not (config.learnt_guard and read):
        return
    lanes = pixel_words(config, count) * config.word_lanes
    for tile in range(-(-count // config.cols), -(-lanes // config.cols)):
        used = min(config.cols, lanes - tile * config.cols)
        yield Tile(tile, 1, 0, 1, 0, (1 << used) - 1, fill=True)
