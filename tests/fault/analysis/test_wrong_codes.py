"""Upsets of what lanes requantize with, where a guard counts or parts are put together later."""

import random
from functools import cache

import pytest

from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR
from holdfast.gen.roles import Role
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from holdfast.nn.networks.spec import Network
from tests.fault.analysis.every_cycle import bits_of, engine_of

CONFIG = AcceleratorConfig(
    rows=3, cols=2, act_depth=128, weight_depth=256, acc_depth=32, param_depth=64, program_depth=16
)
CLAMPS = [
    (field.word, bit)
    for field in DESCRIPTOR
    if field.name in ("lo", "hi")
    for bit in range(field.offset, field.offset + field.width)
]


@cache
def joined(guard):
    net = Network("joined", input_shape=(2, 3, 3))
    a = net.conv("a", "image", 2, 1)
    both = net.concat("both", net.conv("b", a, 2, 1), net.conv("c", a, 2, 3))
    net.dense("logits", both, 3)
    return engine_of(CONFIG, net, guard)


@pytest.mark.parametrize("guard", [GUARD_OFF, GUARD_ON], ids=["off", "on"])
def test_they_do_what_they_do_in_plain_rtl(guard):
    engine, source = joined(guard), random.Random(3)
    bits = [bit for role in (Role.LANE_BIAS, Role.LANE_PARAMETERS) for bit in bits_of(engine, role)]
    bits += [(f"sequencer__word_{word}", bit) for word, bit in CLAMPS]
    cycles = range(engine.inference.schedule.cycles)
    faults = [
        Fault((Site(name, None, bit),), source.choice(cycles))
        for name, bit in source.choices(bits, k=200)
    ]
    outcomes = engine.run(faults)
    wrong = [f for f, o in zip(faults, outcomes, strict=True) if not o.agrees(engine.plain(f))]
    assert not wrong
    assert sum(outcome.effect != "masked" for outcome in outcomes) > 10
