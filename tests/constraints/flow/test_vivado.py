"""Vivado projects: every script against a golden copy, the Verilog through Verilator's lint; and
the driver of the Zynq boards on a simulated accelerator.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import holdfast.constraints.__main__ as command
from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.constraints.boards import find_board
from holdfast.constraints.families.base import Cost
from holdfast.constraints.flow import build
from holdfast.constraints.flow.bitstream import Synthesized
from holdfast.constraints.flow.vivado import axi_wrapper, project_command, write_project
from holdfast.constraints.zynq import network_file, registers_file
from holdfast.constraints.zynq_driver import Holdfast, HoldfastBoardError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.spec import Network
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.tools import find_tools
from tests.random_graph import random_graph

GOLDEN = Path(__file__).parents[1] / "golden"
BOARDS = ("arty_a7_100", "pynq_z2", "kv260")
CELLS = """
(* blackbox *) module PLLE2_BASE (
  input CLKIN1, CLKFBIN, RST, PWRDWN, output CLKFBOUT, CLKOUT0, LOCKED);
  parameter CLKIN1_PERIOD = 0.0, DIVCLK_DIVIDE = 0, CLKFBOUT_MULT = 0, CLKOUT0_DIVIDE = 0;
endmodule
(* blackbox *) module BUFG (input I, output O);
endmodule
"""
EXPECTED = (
    # Verilog that Yosys writes counts on constants being extended and on a value given before a
    # case; `interrupt` is the name that the register reference uses.
    "-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC", "-Wno-CASEINCOMPLETE", "-Wno-SYMRSVDWORD",
    # The cells of this file.
    "-Wno-MULTITOP",
)  # fmt: skip
SMALL = AcceleratorConfig(
    rows=2, cols=3, act_depth=64, weight_depth=160, acc_depth=16, param_depth=16, program_depth=4
)


@pytest.fixture(scope="module", params=BOARDS)
def project(request, tmp_path_factory):
    """A project with a small accelerator: its scripts are those of any."""
    folder = tmp_path_factory.mktemp(request.param)
    board = find_board(request.param)
    write_project(board, SMALL, folder)
    assert project_command(board, folder) == f"make -C {folder} holdfast_{request.param}.bit"
    return request.param, folder


def test_scripts(project):
    name, folder = project
    golden = GOLDEN / name
    scripts = {path.name for path in folder.iterdir() if path.suffix in (".tcl", ".xdc")}
    scripts |= {"Makefile"} | ({"wrapper.v"} if (folder / "wrapper.v").exists() else set())
    assert scripts == {path.name for path in golden.iterdir()}
    for script in sorted(scripts):
        assert (folder / script).read_text() == (golden / script).read_text(), script


def test_lint(project):
    """No warning about what Holdfast wrote; the vendor's cells are black boxes."""
    _, folder = project
    tools = find_tools()
    top = "holdfast_axi" if (folder / "wrapper.v").exists() else "holdfast_top"
    (folder / "cells.v").write_text(CELLS)
    sources = [name for name in ("design.v", "wrapper.v", "cells.v") if (folder / name).exists()]
    lint = subprocess.run(
        [tools.verilator, "--lint-only", "--default-language", "1364-2005", *EXPECTED,
         *sources, "--top-module", top],
        cwd=folder, env=dict(tools.environment), capture_output=True, text=True,
    )  # fmt: skip
    assert (lint.returncode, lint.stderr) == (0, "")


def test_wrapper_names_every_port():
    text = axi_wrapper(find_board("pynq_z2"))
    for channel, count in (("AW", 7), ("W", 5), ("B", 4), ("AR", 7), ("R", 6)):
        assert text.count(f"s_axi {channel}VALID") == 1
        names = [line for line in text.splitlines() if f"aximm:1.0 s_axi {channel}" in line]
        suffixes = {line.split("s_axi ")[1].split('"')[0].removeprefix(channel) for line in names}
        # AR and AW begin with the letters of no other channel but their own.
        assert len([s for s in suffixes if s]) >= count
    assert text.count("X_INTERFACE_PARAMETER") == 3


def test_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["c", "--board", "arty_a7_100", "--output", str(tmp_path)])
    # Synthesis has its own tests, and Vivado may be installed where they run.
    design = Synthesized(tmp_path, Cost(lut=100, ff=200, dsp=3, mem=4.5), {})
    monkeypatch.setattr(build, "synthesize_board", lambda *_: design)
    monkeypatch.setattr("shutil.which", lambda name, **_: None if name == "vivado" else name)
    monkeypatch.setattr(build, "write_project", lambda *_: None)
    assert run(command.app) == 0
    out = capsys.readouterr().out
    assert "Vivado is not installed here, so it was not run" in out
    made = f"make -C {tmp_path}/arty_a7_100 holdfast_arty_a7_100.bit"
    assert f"where it is: {made}" in " ".join(out.split())
    summary = json.loads((tmp_path / "arty_a7_100/summary.json").read_text())
    assert (summary["lut"], summary["ff"], summary["dsp"], summary["bram"]) == (100, 200, 3, 4.5)
    assert summary["met"] is summary["fmax_mhz"] is summary["bitstream"] is None


class Words:
    """Word addresses of a bus, as an array that pynq maps."""

    def __init__(self, bus):
        self._bus = bus

    def __getitem__(self, key):
        if isinstance(key, slice):
            data = self._bus.read(4 * key.start, 4 * (key.stop - key.start))
            return np.frombuffer(data, "<u4")
        return self._bus.read_word(4 * key)

    def __setitem__(self, key, value):
        if isinstance(key, slice):
            assert key.stop - key.start == len(value)
            self._bus.write(4 * key.start, np.asarray(value, "<u4").tobytes())
        else:
            self._bus.write_word(4 * key, int(value))


@pytest.fixture(scope="module")
def words():
    model = CompiledModel(accelerator_netlist(SMALL))
    model.reset()
    return Words(CompiledBus(model))


def tiny(**kwargs):
    spec = Network("tiny", (2, 4, 4))
    spec.dense("logits", spec.conv("conv", "image", 3, 3), 4)
    return random_graph(spec, seed=1, **kwargs)


def facts(config=SMALL):
    return json.loads(registers_file(config, 0x4000_0000, 100.0))


def test_driver(words, tmp_path):
    graph = tiny()
    (tmp_path / "tiny.npz").write_bytes(network_file(compile_graph(graph, SMALL)))
    accelerator = Holdfast(words, facts())
    with pytest.raises(HoldfastBoardError, match="no network is loaded"):
        accelerator.run(np.zeros((2, 4, 4), np.uint8))
    accelerator.load(tmp_path / "tiny.npz")
    for pixels in np.random.default_rng(5).integers(0, 256, (3, 2, 4, 4)).astype(np.uint8):
        codes = torch.as_tensor(image_codes(pixels[None], 8))
        expected = Golden(graph).run(codes).outputs["logits"].numpy().reshape(-1)
        assert (accelerator.run(pixels) == expected).all()
    counters = accelerator.counters()
    assert counters["cycles"] == sum(v for k, v in counters.items() if k != "cycles") > 0


@pytest.mark.parametrize("limit", [0, -1.0, float("inf"), float("nan")])
def test_driver_waits_for_a_bounded_time(words, tmp_path, limit):
    (tmp_path / "tiny.npz").write_bytes(network_file(compile_graph(tiny(), SMALL)))
    accelerator = Holdfast(words, facts())
    accelerator.load(tmp_path / "tiny.npz")
    image = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(HoldfastBoardError, match="limit_s must be finite and above 0"):
        accelerator.run(image, limit)


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("ready", 2, "register ready reads 65533 after 65535 was written"),
        ("status", 0, r"the run has not ended after 0\.05 s"),
    ],
)
def test_driver_of_a_board_that_is_broken(words, tmp_path, name, mask, message):
    """One bit of a register is stuck, or it never stops being busy."""
    (tmp_path / "tiny.npz").write_bytes(network_file(compile_graph(tiny(), SMALL)))
    registers = facts()["registers"]

    class Broken:
        def __getitem__(self, key):
            if key == registers[name] // 4:
                return words[key] & ~mask if mask else 1
            return words[key]

        def __setitem__(self, key, value):
            words[key] = value

    accelerator = Holdfast(Broken(), facts())
    accelerator.load(tmp_path / "tiny.npz")
    with pytest.raises(HoldfastBoardError, match=message):
        accelerator.run(np.zeros((2, 4, 4), np.uint8), 0.05)


def test_driver_of_another_build(words, tmp_path):
    with pytest.raises(
        HoldfastBoardError, match=r"register interface reads .* not of the same build"
    ):
        Holdfast(words, facts(SMALL.with_(act_bits=7)))
    other = SMALL.with_(multiplier_bits=12)
    graph = tiny(multiplier_bits=12)
    (tmp_path / "other.npz").write_bytes(network_file(compile_graph(graph, other)))
    with pytest.raises(HoldfastBoardError, match=r"other\.npz was made for another configuration"):
        Holdfast(words, facts()).load(tmp_path / "other.npz")


def test_streamed_network_has_no_file():
    spec = Network("large", (2, 4, 4))
    spec.dense("logits", "image", 16)
    program = compile_graph(random_graph(spec, seed=1), SMALL)
    with pytest.raises(
        HoldfastError, match="large does not fit the accelerator's memories at once"
    ):
        network_file(program)
