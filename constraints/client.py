"""``holdfast run``: a network on a board, its answers beside the golden model's.

results = run_images(open_transport(link), program, images)
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import read_bytes
from holdfast.base.text import printable, reason
from holdfast.gen.configuration_file import read_configuration
from holdfast.nn import options as shared
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.data.cifar import generated_images, test_images
from holdfast.nn.data.images import ImageSet, check_network, class_name
from holdfast.nn.data.pictures import read_picture
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARDS, GuardSettings, named_guard
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.driver import Accelerator
from holdfast.sim.transport.base import Link, Transport
from holdfast.sim.transport.registry import open_transport, transport_name

from .boards import board_names, find_board

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm")
_LARGEST = 1 << 24
_DISAGREES = 1


@dataclass(frozen=True)
class BoardResult:
    """Says what one image gave on a board.

    Attributes
    ----------
    chosen, expected : int
        Class, and that of the golden model.
    exact : bool
        Whether all outputs are the golden model's.
    cycles : int
        Of the accelerator's clock, from its own counter.
    seconds : float
        On the host's clock, image and answer included.
    alarms : dict of int
        What each of the accelerator's protections counted, by name.
    """

    chosen: int
    expected: int
    exact: bool
    cycles: int
    seconds: float
    alarms: dict[str, int]


def run_images(
    transport: Transport,
    program: Program,
    images: NDArray[np.uint8],
    guard: GuardSettings = GUARD_OFF,
) -> Iterator[BoardResult]:
    """Loads a network and runs images.

    Parameters
    ----------
    images : uint8 [N, C, H, W]

    Raises
    ------
    HoldfastError
        Nobody answers, it is another accelerator, or a run ended badly.
    """
    golden = guard.golden(program.graph)
    accelerator = Accelerator(transport)
    if guard.mode:
        accelerator.switch(**guard.control)
    else:
        accelerator.guard(output=guard.output, input=guard.input, zero=guard.zero)
    accelerator.load(program)
    name = program.graph.nodes[-1].name
    for image in images:
        codes = image_codes(image[None], program.config.act_bits)
        expected = golden.run(codes).outputs[name].numpy().reshape(-1)
        begin = time.monotonic()
        found = accelerator.run(image).reshape(-1)
        seconds = time.monotonic() - begin
        counters = accelerator.counters()
        yield BoardResult(
            int(found.argmax()), int(expected.argmax()), bool((found == expected).all()),
            counters["cycles"], seconds, accelerator.alarms(),
        )  # fmt: skip


def _closing(transport: Transport, results: Iterator[BoardResult]) -> Iterator[BoardResult]:
    """Yields the results and closes the transport after the last."""
    try:
        yield from results
    finally:
        close: Callable[[], None] = getattr(transport, "close", lambda: None)
        close()


def read_images(place: Path | None, count: int) -> ImageSet:
    """Returns the first `count` images of a picture file, a folder of pictures or CIFAR-10 data;
    generated ones without a place.

    Raises
    ------
    HoldfastError
        There are none, or a picture has another size than 32 x 32.
    """
    if place is None:
        return generated_images(count, 0)
    try:
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        place.stat()
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        raise HoldfastError(
            f"there are no images at {printable(place, 300)}: {reason(error)}."
        ) from None
    pictures = [path for path in files if path.suffix.lower() in _SUFFIXES][:count]
    if not pictures:
        found = test_images(place)
        labels = None if found.labels is None else found.labels[:count]
        return ImageSet(found.name, found.images[:count], labels, found.classes)
    pixels = [
        read_picture(read_bytes(path, "picture", _LARGEST), printable(path)) for path in pictures
    ]
    return ImageSet(place.name, np.stack(pixels), None)


@app.callback()
def holdfast() -> None:
    """Holdfast's accelerator on a board."""


@app.command(
    name="run",
    epilog="Example: holdfast run --board ulx3s --port /dev/ttyUSB0 --model resnet8 --images DIR",
)
@options.grouped(
    {shared.SETUP: "model images count guard", "Board": "port board config baud timeout checksum"}
)
def run_command(
    port: Annotated[
        str, options.text("Serial port, such as /dev/ttyUSB0 or COM3; sim: for a simulated board.")
    ],
    model: Annotated[
        str, options.text("Shipped network or .safetensors file.", paths=True)
    ] = "resnet8",
    images: Annotated[
        Path | None,
        options.path("Picture, folder of pictures or CIFAR-10 data; without it, generated."),
    ] = None,
    board: Annotated[str, options.text(f"One of {', '.join(board_names())}.")] = "ulx3s",
    config: Annotated[
        Path | None, options.path("Configuration of the bitstream, if not the board's own.")
    ] = None,
    baud: Annotated[
        int | None, options.whole(1200, 12_000_000, "Bits per second, if not the board's.")
    ] = None,
    timeout: Annotated[
        float, options.number(0.001, 3600, "Seconds that an answer may take.")
    ] = 1.0,
    count: Annotated[int, options.whole(1, 10_000, "Images to run.")] = 10,
    guard: Annotated[str, options.text(f"Range guard: {', '.join(GUARDS)}.")] = "off",
    checksum: Annotated[
        bool | None,
        typer.Option(
            "--checksum/--no-checksum",
            help="Checksums on the line; without the option, where the bitstream knows them.",
        ),
    ] = None,
) -> int:
    """Run a network on a board: class, latency and agreement with the golden model."""
    found = find_board(board)
    if not found.baud and transport_name(port) == "serial":
        raise HoldfastError(f"{found.title} has no serial port; docs/boards.md has its driver.")
    chosen = read_configuration(config) if config else found.config
    setting = named_guard(guard, chosen)
    program = compile_graph(load_network(model), chosen, parts=True)
    graph = program.graph
    pictures = read_images(images, count)
    check_network(graph.network, graph.nodes[0].shape, graph.classes, pictures)
    speed = found.baud if baud is None else baud
    transport = open_transport(Link(port, chosen, speed, timeout, checksum))
    table = Table("image", "class", "label", "cycles", "ms", "host ms", "golden model")
    if setting.on:
        table.add_column("alarms")
    exact, kinds = 0, graph.classes
    raised: Counter[str] = Counter()
    results = run_images(transport, program, pictures.images, setting)
    for number, result in enumerate(_closing(transport, results)):
        exact += result.exact
        label = "" if pictures.labels is None else class_name(int(pictures.labels[number]), kinds)
        told = "equal" if result.exact else f"differs: {class_name(result.expected, kinds)}"
        table.add_row(
            str(number), class_name(result.chosen, kinds), label, f"{result.cycles:,}",
            f"{result.cycles / found.core_mhz / 1000:.2f}", f"{1000 * result.seconds:.0f}", told,
            *([f"{sum(result.alarms.values()):,}"] if setting.on else []),
        )  # fmt: skip
        raised.update(result.alarms)
    console.print(table)
    if setting.on:
        counts = ", ".join(f"{count:,} {name}" for name, count in raised.items())
        console.print(f"Alarms: {counts}.")
    total = len(pictures.images)
    console.print(f"{exact} of {total} images agree with the golden model in every output.")
    return 0 if exact == total else _DISAGREES


if __name__ == "__main__":
    sys.exit(run(app))
