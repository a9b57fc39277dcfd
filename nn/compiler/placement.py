"""Finds a place in the activation banks for every tensor."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.graph.graph import Graph

from .checks import check_room
from .lanes import PackedImage, tensor_lanes
from .program import Place, Step

_BUDGET = 20_000
"""Tensors for which places are listed before the search gives up."""


@dataclass(frozen=True)
class _Tensor:
    """A tensor that seeks a place, and the steps that first write and last read it.

    It may not lie in the bank of a tensor ``apart``; it may take the place of the one it is
    ``over``, if any. Bank and base of ``shape`` are yet to be found.
    """

    shape: Place
    born: int
    dies: int
    apart: frozenset[str]
    over: str


def place_tensors(
    graph: Graph, config: AcceleratorConfig, steps: tuple[Step, ...], packed: PackedImage | None
) -> dict[str, Place]:
    """Returns the place of every stored tensor.

    Raises
    ------
    HoldfastError
        A tensor is larger than a bank, or together they do not fit.
    """
    image = graph.nodes[0].name
    shapes: dict[str, Place] = {}
    for name in dict.fromkeys([image, *(step.target for step in steps)]):
        lanes = packed.lanes if packed and name == image else tensor_lanes(graph, config, name)
        words = len(lanes) // config.word_lanes
        shapes[name] = Place(0, 0, words, *graph[name].shape[1:], lanes)
        check_room(
            f"tensor {name}", shapes[name].size, config.act_depth, "words of one activation bank"
        )
    places = _search(_tensors(steps, lifetimes(graph, steps), shapes), config)
    if places is None:
        raise HoldfastError(
            f"the activations of network {graph.network} do not fit {config.act_banks} banks of "
            f"{config.act_depth} words, with a residual in another bank than its layer's input."
        )
    return places


def lifetimes(graph: Graph, steps: Sequence[Step]) -> dict[str, tuple[int, int]]:
    """Returns the steps that first write and last read each stored tensor.

    The image is written before step 0, -1; the last tensor is read by the host after all steps.
    """
    spans = {graph.nodes[0].name: (-1, -1)}
    for index, step in enumerate(steps):
        for name in (*step.reads, step.target):
            spans[name] = (spans.get(name, (index, index))[0], index)
    last = steps[-1].target
    return spans | {last: (spans[last][0], len(steps))}


def _tensors(
    steps: Sequence[Step], spans: Mapping[str, tuple[int, int]], shapes: Mapping[str, Place]
) -> dict[str, _Tensor]:
    apart: dict[str, set[str]] = {name: set() for name in shapes}
    for step in steps:
        if step.residual:
            source, residual = step.reads
            apart[source].add(residual)
            apart[residual].add(source)
    over = {
        step.target: step.residual
        for index, step in enumerate(steps)
        if step.residual in shapes
        and step.residual != step.source
        and spans[step.residual][1] == index
        and shapes[step.residual].lanes == shapes[step.target].lanes
    }
    return {
        name: _Tensor(shape, *spans[name], frozenset(apart[name]), over.get(name, ""))
        for name, shape in shapes.items()
    }


def _search(tensors: Mapping[str, _Tensor], config: AcceleratorConfig) -> dict[str, Place] | None:
    """Searches banks depth first, first fit inside a bank; returns the first that works."""
    names = list(tensors)
    places: dict[str, Place] = {}
    budget = _BUDGET
    # For each tensor that is placed, and for the next one, the places that are left to try.
    left: list[Iterator[Place]] = []
    while len(places) < len(names):
        name = names[len(places)]
        if len(left) == len(places):
            budget -= 1
            if budget < 0:
                return None
            left.append(iter(list(_candidates(name, tensors, places, config))))
        taken = {places[other].bank for other in tensors[name].apart if other in places}
        place = next((place for place in left[-1] if place.bank not in taken), None)
        if place is not None:
            places[name] = place
            continue
        left.pop()
        if not places:
            return None
        del places[names[len(places) - 1]]
    return places


def _candidates(
    name: str,
    tensors: Mapping[str, _Tensor],
    places: Mapping[str, Place],
    config: AcceleratorConfig,
) -> Iterator[Place]:
    """Yields the place of the residual that it may take, then the lowest in each bank."""
    tensor = tensors[name]
    if tensor.over:
        old = places[tensor.over]
        yield replace(tensor.shape, bank=old.bank, base=old.base)
    live = [
        place
        for other, place in places.items()
        if tensors[other].dies >= tensor.born and tensors[other].born <= tensor.dies
    ]
    for bank in range(config.act_banks):
        base = 0
        for begin, end in sorted((p.base, p.base + p.size) for p in live if p.bank == bank):
            if base + tensor.shape.size <= begin:
                break
            base = max(base, end)
        if base + tensor.shape.size <= config.act_depth:
            yield replace(tensor.shape, bank=bank, base=base)
