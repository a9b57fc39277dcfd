"""From a campaign's patterns to a fault model and its predictions."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import holdfast.fault.__main__ as campaign
from holdfast.base.command import run
from holdfast.fault.calibration import calibrate
from holdfast.fault.calibration.fit import _rates
from holdfast.fault.calibration.predict import Corrupter
from holdfast.fault.campaign.prior import PriorCampaign
from holdfast.nn.errors.empirical import Calibration
from holdfast.nn.errors.exposure import KINDS
from holdfast.nn.errors.templates import Placed, Templates
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON, GUARDS
from tests.fault.in_process import POOL, in_this_process
from tests.fault.test_main import files  # noqa: F401
from tests.fault.tiny import graph, images
from tests.nn.rescaling import rescaling

STRUCTURES = "weight,weight_memory,parameter_memory,requantizer"
SMALL = ("--processes", "1", "--minimum", "300", "--faults", "100", "--images", "2", "--audit", "0")


@pytest.fixture
def command(files, monkeypatch, capsys):  # noqa: F811
    """Runs ``campaign``, or ``fit`` or ``predict``; exit code, output and complaint."""
    monkeypatch.setattr(POOL, in_this_process)

    def call(name, *options):
        given = [str(option) for option in options]
        module = calibrate
        if name == "campaign":
            module = campaign
            given = [*files.network, "--config", files.config, "--store", str(files.store), *given]
        else:
            given = [name, *given, *files.network]
        monkeypatch.setattr("sys.argv", [name, *given])
        code = run(module.app)
        return (code, *(" ".join(text.split()) for text in capsys.readouterr()))

    return call


@pytest.fixture
def model(files, command):  # noqa: F811
    """A campaign with patterns, and the model of it."""
    code, told, _ = command("campaign", *SMALL, "--patterns", "--structures", STRUCTURES)
    assert code == 0, told
    code, told, wrong = command("fit", files.store, "--output", files.folder / "model.npz")
    assert code == 0, wrong
    return files.folder / "model.npz"


def rows_of(store):
    return pq.read_table(store / "shards").to_pylist()


def test_counts_and_rates(files, model):  # noqa: F811
    found = Calibration.load(model)
    rows = rows_of(files.store)
    for name in STRUCTURES.split(","):
        at = found.structures.index(name)
        counts = found.counts[name]
        mine = [row for row in rows if row["structure"] == name]
        assert counts["faults"] == len(mine)
        # The residual addition d is part of convolution c's step.
        for kind, layers in (("conv", "abcd"), ("dense", ["logits"])):
            hits = [row for row in mine if row["tensor"] is not None and row["tensor"] in layers]
            assert counts["corrupted"][kind] == len(hits)
        drawn = int((found.templates.structure == at).sum())
        assert drawn == sum(counts["corrupted"].values()) > 0
    assert found.provenance["campaigns"][0]["network"] == "tiny"


def test_rates_lean_towards_the_common_one():
    hits = np.array([[900, 3, 0], [0, 0, 0]])
    trials = np.array([[1000.0, 1.0, 5.0], [10.0, 10.0, 10.0]])
    rates = _rates(hits, trials, 10)
    common = 903 / 1006
    assert rates[0, 0] == pytest.approx(910 / (1000 + 10 / common))
    assert rates[0, 1] == pytest.approx(13 / (1 + 10 / common))
    assert rates[0, 2] == 0 and (rates[1] == 0).all()


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("guard", [GUARD_OFF, GUARD_ON], ids=["off", "on"])
def test_a_pattern_in_its_own_place_does_what_the_fault_did(files, command, guard):  # noqa: F811
    setting = "bound" if guard == GUARD_ON else "off"
    code, told, _ = command(
        "campaign", *SMALL, "--patterns", "--structures", STRUCTURES, "--guard", setting
    )
    assert code == 0, told
    codes = stored_images(files)
    corrupter = Corrupter(guard.golden(graph()), codes, 24)
    checked = {"sdc1": 0, "benign": 0, "masked": 0, "latent": 0}
    for row in rows_of(files.store):
        if row["tensor"] is None or row["tensor"] == "d":
            continue
        node = graph()[row["tensor"]]
        parts = [np.array(row[name], np.int64) for name in ("elements", "golden", "faulty")]
        places = [torch.from_numpy(axis) for axis in np.unravel_index(parts[0], node.shape)]
        change = torch.from_numpy(parts[2] - parts[1])
        zero = torch.zeros(1, dtype=torch.int64)
        own = Placed(torch.zeros_like(change), *places, change)
        template = one(row, node.shape, places, parts, change)
        image = torch.tensor([row["image"]])
        outputs = corrupter.outputs(node, image, own, zero, template)
        wrong = bool(corrupter.wrong_class(node, image, outputs)[0])
        assert wrong == (row["effect"] == "sdc1"), row["fault"]
        checked[row["effect"]] += 1
    assert min(checked["sdc1"], checked["benign"]) > 20


def test_fixed_bounds_check_average_poolings_too():
    """8 bits, 16 times the sums: a sum of 41 is beyond the guard's 512, one of 22 is clamped."""
    graph = rescaling()
    pool = graph["pool"]
    golden = GUARDS["fixed"].golden(graph)
    corrupter = Corrupter(golden, torch.tensor([[[[0, 1, 2, 3]]]], dtype=torch.int8), 24)
    places = [torch.tensor(axis) for axis in ([0, 0], [0, 0], [1, 2])]
    change = torch.tensor([40, 20])
    template = one({"domain": "sum", "gain": 1.0}, pool.shape, places, [None, change], change)
    zero = torch.zeros(1, dtype=torch.int64)
    own = Placed(torch.zeros_like(change), *places, change)
    outputs = corrupter.outputs(pool, zero, own, zero, template)
    assert outputs.flatten().tolist() == [-100, -100, 127, -52]


def one(row, shape, places, parts, change):
    """A single template."""
    flag = torch.tensor([row["domain"] == "code"])
    zero = torch.zeros(1, dtype=torch.int64)
    golden = torch.from_numpy(parts[1] if flag else np.zeros_like(parts[1]))
    return Templates(
        zero, zero, flag, torch.tensor([row["gain"]]), zero + shape[1], zero + shape[2],
        torch.tensor([0, len(change)]), *(part.int() for part in (*places, golden, change)),
    )  # fmt: skip


def stored_images(files):  # noqa: F811
    """The campaign's images: its generated ones, cut to the network's size."""
    from holdfast.nn.data.choice import chosen_images
    from holdfast.nn.graph.pixels import image_codes

    return image_codes(chosen_images(None, 2, 1).images, 8)


def test_its_own_campaign_is_predicted(files, command, model):  # noqa: F811
    """By a model as written before guards could have fixed bounds, too."""
    target = files.folder / "prediction.json"
    found = Calibration.load(model)
    del found.guard["fixed"]
    found.save(model)
    code, told, wrong = command(
        "predict",
        model,
        "--against",
        files.store,
        "--samples",
        6000,
        "--minimum",
        1000,
        "--output",
        target,
    )
    assert code == 0, wrong
    assert "SDC-1 of tiny" in told
    report = json.loads(target.read_text())
    assert set(report["structures"]) == set(STRUCTURES.split(","))
    for name in ("weight", "weight_memory"):
        mine, its = report["structures"][name]["sdc1"], report["measured"][name]
        assert its["value"] > 0
        assert mine["low"] <= its["high"] and its["low"] <= mine["high"], name
    total = sum(
        entry["sdc1"]["value"] * Calibration.load(model).bits[name]
        for name, entry in report["structures"].items()
    )
    assert report["total"]["value"] == pytest.approx(
        total / sum(Calibration.load(model).bits.values())
    )


def test_layers_without_patterns_are_left_out(files, model):  # noqa: F811
    found = Calibration.load(model)
    other = PriorCampaign.load(files.store)
    whole, left = calibrate._measured(other, found, graph())
    assert left == {}
    for name, share in whole.items():
        if name != "total":
            its = other.summary.structures[name].shares["sdc1"]
            assert (share.value, share.low) == (its["value"], its["low"])
    found.rates[:, KINDS.index("dense")] = 0
    part, left = calibrate._measured(other, found, graph())
    rows = rows_of(files.store)
    bits = sum(found.bits.values())
    expected = 0.0
    for name in found.bits:
        mine = [row for row in rows if row["structure"] == name]
        wrong = [row for row in mine if row["effect"] == "sdc1"]
        outside = [row for row in wrong if row["tensor"] == "logits"]
        assert part[name].value == pytest.approx((len(wrong) - len(outside)) / len(mine))
        expected += len(outside) / len(mine) * found.bits[name] / bits
    assert expected > 0 and left == pytest.approx({"dense": expected})


@pytest.mark.long
def test_what_cannot_be_fitted(files, command):  # noqa: F811
    few = ("--processes", "1", "--minimum", "5", "--faults", "10", "--structures", "weight")
    target = files.folder / "model.npz"

    def fitted(*options):
        for part in sorted(files.store.rglob("*"), reverse=True):
            part.rmdir() if part.is_dir() else part.unlink()
        code, told, _ = command("campaign", *few, *options)
        assert code == 0, told
        code, _, told = command("fit", files.store, "--output", target)
        assert code == 2 and told.endswith(".") and not target.exists()
        return told

    assert "holds no patterns: run its campaign with patterns" in fitted()
    assert "not a campaign of single-bit upsets" in fitted("--patterns", "--bits", "2")
    assert "leaves out cycles or registers" in fitted("--patterns", "--phases", "stream")
    code, _, told = command("fit", files.store, "--output", files.folder)
    assert code == 2 and "it is a folder." in told
    code, _, told = command("fit", files.folder / "nowhere", "--output", target)
    assert code == 2 and "holds no campaign that has ended" in told
    code, _, told = command("campaign", *few, "--patterns", "--requantize", "slice", "--audit", "0")
    assert code == 2 and "patterns are of whole sums" in told


def test_what_cannot_be_predicted(files, command, model):  # noqa: F811
    code, _, told = command("predict", model, "--samples", 0)
    assert code == 2 and "--samples must be 1 to 100,000,000, not 0." in told
    code, _, told = command("predict", model, "--output", files.folder)
    assert code == 2 and "it is a folder." in told
    foreign = files.folder / "foreign.npz"
    found = Calibration.load(model)
    found.guard = {"output": True, "input": True, "zero": False}
    found.save(foreign)
    code, _, told = command("predict", foreign, "--against", files.store)
    assert code == 2 and "the guard's setting in" in told
    found.weight_bits = 4
    found.save(foreign)
    code, _, told = command("predict", foreign, "--against", files.store)
    assert code == 2 and "was fitted at weight_bits 4; network tiny has 8." in told
    summary = json.loads((files.store / "summary.json").read_text())
    del summary["structures"]["weight"], summary["check"]
    (files.store / "summary.json").write_text(json.dumps(summary))
    code, _, told = command("predict", model, "--against", files.store)
    assert code == 2 and "has no faults in weight." in told


def test_the_golden_sums_are_what_is_requantized():
    """The corrupter's sums, requantized, are the layers' codes."""
    golden = Golden(graph())
    values = golden.run(images()).outputs
    for node in graph().weighted():
        x = values[node.inputs[0]]
        v = golden.sums(node, x) * torch.from_numpy(node.multiplier).reshape(-1, 1, 1)
        shift = torch.from_numpy(node.shift).reshape(-1, 1, 1)
        half = torch.where(shift > 0, 1 << (shift - 1).clamp(min=0), 0)
        codes = ((v + half >> shift) + node.zero_point).clamp(node.lo, node.hi)
        assert torch.equal(codes.to(torch.int8), values[node.name])
