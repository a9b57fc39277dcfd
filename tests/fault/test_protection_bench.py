"""What ``nox -s bench -- protection`` makes of campaigns, by hand."""

from holdfast.constraints.families.base import Cost
from tests.bench.protection import entry, table


def summary(bits, sdc1, benign, stopped, faults=1000):
    counts = {"sdc1": sdc1, "benign": benign, "stopped": stopped, "hang": 1}
    total = {
        name: {"value": n / faults, "low": n / faults / 2, "high": (n + 1) / faults}
        for name, n in counts.items()
    }
    return {
        "bits": bits, "cycles": 2000, "faults": faults, "images": 2, "total": total,
        "structures": {"a": {"counts": counts}, "b": {"counts": dict.fromkeys(counts, 2)}},
        "audit": {"checked": 7, "disagreements": 0},
    }  # fmt: skip


def test_sensitive_bits_and_their_reduction():
    none = entry(summary(10_000, 40, 100, 5), Cost(lut=1000, ff=2000), None)
    assert "reduction" not in none
    assert none["undetected_sdc1"] == 42 and none["undetected_wrong"] == 144 and none["due"] == 10
    assert none["sensitive_bits"]["undetected_sdc1"] == {"value": 400, "low": 200, "high": 410}
    assert none["sensitive_bits"]["undetected_wrong"]["value"] == 1400
    light = entry(summary(11_000, 0, 100, 50), Cost(lut=1025, ff=2010), none)
    assert light["lut_overhead"] == 0.025 and light["ff_overhead"] == 0.005
    assert light["sensitive_bits"]["undetected_sdc1"] == {"value": 0, "low": 0, "high": 11}
    assert light["reduction"]["undetected_sdc1"] == {"value": None, "low": 18.2, "high": None}
    assert light["reduction"]["due"]["value"] == round(10_000 * 6 / (11_000 * 51), 1)
    assert table({"none": none, "light": light}, "ecp5").row_count == 2
