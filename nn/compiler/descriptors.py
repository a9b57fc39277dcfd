"""Says in descriptors how the array computes a layer's tiles."""

from dataclasses import replace

from holdfast.base.errors import HoldfastError
from holdfast.gen.layout import Descriptor
from holdfast.nn.compiler.mappings.base import Layer
from holdfast.nn.graph.graph import AddNode, ShortcutNode

from .lanes import part_words
from .tiling import Tile


def layer_descriptor(layer: Layer) -> Descriptor:
    """Returns a descriptor with the fields that all tiles of a layer share."""
    fields, source, target = layer.operation.fields, layer.source, layer.target
    row = source.width * source.words
    add = layer.graph[layer.step.nodes[-1]]
    if isinstance(add, AddNode):
        own, other = add.multiplier_a, add.multiplier_b
        if add.inputs[0] == layer.step.residual:
            own, other = other, own
        fields = replace(
            fields, add_multiplier_a=own, add_multiplier_b=other, add_shift=add.shift,
            add_zero=add.zero_point, add_lo=add.lo, add_hi=add.hi,
        )  # fmt: skip
    # The residual is never read from the input's bank, also by layers that have none.
    return replace(
        fields, input_bank=source.bank, output_bank=target.bank,
        residual_bank=1 - min(source.bank, 1), in_h=source.height, in_w=source.width,
        step_x=fields.stride * source.words, step_y=fields.stride * row,
        step_kx=fields.dilation * source.words, step_ky=fields.dilation * row,
        out_w=target.width, out_step=target.words,
    )  # fmt: skip


def tile_descriptors(layer: Layer, tile: Tile, like: Descriptor) -> tuple[Descriptor, ...]:
    """Returns a tile's descriptors, one per band of output rows that the accumulators hold.

    ``like`` has the fields that are those of its layer.

    Raises
    ------
    HoldfastError
        The accumulators do not hold a row.
    """
    config, source, target = layer.config, layer.source, layer.target
    band = config.acc_depth // target.width
    if band == 0:
        raise HoldfastError(
            f"layer {layer.step.name} has rows of {target.width} pixels, the accumulators hold "
            f"{config.acc_depth}."
        )
    word, sub_block = divmod(tile.first_block, config.sub_blocks)
    out_word, out_lane = divmod(tile.first_tile * config.cols, config.word_lanes)
    out_word += target.base + part_words(layer.graph, config, layer.step).start
    made = []
    for top in range(0, target.height, band):
        origin_y = layer.operation.fields.origin_y + top * like.stride
        start = (origin_y * source.width + like.origin_x) * source.words
        descriptor = replace(
            like, hold_weights=int(tile.hold), sub_block=sub_block, input_step=tile.step,
            input_base=(source.base + word + start) % (1 << 16), origin_y=origin_y,
            blocks=tile.blocks, co_tiles=tile.tiles, lane_mask=tile.lane_mask, out_lane=out_lane,
            out_h=min(band, target.height - top),
            out_base=out_word + top * target.width * target.words,
        )  # fmt: skip
        if tile.fill:
            descriptor = _fill(layer, descriptor)
        elif layer.step.residual:
            descriptor = _with_residual(layer, tile, top, descriptor)
        made.append(descriptor)
    return tuple(made)


def _fill(layer: Layer, descriptor: Descriptor) -> Descriptor:
    low, high = layer.graph.codes
    return replace(
        descriptor, kernel_h=1, kernel_w=1, maximum=0, residual=0, input_lo=low, input_hi=high,
        zero_out=layer.graph[layer.step.target].zero_point, lo=low, hi=high,
    )  # fmt: skip


def _with_residual(layer: Layer, tile: Tile, top: int, descriptor: Descriptor) -> Descriptor:
    config, step = layer.config, layer.step
    node, tensor = layer.graph[step.residual], layer.places[step.reads[1]]
    # A shortcut without a step of its own is read here.
    viewed = step.reads[1] != step.residual
    stride = node.stride if viewed and isinstance(node, ShortcutNode) else 1
    tiles = -(-tensor.channels // config.cols)
    word, lane = divmod(tile.first_tile * config.cols, config.word_lanes)
    row = stride * tensor.width * tensor.words
    return replace(
        descriptor, residual=1, residual_bank=tensor.bank, res_zero=node.zero_point, res_lane=lane,
        res_base=tensor.base + word + top * row, res_step_x=stride * tensor.words, res_step_y=row,
        res_tiles=max(0, min(tiles - tile.first_tile, tile.tiles)),
    )  # fmt: skip
