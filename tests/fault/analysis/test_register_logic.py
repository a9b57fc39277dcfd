"""Registers that only follow others."""

from holdfast.fault.analysis.register_logic import RegisterLogic
from tests.fault.tiny import netlist


def test_followers_are_loaded_in_every_cycle_and_reach_no_other():
    logic = RegisterLogic(netlist(), [flip_flop.name for flip_flop in netlist().flip_flops])
    assert logic.followers
    for name, after in logic.followers.items():
        assert name not in after and not after & logic.followers.keys()


def test_what_is_always_seen_is_no_follower_any_more():
    logic = RegisterLogic(netlist(), ["axi__host__data"])
    before = set(logic.followers)
    logic.forget_loud()
    assert before and not logic.followers
