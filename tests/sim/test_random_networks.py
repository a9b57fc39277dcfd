"""Configurations of ``nox -s bench -- accelerator``; none is left out."""

import dataclasses

import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.presets import PRESETS
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.sim.driven import CONFIG
from tests.sim.random_networks import CHOICES, RANGES, random_config, run_networks, scramble

NETWORKS = 40


def test_every_value_of_a_configuration_is_drawn():
    others = {"dataflow", "protections"}  # Of each there is one that changes no number.
    fields = {f.name for f in dataclasses.fields(AcceleratorConfig)}
    assert RANGES.keys() | CHOICES.keys() == fields - others
    drawn = [random_config(seed) for seed in range(300)]
    for name, ends in (RANGES | CHOICES).items():
        found = {getattr(config, name) for config in drawn}
        assert found >= {ends[0], ends[-1]}, name
    assert {config.multiplier_bits for config in drawn} >= {*range(9)}


# The largest accelerator takes minutes.
@pytest.mark.long(keep=1)
@pytest.mark.parametrize(
    "seed", [0, 2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, *range(4, 24)))]
)
def test_random_networks(seed):
    check(random_config(seed), seed)


# Of one column, of more rows than columns, of streamed weights.
@pytest.mark.long(keep=1)
@pytest.mark.parametrize("seed", [5, 3, 2])
def test_no_protection_takes_what_is_right_for_wrong(seed):
    config = random_config(seed).with_(protections=PRESETS["strong"])
    check(config, seed)


@pytest.mark.long
@pytest.mark.parametrize(
    "bits", [1, 7, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 7))]
)
def test_narrow_multipliers(bits):
    check(random_config(3).with_(multiplier_bits=bits, acc_bits=20), bits)


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_random_state_before_reset(seed):
    check(random_config(seed), seed, scrambled=True)


@pytest.mark.long
def test_the_upper_half_of_the_largest_memory_of_weights():
    """Streamed weights go there; the bus reaches as far as the memory does."""
    config = random_config(3).with_(
        rows=2, cols=5, acc_bits=20, weight_depth=1 << 19, param_depth=20
    )
    assert check(config, 5).streamed > 5


def check(config, seed, scrambled=False):
    result = run_networks(config, NETWORKS, seed, scrambled=scrambled)
    assert result.networks == NETWORKS
    assert result.outputs >= NETWORKS
    assert result.mismatches == 0, result
    assert result.model_errors == 0, result
    return result


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("config", [CONFIG, random_config(3)], ids=["2x3", "5x1"])
def test_one_cycle_of_reset_settles_every_register(config):
    """Only what the memories read last is left as it was."""
    netlist = accelerator_netlist(config)
    clean, scrambled = CompiledModel(netlist), CompiledModel(netlist)
    scramble(scrambled, 0)
    clean.reset()
    scrambled.reset()
    read_ports = {f"{memory.name}__read0" for memory in netlist.memories}
    others = {register.name for register in netlist.flip_flops} - read_ports
    assert others.isdisjoint(scrambled.differences(clean.snapshot()))
