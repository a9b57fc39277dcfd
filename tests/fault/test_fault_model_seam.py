"""A fault model that no file of the engine knows: drawn, injected, stored, reported, replayed."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign import campaign
from holdfast.fault.campaign.campaign import CampaignSettings, prepare, run_campaign
from holdfast.fault.campaign.replay_upset import replay_upset
from holdfast.fault.campaign.workers import Worker
from holdfast.fault.model import registry
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.models.base import FaultModel
from holdfast.fault.model.registry import parse_fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.fault.sampling.sampler import Filters
from tests.fault.in_process import generated, run_here
from tests.fault.tiny import CONFIG, graph, netlist


@dataclass(frozen=True)
class Flicker(FaultModel):
    """The same bit of two registers of one width is inverted, and once more some cycles later."""

    gap: int = 6
    prefix = "flicker:"
    leaves_out = "Everything that does not flicker."

    def places(self, space, state):
        return state.width if neighbour(space, state) else 0

    def fault(self, space, state, place, cycle):
        bits = tuple(Site(s.signal, None, place) for s in (state, neighbour(space, state)))
        name = f"{self.prefix}{self.gap}:c{cycle}/{'&'.join(map(name_of, bits))}[{place}]"
        return Fault(bits, cycle, name=name, then=(Fault(bits, cycle + self.gap),))

    def settings(self):
        return {"model": "flicker", "gap": self.gap, "leaves_out": self.leaves_out}

    @classmethod
    def parse(cls, space, text):
        found = re.fullmatch(r"flicker:(\d{1,3}):c(\d{1,9})/(\w+)&(\w+)\[(\d{1,3})\]", text)
        if found is None or found[3] not in space:
            raise HoldfastError(f"{text!r} does not flicker.")
        return cls(int(found[1])).fault(space, space[found[3]], int(found[5]), int(found[2]))


def name_of(site):
    return site.signal


def neighbour(space, state):
    """The next register of the same structure and width."""
    members = [s for s in space.members(state.structure) if s.kind == "flip-flop"]
    after = members[members.index(state) + 1 :] if state in members else []
    return next((other for other in after if other.width == state.width), None)


@pytest.fixture
def result(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "run_units", run_here)
    monkeypatch.setattr(registry, "MODELS", [*registry.MODELS, Flicker])
    settings = CampaignSettings(
        graph(), CONFIG, generated(1), faults=60, minimum=10, model=Flicker(), audit=0.3,
        filters=Filters(structures=("weight", "accumulators", "sequencer")),
    )  # fmt: skip
    prepared = prepare(settings)
    return prepared, run_campaign(prepared, tmp_path).runs["off"]


def test_a_made_up_model_goes_through_a_campaign(result, tmp_path, capsys):
    prepared, run = result
    assert run.summary.audit.checked > 5 and not run.summary.audit.disagreements
    assert "gap 6" in (tmp_path / "report.html").read_text()
    assert "Everything that does not flicker." in (tmp_path / "report.html").read_text()
    drawn = [text for table in run.tables for text in table.column("fault").to_pylist()]
    assert len(drawn) >= 60 and all(text.startswith("flicker:6:c") for text in drawn)
    replay_upset(prepared.spec, drawn[0], tmp_path / "replay")
    told = " ".join(capsys.readouterr().out.split())
    assert "plain RTL agrees" in told and "No waveforms" in told
    with pytest.raises(HoldfastError, match="does not flicker"):
        replay_upset(prepared.spec, "flicker:6", tmp_path / "replay")


def test_its_ids_say_what_the_machine_does(result):
    """A third way: the registers of the compiled model are inverted by hand."""
    prepared, run = result
    space = FaultSpace.of(netlist())
    worker = Worker(prepared.spec)
    engine, session = worker.engine(0), worker.inference
    model, cycles = session.model, session.schedule.cycles
    differ = 0
    rows = [row for table in run.tables for row in table.to_pylist()]
    for row in [row for row in rows if row["cycle"] + 6 < row["cycles"]][::3]:
        fault = parse_fault(space, cycles, row["fault"])
        assert str(fault) == row["fault"] and fault.cycle == row["cycle"]
        session.lockstep.load(fault.cycle)
        (again,) = fault.then
        for begin, end in ((fault.cycle, again.cycle), (again.cycle, row["cycles"])):
            for site in fault.bits:
                model.flip(site.signal, site.bit)
            model.step(end - begin)
        if row["effect"] in ("masked", "latent", "benign", "sdc1"):
            place = engine.program.places["logits"]
            words = [
                model.read_memory(f"activations_{place.bank}__lane_{lane}").view(np.int8)
                for lane in range(CONFIG.word_lanes)
            ]
            found = [int(words[n % 2][place.base + n // 2]) for n in range(6)]
            clean = engine.memories.layers.golden["logits"].ravel().tolist()
            assert (found == clean) == (row["effect"] in ("masked", "latent")), row["fault"]
            differ += found != clean
    assert differ
