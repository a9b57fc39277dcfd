"""Two networks of a few layers, and the accelerator that the driver runs them on."""

import numpy as np

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.networks.spec import Network
from tests.random_graph import random_graph

CONFIG = AcceleratorConfig(
    rows=2, cols=3, act_depth=64, weight_depth=160, acc_depth=16, param_depth=16, program_depth=4
)


def tiny_graph(**kwargs):
    spec = Network("tiny", (2, 4, 4))
    spec.dense("logits", spec.conv("conv", "image", 3, 3), 4)
    return random_graph(spec, seed=1, **kwargs)


def large_graph():
    """More weights than the accelerator holds."""
    spec = Network("large", (2, 4, 4))
    spec.dense("logits", "image", 16)
    return random_graph(spec, seed=1)


def random_codes(seed, count=3):
    return np.random.default_rng(seed).integers(-128, 128, (count, 2, 4, 4)).astype(np.int8)
