"""The driver against simulated accelerators, over AXI and over a serial line."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.gen.accelerator import Accelerator as Design
from holdfast.gen.layout import COUNTERS
from holdfast.gen.port.uart_bridge import UartBridge
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.pixels import image_codes
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.registers import REGISTER, AcceleratorError, control_word
from holdfast.sim.transport.base import AccessRefused, BusError, Link
from holdfast.sim.transport.serial import UartTransport, open_serial
from tests.sim.driven import CONFIG, large_graph, random_codes, tiny_graph
from tests.sim.simulated_line import SimulatedLine

DIVISOR, TIMEOUT = 4, 500


@pytest.fixture(scope="module")
def graph():
    return tiny_graph()


@pytest.fixture(scope="module")
def program(graph):
    return compile_graph(graph, CONFIG)


@pytest.fixture(scope="module")
def netlist():
    return accelerator_netlist(CONFIG)


@pytest.fixture(scope="module")
def serial_netlist():
    return Netlist.of(Design(CONFIG, UartBridge(DIVISOR, TIMEOUT)), "accelerator")


def over_axi(netlist):
    model = CompiledModel(netlist)
    model.reset()
    return CompiledBus(model)


def over_serial(serial_netlist):
    model = CompiledModel(serial_netlist)
    model.poke("uart_rx", 1)
    model.reset(2)
    return UartTransport(SimulatedLine(model, DIVISOR, 2 * TIMEOUT))


@pytest.fixture(params=["axi", "serial"])
def transport(request, netlist, serial_netlist):
    return over_axi(netlist) if request.param == "axi" else over_serial(serial_netlist)


def logits(graph, codes, guard=None):
    result = Golden(graph, guard, guard).run(torch.from_numpy(codes))
    return result.outputs["logits"].numpy().reshape(len(codes), -1), result


def test_network_equals_golden_model(transport, graph, program):
    accelerator = Accelerator(transport)
    accelerator.load(program)
    codes = random_codes(1)
    expected, _ = logits(graph, codes)
    assert (accelerator.run(codes) == expected).all()
    assert (accelerator.classes(codes) == expected.argmax(1)).all()
    counters = accelerator.counters()
    assert counters["cycles"] == sum(counters[name] for name in COUNTERS)
    for name in COUNTERS:
        assert counters[name] == sum(step_cycles(program, step)[name] for step in program.steps)
    assert counters["guard_output"] == counters["guard_input"] == 0


def test_pixels(netlist, graph, program):
    accelerator = Accelerator(over_axi(netlist))
    accelerator.load(program)
    pixels = np.random.default_rng(2).integers(0, 256, (2, 2, 4, 4)).astype(np.uint8)
    expected, _ = logits(graph, image_codes(pixels, 8).numpy())
    assert (accelerator.run(pixels) == expected).all()
    assert (accelerator.run(pixels[1]) == expected[1:]).all()


@pytest.mark.parametrize("zero", [False, True])
def test_guard(netlist, graph, program, zero):
    accelerator = Accelerator(over_axi(netlist))
    accelerator.load(program)
    accelerator.guard(output=True, input=True, zero=zero)
    codes = random_codes(3, 1)
    expected, _ = logits(graph, codes, "zero" if zero else "bound")
    assert (accelerator.run(codes) == expected).all()
    counters = accelerator.counters()
    assert counters["guard_output"] + counters["guard_input"] > 0
    accelerator.guard()
    assert (accelerator.run(codes) == logits(graph, codes)[0]).all()
    assert accelerator.counters()["guard_output"] == 0


@pytest.mark.long
def test_fixed_bounds(graph):
    config = CONFIG.with_(learnt_bounds=False)
    accelerator = Accelerator(over_axi(accelerator_netlist(config)))
    larger = deepcopy(graph)
    for node in larger.weighted():
        node.shift = np.maximum(node.shift - 4, 0)
    accelerator.load(compile_graph(larger, config))
    codes = random_codes(3, 1)
    for wrong in ({"output": True}, {"input": True}, {"input": True, "zero": True}):
        with pytest.raises(AcceleratorError, match="fixed bounds: it checks outputs alone"):
            accelerator.guard(**wrong)
    accelerator.guard(output=True, zero=True)
    expected = GUARDS["fixed"].golden(larger).run(torch.from_numpy(codes))
    assert (accelerator.run(codes).ravel() == expected.outputs["logits"].numpy().ravel()).all()
    violations = sum(int(n) for n in expected.output_violations.values())
    assert accelerator.counters()["guard_output"] == violations > 0
    accelerator.guard()
    assert (accelerator.run(codes) == logits(larger, codes)[0]).all()
    assert accelerator.counters()["guard_output"] == 0


def test_streamed_weights(transport):
    graph = large_graph()
    program = compile_graph(graph, CONFIG)
    assert len(program.chunks) > 2
    accelerator = Accelerator(transport)
    accelerator.load(program)
    codes = random_codes(4)
    assert (accelerator.run(codes) == logits(graph, codes)[0]).all()
    # A resident network afterwards does not wait for anything.
    graph = tiny_graph()
    accelerator.load(compile_graph(graph, CONFIG))
    assert (accelerator.run(codes) == logits(graph, codes)[0]).all()
    assert accelerator.counters()["stall_host"] == 0


@pytest.mark.parametrize(
    "changes, difference",
    [
        ({"rows": 4}, "4x3 with"),
        ({"act_bits": 7}, "7-bit activations"),
        ({"acc_bits": 30}, "30-bit accumulators"),
        ({"rounding": "floor"}, "rounding floor"),
    ],
)
def test_program_of_another_configuration(transport, changes, difference):
    graph = tiny_graph(
        act_bits=changes.get("act_bits", 8), rounding=changes.get("rounding", "half_up")
    )
    program = compile_graph(graph, CONFIG.with_(**changes))
    with pytest.raises(AcceleratorError) as caught:
        Accelerator(transport).load(program)
    own = (
        "the accelerator is 2x3 with 8-bit activations, 8-bit weights, 24-bit accumulators, "
        "16-bit multipliers and rounding half_up; the program is for "
    )
    assert str(caught.value).startswith(own)
    assert difference in str(caught.value)


def test_program_that_is_too_large(transport):
    program = compile_graph(large_graph(), CONFIG.with_(weight_depth=4000))
    with pytest.raises(AcceleratorError, match="less memory for weights than the program needs"):
        Accelerator(transport).load(program)


def test_broken_program(transport, graph, program):
    accelerator = Accelerator(transport)
    accelerator.load(program)
    codes = random_codes(5)
    transport.write(1 << 22 | 32 * 4, bytes(4))
    with pytest.raises(
        AcceleratorError,
        match="the accelerator stopped: descriptor 1 holds a value that this accelerator does not",
    ):
        accelerator.run(codes)
    accelerator.load(program)
    assert (accelerator.run(codes) == logits(graph, codes)[0]).all()


def test_while_busy(transport, program):
    accelerator = Accelerator(transport)
    accelerator.load(program)
    for name, value in (("count", 1), ("ready", 0), ("control", control_word(start=True))):
        transport.write(REGISTER[name], value.to_bytes(4, "little"))
    for name in ("control", "first", "count"):
        with pytest.raises(AccessRefused, match="refused a write"):
            transport.write(REGISTER[name], bytes(4))
    for region in (1, 2, 3, 4):
        with pytest.raises(AccessRefused, match="refused a read"):
            transport.read(region << 22, 8)
    for call in (lambda: accelerator.load(program), lambda: accelerator.run(random_codes(6))):
        with pytest.raises(AcceleratorError, match="is busy with another run"):
            call()
    assert int.from_bytes(transport.read(REGISTER["status"], 4), "little") == 0b101


def test_no_network_and_wrong_shape(netlist, program):
    accelerator = Accelerator(over_axi(netlist))
    with pytest.raises(AcceleratorError, match="no network is loaded"):
        accelerator.run(random_codes(1))
    accelerator.load(program)
    with pytest.raises(
        AcceleratorError, match=r"network tiny takes images of shape \(2, 4, 4\), not \(3, 3\)"
    ):
        accelerator.run(np.zeros((3, 3), np.int8))


def test_program_in_parts(transport, graph):
    """A program memory of one descriptor: each layer is started on its own."""
    config = CONFIG.with_(program_depth=1)
    program = compile_graph(graph, config, parts=True)
    assert program.parts == [(0, 1), (1, 1), (2, 1)]
    with pytest.raises(HoldfastError, match="needs 3 descriptors of program memory"):
        compile_graph(graph, config)
    accelerator = Accelerator(transport)
    accelerator.load(program)
    codes = random_codes(6, 2)
    assert (accelerator.run(codes) == logits(graph, codes)[0]).all()
    counters = accelerator.counters()
    expected = sum(step_cycles(program, step).total() for step in program.steps)
    assert counters["cycles"] == expected == sum(counters[name] for name in COUNTERS)


def test_streamed_program_in_parts(transport):
    graph = large_graph()
    program = compile_graph(graph, CONFIG.with_(program_depth=2), parts=True)
    assert len(program.parts) > 1 and len(program.chunks) > 2
    accelerator = Accelerator(transport)
    accelerator.load(program)
    codes = random_codes(7)
    assert (accelerator.run(codes) == logits(graph, codes)[0]).all()


class Silence:
    """A serial line with nobody at the other end, or with noise."""

    def __init__(self, answer=b""):
        self.answer = answer
        self.sent = b""

    def write(self, data):
        self.sent += data

    def flush(self):
        pass

    def read(self, size):
        return self.answer[:size] if self.sent.endswith(b"\x02\x01\x00\x80\x00\x00") else b""


@pytest.mark.parametrize("answer", [b"", b"\0\0", b"\xff\xff\xff\xff"])
def test_nobody_on_the_line(answer):
    with pytest.raises(BusError, match="does not answer on the serial line"):
        UartTransport(Silence(answer))


def test_half_command_of_an_earlier_client(serial_netlist, graph, program):
    model = CompiledModel(serial_netlist)
    model.poke("uart_rx", 1)
    model.reset(2)
    line = SimulatedLine(model, DIVISOR, 2 * TIMEOUT)
    line.write(b"\x01\x80\x00\x80\x00\x00\x11")
    accelerator = Accelerator(UartTransport(line))
    accelerator.load(program)
    codes = random_codes(7, 1)
    assert (accelerator.run(codes) == logits(graph, codes)[0]).all()


def test_lost_bytes_are_told(serial_netlist):
    transport = over_serial(serial_netlist)
    line = transport._stream
    send = line.write
    for damage in ("drop", "frame"):

        def damaged(data, damage=damage):
            line.write = send
            send(data[:9])
            if damage == "frame":
                send(data[9:10], stop=0)
            send(data[10:])

        line.write = damaged
        with pytest.raises(BusError, match="lost part of a write to 8 bytes from address 0xc00000"):
            transport.write(3 << 22, bytes(8))
        transport.write(3 << 22, bytes(range(8)))
        assert transport.read(3 << 22, 8) == bytes([0, 1, 2, 0, 4, 5, 6, 0])
    with pytest.raises(BusError, match="carries whole words, not 3 bytes from address 0x1"):
        transport.write(1, bytes(3))


def test_serial_port_that_does_not_exist():
    pytest.importorskip("serial")
    with pytest.raises(BusError, match="cannot open /dev/nowhere"):
        open_serial(Link("/dev/nowhere"))
