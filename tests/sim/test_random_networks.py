"""Configurations of ``nox -s bench -- accelerator``; none is left out."""

import dataclasses

import pytest

from gen.config import AcceleratorConfig
from tests.sim.random_networks import CHOICES, RANGES, random_config, run_networks

NETWORKS = 40


def test_every_value_of_a_configuration_is_drawn():
    assert RANGES.keys() | CHOICES.keys() == {f.name for f in dataclasses.fields(AcceleratorConfig)}
    drawn = [random_config(seed) for seed in range(300)]
    for name, ends in (RANGES | CHOICES).items():
        found = {getattr(config, name) for config in drawn}
        assert found >= {ends[0], ends[-1]}, name
    assert {config.multiplier_bits for config in drawn} >= {*range(9)}


# The largest accelerator takes minutes.
@pytest.mark.parametrize(
    "seed", [0, 2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, *range(4, 24)))]
)
def test_random_networks(seed):
    check(random_config(seed), seed)


@pytest.mark.parametrize(
    "bits", [1, 7, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 7))]
)
def test_narrow_multipliers(bits):
    check(random_config(3).with_(multiplier_bits=bits, acc_bits=20), bits)


def check(config, seed):
    result = run_networks(config, NETWORKS, seed)
    assert result.networks == NETWORKS
    assert result.outputs >= NETWORKS
    assert result.mismatches == 0, result
    assert result.model_errors == 0, result
