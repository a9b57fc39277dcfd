"""A campaign's manifest: what is read of one, also of an earlier version, and what is none."""

import json

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign.manifest import Manifest, campaign_hash, read_manifest
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.graph.guard_modes import GUARD_OFF

PLAIN = {
    "format": 1, "design": "a", "config": "rows = 2", "network": "b", "images": "c",
    "name": "tiny", "accelerator": "2x2", "guard": {"output": False, "input": False,
    "zero": False, "fixed": False}, "model": {"bits": 1, "stuck": None, "duration": 0},
    "filters": {"structures": ["weight"], "layers": [], "phases": [], "pattern": "",
    "pes": [[0, 1]]}, "cycles_drawn": "all", "requantize": "sum", "faults": {"weight": 100},
    "unit": 40, "seed": 3, "audit": 0.1, "sources": "d", "versions": {"torch": "2"},
}  # fmt: skip


def written(folder, **changes):
    content = {key: value for key, value in (PLAIN | changes).items() if value != "absent"}
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def test_a_manifest_is_read_and_written_as_it_was(tmp_path):
    found = Manifest.read(written(tmp_path))
    assert found.filters == Filters(structures=("weight",), pes=((0, 1),))
    assert found.guard == GUARD_OFF and found.faults == {"weight": 100} and not found.patterns
    assert found.to_json() == PLAIN
    assert campaign_hash(found.to_json()) == campaign_hash(read_manifest(tmp_path))


def test_a_share_of_zero_is_written(tmp_path):
    found = Manifest.read(written(tmp_path, audit=0.0))
    assert found.to_json() == PLAIN | {"audit": 0.0}


def test_an_earlier_version_had_other_keys(tmp_path):
    guard = {"output": False, "input": False, "zero": False}
    folder = written(
        tmp_path, cycles="first-mac", guard=guard,
        **dict.fromkeys(("cycles_drawn", "sources", "versions", "requantize"), "absent"),
    )  # fmt: skip
    found = Manifest.read(folder)
    assert found.cycles_drawn == "first-mac" and found.sources is None and found.guard == GUARD_OFF
    assert found.to_json() == read_manifest(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": 0}, "unit is no such value"),
        ({"seed": -1}, "seed is no such value"),
        ({"faults": {"weight": -1}}, "weight is no such value"),
        ({"faults": {"weight": True}}, "Expected `int`, got `bool`"),
        ({"design": 5}, "Expected `str`, got `int`"),
        ({"network": "absent"}, "missing required field `network`"),
        ({"guard": {"output": 1}}, "Expected `bool`, got `int`"),
        ({"filters": {"pes": [[0]]}}, "of length 2"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, change, message):
    with pytest.raises(HoldfastError, match=rf"manifest\.json is damaged: .*{message}"):
        Manifest.read(written(tmp_path, **change))
