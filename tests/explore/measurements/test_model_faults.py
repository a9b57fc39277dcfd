"""Fault models at network level in an exploration: intervals, arrays."""

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.explore.measurements.model_faults import ModelFaults, _share, named_model
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.networks.spec import Network
from tests.random_graph import random_graph

SEEDS = range(1, 21)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    net = Network("small")
    x = net.conv("shrink", "image", 4, 5, 4)
    x = net.conv("conv", x, 8, 3, 2)
    net.dense("logits", x, 10)
    random_graph(net, seed=3, act_bits=4, weight_bits=4, multiplier_bits=8).save(path)
    return path


def measured(network, model, seed=1, images=100, config=None):
    config = config or AcceleratorConfig(rows=4, cols=4, act_bits=4, weight_bits=4)
    return ModelFaults(network, config, ("off", "bound"), model, images, seed, None)


@pytest.mark.long
@pytest.mark.parametrize("model", ["stuck-pes@0.01", "ibf-weights@1e-3"])
def test_intervals_are_those_of_the_draws(network, model):
    """Images that share weight faults fail together. Of 100 intervals 95 have the share that many
    draws tend to; fewer than 16 of 20 have a probability of 0.3 %."""
    runs = [measured(network, model, seed, 400).run() for seed in SEEDS]
    found = [run["guards"]["off"]["sdc1"] for run in runs]
    mean = float(np.mean([share["value"] for share in found]))
    inside = [share["low"] <= mean <= share["high"] for share in found]
    assert 0.02 < mean < 0.98
    assert sum(inside) >= 16


@pytest.mark.parametrize("all_fail", [False, True])
def test_draws_that_agree_count_once(all_fail):
    """The exact one-sided limit of 20 trials, not of 400."""
    found = _share(np.full((20, 20), all_fail))
    reach = 1 - 0.05 ** (1 / 20)
    assert found["high"] - found["low"] == pytest.approx(reach, abs=1e-3)
    assert found["value"] == all_fail


def test_images_that_fill_no_draw_are_left_out(network):
    assert measured(network, "adsaf@0.1", images=59).run()["images"] == 58
    assert measured(network, "single-flip", images=59).run()["images"] == 59


def test_only_stuck_elements_depend_on_the_array(network):
    """A column of sixteen elements, each stuck: half of what a row of two has is unlike."""
    arrays = [AcceleratorConfig(rows=r, cols=c, act_bits=4, weight_bits=4)
              for r, c in ((16, 1), (1, 2))]  # fmt: skip
    for model, differ in (("stuck-pes@0.1", True), ("mibb@1e-3", False)):
        one, other = (measured(network, model, config=config) for config in arrays)
        assert (one.subject() != other.subject()) == differ
        shares = [m.run()["guards"]["off"]["sdc1"] for m in (one, other)]
        assert (shares[0] != shares[1]) == differ
    model = named_model("stuck-pes@0.1", 1, arrays[0])
    assert (model.rows, model.cols) == (16, 1)


def test_a_rate_that_is_none(network):
    with pytest.raises(HoldfastError, match="rate of mibb must be a number, not 'x'"):
        named_model("mibb@x", 1)
