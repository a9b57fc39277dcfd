"""Campaigns from Python: the same figures as the command's, as tables, plots and comparisons."""

import json

import pytest

import holdfast.fault.__main__ as command
from holdfast.api import Accelerator, Estimate, HoldfastError, compare, inject, load, read
from holdfast.base.command import run
from holdfast.base.pool import in_processes
from tests.fault.campaign.test_prior import campaign, job_of
from tests.fault.in_process import POOL
from tests.fault.tiny import images, program
from tests.nn.test_without_torch import without_torch

FEW = {"faults": 60, "minimum": 5, "seed": 3, "processes": 1}


@pytest.fixture
def network(place):
    return load(place / "small.safetensors")


@pytest.fixture
def chip():
    return Accelerator(config="chip.toml")


@pytest.mark.long
def test_it_is_what_the_command_finds(network, chip, place, monkeypatch):
    """Which writes its figures as JSON, and computes in processes of its own."""
    monkeypatch.setattr(POOL, in_processes)
    campaign = inject(network, chip, **FEW, folder="mine")
    options = "--faults 60 --minimum 5 --seed 3 --processes 1 --config chip.toml --store its"
    monkeypatch.setattr(
        "sys.argv", ["campaign", "--network", "small.safetensors", *options.split()]
    )
    assert run(command.app) == 0
    theirs = json.loads((place / "its" / "summary.json").read_text())
    assert campaign.sdc1 == Estimate(**theirs["total"]["sdc1"])
    assert campaign.avf == Estimate(**theirs["total"]["avf"])
    assert campaign.rate("masked") == Estimate(**theirs["total"]["masked"])
    for row in campaign.table().to_pylist()[:-1]:
        entry = theirs["structures"][row["structure"]]
        assert (row["bits"], row["faults"]) == (entry["bits"], entry["faults"])
        assert row["sdc1_high"] == entry["shares"]["sdc1"]["high"]
    again = read("its")
    assert again.sdc1 == campaign.sdc1 and read("mine").sdc1 == campaign.sdc1
    assert again.faults().num_rows == campaign.faults().num_rows == theirs["faults"]


def test_tables_and_plots(network, chip):
    campaign = inject(network, chip, **FEW, structures=("weight", "skew"))
    table = campaign.table()
    assert table["structure"].to_pylist() == ["weight", "skew", "total"]
    rows = campaign.faults().to_pylist()
    assert len(rows) == table["faults"].to_pylist()[-1]
    wrong = sum(row["effect"] == "sdc1" for row in rows if row["structure"] == "weight")
    faults = sum(row["structure"] == "weight" for row in rows)
    assert campaign.rate("sdc1", "weight").value == pytest.approx(wrong / faults)
    figure = campaign.figure("sdc1")
    assert [row["label"] for row in figure.rows] == ["weight", "skew"]
    assert "<svg" in figure.svg()


@pytest.mark.long
def test_a_comparison_is_fault_by_fault(network):
    off = inject(network, Accelerator(config="chip.toml"), **FEW, structures=["partial_sum"])
    on = inject(
        network, Accelerator(config="chip.toml", guard=True), **FEW, structures=["partial_sum"]
    )
    found = compare(off, on)
    effects = [dict(zip(c.faults()["fault"].to_pylist(), c.faults()["effect"].to_pylist(),
                        strict=True)) for c in (off, on)]  # fmt: skip
    prevented = [f for f, e in effects[0].items() if e == "sdc1" and effects[1][f] != "sdc1"]
    assert found.paired and found.prevented == len(prevented)
    assert found.difference.value == pytest.approx(on.sdc1.value - off.sdc1.value)
    other = inject(network, Accelerator(config="chip.toml"), **(FEW | {"seed": 4}))
    assert not compare(off, other).paired and compare(off, other).prevented is None
    for effect in ("avf", "sdc5"):
        change = compare(off, on, effect)
        assert change.paired
        first, second = (campaign.rate(effect).value for campaign in (off, on))
        assert change.difference.value == pytest.approx(second - first)


def stored(folder, effects, codes):
    """A campaign in a folder: 100 upsets of weights."""
    campaign(folder, job_of(program(), codes=codes), effects)
    return read(folder)


def test_campaigns_that_were_read_are_paired(tmp_path):
    one, other = images()[:1].numpy(), images()[1:].numpy()
    first = stored(tmp_path / "first", ["sdc1"] * 30 + ["masked"] * 70, one)
    second = stored(tmp_path / "second", ["sdc1"] * 10 + ["benign"] * 90, one)
    found = compare(first, second)
    assert (found.paired, found.prevented, found.caused) == (True, 20, 0)
    assert found.difference.value == pytest.approx(-0.2)
    failed = compare(first, second, "benign")
    assert (failed.paired, failed.prevented, failed.caused) == (True, 0, 90)
    elsewhere = compare(first, stored(tmp_path / "third", ["sdc1"] * 100, other))
    assert (elsewhere.paired, elsewhere.prevented) == (False, None)
    assert elsewhere.difference.value == pytest.approx(0.7)


def test_a_campaign_is_read_without_torch(tmp_path):
    stored(tmp_path / "a", ["sdc1"] * 30 + ["masked"] * 70, images()[:1].numpy())
    found = without_torch(
        "from holdfast.api import compare, read\n"
        f"a, b = read({str(tmp_path / 'a')!r}), read({str(tmp_path / 'a')!r})\n"
        "assert a.figure('sdc1') and a.faults().num_rows == 100 and compare(a, b).paired\n"
        "print(a.table().to_pylist()[0]['sdc1'])"
    )
    assert found.stdout == "0.3\n", found.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"faults": 0}, "faults must be 1 to 100,000,000, not 0."),
        ({"seed": -1}, "seed must be 0 to 2147483647, not -1."),
        ({"confidence": 1.0}, "confidence must be 0.01 to 0.99999, not 1.0."),
        ({"images": 0}, "images must be 1 to 10,000, not 0."),
        ({"structures": ["nothing"]}, "structure 'nothing' does not exist; known are "),
        ({"processes": 0}, "processes must be 1 to 256, not 0."),
        ({"faults": "3"}, "faults must be a whole number, not '3'."),
        ({"seed": 2.5}, "seed must be a whole number, not 2.5."),
        ({"minimum": True}, "minimum must be a whole number, not True."),
        ({"images": None}, "images must be a whole number, not None."),
        ({"margin": "1%"}, "margin must be a number, not '1%'."),
        ({"structures": "weight"}, "structures must be a list of names, not 'weight'."),
        ({"layers": 3}, "layers must be a list of names, not 3."),
        ({"data": 3}, "data must be a path, not 3."),
        ({"folder": ["a"]}, "folder must be a path, not ['a']."),
        ({"network": "resnet8"}, "network must be what load() returns, not 'resnet8'."),
        ({"accelerator": "8x8"}, "accelerator must be an Accelerator, not '8x8'."),
    ],
)
def test_mistakes(given, told, network, chip, place):
    with pytest.raises(HoldfastError) as error:
        inject(**{"network": network, "accelerator": chip} | given)
    assert str(error.value).startswith(told)
    assert {path.name for path in place.iterdir()} <= {"small.safetensors", "chip.toml", "build"}


def test_unknown_names(network, chip, place):
    found = inject(network, chip, **FEW, structures=["skew"])
    for call in (
        lambda: found.rate("sdc2"), lambda: found.figure("sdc2"),
        lambda: found.rate("sdc1", "weight"), lambda: compare(found, found, "x"),
    ):  # fmt: skip
        with pytest.raises(HoldfastError, match=r"there is no (effect|structure) .*; known are "):
            call()
    with pytest.raises(HoldfastError, match="holds no campaign that has ended"):
        read(place)
    with pytest.raises(HoldfastError, match=r"^folder must be a path, not 3\.$"):
        read(3)
    with pytest.raises(HoldfastError, match=r"^second must be a Campaign, not None\.$"):
        compare(found, None)
