"""Rows of shards as arrays: what counts as what, and the parts of a structure."""

import numpy as np
import pyarrow as pa

from holdfast.fault.campaign.shard import SCHEMA, shard_schema
from holdfast.fault.results.rows import Rows
from tests.fault.campaign.test_store import columns


def test_effects_and_flags_count_as_kinds():
    data = columns(5)
    data["effect"] = ["masked", "benign", "sdc1", "stopped", "latent"]
    data["detected"] = [True, False, False, True, False]
    data["false_alarm"] = [False] * 5
    kinds = Rows([pa.Table.from_pydict(data, schema=SCHEMA)]).kinds()
    assert kinds["avf"].tolist() == [False, True, True, True, False]
    assert kinds["undetected_sdc1"].tolist() == [False, False, True, False, False]
    assert kinds["corrected"].tolist() == [True, False, False, False, False]


def test_a_structure_is_parted_by_strata():
    class Divided:
        division = object()

        def strata(self, structure):
            return [f"{structure}.{n}" for n in range(3)]

    data = columns(4) | {"stratum": ["weight.2", "weight.1", "weight.2", "weight.1"],
                                   "population": [9, 5, 9, 5]}  # fmt: skip
    rows = Rows([pa.Table.from_pydict(data, schema=shard_schema(strata=True))])
    parts = rows.parts("weight", np.arange(4), Divided())
    assert {name: some.tolist() for name, some in parts.items()} == {
        "weight.1": [1, 3], "weight.2": [0, 2],
    }  # fmt: skip
