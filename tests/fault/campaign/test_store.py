"""A campaign's folder: what lies there is right, is computed again, or is refused."""

import errno
import json
import os
import random
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign.shard import SCHEMA, pack, stamped
from holdfast.fault.campaign.store import Store
from tests.fault.small_campaign import packed
from tests.mutations import altered, damaged, harm

MANIFEST = {
    "format": 1, "seed": 3, "faults": {"weight": 70, "skew": 30}, "sources": "a",
    "versions": {"numpy": "2", "rich": "1"},
}  # fmt: skip
UNITS = {"weight-000000": 40, "weight-000001": 30, "skew-000000": 30}


def columns(rows, shift=0):
    """Rows that differ from one another."""
    row = {
        "structure": "weight", "signal": "weight", "word": 0, "bit": 0, "layer": "a",
        "phase": "stream", "image": 0, "died": "", "detected": False, "false_alarm": False,
        "sdc5": False, "sdc10": False, "sdc20": False, "counts": 0, "cycles": 0, "status": 0,
        "right": None, "path": "closed", "audited": False, "agrees": None, "latency": -1,
    }  # fmt: skip
    found = {name: [value] * rows for name, value in row.items()}
    found["number"] = [shift + n for n in range(rows)]
    found["cycle"] = [37 * (shift + n) for n in range(rows)]
    found["fault"] = [f"c{cycle}/weight[0]" for cycle in found["cycle"]]
    found["effect"] = [("masked", "sdc1", "latent")[n % 3] for n in range(rows)]
    return found


@pytest.fixture
def folder(tmp_path):
    """A campaign that has ended."""
    fill(tmp_path / "a", MANIFEST)
    return tmp_path / "a"


def fill(place, manifest):
    with Store(place, manifest) as store:
        assert store.missing(UNITS) == list(UNITS)
        for at, (unit, rows) in enumerate(UNITS.items()):
            store.add(unit, pack(columns(rows, 100 * at)))


def opened(place, manifest=MANIFEST):
    """What is missing of a campaign, and the results that are not."""
    with Store(place, manifest) as store:
        todo = store.missing(UNITS)
        here = {unit: rows for unit, rows in UNITS.items() if unit not in todo}
        return todo, dict(zip(here, store.tables(here.items()), strict=True)), store.damaged


def test_the_rows_are_those_that_were_given(folder):
    todo, tables, _ = opened(folder)
    assert todo == []
    for at, (unit, rows) in enumerate(UNITS.items()):
        wanted = pa.Table.from_pydict(columns(rows, 100 * at), schema=SCHEMA)
        assert tables[unit].equals(wanted)
    read = pq.read_table(folder / "shards")
    assert read.num_rows == 100 and read.schema.names == SCHEMA.names


def test_the_same_unit_is_the_same_bytes(folder, tmp_path):
    fill(tmp_path / "b", MANIFEST)
    for unit in UNITS:
        path = f"shards/{unit}.parquet"
        assert (folder / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.slice(0, 39), "is not of 40 rows|39 rows, not 40"),
        (lambda table: table.drop_columns("latency"), "other columns than a shard"),
        (lambda table: table.append_column("x", table["bit"]), "other columns than a shard"),
    ],
)
def test_a_shard_that_lacks_something_is_computed_again(folder, change, message):
    path = folder / "shards" / "weight-000000.parquet"
    whole = path.read_bytes()
    stamp = json.loads(pq.ParquetFile(path).metadata.metadata[b"holdfast"])
    stream = pa.BufferOutputStream()
    pq.write_table(change(pq.ParquetFile(path).read()), stream)
    path.write_bytes(stamped(stream.getvalue().to_pybytes(), stamp["unit"], stamp["campaign"]))
    todo, _, said = opened(folder)
    assert todo == ["weight-000000"]
    (text,) = said
    import re

    assert "weight-000000.parquet" in text and re.search(message, text)
    with Store(folder, MANIFEST) as store:
        store.add("weight-000000", pack(columns(40)))
    assert path.read_bytes() == whole


def test_a_shard_of_another_unit_or_campaign_is_refused(folder, tmp_path):
    path = folder / "shards" / "weight-000001.parquet"
    shutil.copyfile(folder / "shards" / "skew-000000.parquet", path)
    with pytest.raises(HoldfastError, match=r"weight-000001\.parquet is of another unit; delete"):
        opened(folder)
    fill(tmp_path / "b", MANIFEST | {"seed": 4})
    shutil.copyfile(tmp_path / "b" / "shards" / path.name, path)
    with pytest.raises(HoldfastError, match=r"is of another campaign; delete it\.$"):
        opened(folder)
    path.write_bytes(pack(columns(30)))
    with pytest.raises(HoldfastError, match=r"does not say which campaign it is of; delete it\.$"):
        opened(folder)


def test_shards_without_a_manifest_are_refused(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(HoldfastError, match=r"has shards but no manifest\.json"):
        opened(folder, MANIFEST | {"seed": 9})
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sources": "b"}, "other sources of Holdfast"),
        ({"versions": {"numpy": "3", "rich": "1"}}, "numpy 2, not 3"),
    ],
)
def test_units_of_two_programs_do_not_mix(folder, change, told):
    """A finished campaign is shown; one that is not is not gone on with."""
    other = MANIFEST | change
    assert opened(folder, other)[0] == []
    (folder / "shards" / "skew-000000.parquet").unlink()
    with pytest.raises(HoldfastError, match=f"was begun with {told}, and skew-000000 is missing"):
        opened(folder, other)
    assert opened(folder)[0] == ["skew-000000"]
    damaged_file = folder / "shards" / "weight-000000.parquet"
    damaged_file.write_bytes(damaged_file.read_bytes()[:-1])
    with pytest.raises(HoldfastError, match=r"begun with .* and shard .* is damaged: units of"):
        opened(folder, other)


def test_versions_that_change_nothing_do_not_matter(folder):
    (folder / "shards" / "skew-000000.parquet").unlink()
    other = MANIFEST | {"versions": {"numpy": "2", "rich": "7", "platform": "x"}}
    assert opened(folder, other)[0] == ["skew-000000"]


def test_a_campaign_of_an_earlier_version(folder):
    """No sources in the manifest, no stamps, an old key: finished it is shown, not gone on with."""
    old = {k: v for k, v in MANIFEST.items() if k != "sources"} | {"cycles": "all"}
    (folder / "manifest.json").write_text(json.dumps(old))
    for at, (unit, rows) in enumerate(UNITS.items()):
        table = pa.Table.from_pydict(columns(rows, 100 * at), schema=SCHEMA)
        pq.write_table(table, folder / "shards" / f"{unit}.parquet", compression="zstd")
    now = MANIFEST | {"cycles_drawn": "all"}
    todo, tables, _ = opened(folder, now)
    assert todo == [] and sum(table.num_rows for table in tables.values()) == 100
    (folder / "shards" / "skew-000000.parquet").unlink()
    with pytest.raises(HoldfastError, match="was begun with an earlier Holdfast, and skew-000000"):
        opened(folder, now)


def read_only(monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    monkeypatch.setattr("tempfile.mkstemp", refused)


def test_a_read_only_disk(folder, monkeypatch):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "lock").unlink()
    del before[folder / "lock"]
    read_only(monkeypatch)
    with Store(folder, MANIFEST) as store:
        assert not store.writable and store.missing(UNITS) == []
        assert sum(table.num_rows for table in store.tables(UNITS.items())) == 100
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before
    (folder / "shards" / "skew-000000.parquet").unlink()
    with pytest.raises(HoldfastError, match=r"cannot write in folder .*: Read-only file system\."):
        opened(folder)


def test_what_a_killed_process_left_is_removed(folder):
    node = os.uname().nodename
    dead = 2**22 + 1
    left = [
        folder / f".summary.json.{dead}@{node}.abcdefgh",
        folder / "shards" / f".weight-000001.parquet.{dead}@{node}.a1b2c3d4",
    ]
    for path in left:
        path.write_bytes(b"half")
    assert opened(folder)[0] == []
    assert not any(path.exists() for path in left)


def check_mutations(folder, count, seed):
    """Every damage to a file of a campaign: the same results, a unit to compute, or a sentence."""
    _, whole, _ = opened(folder)
    names = ["manifest.json", *(f"shards/{unit}.parquet" for unit in UNITS)]
    kept = {name: (folder / name).read_bytes() for name in names}
    rng = random.Random(seed)
    endings = {"same": 0, "again": 0, "refused": 0}
    for _ in range(count):
        name = rng.choice(names)
        harm(folder / name, rng, altered if name == "manifest.json" else damaged)
        try:
            todo, tables, _ = opened(folder)
        except HoldfastError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
            endings["refused"] += 1
        else:
            assert all(table.equals(whole[unit]) for unit, table in tables.items())
            endings["again" if todo else "same"] += 1
        if (folder / name).is_dir():
            (folder / name).rmdir()
        (folder / name).write_bytes(kept[name])
    return endings


@pytest.mark.long
def test_mutations(folder):
    endings = check_mutations(folder, 2000, 1)
    assert endings["again"] > 300 and endings["refused"] > 100


@pytest.mark.slow
def test_many_mutations(folder):
    check_mutations(folder, 20_000, 2)


def test_a_stamp_is_all_that_is_added():
    content = pack(columns(5))
    file = pq.ParquetFile(pa.BufferReader(stamped(content, "weight-000000", "c")))
    assert file.read().equals(pq.read_table(pa.BufferReader(content)))
    stamp = json.loads(file.metadata.metadata[b"holdfast"])
    assert stamp.pop("digest").isalnum()
    assert stamp == {"unit": "weight-000000", "rows": 5, "campaign": "c"}


def test_a_worker_stamps_as_the_store_does(tmp_path):
    with Store(tmp_path, MANIFEST) as store:
        ours = pack(columns(40), "weight-000000", store.campaign)
        theirs = stamped(pack(columns(40)), "weight-000000", store.campaign)
        tables = [pq.ParquetFile(pa.BufferReader(content)) for content in (ours, theirs)]
        assert tables[0].read().equals(tables[1].read())
        stamps = [json.loads(table.metadata.metadata[b"holdfast"]) for table in tables]
        assert stamps[0] | {"digest": ""} == stamps[1] | {"digest": ""}
        store.add("weight-000000", ours)
        assert store.shard("weight-000000").read_bytes() == ours
        assert store.missing(UNITS) == list(UNITS)[1:]


def test_units_are_on_the_disk_when_all_are_added(tmp_path):
    with Store(tmp_path, MANIFEST) as store:
        with store.adding() as add:
            for at, (unit, rows) in enumerate(UNITS.items()):
                add(unit, pack(columns(rows, 100 * at)))
        assert store.missing(UNITS) == []


def test_what_cannot_be_added_is_said(tmp_path, monkeypatch):
    with Store(tmp_path, MANIFEST) as store:

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(HoldfastError, match="No space left on device; finished shards are"):
            with store.adding() as add:
                add("weight-000000", pack(columns(40)))
                while not store.shard("weight-000000").exists():
                    pass
                monkeypatch.setattr(os, "replace", full)
                add("weight-000001", pack(columns(30)))
        assert store.missing(UNITS) == list(UNITS)[1:]


def test_no_space_keeps_what_is_finished(tmp_path, monkeypatch):
    with Store(tmp_path, {"sources": "a"}) as store:
        store.add("weight-000000", packed(["sdc1"]))
        whole = store.shard("weight-000000").read_bytes()

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(HoldfastError, match="No space left on device; finished shards are"):
            store.add("weight-000001", packed(["sdc1"]))
        assert store.shard("weight-000000").read_bytes() == whole
        assert not store.shard("weight-000001").exists()
        assert len(list((tmp_path / "shards").iterdir())) == 1


def test_another_campaign_is_refused(tmp_path):
    with Store(tmp_path, {"design": "a", "seed": 1}):
        with pytest.raises(HoldfastError, match="another process works on campaign"):
            with Store(tmp_path, {"design": "a", "seed": 1}):
                pass
    with pytest.raises(HoldfastError, match=r"holds another campaign: its design, seed differ"):
        with Store(tmp_path, {"design": "b", "seed": 2}):
            pass
    with Store(tmp_path, {"design": "a", "seed": 1}):
        pass
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(HoldfastError, match=r"manifest\.json is not valid JSON"):
        with Store(tmp_path, {"design": "a"}):
            pass
