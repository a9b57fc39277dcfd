"""An error model is one class: a made-up one is trained with and measured, by its name."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.explore.measurements.model_faults import ModelFaults
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.data.cifar import Cifar10
from holdfast.nn.data.images import ImageSet
from holdfast.nn.errors.base import RatedModel
from holdfast.nn.errors.registry import MODELS, fault_model, fault_model_forms
from holdfast.nn.networks.spec import Network
from holdfast.nn.training.checkpoint import read_checkpoint
from holdfast.nn.training.recipe import Recipe, train
from tests.random_graph import random_graph


class LostChannels(RatedModel):
    """Whole channels of convolutions are lost: their first ``LEAST`` always stay."""

    name = "lost"
    parameter = "LEAST"

    def __init__(self, rate, seed=0, least=0):
        super().__init__(rate, seed)
        self.least = least

    @classmethod
    def named(cls, parameter, rate, seed):
        if parameter is not None and not parameter.isdigit():
            raise HoldfastError(f"lost:{parameter} must name a whole number.")
        return cls(rate, seed, int(parameter or 0))

    def weights(self, codes, bits):
        draw = torch.rand(len(codes), generator=self.generator(codes.device))
        lost = (draw < self.rate) & (torch.arange(len(codes)) >= self.least)
        return torch.where(lost[:, None, None, None], 0, codes)


@pytest.fixture
def spec(monkeypatch):
    monkeypatch.setitem(MODELS, "lost", LostChannels)
    net = Network("small")
    x = net.conv("shrink", "image", 4, 5, 4)
    net.dense("logits", net.conv("conv", x, 8, 3, 2), 10)
    return net


def test_it_has_a_name_and_a_parameter(spec):
    codes = torch.ones(6, 1, 1, 1)
    assert fault_model("lost:4", 1.0).weights(codes, 8).flatten().tolist() == [1, 1, 1, 1, 0, 0]
    assert fault_model("lost", 1.0).weights(codes, 8).sum() == 0
    assert fault_model_forms()[-1] == "lost:LEAST"
    with pytest.raises(HoldfastError, match=r"^lost:x must name a whole number\.$"):
        fault_model("lost:x", 0.5)
    with pytest.raises(HoldfastError, match=r"known are mibb, .*stuck-pes, lost and calibrated:"):
        fault_model("lots", 0.5)


def test_an_exploration_measures_it(spec, tmp_path):
    path = tmp_path / "small.safetensors"
    random_graph(spec, seed=3, act_bits=4, weight_bits=4, multiplier_bits=8).save(path)
    config = AcceleratorConfig(rows=4, cols=4, act_bits=4, weight_bits=4)
    none = ModelFaults(path, config, ("off",), "lost@0", 12, 1, None)
    assert none.run()["guards"]["off"]["sdc1"]["value"] == 0
    every = replace(none, model="lost@1").run()["guards"]["off"]["sdc1"]["value"]
    assert every > 0.5


@pytest.mark.long
def test_a_network_is_trained_under_it(spec, tmp_path):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (160, 3, 32, 32)).astype(np.uint8)
    labels = rng.integers(0, 10, 160).astype(np.uint8)
    sets = [
        ImageSet(n, images[s], labels[s]) for n, s in (("a", slice(128)), ("b", slice(128, 160)))
    ]
    cifar = Cifar10(sets[0], (sets[1],))
    recipe = Recipe(epochs=1, qat_epochs=1, faults="lost:2", fault_rate=0.5, calibration=16)
    trained = train(spec, recipe, cifar, tmp_path)
    assert trained.graph.provenance["accuracy"]["integer"][0]["images"] == 32
    plan = read_checkpoint(tmp_path / "small_w8a8_lost_quantized.pt")["plan"]
    assert (plan["faults"], plan["fault_share"]) == ("lost:2 0.5", 0.5)
    clean = train(spec, replace(recipe, faults="none"), cifar, tmp_path)
    assert any(
        (a.weight != b.weight).any()
        for a, b in zip(trained.graph.weighted(), clean.graph.weighted(), strict=True)
    )
