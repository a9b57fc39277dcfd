"""A transport of one's own is one file: a function of a `Link`, and an entry of the registry."""

import numpy as np
import pytest

from holdfast.base.command import run
from holdfast.constraints import client
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.networks.spec import Network
from holdfast.sim.driver import Accelerator
from holdfast.sim.transport.base import Link
from holdfast.sim.transport.registry import TRANSPORTS, open_transport, transport_name
from tests.random_graph import random_graph
from tests.sim.test_cell_network import STREAMED as CONFIG


class Counting:
    """A made-up transport: it counts what passes through it to a simulated accelerator."""

    checked = True

    def __init__(self, link):
        self.link = link
        self.written = self.read_back = 0
        self.closed = False
        self._inner = TRANSPORTS["sim"](link)

    def write(self, address, data):
        self.written += len(data)
        self._inner.write(address, data)

    def read(self, address, length):
        self.read_back += length
        return self._inner.read(address, length)

    def close(self):
        self.closed = True


@pytest.fixture
def opened(monkeypatch):
    found = []

    def open_counting(link):
        found.append(Counting(link))
        return found[-1]

    monkeypatch.setitem(TRANSPORTS, "counting", open_counting)
    return found


@pytest.fixture(scope="module")
def graph():
    spec = Network("tiny", (3, 32, 32))
    spec.dense("logits", spec.conv("conv", "image", 4, 5, stride=7), 10)
    return random_graph(spec, seed=1)


def test_places_of_every_form():
    for place in ("/dev/ttyUSB0", "COM3", "serial:/dev/ttyUSB0", "/dev/serial/by-path/usb-0:1:1.0"):
        assert transport_name(place) == "serial"
    assert transport_name("sim:") == "sim"
    assert transport_name("counting:here") == "serial"


@pytest.mark.long
def test_the_driver_runs_over_it(opened, graph):
    accelerator = Accelerator(open_transport(Link("counting:here", CONFIG)))
    accelerator.load(compile_graph(graph, CONFIG))
    codes = np.random.default_rng(1).integers(-128, 128, (3, 32, 32)).astype(np.int8)
    direct = Accelerator(open_transport(Link("sim:", CONFIG)))
    direct.load(compile_graph(graph, CONFIG))
    assert (accelerator.run(codes) == direct.run(codes)).all()
    (transport,) = opened
    assert transport.link.place == "here"
    assert transport.written > 100 and transport.read_back > 20


def test_holdfast_run_uses_it(opened, graph, monkeypatch, capsys, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CONFIG.to_toml())
    monkeypatch.setattr(client, "load_network", lambda name: graph)
    arguments = ["run", "--port", "counting:there", "--config", str(path), "--count", "2"]
    monkeypatch.setattr("sys.argv", ["holdfast", *arguments])
    assert run(client.app) == 0
    told = capsys.readouterr().out
    assert "2 of 2 images agree with the golden model in every output." in told
    (transport,) = opened
    assert transport.link.config == CONFIG and transport.closed
