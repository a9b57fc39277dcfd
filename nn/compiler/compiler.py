"""Compiles an integer graph for an accelerator: descriptors, weights, parameters, tensor places.

The passes go from frozen values to frozen values: widths are checked (`checks`), nodes become steps
(`fusion`), tensors get lanes (`lanes`) and places (`placement`), steps become operations
(`operation`) and these pieces (`mappings`), which are laid out in memory here.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import Descriptor
from holdfast.nn.compiler.mappings.base import Layer, Piece, Room
from holdfast.nn.compiler.mappings.registry import find_mapping
from holdfast.nn.graph.graph import Graph

from .checks import check_room, check_widths
from .fusion import fuse
from .lanes import pack_image
from .operation import step_operation
from .placement import place_tensors
from .program import Chunk, Program, Step


def compile_graph(graph: Graph, config: AcceleratorConfig, parts: bool = False) -> Program:
    """Compiles a network for an accelerator.

    Parameters
    ----------
    parts
        Allow more descriptors than the program memory holds: the program then runs part by part
        (see ``Program.parts``).

    Raises
    ------
    HoldfastError
        The network does not fit, or the accelerator computes with other widths: names the layer,
        the need and what there is.
    """
    check_widths(graph, config)
    steps = fuse(graph, config)
    packed = pack_image(graph, config)
    places = place_tensors(graph, config, steps, packed)
    layers = [
        Layer(graph, config, step, step_operation(graph, config, step, packed), places)
        for step in steps
    ]
    mapping = find_mapping(config.dataflow)
    for share in (1, 2):
        room = Room(config.weight_depth // share, config.param_depth // share)
        pieces = [list(mapping(layer, room)) for layer in layers]
        groups = _groups(pieces, room)
        if len(groups) == 1:
            break
    chunks, descriptors = _lay_out(groups, room)
    ends = list(accumulate(sum(len(piece.descriptors) for piece in own) for own in pieces))
    steps = tuple(
        replace(step, first=first, descriptors=tuple(descriptors[first:end]))
        for step, first, end in zip(steps, [0, *ends], ends, strict=False)
    )
    words = [_words(step, descriptor, config) for step in steps for descriptor in step.descriptors]
    if not parts:
        who = f"network {graph.network}"
        check_room(who, len(words), config.program_depth, "descriptors of program memory")
    return Program(
        config, graph, steps, np.array(words, np.uint32), chunks, places,
        packed.columns if packed else 1, packed.padding if packed else 0,
    )  # fmt: skip


def _groups(pieces: Sequence[Sequence[Piece]], room: Room) -> list[list[Piece]]:
    """Returns consecutive pieces that fit together."""
    groups: list[list[Piece]] = []
    weights = channels = 0
    for piece in (piece for own in pieces for piece in own):
        weights, channels = weights + len(piece.weights), channels + len(piece.parameters)
        if not groups or weights > room.weights or channels > room.channels:
            groups.append([])
            weights, channels = len(piece.weights), len(piece.parameters)
        groups[-1].append(piece)
    return groups


def _lay_out(groups: list[list[Piece]], room: Room) -> tuple[tuple[Chunk, ...], list[Descriptor]]:
    """Lays groups out in alternating halves; returns all descriptors with their addresses."""
    chunks: list[Chunk] = []
    descriptors: list[Descriptor] = []
    for index, group in enumerate(groups):
        first = len(descriptors)
        bases = index % 2 * room.weights, index % 2 * room.channels
        weights, channels = bases
        for piece in group:
            descriptors += [
                replace(descriptor, weight_base=weights, param_base=channels)
                for descriptor in piece.descriptors
            ]
            weights, channels = weights + len(piece.weights), channels + len(piece.parameters)
        parameters = [words for piece in group for words in piece.parameters]
        stacked = np.concatenate([piece.weights for piece in group])
        count = len(descriptors) - first
        chunks.append(Chunk(first, count, bases[0], stacked, bases[1], np.array(parameters, "u4")))
    return tuple(chunks), descriptors


def _words(step: Step, descriptor: Descriptor, config: AcceleratorConfig) -> list[int]:
    try:
        return descriptor.pack(config)
    except ValueError as error:
        raise HoldfastError(f"layer {step.name} is beyond the hardware: {error}.") from None
