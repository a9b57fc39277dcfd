"""Failure rates and safety metrics against values computed by hand."""

import pyarrow as pa
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign.shard import SCHEMA, shard_schema
from holdfast.fault.results.environment import Environment
from holdfast.fault.results.rates import failure_rates
from holdfast.fault.results.record import Precision, Sampling, Stratum, StructureSummary, Summary
from tests.fault.campaign.test_store import columns

NONE = {"value": 0.0, "low": 0.0, "high": 0.0}
SHARES = {"sdc1": NONE, "avf": NONE}
ENVIRONMENT = Environment("by hand", "FIT/Mbit", {"flip_flop": 50.0, "block_ram": 200.0})
REGISTER, WORD = "c1/weight[0]", "c1/weights__lane_0[3][0]"


def table(structure, effects, ids, **more):
    data = columns(len(effects)) | more
    data |= {"structure": [structure] * len(effects), "effect": list(effects), "fault": list(ids)}
    return pa.Table.from_pydict(data, schema=shard_schema(strata="stratum" in data))


def summary(structures, **more):
    settings = {"model": {"bits": 1, "stuck": None, "duration": 0}}
    return Summary(**{
        "population": 1, "cycles": 1000, "faults": 14, "images": 1, "total": SHARES,
        "structures": {name: StructureSummary(bits, 10, {}, SHARES, bits * 1000, registers)
                       for name, (bits, registers) in structures.items()},
        "settings": settings, **more,
    })  # fmt: skip


WEIGHTS = ["sdc1"] * 2 + ["stopped", "hang", "latent"] + ["masked"] * 5
FLAGS = [True] + [False] * 9
TABLES = [
    table("weight", WEIGHTS, [REGISTER] * 10, detected=FLAGS),
    table("weight_memory", ["sdc1", "masked", "masked", "sdc1"], [WORD] * 3 + [REGISTER]),
]
SUMMARY = summary({"weight": (100, 100), "weight_memory": (1100, 100)})


def test_rates_by_hand():
    found = failure_rates(ENVIRONMENT, TABLES, SUMMARY)
    weight, memory, total = (found.units[n] for n in ("weight", "weight_memory", "total"))
    # 100 bits of 50 FIT per 1e6; 1,000 of 200 and 100 of 50.
    assert weight["raw"].fit == weight["raw"].high == pytest.approx(0.005)
    assert memory["raw"].fit == pytest.approx(0.205)
    # 2 of 10, with the limits of Clopper and Pearson.
    sdc1 = weight["sdc1"]
    assert (sdc1.fit, sdc1.low, sdc1.high) == pytest.approx(
        (0.005 * 0.2, 0.005 * 0.025210726326833365, 0.005 * 0.5560954623076415)
    )
    assert sdc1.hours == pytest.approx(1e12) and sdc1.hours_low == pytest.approx(1e9 / sdc1.high)
    # A word and a register of 4: 1,100 bits x 200e-6 x (1 + 50 / 200) / 4.
    assert memory["sdc1"].fit == pytest.approx(0.06875)
    assert total["sdc1"].fit == pytest.approx(0.06975)
    assert memory["hang"].fit == 0 and memory["hang"].hours is None
    assert memory["hang"].hours_high is None and memory["hang"].hours_low > 0


def test_metrics_by_hand():
    sheet = failure_rates(ENVIRONMENT, TABLES, SUMMARY).worksheet
    # Residual: one SDC-1 and the hang of 10, and what failed in the memory. Covered: the flagged
    # SDC-1 and the stop of 10. Latent: one of 10.
    residual, covered, latent, every = 0.001 + 0.06875, 0.001, 0.0005, 0.21
    assert sheet.spfm.value == pytest.approx(1 - residual / every) == pytest.approx(0.667857142)
    assert sheet.lfm.value == pytest.approx(1 - latent / (every - residual))
    assert sheet.dc.value == pytest.approx(covered / (covered + residual))
    for metric in (sheet.spfm, sheet.lfm, sheet.dc):
        assert 0 <= metric.low < metric.value < metric.high <= 1


def test_a_system_that_notices_a_hang_covers_it():
    watched = Environment("x", "FIT/Mbit", ENVIRONMENT.rates, covered=("stopped", "hang"))
    total = failure_rates(watched, TABLES, SUMMARY).units["total"]
    assert total["residual"].fit == pytest.approx(0.0005 + 0.06875)
    assert total["covered"].fit == pytest.approx(0.0015)
    alone = Environment("x", "FIT/Mbit", ENVIRONMENT.rates, covered=())
    assert failure_rates(alone, TABLES, SUMMARY).units["total"]["covered"].fit == (
        pytest.approx(0.0005)
    )


def test_nothing_is_upset_without_rates():
    calm = Environment("x", "FIT/Mbit", {"flip_flop": 0.0, "block_ram": 0.0})
    found = failure_rates(calm, TABLES, SUMMARY)
    assert found.units["total"]["sdc1"].high == 0 and found.units["total"]["sdc1"].hours is None
    assert found.worksheet.spfm.value == 1 and found.worksheet.lfm is found.worksheet.dc is None


def test_strata_weigh_rates():
    names = ["weight_memory.1"] * 2 + ["weight_memory.2"] * 4 + ["weight_memory.0"] * 2
    sizes = {"weight_memory.0": 100_000, "weight_memory.1": 700_000, "weight_memory.2": 200_000}
    effects = ["sdc1", "masked", "sdc1", "masked", "masked", "masked", "masked", "latent"]
    tables = [table("weight_memory", effects, [WORD] * 8, stratum=names,
                    population=[sizes[n] for n in names])]  # fmt: skip
    sampling = Sampling({"sdc1": Precision(0, None), "avf": Precision(0, None)},
                        {n: Stratum(size, 1) for n, size in sizes.items()})  # fmt: skip
    divided = summary({"weight_memory": (1000, 0)}, sampling=sampling)
    found = failure_rates(ENVIRONMENT, tables, divided).units["total"]
    # 0.2 FIT in all: of 7 tenths a half, of 2 tenths a quarter, and of a tenth, unused, none.
    assert found["sdc1"].fit == pytest.approx(0.2 * (0.7 * 0.5 + 0.2 * 0.25))
    assert found["latent"].fit == pytest.approx(0.2 * 0.1 * 0.5)
    assert found["sdc1"].high < 0.2 * 0.9 and found["masked"].high < 0.2


def test_no_rate_is_above_that_of_all_upsets():
    # An error-correcting memory: of four faults one is in one of its few registers.
    corrected = Environment("x", "FIT/Mbit", {"flip_flop": 50.0, "block_ram": 0.0})
    found = failure_rates(corrected, TABLES[1:], summary({"weight_memory": (1100, 1)}))
    # One register of 50 FIT per 1e6.
    for rates in found.units.values():
        assert rates["raw"].fit == pytest.approx(5e-5)
        for rate in rates.values():
            assert 0 <= rate.low <= rate.fit <= rate.high <= rates["raw"].fit
    sheet = found.worksheet
    assert 0 <= sheet.spfm.low <= sheet.spfm.value <= sheet.spfm.high <= 1


def test_rates_of_a_part_say_so():
    assert failure_rates(ENVIRONMENT, TABLES, SUMMARY).part == ""
    filters = {"structures": ["weight", "weight_memory"], "layers": (), "pattern": "",
               "pes": [[3, 4]]}  # fmt: skip
    some = summary({"weight": (100, 100), "weight_memory": (1100, 100)},
                   settings=SUMMARY.settings | {"filters": filters})  # fmt: skip
    assert failure_rates(ENVIRONMENT, TABLES, some).part == (
        "structures weight, weight_memory; pes 3.4"
    )


def test_other_campaigns_have_no_rates():
    for settings, message in (
        ({"model": {"bits": 2, "stuck": None}}, "of single upsets"),
        ({"model": {"bits": 1, "stuck": 0}}, "of single upsets"),
        ({"model": {}}, "of single upsets"),
        ({}, "of single upsets"),
        (SUMMARY.settings | {"cycles_drawn": "first-mac"}, "not of first-mac and sum"),
        (SUMMARY.settings | {"requantize": "tile"}, "not of all and tile"),
    ):
        with pytest.raises(HoldfastError, match=message):
            failure_rates(ENVIRONMENT, TABLES, summary({"weight": (1, 1)}, settings=settings))
    old = summary({"weight": (100, None)})
    with pytest.raises(HoldfastError, match="does not tell flip-flops from memories"):
        failure_rates(ENVIRONMENT, TABLES[:1], old)
    partly = Environment("x", "FIT/Mbit", {"flip_flop": 1.0})
    with pytest.raises(HoldfastError, match="no rate of block_ram"):
        failure_rates(partly, TABLES, SUMMARY)
    assert TABLES[0].schema.equals(SCHEMA)
