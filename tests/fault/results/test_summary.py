"""Summaries: shares and intervals of what a campaign found, comparisons, and the report of them."""

import json
from math import exp, sqrt

import numpy as np
import pytest

from holdfast.fault.campaign.shard import pack
from holdfast.fault.campaign.workers import run_units
from holdfast.fault.results.record import Summary
from holdfast.fault.results.report import report
from holdfast.fault.results.summary import compare, failure_rates, summarize
from holdfast.nn.graph.guard_modes import GUARD_ON
from tests.base.pages import hostile, needs_nothing, parts
from tests.fault.small_campaign import job_of, plan_of, read, shard
from tests.fault.tiny import images, netlist
from tests.sim.small import flip_flop_bits


def test_every_fault_has_one_effect_and_the_audit_agrees(finished, space):
    job, _, summary, tables = finished
    assert sum(table.num_rows for table in tables) == sum(job.counts.values())
    for entry in summary.structures.values():
        effects = ("masked", "latent", "benign", "sdc1", "stopped", "hang")
        assert sum(entry.counts[name] for name in effects) == entry.faults
    assert summary.audit.checked > 10
    assert summary.audit.disagreements == 0
    weights = {name: entry.population for name, entry in summary.structures.items()}
    share = sum(
        weights[name] * entry.counts["sdc1"] / entry.faults
        for name, entry in summary.structures.items()
    ) / sum(weights.values())
    assert summary.total["sdc1"]["value"] == pytest.approx(share)
    assert summary.total["sdc1"]["low"] <= share <= summary.total["sdc1"]["high"]


def test_images_under_one_fault_are_a_cluster(space, schedule):
    job = job_of(space, schedule, codes=np.repeat(images()[:1].numpy(), 4, 0), audit=0.0,
                 counts={"accumulators": 100, "weight": 100}, size=100)  # fmt: skip
    single = job_of(space, schedule, audit=0.0, counts=job.counts, size=100)
    plan = plan_of(space, schedule, structures=("accumulators", "weight"))
    found = []
    for part, count in ((job, 4), (single, 1)):
        tables = [read(data) for _, data, _ in run_units(part, part.units())]
        found.append(summarize(tables, plan, count).to_json())
    # Four times the same image tells nothing new, in no group of faults.
    assert found[0]["structures"]["weight"]["shares"] == found[1]["structures"]["weight"]["shares"]
    for key in ("total", "layers", "phases", "bits_by_structure", "phase_by_structure", "worst"):
        assert intervals(found[0][key]) == pytest.approx(intervals(found[1][key]))


def intervals(entry):
    """All limits and values in a part of a summary."""
    if isinstance(entry, dict) and "low" in entry:
        return [entry["value"], entry["low"], entry["high"]]
    if isinstance(entry, dict):
        entry = [entry[key] for key in sorted(entry)]
    return [x for part in entry for x in intervals(part)] if isinstance(entry, list) else []


def test_what_counts_as_a_failure(space, schedule):
    plan = plan_of(space, schedule, structures=("weight",))
    effects = ["masked"] * 5 + ["latent"] * 4 + ["benign"] * 3 + ["sdc1"] * 2 + ["stopped", "hang"]
    counts = summarize([shard(effects)], plan, 1).structures["weight"].counts
    assert counts["avf"] == 3 + 2 + 1 + 1
    assert (counts["sdc1"], counts["undetected_sdc1"], counts["detected"]) == (2, 2, 0)


def test_a_population_tried_whole_has_no_sampling_error(space, schedule):
    plan = plan_of(space, schedule, structures=("weight",))
    tables = [shard(["masked"] * 10 + ["sdc1"] * 6)]
    estimated = summarize(tables, plan, 1).total["sdc1"]
    assert estimated["low"] < estimated["value"] < estimated["high"]
    plan.__dict__["population"] = {"weight": 16}
    exact = {"value": 6 / 16, "low": 6 / 16, "high": 6 / 16}
    found = summarize(tables, plan, 1).to_json()
    assert found["total"]["sdc1"] == found["structures"]["weight"]["shares"]["sdc1"] == exact
    assert found["layers"]["a"]["sdc1"] == found["phases"]["stream"]["sdc1"] == exact
    assert found["worst"][0]["share"] == found["bits_by_structure"]["weight"]["0"]["sdc1"] == exact
    others = [shard(["masked"] * 10 + ["sdc1"] * 3 + ["masked"] * 3)]
    pairs = compare(tables, others, plan, 1)["total"]
    assert set(pairs["difference"].values()) == {-3 / 16}
    assert set(pairs["ratio"].values()) == {0.5}


def test_interval_of_paired_shares(space, schedule):
    """Agresti, Categorical Data Analysis, table 10.1: 944 and 880 of 1600, 794 in both.

    The difference there is -0.04 with a standard error of 0.0095.
    """
    plan = plan_of(space, schedule, structures=("weight",))
    first = ["sdc1"] * (794 + 150) + ["masked"] * 86 + ["benign"] * 570
    second = ["sdc1"] * 794 + ["masked"] * 150 + ["sdc1"] * 86 + ["benign"] * 570
    pairs = compare([shard(first)], [shard(second)], plan, 1)
    for entry in pairs.values():
        assert (entry["prevented"], entry["caused"]) == (150, 86)
        # The textbook's variance of the logarithm of a paired ratio.
        spread = sqrt((150 + 86) / (944 * 880))
        assert entry["ratio"] == pytest.approx(
            {"value": 880 / 944, "low": 880 / 944 * exp(-1.96 * spread),
             "high": 880 / 944 * exp(1.96 * spread)}, rel=2e-3,
        )  # fmt: skip
        assert entry["difference"] == pytest.approx(
            {"value": -0.04, "low": -0.04 - 1.96 * 0.0095, "high": -0.04 + 1.96 * 0.0095}, abs=8e-4
        )


def test_accuracy_drop_and_corrected(space, schedule):
    """Ten upsets of a rightly classified image: two change its class, one stops the run."""
    effects = ["sdc1", "sdc1", "stopped", "masked", "masked", "latent"] + ["benign"] * 4
    rows = shard(effects).to_pydict()
    rows["right"] = [effect not in ("sdc1", "stopped") for effect in effects]
    rows["detected"] = [True] * 10
    rows["false_alarm"] = [False] * 4 + [True] + [False] * 5
    plan = plan_of(space, schedule, structures=("weight",))
    summary = summarize([read(pack(rows))], plan, 1)
    accuracy = summary.accuracy
    assert (accuracy.golden, accuracy.images) == (1, 1)
    assert accuracy.drop["value"] == pytest.approx(0.3)
    assert accuracy.drop["low"] < 0.3 < accuracy.drop["high"]
    assert summary.structures["weight"].counts["corrected"] == 2
    assert summarize([shard(effects)], plan, 1).accuracy is None


def test_pairs_and_rates(finished, space, schedule):
    _, _, summary, tables = finished
    plan = plan_of(space, schedule)
    guarded = job_of(space, schedule, guard=GUARD_ON)
    second = [read(data) for _, data, _ in run_units(guarded, guarded.units())]
    pairs = compare(tables, second, plan, summary.images)
    for name, entry in pairs.items():
        if name != "total":
            before, after = entry["sdc1"]
            assert before - entry["prevented"] + entry["caused"] == after
            assert entry["difference"]["low"] <= (after - before) / entry["faults"]
            assert entry["difference"]["high"] >= (after - before) / entry["faults"]
    same = compare(tables, tables, plan, summary.images)["total"]
    assert (same["prevented"], same["caused"], same["difference"]["value"]) == (0, 0, 0)
    rates = failure_rates(summary, plan, {"flip-flop": 100.0, "memory": 0.0})
    assert rates["total"]["raw"] == pytest.approx(100 * flip_flop_bits(netlist()) / 2**20)
    entry = summary.structures["weight"]
    assert rates["weight"]["sdc1"] == pytest.approx(
        100 * space.bits("weight") / 2**20 * entry.shares["sdc1"]["value"]
    )
    settings = {"name": "tiny", "accelerator": "2x2", "x": "y"}
    rates |= {"per_megabit": {"flip-flop": 100.0, "memory": 0.0}}
    content = [
        summary.to_json() | {"settings": settings | {"model": {}}, "fit": rates},
        {"off": {"bound": pairs}},
    ]
    page = report(Summary.from_json(content[0]), "nox -s campaign", content[1])
    assert needs_nothing(page)
    names = {"nox", "off", "bound", *settings.values(), *summary.structures, *summary.paths}
    names |= {"x", *summary.layers, *summary.died, *(w.signal for w in summary.worst)}
    other = hostile(content, names)
    spoilt = report(Summary.from_json(other[0]), hostile("nox", names), other[1])
    assert parts(spoilt)[0] == parts(page)[0]
    assert spoilt.encode()
    for name in summary.structures:
        assert name in page
    json.dumps(summary.to_json())
