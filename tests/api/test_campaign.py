"""Campaigns from Python: the same figures as the command's, as tables, plots and comparisons."""

import json

import pytest

import holdfast.fault.__main__ as command
from holdfast.api import Accelerator, Estimate, HoldfastError, compare, inject, load, read
from holdfast.base.command import run

FEW = {"faults": 60, "minimum": 5, "seed": 3, "processes": 1}


@pytest.fixture
def network(place):
    return load(place / "small.safetensors")


@pytest.fixture
def chip():
    return Accelerator(config="chip.toml")


@pytest.mark.long
def test_it_is_what_the_command_finds(network, chip, place, monkeypatch):
    """Which writes its figures as JSON."""
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
    assert not compare(off, on, "avf").paired


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"faults": 0}, "faults must be 1 to 100,000,000, not 0."),
        ({"seed": -1}, "seed must be 0 to 2147483647, not -1."),
        ({"confidence": 1.0}, "confidence must be 0.01 to 0.99999, not 1.0."),
        ({"images": 0}, "images must be 1 to 10,000, not 0."),
        ({"structures": ["nothing"]}, "structure 'nothing' does not exist; known are "),
        ({"processes": 0}, "processes must be 1 to 256, not 0."),
    ],
)
def test_mistakes(given, told, network, chip, place):
    with pytest.raises(HoldfastError) as error:
        inject(network, chip, **given)
    assert str(error.value).startswith(told)
    assert {path.name for path in place.iterdir()} <= {"small.safetensors", "chip.toml", "build"}


def test_unknown_names(network, chip, place):
    campaign = inject(network, chip, **FEW, structures=["skew"])
    for call in (
        lambda: campaign.rate("sdc2"), lambda: campaign.figure("sdc2"),
        lambda: campaign.rate("sdc1", "weight"), lambda: compare(campaign, campaign, "x"),
    ):  # fmt: skip
        with pytest.raises(HoldfastError, match=r"there is no (effect|structure) .*; known are "):
            call()
    with pytest.raises(HoldfastError, match="holds no campaign that has ended"):
        read(place)
