"""The campaign's command: what it writes, how it goes on, and how it refuses."""

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

import holdfast.fault.__main__ as campaign
from holdfast.base.command import run
from holdfast.base.pool import in_processes
from holdfast.fault.campaign.engine import FaultOutcome
from holdfast.nn.data import choice
from holdfast.nn.data import cifar as data
from holdfast.nn.networks.spec import Network
from tests.fault.in_process import POOL, in_this_process
from tests.fault.tiny import CONFIG, graph
from tests.random_graph import random_graph


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A small model and configurations, and a place without CIFAR-10."""
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.setattr(data, "_SHARED", tmp_path / "absent")
    found = choice.chosen_images

    def small_images(place, count, seed):
        chosen = found(place, count, seed)
        return data.ImageSet(chosen.name, chosen.images[:, :, :4, :4].copy(), chosen.labels)

    monkeypatch.setattr(choice, "chosen_images", small_images)
    graph().save(tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.toml").write_text(CONFIG.to_toml())
    (tmp_path / "bare.toml").write_text(CONFIG.with_(guard=False).to_toml())
    (tmp_path / "streamed.toml").write_text(CONFIG.with_(weight_depth=160).to_toml())
    return SimpleNamespace(
        folder=tmp_path,
        network=["--network", str(tmp_path / "tiny.safetensors")],
        config=str(tmp_path / "tiny.toml"),
        bare=str(tmp_path / "bare.toml"),
        streamed=str(tmp_path / "streamed.toml"),
        images=found,
        store=tmp_path / "store",
    )


@pytest.fixture
def command(files, monkeypatch, capsys):
    """Exit code, output and complaint of the command, which is given a model and a store."""
    monkeypatch.setattr(POOL, in_this_process)

    def call(*options):
        given = [option.format_map(vars(files)) for option in options]
        config = [] if "--config" in options else ["--config", files.config]
        arguments = [*files.network, *config, "--store", str(files.store), *given]
        monkeypatch.setattr("sys.argv", ["campaign", *arguments])
        code = run(campaign.app)
        return (code, *capsys.readouterr())

    return call


SMALL = ("--processes", "1", "--minimum", "5", "--faults", "100")


SLICE = ("--requantize", "slice", "--audit", "0")


def shards(folder):
    return {path.name: path.read_bytes() for path in folder.glob("shards/*.parquet")}


def test_a_campaign_and_the_same_command_again(files, command, monkeypatch):
    monkeypatch.setattr(POOL, in_processes)
    code, told, _ = command(*SMALL, "--audit", "20%")
    assert code == 0, told
    assert "Nothing is excluded." in " ".join(told.split())
    summary = json.loads((files.store / "summary.json").read_text())
    assert summary["faults"] == sum(pq.read_table(p).num_rows for p in files.store.glob("shards/*"))
    assert summary["audit"]["checked"] > 0 and summary["audit"]["disagreements"] == 0
    assert "<title>tiny on 2x2_a8w8_guard</title>" in (files.store / "report.html").read_text()
    before = shards(files.store)
    (files.store / "shards" / "weight-000000.parquet").unlink()
    (files.store / "summary.json").unlink()
    code, told, _ = command(*SMALL, "--audit", "20%")
    assert code == 0, told
    assert shards(files.store) == before
    assert json.loads((files.store / "summary.json").read_text()) == summary


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pattern", "("), "pattern '(' is not valid"),
        (("--pattern", "(" * 3000), "is not valid: "),
        (("--pilot", "{folder}/none"), "holds no campaign that has ended"),
    ],
)
def test_mistakes_are_told_before_images_are_loaded(files, command, monkeypatch, options, message):
    monkeypatch.setattr(campaign, "images_for", lambda *given: pytest.fail("images were loaded"))
    code, _, complaint = command(*SMALL, *options)
    assert code == 2 and message in complaint and complaint.count("\n") == 1


def test_a_small_population_is_tried_whole_in_a_folder_with_brackets(files, command):
    """Twice the same phase is the same population; the path is printed as it is."""
    files.store = files.folder / "o10[old]" / "[" / "x]"
    filters = ("--structures", "skew", "--layers", "a", "--phases", "fetch, fetch,")
    code, told, _ = command(*filters, "--processes", "1", "--margin", "0.01%", "--audit", "0")
    assert code == 0, told
    assert "All faults of skew, each once." in told
    assert f"{files.store / 'summary.json'} written." in told
    summary = json.loads((files.store / "summary.json").read_text())
    faults = [
        fault
        for path in files.store.glob("shards/*")
        for fault in pq.ParquetFile(path).read().column("fault").to_pylist()
    ]
    assert summary["faults"] == summary["population"] == len(faults) == len(set(faults))
    assert summary["settings"]["whole"] == ["skew"]


def read_only(monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("TemporaryFile", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", refused)


@pytest.mark.parametrize("more", [(), ("--compare", "off,bound")])
def test_a_finished_campaign_on_a_read_only_disk(files, command, monkeypatch, more):
    options = (*SMALL, "--structures", "skew,guard", *more)
    code, told, _ = command(*options)
    assert code == 0 and "summary.json written." in " ".join(told.split())
    before = {path: path.read_bytes() for path in files.store.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        read_only(patch)
        code, again, _ = command(*options)
        assert code == 0 and "lie there, on a read-only disk." in " ".join(again.split())
        assert " faults in " in told and " faults in " not in again
        code, _, complaint = command(*SMALL[:-1], "120", "--structures", "skew,guard", *more)
        assert code == 2 and "holds another campaign: its faults differs" in complaint
    assert before == {path: path.read_bytes() for path in files.store.rglob("*") if path.is_file()}
    next(files.store.rglob("skew-000000.parquet")).unlink()
    with monkeypatch.context() as patch:
        read_only(patch)
        code, _, complaint = command(*options)
        assert code == 2 and complaint.count("\n") == 1
        assert "Read-only file system" in complaint


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("name", ["comparison.json", "digests.json"])
def test_a_disk_that_is_full_in_the_end(files, command, monkeypatch, name):
    """Whichever file is refused: one sentence, the old one is still there, and all goes on."""
    options = (*SMALL, "--structures", "skew,guard", "--compare", "off,bound")
    replace = os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        code, _, complaint = command(*options)
        assert code == 2 and "No space left on device" in complaint
        assert complaint.strip().count("\n") == 0
        assert not list(files.store.rglob(name)) and not list(files.store.rglob(".*"))
    code, _, _ = command(*options)
    assert code == 0 and list(files.store.rglob(name))


def test_a_damaged_shard_is_computed_again(files, command):
    code, _, _ = command(*SMALL)
    path = files.store / "shards" / "skew-000000.parquet"
    summary, whole = (files.store / "summary.json").read_bytes(), path.read_bytes()
    path.write_bytes(whole[:-9])
    code, told, _ = command(*SMALL)
    assert code == 0
    assert "skew-000000.parquet is damaged: its unit is computed again." in " ".join(told.split())
    assert path.read_bytes() == whole and (files.store / "summary.json").read_bytes() == summary


def test_a_campaign_that_other_sources_began(files, command, monkeypatch):
    code, told, _ = command(*SMALL)
    monkeypatch.setattr("holdfast.fault.campaign.manifest.source_hash", lambda *_: "other")
    code, again, _ = command(*SMALL)
    assert code == 0 and told.splitlines()[-9:] == again.splitlines()[-9:]
    (files.store / "shards" / "skew-000000.parquet").unlink()
    code, _, complaint = command(*SMALL)
    assert code == 2 and complaint.count("\n") == 1
    assert "was begun with other sources of Holdfast, and skew-000000 is missing" in complaint


def test_two_networks_are_not_paired(files, command, tmp_path):
    """The other is of the same layers and two outputs less; the options are the same."""
    net = Network("other", input_shape=(3, 4, 4))
    a = net.conv("a", "image", 4, 3)
    b = net.conv("b", a, 4, 3)
    c = net.conv("c", b, 4, 3, activation="none")
    net.dense("logits", net.add("d", c, a), 4)
    random_graph(net, seed=3).save(tmp_path / "other.safetensors")
    code, _, _ = command(*SMALL, "--structures", "skew")
    assert code == 0
    store, files.store = files.store, files.folder / "other"
    other = ("--network", str(tmp_path / "other.safetensors"))
    code, _, told = command(*SMALL, "--structures", "skew", *other, "--against", str(store))
    assert code == 0, told
    found = json.loads((files.store / f"against_{store.name}.json").read_text())
    assert set(found) == {"sdc1", "avf"}


def test_settings_are_compared_on_the_same_faults(files, command):
    code, told, _ = command(*SMALL, "--compare", "off,bound", "--structures", "skew,guard")
    assert code == 0, told
    folders = [files.store / f"guard_{name}" for name in ("off", "bound")]
    pairs = json.loads((files.store / "comparison.json").read_text())
    assert pairs["first"] == "off" and set(pairs["second"]["bound"]) == {"skew", "guard", "total"}
    drawn = [pq.read_table(folder / "shards").column("fault").to_pylist() for folder in folders]
    assert drawn[0] == drawn[1] and len(drawn[0]) == pairs["second"]["bound"]["total"]["faults"]


def test_campaigns_with_and_without_shortcuts_do_not_mix(files, command):
    code, told, _ = command(*SMALL, *SLICE, "--cycles", "first-mac")
    assert code == 0, told
    told = " ".join(told.split())
    assert "Not injected: weight 16 bits, skew" in told
    table = pq.read_table(files.store / "shards")
    assert set(table.column("path").to_pylist()) == {"closed"}
    assert set(table.column("structure").to_pylist()) == {"pe_activation", "weight", "partial_sum"}
    assert set(table.column("layer").to_pylist()) == {"a", "b", "d"}
    code, _, told = command(*SMALL, *SLICE)
    assert code == 2 and "its cycles_drawn differs; give another folder." in told


def test_a_disagreement_fails_the_campaign(command, monkeypatch):
    monkeypatch.setattr(FaultOutcome, "agrees", lambda self, other: False)
    code, told, _ = command(*SMALL, "--audit", "100%", "--structures", "weight")
    assert code == 1
    assert "plain RTL disagrees" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "{bare}", "--guard", "bound"], "the guard cannot be switched on"),
        (["--config", "{bare}", "--compare", "off,zero"], "the guard cannot be switched on"),
        (["--config", "{streamed}"], "does not fit the accelerator's weight memory of 160 words"),
        (["--guard", "on"], "the guard is off, bound, zero, fixed, not 'on'."),
        (["--compare", "off,off"], "--compare needs two or more different settings"),
        (["--compare", "off,bound", "--stop-at", "1%"], "--stop-at is for one setting"),
        (["--faults", "0"], "--faults must be 1 to 100,000,000, not 0."),
        (["--margin", "0"], "--margin must be between 0 and 1 (or 0% and 100%), not 0."),
        (["--margin", "x"], "--margin must be a share such as 0.005 or 0.5%, not 'x'."),
        (["--confidence", "100%"], "--confidence must be between 0 and 1"),
        (["--confidence", "0.9999999999999999"], "--confidence must be 0.01 to 0.99999, not"),
        (["--margin", "1%", "--confidence", "1e-17"], "--confidence must be 0.01 to"),
        (["--images", "0"], "--images must be 1 to 10,000, not 0."),
        (["--seed", "-1"], "--seed must be 0 to 2147483647, not -1."),
        (["--minimum", "-1"], "--minimum must be 0 to 100,000,000, not -1."),
        (["--bits", "5"], "--bits must be 1 to 4, not 5."),
        (["--stuck", "2"], "--stuck must be 0 to 1, not 2."),
        (["--duration", "5"], "only stuck bits have a duration."),
        (["--pes", "3"], "a processing element is ROW.COLUMN, not '3'."),
        (["--structures", "wieght"], "structure 'wieght' does not exist"),
        (["--fit", "memory=1"], "--fit needs flip-flop=A,memory=B"),
        (["--fit", "memory=nan,flip-flop=1"], "both 0 to 1e+12"),
        (["--fit", "memory=x"], "--fit takes NAME=NUMBER, not 'memory=x'."),
        (["--cycles", "first"], "--cycles is one of all, first-mac, not 'first'."),
        (["--requantize", "one"], "--requantize is one of sum, slice, tile, not 'one'."),
        (["--requantize", "slice"], "which therefore cannot audit it: give an audit of 0."),
        ([*SLICE, "--guard", "bound"], "a slice that is requantized alone needs the guard off"),
        (
            [*SLICE, "--bits", "2"],
            "a slice that is requantized alone takes single-bit upsets only.",
        ),
        ([*SLICE, "--replay", "c1/weight[0]"], "--replay shows what the hardware does"),
        (["--cycles", "first-mac", "--structures", "host"], "not structure 'host'; possible are"),
        (["--replay", "c1/nothing[0]"], "has no register or memory nothing"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(files, command, options, message):
    code, _, told = command(*options)
    assert code == 2
    assert message in told and told.count("\n") == 1
    assert not files.store.exists()


@pytest.mark.parametrize(
    "options",
    [("--guard", "on"), ("--structures", "wieght"), ("--layers", "x"), ("--phases", "strem"),
     ("--stop-at", "x"), ("--fit", "memory=1"), ("--pes", "3"), ("--duration", "5")],
)  # fmt: skip
def test_mistakes_are_told_before_images_are_read(command, options, monkeypatch):
    monkeypatch.setattr(campaign, "images_for", lambda *given: 1 / 0)
    code, _, told = command(*options)
    assert code == 2 and told.count("\n") == 1


def test_images_of_another_size(files, command, monkeypatch):
    monkeypatch.setattr(choice, "chosen_images", files.images)
    assert command()[::2] == (
        2,
        "network tiny takes images of shape (3, 4, 4), those at hand have (3, 32, 32).\n",
    )
    assert not files.store.exists()
