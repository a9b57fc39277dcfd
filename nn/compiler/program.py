"""From an integer graph to what the accelerator runs: descriptors, weight and parameter memories,
tensor places.

A step is one layer as the hardware runs it: a convolution or dense layer with the residual add
that follows it, a pooling, or a copy; it takes one descriptor, or several where a layer has to be
cut (see ``Step``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import ADD_SHIFT_BITS, Descriptor, parameter_words
from holdfast.gen.protection.range_guard import fixed_bound
from holdfast.nn.graph.graph import (
    AddNode,
    AvgPoolNode,
    ConcatNode,
    ConvNode,
    Graph,
    InputNode,
    MaxPoolNode,
    Node,
    ShortcutNode,
)

__all__ = ["Chunk", "Place", "Program", "Step", "compile_graph"]


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: pixel p begins at word ``base + p * words`` of a bank.

    Attributes
    ----------
    lanes : tuple of int
        Channel in each lane of a pixel's words; -1 where a lane holds the zero point.
    """

    bank: int
    base: int
    words: int
    height: int
    width: int
    lanes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Words of the bank."""
        return self.height * self.width * self.words


@dataclass
class Step:
    """One layer as the hardware runs it.

    Attributes
    ----------
    name : str
        Node whose tensor is written.
    nodes : tuple of str
        Graph nodes that the step computes.
    source, residual : str
        Nodes whose tensors it reads; ``residual`` may be empty.
    reads : tuple of str
        The stored tensors behind them.
    target : str
        The stored tensor that it writes; a concatenation is written by several steps.
    first, count : int
        Its descriptors: one, or one per band of output rows that the accumulators hold, and per
        group of output tiles whose input channels are regularly spaced.
    macs : int
        Multiply-accumulates of the network that it does; 0 for pooling and copies.
    descriptors : tuple of Descriptor
    """

    name: str
    nodes: tuple[str, ...]
    source: str
    residual: str
    reads: tuple[str, ...] = ()
    target: str = ""
    first: int = 0
    count: int = 0
    macs: int = 0
    walks: list[dict[str, int]] = field(default_factory=list)
    descriptors: tuple[Descriptor, ...] = ()

    @property
    def part(self) -> int:
        """Which input of a concatenation it copies, for a step that does."""
        return int(self.name.rpartition(".")[2])


@dataclass(frozen=True)
class Chunk:
    """Weights and parameters of consecutive descriptors, and where they have to lie.

    Attributes
    ----------
    first, count : int
        The descriptors that need them.
    weight_base, weights
        Word address, and int8 [words, cols].
    param_base, parameters
        Channel address, and uint32 [channels, 4].
    """

    first: int
    count: int
    weight_base: int
    weights: NDArray[np.int8]
    param_base: int
    parameters: NDArray[np.uint32]


@dataclass
class Program:
    """A network on one accelerator.

    Attributes
    ----------
    descriptors : uint32 [n, words]
    chunks : list of Chunk
        One where everything fits on chip. Otherwise they take turns in the two halves of the
        memories: the host writes one while the array works with the other.
    places : dict
        Place of every stored tensor, by node name.
    packed : int
        Kernel columns packed into the channels of the input image; 1: none.
    """

    config: AcceleratorConfig
    graph: Graph
    steps: list[Step]
    descriptors: NDArray[np.uint32]
    chunks: list[Chunk]
    places: dict[str, Place]
    packed: int = 1
    packed_padding: int = 0

    @property
    def resident(self) -> bool:
        """Whether all weights are on chip at once."""
        return len(self.chunks) == 1

    @property
    def parts(self) -> list[tuple[int, int]]:
        """First descriptor and number of descriptors of each part that is started on its own; one
        part where the program memory holds all.
        """
        total, depth = len(self.descriptors), self.config.program_depth
        return [(first, min(depth, total - first)) for first in range(0, total, depth)]

    def channels(self, step: Step) -> slice:
        """Channels of its target that a step writes: all, but in a concatenation."""
        node = self.graph[step.target]
        if not isinstance(node, ConcatNode):
            return slice(0, node.shape[0])
        sizes = [self.graph[name].shape[0] for name in node.inputs]
        return slice(sum(sizes[: step.part]), sum(sizes[: step.part + 1]))

    def input_words(self, codes: NDArray[np.integer]) -> NDArray[np.int8]:
        """The image as it lies in memory: int8 [words, lanes] from codes [C, H, W]."""
        if self.packed == 1:
            return self.tensor_words(self.graph.nodes[0].name, codes)
        zero = self.graph.nodes[0].zero_point
        pad = self.packed_padding
        beside = ((0, 0), (0, 0), (pad, self.packed))
        padded = np.pad(codes, beside, constant_values=zero)
        width = codes.shape[2]
        shifted = [padded[:, :, column : column + width] for column in range(self.packed)]
        return self.tensor_words(self.graph.nodes[0].name, np.concatenate(shifted))

    def tensor_words(self, name: str, codes: NDArray[np.integer]) -> NDArray[np.int8]:
        """A tensor [C, H, W] as it lies in memory: int8 [words, lanes]."""
        place = self.places[name]
        zero = self.graph[name].zero_point
        channels = np.array(place.lanes)
        flat = codes.reshape(codes.shape[0], -1).T
        words = np.where(channels >= 0, flat[:, channels], zero).astype(np.int8)
        return words.reshape(place.size, -1)

    def tensor_codes(self, name: str, words: NDArray[np.integer]) -> NDArray[np.int8]:
        """A tensor [C, H, W] from the words of its place, int8 [words, lanes]."""
        place = self.places[name]
        pixels = words.reshape(place.height * place.width, -1)
        lanes = {channel: lane for lane, channel in enumerate(place.lanes) if channel >= 0}
        order = [lanes[channel] for channel in range(len(lanes))]
        return pixels[:, order].T.reshape(-1, place.height, place.width).astype(np.int8)


def compile_graph(graph: Graph, config: AcceleratorConfig, parts: bool = False) -> Program:
    """Place a network on an accelerator.

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
    return _Compiler(graph, config, parts).run()


@dataclass
class _Reduction:
    """The array's work for a run of output tiles with regularly spaced input channels."""

    first_tile: int
    tiles: int
    first_block: int
    blocks: int
    step: int
    lane_mask: int
    fill: bool = False
    """Writes the zero point into lanes that hold no channel, and reads nothing that counts."""


@dataclass
class _Piece:
    """A reduction's descriptors with the weights and parameters that they share."""

    walks: list[dict[str, int]]
    weights: NDArray[np.int8]
    parameters: list[list[int]]


class _Compiler:
    def __init__(self, graph: Graph, config: AcceleratorConfig, parts: bool):
        self.graph = graph
        self.config = config
        self.parts = parts
        self.steps: list[Step] = []
        self.places: dict[str, Place] = {}
        self.pieces: list[_Piece] = []
        self.packed = 1
        self.packed_padding = 0

    def run(self) -> Program:
        self._check_widths()
        self._plan()
        self._place()
        cfg = self.config
        self._emit_all(cfg.weight_depth, cfg.param_depth)
        weights = sum(len(piece.weights) for piece in self.pieces)
        channels = sum(len(piece.parameters) for piece in self.pieces)
        half_weights, half_channels = cfg.weight_depth // 2, cfg.param_depth // 2
        if weights <= cfg.weight_depth and channels <= cfg.param_depth:
            chunks = self._chunks([self.pieces], 0, 0)
        else:
            self._emit_all(half_weights, half_channels)
            chunks = self._chunks(self._groups(half_weights, half_channels),
                                  half_weights, half_channels)  # fmt: skip
        for step in self.steps:
            step.descriptors = tuple(Descriptor(**walk) for walk in step.walks)
            step.walks = []
        descriptors = [self._pack(step, d) for step in self.steps for d in step.descriptors]
        if not self.parts:
            self._need("program memory", "descriptors", len(descriptors), cfg.program_depth)
        return Program(
            config=cfg,
            graph=self.graph,
            steps=self.steps,
            descriptors=np.array(descriptors, np.uint32),
            chunks=chunks,
            places=self.places,
            packed=self.packed,
            packed_padding=self.packed_padding,
        )

    def _pack(self, step: Step, descriptor: Descriptor) -> list[int]:
        try:
            return descriptor.pack(self.config)
        except ValueError as error:
            raise HoldfastError(f"layer {step.name} is beyond the hardware: {error}.") from None

    def _emit_all(self, most_weights: int, most_channels: int) -> None:
        self.pieces = []
        first = 0
        for step in self.steps:
            step.walks = []
            self._emit(step, most_weights, most_channels)
            step.first, step.count = first, len(step.walks)
            first += step.count

    def _groups(self, most_weights: int, most_channels: int) -> list[list[_Piece]]:
        """Consecutive pieces that fit together."""
        groups: list[list[_Piece]] = []
        weights = channels = 0
        for piece in self.pieces:
            weights, channels = weights + len(piece.weights), channels + len(piece.parameters)
            if not groups or weights > most_weights or channels > most_channels:
                groups.append([])
                weights, channels = len(piece.weights), len(piece.parameters)
            groups[-1].append(piece)
        return groups

    @staticmethod
    def _chunks(groups: list[list[_Piece]], half_weights: int, half_channels: int) -> list[Chunk]:
        """Lay groups out in alternating halves and tell their descriptors the addresses."""
        chunks = []
        first = 0
        for index, group in enumerate(groups):
            weight_base, param_base = index % 2 * half_weights, index % 2 * half_channels
            weights, channels = weight_base, param_base
            for piece in group:
                for walk in piece.walks:
                    walk |= {"weight_base": weights, "param_base": channels}
                weights, channels = weights + len(piece.weights), channels + len(piece.parameters)
            count = sum(len(piece.walks) for piece in group)
            chunks.append(
                Chunk(
                    first=first,
                    count=count,
                    weight_base=weight_base,
                    weights=np.concatenate([piece.weights for piece in group]),
                    param_base=param_base,
                    parameters=np.array(
                        [words for piece in group for words in piece.parameters], np.uint32
                    ),
                )
            )
            first += count
        return chunks

    def _need(self, what: str, unit: str, need: int, have: int, layer: str = "") -> None:
        if need > have:
            raise HoldfastError(
                f"{layer or 'network ' + self.graph.network} needs {need} {unit} of {what}, "
                f"the accelerator has {have}."
            )

    def _check_widths(self) -> None:
        graph, cfg = self.graph, self.config
        for name in ("act_bits", "weight_bits", "multiplier_bits", "rounding"):
            if getattr(graph, name) != getattr(cfg, name):
                raise HoldfastError(
                    f"network {graph.network} has {name} {getattr(graph, name)}, "
                    f"the accelerator has {getattr(cfg, name)}."
                )
        for node in graph.nodes:
            if isinstance(node, ConvNode):
                need = graph.accumulator_bits(node)
            elif isinstance(node, AvgPoolNode):
                largest = (1 << graph.act_bits - 1) + abs(graph[node.inputs[0]].zero_point)
                need = (node.kernel**2 * largest).bit_length() + 1
            else:
                continue
            if need > cfg.acc_bits:
                raise HoldfastError(
                    f"layer {node.name} needs acc_bits of at least {need}, "
                    f"the accelerator has {cfg.acc_bits}."
                )
        for node in graph.weighted():
            for shift in node.shift:
                if shift > cfg.max_shift:
                    raise HoldfastError(
                        f"layer {node.name} shifts by {shift}, the accelerator by at most "
                        f"{cfg.max_shift} (acc_bits + multiplier_bits - 1)."
                    )
        for node in graph.nodes:
            if isinstance(node, AddNode) and node.shift >> ADD_SHIFT_BITS:
                raise HoldfastError(
                    f"residual add {node.name} shifts by {node.shift}, the accelerator by at most "
                    f"{(1 << ADD_SHIFT_BITS) - 1}."
                )

    # Which nodes become one step.

    def _plan(self) -> None:
        users: dict[str, list[Node]] = {node.name: [] for node in self.graph.nodes}
        for node in self.graph.nodes:
            for name in node.inputs:
                users[name].append(node)
        last = self.graph.nodes[-1]
        order = {node.name: index for index, node in enumerate(self.graph.nodes)}
        fused: set[str] = set()
        for node in self.graph.nodes:
            if not isinstance(node, AddNode):
                continue
            # The later of the two operands is the one computed together with the add.
            for name in sorted(node.inputs, key=lambda n: -order[n]):
                if len(users[name]) == 1 and self._fusable(name, node):
                    fused.add(name)
                    break
        self.views = {
            node.name: node.inputs[0]
            for node in self.graph.nodes
            if isinstance(node, ShortcutNode)
            and node is not last
            and all(
                isinstance(user, AddNode)
                and len(set(user.inputs)) == 2
                and any(name in fused for name in user.inputs if name != node.name)
                for user in users[node.name]
            )
        }
        for node in self.graph.nodes:
            if isinstance(node, InputNode) or node.name in fused or node.name in self.views:
                continue
            if isinstance(node, AddNode):
                main = next((name for name in node.inputs if name in fused), None)
                if main is not None and users[main] == [node]:
                    other = next(name for name in node.inputs if name != main)
                    conv = self.graph[main]
                    step = Step(node.name, (main, node.name), conv.inputs[0], other)
                    step.macs = conv.macs
                else:
                    source, residual = sorted(node.inputs, key=self._straight)
                    if source == residual or not self._straight(residual):
                        raise HoldfastError(
                            f"layer {node.name} adds {source} and {residual}, "
                            "the accelerator adds two tensors of which one is no concatenation."
                        )
                    step = Step(node.name, (node.name,), source, residual)
                self.steps.append(step)
            elif isinstance(node, ConcatNode):
                self.steps += [
                    Step(f"{node.name}.{index}", (node.name,), name, "")
                    for index, name in enumerate(node.inputs)
                ]
            else:
                self.steps.append(Step(node.name, (node.name,), node.inputs[0], ""))
                self.steps[-1].macs = node.macs

    def _fusable(self, name: str, add: Node) -> bool:
        """Whether an add can take its other operand while it is computed with this one.

        The other one has to lie in another bank than this one's input.
        """
        conv = self.graph[name]
        other = self.graph[next(operand for operand in add.inputs if operand != name)]
        behind = other.inputs[0] if isinstance(other, ShortcutNode) else other.name
        if not isinstance(conv, ConvNode) or conv.inputs[0] in (other.name, behind):
            return False
        return self._straight(other.name) and self._straight(behind)

    def _straight(self, name: str) -> bool:
        """Whether the channels of a tensor lie in consecutive lanes, as a residual's must."""
        lanes = [lane for lane in self._lanes(self.graph[name]) if lane >= 0]
        return self._lanes(self.graph[name])[: len(lanes)] == tuple(lanes)

    def _tensor(self, name: str) -> str:
        """The stored tensor behind a residual that is read through a shortcut."""
        return self.views.get(name, name)

    def _target(self, step: Step) -> str:
        """The stored tensor that a step writes."""
        node = step.nodes[-1]
        return node if isinstance(self.graph[node], ConcatNode) else step.name

    # Where the tensors lie.

    def _lanes(self, node: Node) -> tuple[int, ...]:
        """Channel in each lane of a pixel."""
        lanes = self.config.word_lanes
        groups = [self.graph[name].shape[0] for name in node.inputs]
        if not isinstance(node, ConcatNode):
            groups = [node.shape[0]]
        placed: list[int] = []
        first = 0
        for channels in groups:
            placed += range(first, first + channels)
            placed += [-1] * (self._words(channels) * lanes - channels)
            first += channels
        return tuple(placed)

    def _words(self, channels: int) -> int:
        """Words of a pixel: its last output tile is written whole."""
        cols = self.config.cols
        return -(-(-(-channels // cols) * cols) // self.config.word_lanes)

    def _pack_input(self) -> tuple[int, ...] | None:
        """Lanes of an image with kernel columns packed into channels, if that saves tiles."""
        image = self.graph.nodes[0]
        users = [node for node in self.graph.nodes if image.name in node.inputs]
        if len(users) != 1 or not isinstance(users[0], ConvNode):
            return None
        conv, rows = users[0], self.config.rows
        columns = conv.weight.shape[3]
        channels = image.shape[0] * columns
        blocks, packed_blocks = columns * -(-image.shape[0] // rows), -(-channels // rows)
        guarded = conv.input_lo <= image.zero_point <= conv.input_hi
        if packed_blocks >= blocks or conv.dilation != 1 or conv.groups != 1 or not guarded:
            return None
        # the packed image is as wide as the image, windows beyond it would read padding alone
        last = conv.offset + conv.stride * (conv.shape[2] - 1)
        if last >= image.shape[2] or conv.op == "dense":
            return None
        self.packed, self.packed_padding = columns, conv.padding
        lanes = self.config.word_lanes
        return tuple(range(channels)) + (-1,) * (-channels % lanes)

    def _place(self) -> None:
        image = self.graph.nodes[0]
        shapes: dict[str, Place] = {}
        names = [image.name] + [self._target(step) for step in self.steps]
        for name in dict.fromkeys(names):
            node = self.graph[name]
            lanes = (self._pack_input() if node is image else None) or self._lanes(node)
            words = len(lanes) // self.config.word_lanes
            shapes[name] = Place(0, 0, words, node.shape[1], node.shape[2], lanes)
            self._need(
                "one activation bank", "words", shapes[name].size, self.config.act_depth,
                f"tensor {name}",
            )  # fmt: skip
        born = {image.name: -1}
        dies: dict[str, int] = {}
        apart: dict[str, set[str]] = {name: set() for name in shapes}
        for index, step in enumerate(self.steps):
            born.setdefault(self._target(step), index)
            dies[self._target(step)] = max(dies.get(self._target(step), index), index)
            for name in filter(None, (step.source, step.residual)):
                dies[self._tensor(name)] = index
            if step.residual:
                source, residual = self._tensor(step.source), self._tensor(step.residual)
                apart[source].add(residual)
                apart[residual].add(source)
        dies[names[-1]] = len(self.steps)
        in_place = {
            step.name: self._tensor(step.residual)
            for index, step in enumerate(self.steps)
            if step.residual
            and step.residual not in self.views
            and dies[step.residual] == index
            and step.residual != step.source
            and shapes[step.residual].lanes == shapes[step.name].lanes
        }
        if not self._assign(list(dict.fromkeys(names)), shapes, born, dies, apart, in_place):
            raise HoldfastError(
                f"the activations of network {self.graph.network} do not fit "
                f"{self.config.act_banks} banks of "
                f"{self.config.act_depth} words, with a residual in another bank than its layer's "
                "input."
            )

    def _assign(self, names, shapes, born, dies, apart, in_place) -> bool:
        """Depth-first search over banks, first fit inside a bank; the first that works."""
        budget = 20_000

        def candidates(name: str) -> Iterator[Place]:
            shape = shapes[name]
            old = in_place.get(name)
            if old is not None:
                place = self.places[old]
                yield Place(place.bank, place.base, *_shape(shape))
            live = [
                other
                for other in self.places
                if dies[other] >= born[name] and born[other] <= dies[name]
            ]
            for bank in range(self.config.act_banks):
                taken = sorted(
                    (p.base, p.base + p.size)
                    for p in (self.places[other] for other in live)
                    if p.bank == bank
                )
                base = 0
                for begin, end in taken:
                    if base + shape.size <= begin:
                        break
                    base = max(base, end)
                if base + shape.size <= self.config.act_depth:
                    yield Place(bank, base, *_shape(shape))

        # For each tensor that is placed, and for the next one, the places that are left to try.
        left: list[Iterator[Place]] = []
        while len(self.places) < len(names):
            name = names[len(self.places)]
            if len(left) == len(self.places):
                budget -= 1
                if budget < 0:
                    return False
                left.append(iter(list(candidates(name))))
            place = next((p for p in left[-1] if not self._clashes(p, apart[name])), None)
            if place is not None:
                self.places[name] = place
                continue
            left.pop()
            if not self.places:
                return False
            del self.places[names[len(self.places) - 1]]
        return True

    def _clashes(self, place: Place, apart: set[str]) -> bool:
        """Whether a tensor lies in this bank that must not."""
        return any(
            other in self.places and self.places[other].bank == place.bank for other in apart
        )

    # What the hardware is told.

    def _emit(self, step: Step, most_weights: int, most_channels: int) -> None:
        source = self.places[self._tensor(step.source)]
        node = self.graph[step.nodes[0]]
        kernel, stride, origin, dilation = self._geometry(node)
        target = self.graph[self._target(step)]
        channels = node.shape[0] if not isinstance(node, ConcatNode) else source_channels(source)
        if target.shape[1:] == (1, 1):
            stride = 1
        walk = self._static(step, node, source)
        walk |= {"stride": stride, "dilation": dilation}
        kernel_h, kernel_w = kernel
        first_y = first_x = origin
        if self.packed > 1 and step.source == self.graph.nodes[0].name:
            kernel_w, first_x = 1, origin + self.packed_padding
        walk |= {"kernel_h": kernel_h, "kernel_w": kernel_w}

        height, width = target.shape[1:]
        band = self.config.acc_depth // width
        if band == 0:
            raise HoldfastError(
                f"layer {step.name} has rows of {width} pixels, the accumulators hold "
                f"{self.config.acc_depth}."
            )
        out = self.places[self._target(step)]
        out_word = self._part(step)
        split = self._split(
            self._reductions(node, channels, source), step, kernel_h * kernel_w, most_weights,
            most_channels,
        )  # fmt: skip
        for reduction in (*split, *self._fills(step, channels)):
            piece = _Piece(
                [],
                self._weights(node, reduction, source, kernel_h, kernel_w),
                self._parameters(node, step, channels, reduction),
            )
            self.pieces.append(piece)
            lane = reduction.first_tile * self.config.cols
            lanes = self.config.word_lanes
            word, sub_block = divmod(reduction.first_block, self.config.sub_blocks)
            hold = reduction.blocks == 1 and self._diagonal(node)
            for top in range(0, height, band):
                rows = min(band, height - top)
                origin_y, origin_x = first_y + top * stride, first_x
                start = (origin_y * source.width + origin_x) * source.words
                walk |= {
                    "hold_weights": int(hold),
                    "input_base": (source.base + word + start) % (1 << 16),
                    "sub_block": sub_block,
                    "input_step": reduction.step,
                    "step_x": stride * source.words,
                    "step_y": stride * source.width * source.words,
                    "step_kx": dilation * source.words,
                    "step_ky": dilation * source.width * source.words,
                    "blocks": reduction.blocks,
                    "origin_y": origin_y,
                    "origin_x": origin_x,
                    "co_tiles": reduction.tiles,
                    "out_h": rows,
                    "out_w": width,
                    "out_base": out.base + out_word + lane // lanes + top * width * out.words,
                    "out_step": out.words,
                    "out_lane": lane % lanes,
                    "lane_mask": reduction.lane_mask,
                }
                if reduction.fill:
                    walk |= self._fill_fields(target)
                elif step.residual:
                    walk |= self._residual(step, reduction, top, width)
                piece.walks.append(dict(walk))
            step.walks += piece.walks
        step.reads = tuple(self._tensor(n) for n in (step.source, step.residual) if n)
        step.target = self._target(step)

    def _fills(self, step: Step, channels: int) -> Iterator[_Reduction]:
        """Output tiles for the lanes behind the last channel, if an input guard would see them.

        They hold what another tensor has left there; its violations would be counted.
        """
        cfg, target = self.config, self._target(step)
        read = any(
            isinstance(node, ConvNode) and target in node.inputs for node in self.graph.nodes
        )
        if not (cfg.learnt_guard and read):
            return
        lanes = self._words(channels) * cfg.word_lanes
        for tile in range(-(-channels // cfg.cols), -(-lanes // cfg.cols)):
            used = min(cfg.cols, lanes - tile * cfg.cols)
            yield _Reduction(tile, 1, 0, 1, 0, (1 << used) - 1, fill=True)

    def _fill_fields(self, target: Node) -> dict[str, int]:
        low, high = self.graph.codes
        return {
            "kernel_h": 1,
            "kernel_w": 1,
            "hold_weights": 0,
            "maximum": 0,
            "residual": 0,
            "input_lo": low,
            "input_hi": high,
            "zero_out": target.zero_point,
            "lo": low,
            "hi": high,
        }

    def _split(
        self, reductions: list[_Reduction], step: Step, positions: int, weights: int, channels: int
    ) -> Iterator[_Reduction]:
        """Cut runs of output tiles whose weights or parameters exceed what is there for them."""
        cfg = self.config
        diagonal = self._diagonal(self.graph[step.nodes[0]])
        for reduction in reductions:
            hold = diagonal and reduction.blocks == 1
            words = cfg.rows * reduction.blocks * (1 if hold else positions)
            self._need("weight memory", "words", words, weights, f"layer {step.name}")
            self._need("parameter memory", "channels", cfg.cols, channels, f"layer {step.name}")
            most = min(weights // words, channels // cfg.cols)
            for tile in range(0, reduction.tiles, most):
                yield _Reduction(
                    reduction.first_tile + tile,
                    min(most, reduction.tiles - tile),
                    reduction.first_block + tile * reduction.step * cfg.sub_blocks,
                    reduction.blocks,
                    reduction.step,
                    reduction.lane_mask,
                )

    def _part(self, step: Step) -> int:
        """Word of the pixel at which a step's channels begin; 0 but in a concatenation."""
        node = self.graph[step.nodes[-1]]
        if not isinstance(node, ConcatNode):
            return 0
        return sum(self._words(self.graph[name].shape[0]) for name in node.inputs[: step.part])

    def _geometry(self, node: Node) -> tuple[tuple[int, int], int, int, int]:
        """Kernel, stride, row and column where the first window begins, dilation."""
        match node:
            case ConvNode():
                kernel = node.weight.shape[2:]
                origin = node.offset - node.padding
                return (kernel[0], kernel[1]), node.stride, origin, node.dilation
            case AvgPoolNode() | MaxPoolNode():
                return (node.kernel, node.kernel), node.stride, -node.padding, 1
            case ShortcutNode():
                return (1, 1), node.stride, 0, 1
            case _:
                return (1, 1), 1, 0, 1

    @staticmethod
    def _diagonal(node: Node) -> bool:
        """Whether each output channel is made of the input channel of its number, weight 1."""
        return not isinstance(node, ConvNode)

    def _static(self, step: Step, node: Node, source: Place) -> dict[str, int]:
        """Fields that all descriptors of a step share."""
        first = self.graph[step.source]
        target = self.graph[step.nodes[-1]]
        low, high = self.graph.codes
        walk = {
            "input_bank": source.bank,
            "output_bank": self.places[self._target(step)].bank,
            "in_h": source.height,
            "in_w": source.width,
            "pad_value": first.zero_point,
            "zero_in": first.zero_point,
            "input_lo": low,
            "input_hi": high,
            "zero_out": first.zero_point,
            "lo": low,
            "hi": high,
            # The residual is never read from the input's bank, also by layers that have none.
            "residual_bank": 1 - min(source.bank, 1),
        }
        match node:
            case ConvNode():
                walk |= {"input_lo": node.input_lo, "input_hi": node.input_hi}
                walk |= {"zero_out": node.zero_point, "lo": node.lo, "hi": node.hi}
            case AvgPoolNode():
                walk |= {"zero_out": node.zero_point, "lo": node.lo, "hi": node.hi}
            case MaxPoolNode():
                walk |= {"maximum": 1, "pad_value": low}
        if isinstance(target, AddNode):
            operand = node.name if isinstance(node, ConvNode) else step.source
            swapped = target.inputs[0] != operand
            a, b = target.multiplier_a, target.multiplier_b
            walk |= {
                "add_multiplier_a": b if swapped else a,
                "add_multiplier_b": a if swapped else b,
                "add_shift": target.shift,
                "add_zero": target.zero_point,
                "add_lo": target.lo,
                "add_hi": target.hi,
            }
        return walk

    def _residual(self, step: Step, reduction: _Reduction, top: int, width: int) -> dict[str, int]:
        tensor = self.places[self._tensor(step.residual)]
        node = self.graph[step.residual]
        stride = (
            node.stride if step.residual in self.views and isinstance(node, ShortcutNode) else 1
        )
        channels = source_channels(tensor)
        tiles = -(-channels // self.config.cols)
        lanes = self.config.word_lanes
        word, lane = divmod(reduction.first_tile * self.config.cols, lanes)
        return {
            "residual": 1,
            "residual_bank": tensor.bank,
            "res_base": tensor.base + word + top * stride * tensor.width * tensor.words,
            "res_step_x": stride * tensor.words,
            "res_step_y": stride * tensor.width * tensor.words,
            "res_tiles": max(0, min(tiles - reduction.first_tile, reduction.tiles)),
            "res_lane": lane,
            "res_zero": node.zero_point,
        }

    def _reductions(self, node: Node, channels: int, source: Place) -> list[_Reduction]:
        """Output tiles, and for each the run of input channel blocks that it needs."""
        cfg = self.config
        tiles = -(-channels // cfg.cols)
        every_lane = (1 << cfg.cols) - 1
        groups = node.groups if isinstance(node, ConvNode) else 0
        total = (
            max(lane for lane, channel in enumerate(source.lanes) if channel >= 0) // cfg.rows + 1
        )
        if groups == 1:
            return [_Reduction(0, tiles, 0, total, 0, every_lane)]
        lane_of = {channel: lane for lane, channel in enumerate(source.lanes) if channel >= 0}
        runs: list[_Reduction] = []
        for tile in range(tiles):
            outputs = range(tile * cfg.cols, min((tile + 1) * cfg.cols, channels))
            needs: dict[int, int] = {}
            for output in outputs:
                for channel in self._needs(node, output, len(lane_of)):
                    block = lane_of[channel] // cfg.rows
                    needs[block] = needs.get(block, 0) | 1 << (output - tile * cfg.cols)
            first, last = min(needs, default=0), max(needs, default=0)
            if isinstance(node, MaxPoolNode) and last > first:
                # A maximum cannot take zeros from rows of another block: one block at a time.
                needs[first] |= every_lane & ~((1 << len(outputs)) - 1)
                runs += [_Reduction(tile, 1, b, 1, 0, mask) for b, mask in needs.items()]
                continue
            blocks = last - first + 1
            words, remainder = (
                divmod(first - runs[-1].first_block, cfg.sub_blocks) if runs else (0, 1)
            )
            if runs and remainder == 0 and runs[-1].blocks == blocks and words >= 0:
                run = runs[-1]
                if run.tiles == 1 and run.first_tile == tile - 1 and run.lane_mask == every_lane:
                    runs[-1] = _Reduction(
                        run.first_tile, 2, run.first_block, blocks, words, every_lane
                    )
                    continue
                if run.tiles > 1 and words == run.step * run.tiles:
                    runs[-1].tiles += 1
                    continue
            runs.append(_Reduction(tile, 1, first, blocks, 0, every_lane))
        return runs

    @staticmethod
    def _needs(node: Node, output: int, inputs: int) -> range:
        """Input channels of an output channel."""
        if isinstance(node, ConvNode):
            width = node.weight.shape[1]
            group = output // (node.shape[0] // node.groups)
            return range(group * width, (group + 1) * width)
        return range(output, min(output + 1, inputs))

    def _weights(
        self, node: Node, reduction: _Reduction, source: Place, kernel_h: int, kernel_w: int
    ) -> NDArray[np.int8]:
        """Tiles in the order in which the feeder asks for them."""
        cfg = self.config
        if reduction.fill:
            return np.zeros((reduction.tiles * cfg.rows, cfg.cols), np.int8)
        lanes = np.full(cfg.rows * (reduction.first_block + reduction.tiles * max(reduction.step, 1)
                                    * cfg.sub_blocks + reduction.blocks), -1)  # fmt: skip
        lanes[: min(len(lanes), len(source.lanes))] = source.lanes[: len(lanes)]
        hold = reduction.blocks == 1 and self._diagonal(node)
        positions = 1 if hold else kernel_h * kernel_w
        tiles = np.zeros(
            (reduction.tiles, positions, reduction.blocks, cfg.rows, cfg.cols), np.int8
        )
        for tile in range(reduction.tiles):
            block = reduction.first_block + tile * reduction.step * cfg.sub_blocks
            window = lanes[block * cfg.rows : (block + reduction.blocks) * cfg.rows]
            first = (reduction.first_tile + tile) * cfg.cols
            outputs = range(first, first + cfg.cols)
            if isinstance(node, ConvNode):
                dense = self._dense_weights(node, outputs, window)
                if kernel_w == 1 and node.weight.shape[3] > 1:
                    # Lane k * C + c holds kernel column k of channel c.
                    dense = self._packed_weights(node, outputs, window)
                tiles[tile] = dense.reshape(
                    cfg.cols, reduction.blocks, cfg.rows, positions
                ).transpose(3, 1, 2, 0)
            else:
                hit = window[:, None] == np.array(outputs)[None, :]
                hit &= (window >= 0)[:, None]
                tiles[tile] = hit.reshape(reduction.blocks, cfg.rows, cfg.cols)
        return tiles.reshape(-1, cfg.cols)

    @staticmethod
    def _dense_weights(
        node: ConvNode, outputs: range, window: NDArray[np.int64]
    ) -> NDArray[np.int8]:
        """Weights [output, lane, kh, kw] of a tile, zero where a lane is not an input."""
        width = node.weight.shape[1]
        dense = np.zeros((len(outputs), len(window), *node.weight.shape[2:]), np.int8)
        for index, output in enumerate(outputs):
            if output < node.shape[0]:
                group = output // (node.shape[0] // node.groups)
                channel = window - group * width
                inside = (window >= 0) & (channel >= 0) & (channel < width)
                dense[index, inside] = node.weight[output, channel[inside]]
        return dense

    @staticmethod
    def _packed_weights(
        node: ConvNode, outputs: range, window: NDArray[np.int64]
    ) -> NDArray[np.int8]:
        channels = node.weight.shape[1]
        dense = np.zeros((len(outputs), len(window), node.weight.shape[2], 1), np.int8)
        used = np.flatnonzero(window >= 0)
        for index, output in enumerate(outputs):
            if output < node.shape[0]:
                column, channel = np.divmod(window[used], channels)
                dense[index, used, :, 0] = node.weight[output, channel, :, column]
        return dense

    def _parameters(
        self, node: Node, step: Step, channels: int, reduction: _Reduction
    ) -> list[list[int]]:
        cfg = self.config
        source = self.graph[step.source]
        high = 1 << (cfg.guard_bits - 1)
        # Layers without a scale of their own leave the zero point as it is.
        zero = (node if isinstance(node, ConvNode | AvgPoolNode) else source).zero_point
        bound = fixed_bound(cfg.act_bits)
        loaded = []
        for channel in range(
            reduction.first_tile * cfg.cols, (reduction.first_tile + reduction.tiles) * cfg.cols
        ):
            bias, multiplier, shift, low_bound, high_bound = 0, 0, 0, -high, high - 1
            if channel < channels:
                match node:
                    case ConvNode():
                        bias = int(node.bias[channel])
                        multiplier = int(node.multiplier[channel])
                        shift = int(node.shift[channel])
                        low_bound = int(node.guard_lo[channel])
                        high_bound = int(node.guard_hi[channel])
                    case AvgPoolNode():
                        bias = -source.zero_point * node.kernel**2
                        multiplier, shift = node.multiplier, node.shift
                        if cfg.multiplier_bits == 0:
                            shift = self._fold(node)
                    case ShortcutNode() if channel >= source.shape[0]:
                        pass
                    case _:
                        bias, multiplier = -source.zero_point, 1
            if cfg.guard and not cfg.learnt_bounds:
                low_bound, high_bound = zero - bound, zero + bound - 1
            if cfg.multiplier_bits == 0:
                multiplier = 0
            elif multiplier >> cfg.multiplier_bits:
                raise HoldfastError(
                    f"layer {node.name} has a multiplier of {multiplier}, "
                    f"the accelerator holds {cfg.multiplier_bits} bits."
                )
            loaded.append(parameter_words(cfg, bias, multiplier, shift, low_bound, high_bound))
        return loaded

    @staticmethod
    def _fold(node: AvgPoolNode) -> int:
        """Shift of a pooling whose multiplier is a power of two, without the multiplier."""
        power = max(0, node.multiplier.bit_length() - 1)
        if node.multiplier != 1 << power or node.shift < power:
            raise HoldfastError(
                f"layer {node.name} has a multiplier of {node.multiplier} and a shift of "
                f"{node.shift}, an accelerator without multipliers needs a power of two of at "
                "most 2**shift."
            )
        return node.shift - power


def source_channels(place: Place) -> int:
    """Channels of a tensor."""
    return sum(channel >= 0 for channel in place.lanes)


def _shape(place: Place) -> tuple[int, int, int, tuple[int, ...]]:
    return place.words, place.height, place.width, place.lanes
