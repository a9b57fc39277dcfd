from collections import Counter

import pytest
from scipy.stats import chisquare

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.sampling.sample import allocate, sample
from tests.fault.tiny import netlist

CYCLES = {"a": 500, "b": 1000, "c": 1500}


@pytest.fixture(scope="module")
def space():
    return FaultSpace.of(netlist())


def test_minimum_and_proportional_rest(space):
    counts = allocate(space, 1000, minimum=20)
    assert sum(counts.values()) == 1000
    rest = 1000 - 20 * len(counts)
    for name, count in counts.items():
        assert abs(count - 20 - rest * space.bits(name) / space.bits()) < 1
    assert set(allocate(space, 200, minimum=20).values()) == {20}


def test_every_structure_and_layer_is_hit(space):
    faults = sample(space, CYCLES, count=200)
    assert len(faults) == 260
    assert {f.layer for f in faults} == set(CYCLES)
    per = Counter(space[f.site.signal].structure for f in faults)
    assert set(per) == set(space.structures) and set(per.values()) == {20}
    for fault in faults:
        fault.check_layer(CYCLES, images=1)
        fault.check_bits(space)
        fault.check_cycle(CYCLES[fault.layer])


@pytest.mark.parametrize("structure", ["weight", "requantizer", "host", "parameter_memory"])
def test_uniform_over_bits_cycles_layers_and_images(space, structure):
    number = 20 * space.bits(structure)
    faults = sample(space, CYCLES, images=3, seed=7, counts={structure: number})
    sites = Counter(f.site for f in faults)
    assert len(sites) <= space.bits(structure)
    observed = list(sites.values()) + [0] * (space.bits(structure) - len(sites))
    assert chisquare(observed).pvalue > 1e-3
    by_image = Counter(f.image for f in faults)
    assert chisquare(list(by_image.values())).pvalue > 1e-3
    layers = Counter(f.layer for f in faults)
    share = number / sum(CYCLES.values())
    expected = [share * CYCLES[name] for name in CYCLES]
    assert chisquare([layers[name] for name in CYCLES], expected).pvalue > 1e-3
    tenths = Counter(10 * f.cycle // CYCLES[f.layer] for f in faults)
    assert chisquare([tenths[k] for k in range(10)]).pvalue > 1e-3


def test_seeded_and_independent_of_other_structures(space):
    first = sample(space, CYCLES, count=300, seed=1)
    assert first == sample(space, CYCLES, count=300, seed=1)
    assert first != sample(space, CYCLES, count=300, seed=2)
    more = sample(space, CYCLES, seed=1, counts={"host": 50, "weight": 30})
    less = sample(space, CYCLES, seed=1, counts={"weight": 10})
    assert more[50:60] == less


def test_bad_requests(space):
    with pytest.raises(HoldfastError, match="structure wieght does not exist; known are pe_"):
        sample(space, CYCLES, counts={"wieght": 1})
    with pytest.raises(HoldfastError, match=r"the seed must be 0 or more, not -1\."):
        sample(space, CYCLES, seed=-1)
    with pytest.raises(HoldfastError, match="at least one layer"):
        sample(space, {})
