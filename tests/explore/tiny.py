"""Two small networks and a study of them on small accelerators."""

from pathlib import Path

from holdfast.nn.networks.spec import Network
from tests.random_graph import random_graph

STUDY = """
networks = ["small.safetensors"]
arrays = ["2x1"]
faults = 60
minimum = 2
model_images = 20
audit = 0.1

[accelerator]
act_depth = 2048
weight_depth = 512
acc_depth = 256
param_depth = 32
program_depth = 8
"""


def write_study(folder: Path) -> Path:
    """The study's file, with two networks beside it."""
    for name, channels in (("small", 2), ("wide", 600)):
        net = Network(name)
        x = net.pool("avgpool", "shrink", "image", 4, 4)
        x = net.conv("conv", x, channels, 3, 2)
        net.dense("logits", x, 10)
        graph = random_graph(net, seed=channels, act_bits=4, weight_bits=4, multiplier_bits=8)
        graph.save(folder / f"{name}.safetensors")
    path = folder / "study.toml"
    path.write_text(STUDY)
    return path
