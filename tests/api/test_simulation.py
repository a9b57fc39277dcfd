"""Layers on the RTL from Python."""

import pytest

from holdfast.api import Accelerator, HoldfastError, load, run


def test_it_is_exact(place):
    network = load("small.safetensors")
    found = run(network, Accelerator(config="chip.toml"), images=2)
    assert found.exact
    rows = found.table().to_pylist()
    assert [(row["name"], row["image"]) for row in rows] == [
        (name, image) for image in (0, 1) for name in ("shrink", "conv", "logits")
    ]
    # Windows of 3 channels have no weights; 4 filters of 3x3x3 over 4x4 pixels; 4x4x4 to 10.
    assert [row["macs"] for row in rows[:3]] == [0, 4 * 27 * 16, 640]
    assert found.cycles == sum(row["cycles"] for row in rows)
    assert not any(row["mismatches"] for row in rows)
    with pytest.raises(HoldfastError, match="network small has no layer 'x'"):
        run(network, Accelerator(config="chip.toml"), layers=["x"])
