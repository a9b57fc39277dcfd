"""What reads and compiles networks, and reads campaigns, does so without PyTorch."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "brevitas"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
"""
WITHOUT = [
    "import holdfast.gen.verilog",
    "import holdfast.nn.networks.registry as r; r.network('resnet8').shapes()",
    "import holdfast.fault.results.record, holdfast.fault.results.summary",
    """
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.shipped import load_network
graph = load_network("resnet8")
assert len(compile_graph(graph, AcceleratorConfig()).descriptors) > len(graph.nodes) // 2
""",
]


def without_torch(code):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, check=False
    )


def test_it_is_blocked():
    assert "ImportError: torch" in without_torch("import holdfast.nn.training.evaluate").stderr


@pytest.mark.parametrize("code", WITHOUT, ids=["hardware", "network", "campaign", "program"])
def test_runs_without_torch(code):
    found = without_torch(code)
    assert found.returncode == 0, found.stderr
