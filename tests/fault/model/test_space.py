import pytest

from holdfast.fault.model.space import STRUCTURES, FaultSpace, structure_of
from holdfast.gen.config import AcceleratorConfig
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.netlist.netlist import FlipFlop
from tests.fault.tiny import netlist
from tests.sim.small import flip_flop_bits, memory_bits

SMALL = {"act_depth": 64, "weight_depth": 64, "acc_depth": 16, "param_depth": 16}


@pytest.mark.parametrize(
    "config",
    [
        AcceleratorConfig(rows=2, cols=2, **SMALL),
        AcceleratorConfig(rows=1, cols=1, **SMALL),
        AcceleratorConfig(
            rows=3, cols=5, act_banks=3, guard=False, multiplier_bits=0, rounding="half_even",
            **SMALL,
        ),
    ],
    ids=lambda config: config.name,
)  # fmt: skip
def test_every_bit_of_the_netlist_is_in_one_structure(config):
    design = accelerator_netlist(config)
    space = FaultSpace.of(design)
    assert space.bits() == flip_flop_bits(design) + memory_bits(design)
    assert space.bits() == sum(space.bits(name) for name in space.structures)
    assert sum(len(space.members(name)) for name in space.structures) == len(
        design.flip_flops
    ) + len(design.memories)


def test_structures_hold_what_they_say():
    space = FaultSpace.of(netlist())
    # Nothing is protected here.
    assert space.structures == tuple(name for name in STRUCTURES if name != "check")
    assert space.bits("activation_memory") == 2 * 2 * 8 * (128 + 1)
    # Each lane has an address register of its own.
    assert space.bits("weight_memory") == 2 * (8 * (512 + 1) + 9)
    # A product has 16 bits, the sum of two 17.
    assert space.bits("partial_sum") == 4 * 16 + 2 * (16 + 17)
    assert space.bits("weight") == 4 * 2 * 8 + 2 * 8
    assert space.bits("accumulators") == 2 * 24 * (32 + 5)
    assert space.population(100, "weight") == 100 * space.bits("weight")


def test_a_netlist_without_guard_has_no_guard():
    config = AcceleratorConfig(rows=1, cols=1, guard=False, **SMALL)
    assert "guard" not in FaultSpace.of(accelerator_netlist(config)).structures


def test_sites_enumerate_each_bit_once():
    space = FaultSpace.of(netlist())
    for structure in space.structures:
        sites = {space.site(structure, index) for index in range(space.bits(structure))}
        assert len(sites) == space.bits(structure)
        for site in sites:
            state = space[site.signal]
            assert state.structure == structure
            assert site.bit < state.width and (site.address or 0) < state.depth
        with pytest.raises(IndexError):
            space.site(structure, space.bits(structure))


def test_an_unknown_register_is_an_error():
    with pytest.raises(ValueError, match="array__surprise belongs to no structure"):
        structure_of(FlipFlop("array__surprise", 1))
