"""A 2x2 accelerator with small memories, and a network of four steps that fits it."""

from functools import cache

from torch import Tensor

from holdfast.fault.injection.session import RtlSession
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import GUARD_OFF, GuardSettings
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.spec import Network
from holdfast.sim.cocotb.build import Build, build_cocotb
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.netlist.netlist import Netlist
from tests.random_graph import random_graph

CONFIG = AcceleratorConfig(
    rows=2, cols=2, act_depth=128, weight_depth=512, acc_depth=32, param_depth=32, program_depth=8
)


@cache
def graph() -> Graph:
    net = Network("tiny", input_shape=(3, 4, 4))
    a = net.conv("a", "image", 4, 3)
    b = net.conv("b", a, 4, 3)
    c = net.conv("c", b, 4, 3, activation="none")
    d = net.add("d", c, a)
    net.dense("logits", d, 6)
    return random_graph(net, seed=3)


@cache
def program() -> Program:
    return compile_graph(graph(), CONFIG)


@cache
def images() -> Tensor:
    pixels = generated_images(2, 5).images[:, :, :4, :4].copy()
    return image_codes(pixels, 8)


@cache
def netlist() -> Netlist:
    return accelerator_netlist(CONFIG)


def recorded(guard: GuardSettings = GUARD_OFF) -> RtlSession:
    """A session with the golden run of the first image."""
    session = RtlSession(program(), netlist(), guard, spacing=16)
    session.golden = session.record(images()[0].numpy())
    return session


FIXED = CONFIG.with_(learnt_bounds=False)


@cache
def fixed_netlist() -> Netlist:
    """With a guard whose bounds are not learnt."""
    return accelerator_netlist(FIXED)


@cache
def build() -> Build:
    return build_cocotb(netlist())
