"""A protection in one file: it lists itself and is generated, driven, switched and asked."""

import re
from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.constraints import client
from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.layerwise import inject
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.gen.accelerator import Accelerator as Hardware
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.base import Protection
from holdfast.gen.protection.registry import PROTECTIONS, added_registers, protections
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.descriptor import Layer
from holdfast.gen.verilog import emit
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.data.images import ImageSet
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GOLDEN_SIDES, GUARD_OFF, GUARDS, named_guard
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel, build_compiled
from holdfast.sim.driver import Accelerator, AcceleratorError
from holdfast.sim.netlist.netlist import Netlist
from tests.fault.tiny import CONFIG, graph, images

FLAGS = 300
"""More than a byte counts; all are raised at once."""
PROTECTED = CONFIG.with_(guard=False, protections=("layer_parity",))


class Watch(wiring.Component):
    """Keeps the parity of a descriptor from when its layer begins, and tells when it changes."""

    STATE = {r"\w+": Kind(Role.GUARD)}

    def __init__(self):
        super().__init__(
            {"on": In(1), "layer": In(Layer), "go": In(1), "over": In(1), "wrong": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        parity = Signal()
        running = Signal()
        now = self.layer.as_value().xor()
        with m.If(self.go):
            m.d.sync += [parity.eq(now), running.eq(1)]
        with m.Elif(self.over):
            m.d.sync += running.eq(0)
        m.d.comb += self.wrong.eq(self.on & running & (now != parity))
        return m


class LayerParity(Protection):
    name = "layer_parity"
    modes = {"parity": ("layer_parity",)}
    switches = {"layer_parity": "checks descriptors while their layer runs"}
    alarms = {"parity_errors": f"{FLAGS} for every cycle in which a descriptor had changed"}

    @classmethod
    def check(cls, config):
        if config.rows > 4:
            raise HoldfastError(f"layer_parity is made for 1 to 4 rows, not {config.rows}.")

    def connect(self, m, parts, switches):
        m.submodules.layer_parity = watch = Watch()
        sequencer = parts.sequencer
        m.d.comb += [
            watch.on.eq(switches["layer_parity"]),
            watch.layer.eq(sequencer.layer),
            watch.go.eq(sequencer.go),
            watch.over.eq(sequencer.fetching | ~sequencer.busy),
        ]
        return {"parity_errors": watch.wrong.replicate(FLAGS)}


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setitem(PROTECTIONS, LayerParity.name, LayerParity)


@pytest.fixture(scope="module")
def netlist():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTECTIONS, LayerParity.name, LayerParity)
        return Netlist.of(Hardware(PROTECTED), "accelerator")


def descriptor_word(netlist, word):
    """The register that holds a word of the descriptor."""
    names = netlist.names(Role.DESCRIPTOR_WORD)
    return next(name for name in names if netlist.held[name].place["word"] == word)


def test_it_adds_registers_only_where_it_is(known):
    registers = [(r.name, r.offset, r.access) for r in added_registers(PROTECTED)]
    assert registers == [("layer_parity", 0x80, "rw"), ("parity_errors", 0x84, "rw")]
    assert added_registers(CONFIG) == ()
    text = emit(PROTECTED, "core")
    assert "alarm_parity_errors" in text and "protect_layer_parity" in text
    assert "parity" not in emit(CONFIG, "core")


def test_it_is_refused_where_it_does_not_fit(known):
    with pytest.raises(HoldfastError, match=r"^layer_parity is made for 1 to 4 rows, not 8\.$"):
        emit(AcceleratorConfig(protections=("layer_parity",)), "core")
    with pytest.raises(HoldfastError, match=r"^protections are some of .*, not 'other'\.$"):
        emit(AcceleratorConfig(protections=("other",)), "core")
    with pytest.raises(HoldfastError, match="layer_parity cannot be switched on"):
        named_guard("parity", CONFIG)


@pytest.mark.parametrize("names", [("fixed_guard",), ("learnt_guard", "learnt_guard")])
def test_a_range_guard_is_chosen_by_its_own_fields(names):
    with pytest.raises(HoldfastError, match=rf"^protections must hold {names[0]} once, and "):
        protections(AcceleratorConfig(protections=names))


def test_commands_know_its_mode(known):
    setting = named_guard("parity", PROTECTED)
    assert setting == GUARDS["parity"]
    assert list(GUARDS) == ["off", "bound", "zero", "fixed", "parity"]
    assert setting.values["mode"] == "parity" and "mode" not in GUARD_OFF.values
    assert setting.on and setting.alarms == ("parity_errors",)


def test_its_golden_side_is_found_by_its_name(known, monkeypatch):
    assert type(GUARDS["parity"].golden(graph())) is Golden
    asked = []
    monkeypatch.setitem(GOLDEN_SIDES, "layer_parity", lambda *given: asked.append(given))
    GUARDS["parity"].golden(graph())
    assert asked == [(graph(), "parity")]


class Struck(CompiledBus):
    """Flips a bit of the descriptor in the middle of the run."""

    register = ""

    def wait_interrupt(self, limit):
        self.model.step(300)
        if self.register:
            # Nothing reads the magic number once the descriptor has been checked.
            self.model.flip(self.register, 3)
        return super().wait_interrupt(limit)


def driven(netlist, config=PROTECTED, kind=Struck):
    bus = kind(CompiledModel(netlist))
    bus.model.reset(3)
    accelerator = Accelerator(bus)
    accelerator.load(compile_graph(graph(), config))
    return bus, accelerator


def test_the_driver_switches_it_and_reads_its_alarm_by_name(known, netlist):
    image = images()[:1]
    bus, accelerator = driven(netlist)
    expected = Golden(graph()).logits(image).flatten().tolist()
    accelerator.switch(layer_parity=True)
    assert accelerator.run(image.numpy()).flatten().tolist() == expected
    assert accelerator.alarms() == {"parity_errors": 0}
    bus.register = descriptor_word(netlist, 0)
    assert accelerator.run(image.numpy()).flatten().tolist() == expected
    counted = accelerator.alarms()["parity_errors"]
    assert counted > 0 and counted % FLAGS == 0
    accelerator.switch(layer_parity=False)
    accelerator.run(image.numpy())
    assert accelerator.alarms() == {"parity_errors": 0}


def test_switches_are_not_misspelt(known, netlist):
    with pytest.raises(AcceleratorError, match=r"^there is no switch 'layer_pairty'; known are "):
        driven(netlist)[1].switch(layer_pairty=True)
    _, accelerator = driven(netlist, CONFIG.with_(guard=False))
    accelerator.switch(layer_parity=True)
    with pytest.raises(AcceleratorError, match="accelerator 2x2_a8w8 has no switch 'layer_par"):
        accelerator.run(images()[:1].numpy())


class Losing(Struck):
    """A line without checksums that loses what is written to the switch."""

    checked = False

    def write(self, address, data):
        if address != 0x80:
            super().write(address, data)


def test_a_switch_is_read_back_where_writes_may_be_lost(known, netlist):
    _, accelerator = driven(netlist, kind=Losing)
    accelerator.switch(layer_parity=True)
    with pytest.raises(AcceleratorError, match="register layer_parity reads 0 after 1 was written"):
        accelerator.run(images()[:1].numpy())


def test_a_board_runs_with_it(known, netlist, monkeypatch, capsys, tmp_path):
    """``holdfast run`` switches the mode on, and tells what it counted."""
    bus = Struck(CompiledModel(netlist))
    bus.model.reset(3)
    bus.register = descriptor_word(netlist, 0)
    pictures = ImageSet("x", generated_images(2, 5).images[:, :, :4, :4].copy(), None)
    (tmp_path / "chip.toml").write_text(PROTECTED.to_toml())
    monkeypatch.setattr(client, "load_network", lambda name: graph())
    monkeypatch.setattr(client, "check_network", lambda *given: None)
    monkeypatch.setattr(client, "read_images", lambda *given: pictures)
    monkeypatch.setattr(client, "open_transport", lambda link: bus)
    arguments = ["--port", "x", "--config", str(tmp_path / "chip.toml")]
    told = {}
    for mode in ("parity", "off"):
        monkeypatch.setattr("sys.argv", ["holdfast", "run", *arguments, "--guard", mode])
        assert run(client.app) == 0
        told[mode] = " ".join(capsys.readouterr().out.split())
        assert "2 of 2 images agree" in told[mode]
    counted = re.search(r"Alarms: ([0-9,]+) parity_errors\.", told["parity"])
    assert int(counted[1].replace(",", "")) > FLAGS and "larms" not in told["off"]


@pytest.mark.parametrize(("mode", "detected"), [("parity", True), ("off", False)])
def test_faults_that_it_finds_are_detected(known, netlist, mode, detected):
    program = compile_graph(graph(), PROTECTED)
    fault = Fault((Site(descriptor_word(netlist, 0), None, 3),), 200, layer="b")
    build = build_compiled(netlist)
    (found,) = inject(build, program, images()[:1], [fault], GUARDS[mode])
    assert (found.detected, found.false_alarm) == (detected, False)
    session = RtlSession(program, netlist, GUARDS[mode])
    code = images()[0].numpy()
    engine = Engine(session, code, session.record(code))
    (outcome,) = engine.run([replace(fault, layer="")])
    assert (outcome.detected, outcome.counts > 0) == (detected, detected)
    assert outcome.counts % FLAGS == 0
