"""Three of the configurations of ``nox -s bench -- accelerator``, which runs twelve."""

import pytest

from tests.sim.random_networks import random_config, run_networks

NETWORKS = 40


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_networks(seed):
    result = run_networks(random_config(seed), NETWORKS, seed)
    assert result.networks == NETWORKS
    assert result.outputs >= 2 * NETWORKS
    assert result.mismatches == 0, result
    assert result.model_errors == 0, result
