"""A resolver that no file of the engine knows decides faults of a whole campaign."""

from holdfast.fault.analysis.effect import Effect
from holdfast.fault.analysis.resolver import Decision
from holdfast.fault.campaign import campaign
from holdfast.fault.campaign.campaign import CampaignSettings, prepare, run_campaign
from holdfast.fault.campaign.resolvers import RESOLVERS
from holdfast.fault.sampling.sampler import Filters
from holdfast.gen.roles import Role
from tests.fault.in_process import generated, run_here
from tests.fault.tiny import CONFIG, graph


class Counters:
    """Decides upsets of cycle counters, which nothing but the host reads: the run is golden."""

    def __init__(self, known):
        self.held = known.session.netlist.held

    def resolve(self, fault):
        if fault.single and self.held[fault.site.signal].role is Role.COUNTER:
            return Decision("counters", Effect(), died="never_read")
        return None


def test_a_made_up_resolver_decides_faults_of_a_campaign(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "run_units", run_here)
    settings = CampaignSettings(
        graph(), CONFIG, generated(1), faults=200, filters=Filters(structures=("host",)), audit=0.2
    )
    before = run_campaign(prepare(settings), tmp_path / "without").runs["off"]
    assert "counters" not in before.summary.paths
    monkeypatch.setattr("holdfast.fault.campaign.engine.RESOLVERS", [Counters, *RESOLVERS])
    result = run_campaign(prepare(settings), tmp_path / "with")
    summary = result.runs["off"].summary
    assert summary.paths["counters"] > 10
    assert summary.audit.checked > 10 and not result.disagrees
    assert summary.total == before.summary.total
