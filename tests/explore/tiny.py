"""Two networks that small accelerators hold, and a study of them that measures quickly."""

from pathlib import Path

from nn.networks import Network
from nn.random_graph import random_graph

STUDY = """
networks = ["small.safetensors", "wide.safetensors"]
arrays = ["2x2", "2x1"]
faults = 60
minimum = 2
model_images = 20
models = ["single-flip"]
audit = 0.1
[accelerator]
act_depth = 2048
weight_depth = 512
acc_depth = 256
param_depth = 32
program_depth = 8
"""


def _network(name: str, channels: int) -> Network:
    net = Network(name)
    x = net.pool("avgpool", "shrink", "image", 8, 8)
    x = net.conv("conv", x, channels, 3)
    net.dense("logits", x, 10)
    return net


def write_study(folder: Path) -> Path:
    """The study's file, with its networks beside it."""
    for name, channels in (("small", 2), ("wide", 4)):
        graph = random_graph(_network(name, channels), seed=channels, act_bits=4, weight_bits=4)
        graph.save(folder / f"{name}.safetensors")
    path = folder / "study.toml"
    path.write_text(STUDY)
    return path
