"""``holdfast run`` on a simulated board behind a serial port."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from holdfast.base.command import run
from holdfast.constraints import client
from holdfast.constraints.boards import find_board
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.data.images import ImageSet
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.machine.cycles import step_cycles
from tests.constraints.design.gate_level import board_line, board_model
from tests.constraints.pty_line import serial_port

DIVISOR = 4


def holdfast(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["holdfast", "run", *map(str, arguments)])
    return run(client.app)


@pytest.fixture(scope="module")
def port():
    board = replace(find_board("ulx3s"), checksum=True)
    line = board_line(board, board_model(board, board.config, DIVISOR), DIVISOR)
    with serial_port(line) as path:
        yield path


@pytest.mark.slow
def test_whole_network(port, monkeypatch, capsys, tmp_path):
    """Class, cycles and agreement of ResNet-8 on a picture; all weights stay on the board."""
    pixels = np.random.default_rng(3).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    arguments = ("--board", "ulx3s", "--port", port, "--model", "resnet8", "--guard", "bound")
    # A pseudo-terminal takes more than the simulation has run by then.
    arguments += ("--timeout", 30)
    assert holdfast(monkeypatch, *arguments, "--images", tmp_path, "--count", 1) == 0
    out = capsys.readouterr().out
    program = compile_graph(load_network("resnet8"), find_board("ulx3s").config)
    cycles = sum(step_cycles(program, step).total() for step in program.steps)
    assert f"{cycles:,}" in out
    assert "1 of 1 images agree with the golden model in every output." in out


@pytest.mark.slow
def test_wrong_configuration(port, monkeypatch, capsys, tmp_path):
    path = tmp_path / "other.toml"
    path.write_text(AcceleratorConfig(rows=4, cols=4).to_toml())
    arguments = ("--board", "ulx3s", "--port", port, "--config", path)
    assert holdfast(monkeypatch, *arguments) == 2
    assert "the accelerator is 8x8 with 8-bit activations" in capsys.readouterr().err


@pytest.mark.slow
def test_other_version(port, monkeypatch, capsys):
    monkeypatch.setattr("holdfast.sim.registers.INTERFACE", 0x1234)
    assert holdfast(monkeypatch, "--board", "ulx3s", "--port", port) == 2
    error = capsys.readouterr().err
    assert "this client's of 0x1234; make both with the same version of Holdfast." in error


@pytest.mark.parametrize("classes", [10, 12, 100])
def test_a_network_of_any_number_of_classes(monkeypatch, capsys, classes):
    """CIFAR-10's names are for its ten classes; others are told by their numbers."""
    nodes = [SimpleNamespace(shape=(3, 32, 32))]
    graph = SimpleNamespace(network="x", classes=classes, nodes=nodes)
    program = SimpleNamespace(graph=graph, resident=True)
    last = classes - 1
    results = [client.BoardResult(last, 0, False, 1000, 0.1, {})]
    pictures = ImageSet("x", np.zeros((1, 3, 32, 32), np.uint8), np.array([last]))
    monkeypatch.setattr(client, "compile_graph", lambda *_, **__: program)
    monkeypatch.setattr(client, "read_images", lambda *_: pictures)
    monkeypatch.setattr(client, "open_transport", lambda *_: SimpleNamespace(checked=False))
    monkeypatch.setattr(client, "run_images", lambda *_: iter(results))
    assert holdfast(monkeypatch, "--port", "x") == 1
    told = capsys.readouterr().out
    expected = ("truck", "airplane") if classes == 10 else (str(last), "0")
    assert told.count(f" {expected[0]} ") == 2 and f"differs: {expected[1]} " in told


def test_bad_requests(monkeypatch, capsys, tmp_path):
    nothing = tmp_path / "ttyUSB9"
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (31, 32)).save(tmp_path / "small.png")
    for arguments, message in (
        (("--port", nothing), f"cannot open {nothing}"),
        (("--port", nothing, "--board", "kv260"), "KV260 has no serial port"),
        (("--port", nothing, "--guard", "on"), "the guard is off, bound, zero, fixed, not 'on'."),
        (("--port", nothing, "--guard", "fixed"), "has learnt bounds: its settings are off, bound"),
        (("--port", nothing, "--count", 0), "--count must be 1 to 10,000, not 0."),
        (("--port", nothing, "--timeout", 0), "--timeout must be 0.001 to 3,600, not 0.0."),
        (("--port", nothing, "--baud", 0), "--baud must be 1,200 to 12,000,000, not 0."),
        (("--port", nothing, "--timeout", "nan"), "--timeout must be 0.001 to 3,600, not nan."),
        (("--port", nothing, "--images", tmp_path / "none"), "there are no images at"),
        (("--port", nothing, "--images", tmp_path / "text.png"), "text.png is not a picture."),
        (
            ("--port", nothing, "--images", tmp_path / "small.png"),
            "small.png has 31 x 32 pixels, not 32 x 32.",
        ),
        (("--port", nothing, "--model", "resnet9"), "there is no network 'resnet9'"),
    ):
        assert holdfast(monkeypatch, *arguments) == 2
        assert message in " ".join(capsys.readouterr().err.split())
