"""A program in words: its steps and descriptors, where tensors lie and for how long, its weights.

for line in listing(program):
    print(line)
"""

from collections.abc import Iterator, Sequence

from holdfast.nn.graph.graph import AddNode, AvgPoolNode, ConvNode, MaxPoolNode, ShortcutNode

from .placement import lifetimes
from .program import Place, Program, Step


def listing(program: Program) -> Iterator[str]:
    """Returns the lines of a program's listing.

    Steps have one line per descriptor: the output pixels that it computes, its output tiles of
    ``cols`` channels, the reduction tiles of ``rows`` channels of each, and the words of the weight
    and parameter memories that it reads. Places are ``bank:first-last`` words; lifetimes are the
    steps from the one that writes a tensor to the last one that reads it.
    """
    cfg = program.config
    weights = sum(len(chunk.weights) for chunk in program.chunks)
    channels = sum(len(chunk.parameters) for chunk in program.chunks)
    yield (
        f"{program.graph.network} on {cfg.name}: {len(program.steps)} steps, "
        f"{len(program.descriptors)} of {cfg.program_depth} descriptors, "
        f"{weights} weight words and {channels} parameter channels "
        + (
            f"on chip ({cfg.weight_depth} and {cfg.param_depth})"
            if program.resident
            else f"streamed in {len(program.chunks)} chunks"
        )
    )
    if program.packed > 1:
        yield f"The image's lanes hold {program.packed} kernel columns of its channels."
    yield ""
    yield from _columns([_HEADINGS, *_descriptor_rows(program)], left=(2, 3, 4, 5, 6))
    yield ""
    yield from _columns(
        [("tensor", "shape", "place", "words", "written by", "last read by"), *_tensors(program)],
        left=(0, 2, 4, 5),
    )
    if not program.resident:
        yield ""
        rows = [("chunk", "descriptors", "weights", "parameters", "written when")]
        yield from _columns([*rows, *_chunks(program)], left=(4,))


_HEADINGS = ("#", "step", "layer", "operation", "reads", "residual", "writes", "pixels", "tiles",
             "reductions", "weights", "parameters", "chunk")  # fmt: skip


def _descriptor_rows(program: Program) -> Iterator[tuple[str, ...]]:
    for index, step in enumerate(program.steps):
        for number, descriptor in enumerate(step.descriptors):
            first = number == 0
            position = step.first + number
            chunk = next(
                i for i, c in enumerate(program.chunks) if c.first <= position < c.first + c.count
            )
            yield (
                str(position),
                str(index) if first else "",
                step.name if first else "",
                _operation(program, step) if first else "",
                _place(program.places[step.reads[0]]) if first else "",
                _place(program.places[step.reads[1]]) if first and step.residual else "",
                _place(program.places[step.target]) if first else "",
                f"{descriptor.out_h}x{descriptor.out_w}",
                str(descriptor.co_tiles),
                str(descriptor.reductions),
                _span(descriptor.weight_base, descriptor.weight_tiles * program.config.rows),
                _span(descriptor.param_base, descriptor.co_tiles * program.config.cols),
                str(chunk),
            )


def _operation(program: Program, step: Step) -> str:
    node = program.graph[step.nodes[0]]
    match node:
        case ConvNode():
            kernel = "x".join(map(str, node.weight.shape[2:]))
            text = f"{node.op} {kernel}"
            if node.op != "dense":
                text += f" stride {node.stride} padding {node.padding}"
            text += f" dilation {node.dilation}" * (node.dilation > 1)
            text += f" groups {node.groups}" * (node.groups > 1)
        case AvgPoolNode() | MaxPoolNode():
            text = f"{node.op} {node.kernel}x{node.kernel} stride {node.stride}"
            text += f" padding {node.padding}" * (node.padding > 0)
        case ShortcutNode():
            text = f"{node.op} stride {node.stride}"
        case _:
            text = node.op
    if len(step.nodes) > 1 and isinstance(program.graph[step.nodes[-1]], AddNode):
        text += " + add"
    return text


def _tensors(program: Program) -> Iterator[tuple[str, ...]]:
    steps = program.steps
    for name, (born, died) in lifetimes(program.graph, program.steps).items():
        place = program.places[name]
        yield (
            name,
            "x".join(map(str, program.graph[name].shape)),
            _place(place),
            str(place.size),
            "host" if born < 0 else f"{born} {steps[born].name}",
            "host" if died == len(steps) else f"{died} {steps[died].name}",
        )


def _chunks(program: Program) -> Iterator[tuple[str, ...]]:
    for index, chunk in enumerate(program.chunks):
        when = "before the start"
        if index >= 2:
            when = f"descriptor {program.chunks[index - 1].first} is under way"
        yield (
            str(index),
            _span(chunk.first, chunk.count),
            _span(chunk.weight_base, len(chunk.weights)),
            _span(chunk.param_base, len(chunk.parameters)),
            when,
        )


def _place(place: Place) -> str:
    return f"{place.bank}:{_span(place.base, place.size)}"


def _span(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}"


def _columns(rows: Sequence[tuple[str, ...]], left: tuple[int, ...]) -> Iterator[str]:
    """Rows as aligned text; columns not in `left` are numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
