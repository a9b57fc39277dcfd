"""The released Verilog in an event-driven simulator of four states, as a user would run it.

Icarus Verilog, a bench in plain Verilog, and nothing of Holdfast's simulation: registers and
memories are X at first. Skipped where ``iverilog`` is missing, unless HOLDFAST_REQUIRE_ICARUS is 1.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import MAGIC, Status
from holdfast.gen.verilog import REFERENCES, emit
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.sim.driver import image_writes, lanes_from_bytes, network_writes, tensor_range
from holdfast.sim.registers import REGISTER, control_word
from tests import reference
from tests.sim.small_graphs import small_graph

RTL = Path(__file__).parents[2] / "rtl"
BENCH = Path(__file__).with_name("icarus_bench.v")
WRITE, CHECK, AWAIT_IDLE, SHOW, END = range(5)
SEED = 3
DONE = 0b10 | Status.OK << 8

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None and os.environ.get("HOLDFAST_REQUIRE_ICARUS") != "1",
    reason="Icarus Verilog (iverilog) is not installed",
)


def icarus(folder: Path, language: str, *arguments: str) -> None:
    """Compile to `folder` / ``program``."""
    command = ["iverilog", f"-g{language}", "-o", "program", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr


@cache
def case(name: str):
    """A convolution and a dense layer: the program, and the tensors by both references."""
    config = REFERENCES[name]
    graph, codes = small_graph(config, SEED, ["conv"], (3, 4, 4))
    guard = {"guard_output": True, "guard_input": True} if config.guard else {}
    mode = "bound" if guard else None
    golden = Golden(graph, mode, mode).run(torch.from_numpy(codes[None].astype(np.int8)))
    wanted = reference.run(graph, codes, "bound", check_input=bool(guard), check_output=bool(guard))
    wanted = {node.name: wanted[node.name] for node in graph.nodes[1:]}
    for node, tensor in wanted.items():
        assert np.array_equal(golden.outputs[node][0].numpy(), tensor)
        assert len(np.unique(tensor)) > 1
    return compile_graph(graph, config), codes, guard, wanted


def script(program, codes, guard) -> list[tuple[int, int, int]]:
    """What the host does, as (kind, address, data)."""
    lines = [(CHECK, REGISTER["id"], MAGIC), (CHECK, REGISTER["status"], 0)]
    for address, content in (*network_writes(program), *image_writes(program, codes)):
        words = np.frombuffer(content, "<u4").tolist()
        lines += [(WRITE, address + 4 * place, word) for place, word in enumerate(words)]
    count = len(program.descriptors)
    lines += [
        (WRITE, REGISTER["first"], 0),
        (WRITE, REGISTER["count"], count),
        (WRITE, REGISTER["control"], control_word(start=True, interrupt=True, **guard)),
        (AWAIT_IDLE, REGISTER["status"], 0),
        (CHECK, REGISTER["status"], DONE | count - 1 << 16),
    ]
    for node in program.graph.nodes[1:]:
        address, length = tensor_range(program, node.name)
        lines += [(SHOW, address + place, 0) for place in range(0, length, 4)]
    return [*lines, (END, 0, 0)]


# SystemVerilog is the harder one: values in declarations are no events there.
LANGUAGES = [pytest.param("2005", marks=pytest.mark.slow), "2012"]


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("late", [False, True], ids=["reset_from_0", "later_reset"])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_network_from_x(name, late, language, tmp_path):
    program, codes, guard, wanted = case(name)
    lines = script(program, codes, guard)
    text = "".join(f"{kind:x}{address:07x}{data:08x}\n" for kind, address, data in lines)
    (tmp_path / "script.hex").write_text(text)
    defines = [f"-DTOP={name}", f"-DLENGTH={len(lines)}", *["-DLATE"] * late]
    icarus(tmp_path, language, *defines, str(BENCH), str(RTL / f"{name}.v"))
    done = subprocess.run(
        ["vvp", "program"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    *words, end = done.stdout.split("\n")[:-1]
    assert end == "END 1", done.stdout[-500:]
    data = b"".join(int(word, 16).to_bytes(4, "little") for word in words)
    for name, tensor in wanted.items():
        length = tensor_range(program, name)[1]
        lanes = lanes_from_bytes(data[:length], program.config.word_lanes)
        assert np.array_equal(program.tensor_codes(name, lanes), tensor), name
        data = data[length:]
    assert not data


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("language", ["2005", "2012"])
def test_a_serial_port_compiles(language, tmp_path):
    config = AcceleratorConfig(rows=2, cols=2)
    (tmp_path / "serial.v").write_text(emit(config, "serial", uart=16))
    icarus(tmp_path, language, "-s", "serial", "serial.v")
