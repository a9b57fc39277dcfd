"""Campaigns that have ended, compared: paired only where both drew the same faults."""

import json
import random
from dataclasses import replace

import pyarrow as pa
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign.manifest import manifest, program_hash
from holdfast.fault.campaign.prior import Ended, PriorCampaign, paired
from holdfast.fault.campaign.shard import SCHEMA, pack
from holdfast.fault.campaign.spec import CampaignSpec
from holdfast.fault.campaign.store import Store
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.results.summary import summarize
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.networks.spec import Network
from holdfast.sim.machine.schedule import Schedule
from tests.fault.campaign.test_store import columns
from tests.fault.tiny import CONFIG, images, netlist, program
from tests.mutations import altered, damaged, harm
from tests.random_graph import random_graph

COUNT = 100


def network(name, seed, last=("logits", 6)):
    """That of `tests.fault.tiny`, with other weights and another name of its last layer."""
    net = Network(name, input_shape=(3, 4, 4))
    a = net.conv("a", "image", 4, 3)
    b = net.conv("b", a, 4, 3)
    c = net.conv("c", b, 4, 3, activation="none")
    d = net.add("d", c, a)
    net.dense(*last[:1], d, last[1])
    return compile_graph(random_graph(net, seed=seed), CONFIG)


def job_of(chosen, **changes):
    arguments = {
        "program": chosen, "netlist": netlist(), "guard": GUARD_OFF, "codes": images()[:1].numpy(),
        "labels": None, "model": UpsetModel(), "filters": Filters(structures=("weight",)),
        "counts": {"weight": COUNT}, "size": 40, "seed": 3, "audit": 0.0,
    }  # fmt: skip
    return CampaignSpec(**(arguments | changes))


def plan_of(job):
    return Plan(FaultSpace.of(netlist()), Schedule(job.program), job.model, job.filters)


def campaign(folder, job, effects, layer="a"):
    """A campaign that has ended, with effects as given; its tables and summary."""
    sizes = {"weight-000000": 40, "weight-000001": 40, "weight-000002": 20}
    with Store(folder, manifest(job, plan_of(job)).to_json()) as store:
        store.missing(sizes)
        for at, (unit, rows) in enumerate(sizes.items()):
            found = columns(rows, 40 * at)
            found["effect"] = effects[40 * at : 40 * at + rows]
            found["layer"] = [layer] * rows
            store.add(unit, pack(found))
        tables = list(store.tables(sizes.items()))
        summary = summarize(tables, plan_of(job), 1)
        store.write("summary.json", json.dumps(summary.to_json()).encode())
    return tables, summary


def ended(job, summary, tables):
    return Ended(manifest(job, plan_of(job)), summary, tables)


FIRST, SECOND = ([e] * 30 + ["masked"] * 70 for e in ("sdc1", "benign"))


def compared(tmp_path, there, here, layers=("a", "a")):
    campaign(tmp_path / "there", there, FIRST, layers[0])
    tables, summary = campaign(tmp_path / "here", here, SECOND, layers[1])
    other = PriorCampaign.load(tmp_path / "there")
    return other.compared(ended(here, summary, tables), 0.95)


def test_another_training_of_a_network_is_paired(tmp_path):
    found = compared(tmp_path, job_of(network("tiny", 3)), job_of(network("tiny", 4)))
    assert found["pairs"]["weight"]["prevented"] == 30
    assert found["pairs"]["total"]["caused"] == 0


def test_what_was_tried_whole_is_not_estimated(tmp_path):
    job = job_of(program())
    campaign(tmp_path / "there", job, FIRST)
    tables, summary = campaign(tmp_path / "here", job, SECOND)
    here = replace(manifest(job, plan_of(job)), whole=["weight"])
    other = PriorCampaign.load(tmp_path / "there")
    found = other.compared(Ended(here, summary, tables), 0.95)["pairs"]["total"]
    assert set(found["difference"].values()) == {-0.3}


def test_effects_are_paired_by_name(tmp_path):
    """Of 100 faults 30 changed the class before, and as many the logits alone afterwards."""
    job = job_of(program())
    tables, summary = campaign(tmp_path / "there", job, FIRST)
    first = ended(job, summary, tables)
    tables, summary = campaign(tmp_path / "here", job, SECOND)
    second = first._replace(summary=summary, tables=tables)
    for kind, change in (("sdc1", -30), ("benign", 30), ("avf", 0)):
        found = paired(first, second, 0.95, kind)["total"]
        assert found["caused"] - found["prevented"] == change
        assert found["difference"]["value"] == pytest.approx(change / 100)
        assert len(found[kind]) == 2


@pytest.mark.parametrize("last", [("logits", 9), ("classes", 6)])
def test_two_networks_are_compared_by_their_shares(tmp_path, last):
    """Of other size; and of the same size, in which other layers were struck."""
    first, second = network("tiny", 3), network("other", 3, last)
    assert program_hash(first) != program_hash(second) or last[1] == 6
    found = compared(tmp_path, job_of(first), job_of(second), ("logits", last[0]))
    assert found["sdc1"]["weight"]["difference"]["value"] == pytest.approx(-0.3)
    assert found["avf"]["weight"]["difference"]["value"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"size": 50}, {"model": UpsetModel(bits=2)},
     {"codes": images().numpy()}, {"codes": 1 - images().numpy()[:1]}],
)  # fmt: skip
def test_other_draws_are_not_paired(tmp_path, change):
    """The rows are the same here, whatever the campaigns are of."""
    there, here = job_of(program()), job_of(program(), **change)
    tables, summary = campaign(tmp_path / "there", there, FIRST)
    if len(here.codes) == 2:
        summary = replace(summary, images=2)
    found = PriorCampaign.load(tmp_path / "there").compared(ended(here, summary, tables), 0.95)
    assert "pairs" not in found


def test_another_design_is_not_paired(tmp_path):
    other = AcceleratorConfig(
        rows=2, cols=2, act_depth=128, weight_depth=512, acc_depth=32, param_depth=32,
        program_depth=16,
    )  # fmt: skip
    there = job_of(program())
    tables, summary = campaign(tmp_path / "there", there, FIRST)
    here = replace(manifest(there, plan_of(there)), design="b", config=other.to_toml())
    found = PriorCampaign.load(tmp_path / "there").compared(Ended(here, summary, tables), 0.95)
    assert "pairs" not in found


def test_a_manifest_of_an_earlier_version_is_paired(tmp_path):
    """Which had the option's key under another name, no sources, and shards without a stamp."""
    job = job_of(program())
    tables, summary = campaign(tmp_path / "there", job, FIRST)
    path = tmp_path / "there" / "manifest.json"
    old = json.loads(path.read_text())
    old["cycles"] = old.pop("cycles_drawn")
    del old["sources"]
    path.write_text(json.dumps(old))
    found = PriorCampaign.load(tmp_path / "there").compared(ended(job, summary, tables), 0.95)
    assert found["pairs"]["weight"]["prevented"] == 0
    old["cycles"] = "first-mac"
    path.write_text(json.dumps(old))
    found = PriorCampaign.load(tmp_path / "there").compared(ended(job, summary, tables), 0.95)
    assert "pairs" not in found


def test_what_has_not_ended_is_refused(tmp_path):
    job = job_of(program())
    tables, summary = campaign(tmp_path / "there", job, FIRST)
    folder = tmp_path / "there"
    (folder / "shards" / "weight-000001.parquet").unlink()
    with pytest.raises(HoldfastError, match=r"has 60 results, its summary is of 100; its own"):
        PriorCampaign.load(folder).compared(ended(job, summary, tables), 0.95)
    (folder / "summary.json").unlink()
    with pytest.raises(HoldfastError, match=r"no campaign that has ended: summary\.json is miss"):
        PriorCampaign.load(folder)


def check_mutations(tmp_path, count, seed):
    job = job_of(program())
    tables, summary = campaign(tmp_path / "there", job, FIRST)
    folder = tmp_path / "there"
    names = ["manifest.json", "summary.json", "shards/weight-000001.parquet"]
    kept = {name: (folder / name).read_bytes() for name in names}
    rng = random.Random(seed)
    endings = {"compared": 0, "refused": 0}
    right = PriorCampaign.load(folder).compared(ended(job, summary, tables), 0.95)
    for _ in range(count):
        name = rng.choice(names)
        harm(folder / name, rng, damaged if name.endswith("parquet") else altered)
        try:
            found = PriorCampaign.load(folder).compared(ended(job, summary, tables), 0.95)
        except HoldfastError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
            endings["refused"] += 1
        else:
            json.dumps(found, allow_nan=False)
            assert "pairs" not in found or found == right
            endings["compared"] += 1
        if (folder / name).is_dir():
            (folder / name).rmdir()
        (folder / name).write_bytes(kept[name])
    return endings


@pytest.mark.long
def test_mutations(tmp_path):
    endings = check_mutations(tmp_path, 2000, 1)
    assert min(endings.values()) > 50


@pytest.mark.slow
def test_many_mutations(tmp_path):
    check_mutations(tmp_path, 20_000, 2)


def test_rows_are_compared_in_any_order(tmp_path):
    job = job_of(program())
    tables, summary = campaign(tmp_path / "there", job, FIRST)
    whole = pa.concat_tables(tables)
    assert whole.schema.equals(SCHEMA)
    turned = [whole.slice(60), whole.slice(0, 60)]
    found = PriorCampaign.load(tmp_path / "there").compared(ended(job, summary, turned), 0.95)
    assert found["pairs"]["weight"]["prevented"] == 0
