"""When wrong bits are seen, against single cycles of RTL; registers of the empty pipeline."""

import random
from functools import cache

import numpy as np
import pytest

from holdfast.fault.analysis.liveness import LivenessTable
from holdfast.fault.analysis.register_logic import RegisterLogic
from holdfast.fault.injection.lockstep import FREE
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.spec import Network
from tests.fault.tiny import CONFIG, netlist, program, recorded
from tests.random_graph import random_graph


@pytest.fixture(scope="module", params=[GUARD_OFF, GUARD_ON], ids=["off", "on"])
def inference(request):
    return recorded(request.param)


@pytest.fixture(scope="module")
def liveness(inference):
    names = [flip_flop.name for flip_flop in netlist().flip_flops]
    return LivenessTable.of(netlist(), inference.lockstep, names)


def memories(model):
    return {m.name: model.read_memory(m.name) for m in netlist().memories}


def state_at(inference, moment, name="", bit=0, cycle=None):
    """What counts of registers and memories in a cycle, golden or with one bit inverted before."""
    lockstep = inference.lockstep
    lockstep.load(moment if cycle is None else cycle)
    model = lockstep.model
    if cycle is not None:
        model.flip(name, bit)
        model.step(moment - cycle)
    free = set(netlist().names(*FREE)) - set(netlist().names(Role.GUARD_COUNTER))
    state = {f.name: model.read(f.name) for f in netlist().flip_flops if f.name not in free}
    return state | {key: words.tolist() for key, words in memories(model).items()}


def differing(inference, liveness, moment, one, other=()):
    """Registers and memories that differ between two upsets, without those that do not count."""
    a, b = state_at(inference, moment, *one), state_at(inference, moment, *other)
    return {key for key in a if a[key] != b[key] and key not in liveness.hidden}


def test_a_bit_sleeps_exactly_until_its_event(inference, liveness):
    """In RTL the upset is the same as one at the event, or is nothing once it is written."""
    source = random.Random(1)
    rows = sorted(liveness.rows)
    host = [row for row in rows if row[0].startswith(("axi__host", "sequencer__word"))]
    kinds = dict.fromkeys(("seen", "written", "end"), 0)
    for name, bit in source.sample(rows, 150) + source.sample(host, 60):
        cycle = source.randrange(liveness.cycles)
        event = liveness.after(name, bit, cycle)
        kinds[event.kind] += 1
        moment = liveness.cycles if event.kind == "end" else event.cycle + 3
        later = () if event.kind == "written" else (name, bit, event.cycle)
        found = differing(inference, liveness, moment, (name, bit, cycle), later)
        assert not found, (name, bit, cycle, event)
    assert all(kinds.values()), kinds


def test_a_table_of_many_parts_says_nothing_else(inference, liveness, monkeypatch):
    """A part's first cycle may show too much: what is said comes earlier, never later."""
    monkeypatch.setattr("holdfast.fault.analysis.liveness.part_length", lambda _: 96)
    names = [flip_flop.name for flip_flop in netlist().flip_flops]
    parts = LivenessTable.of(netlist(), inference.lockstep, names)
    assert parts.rows.keys() == liveness.rows.keys() and parts.hidden == liveness.hidden
    source = random.Random(4)
    equal = 0
    for name, bit in source.sample(sorted(liveness.rows), 300):
        cycle = source.randrange(liveness.cycles)
        event, whole = parts.after(name, bit, cycle), liveness.after(name, bit, cycle)
        equal += event == whole
        assert event == whole or (event.kind == "seen" and event.cycle <= whole.cycle)
    assert equal > 200


def test_what_is_seen_makes_a_difference(inference, liveness):
    """Bits that are seen change something else in RTL, but for what a multiplier may hide."""
    source = random.Random(2)
    names = [n for n in sorted(liveness.rows) if "lanes" not in n[0]]
    following = RegisterLogic(netlist(), [name for name, _ in names]).followers
    wrong = count = 0
    for name, bit in source.sample(names, 100):
        event = liveness.after(name, bit, source.randrange(liveness.cycles))
        if event.kind == "seen":
            moment = event.cycle + 2
            found = differing(inference, liveness, moment, (name, bit, event.cycle))
            count += 1
            wrong += not found - {name, *following}
    assert count > 20 and wrong <= count // 6, (wrong, count)


def test_what_only_follows_is_not_seen(liveness):
    """What the host wrote last goes on to write ports that are not enabled."""
    for bit in range(8):
        assert liveness.after("axi__host__data", bit, 50).kind == "end"
        assert liveness.after("axi__host__address", bit, 50).kind == "end"


def test_only_the_port_shows_hidden_registers(liveness):
    """The list is that of the design, written by hand."""
    assert liveness.hidden == {
        "axi__accessed", "axi__failed", "axi__s_axi_bid", "axi__s_axi_rdata",
        "activation_word", "program_word", "register_data", "host__read_data", "offset_read",
        "region_read",
        # Nothing but counters follows from these.
        "busy_now", "started", "stream_now", *(f"stall_{why}_now" for why in (
            "drain", "fetch", "host", "memory", "weights", "writeback",
        )),
    }  # fmt: skip


def test_saved_tables_are_the_same(liveness, tmp_path):
    liveness.save(tmp_path)
    loaded = LivenessTable.load(tmp_path, liveness.cycles)
    assert loaded.rows == liveness.rows and loaded.hidden == liveness.hidden
    assert np.array_equal(loaded.seen, liveness.seen)
    assert np.array_equal(loaded.ended, liveness.ended)


@cache
def pooled() -> Program:
    """All kinds of layers, on the accelerator of the other tests."""
    net = Network("pooled", input_shape=(3, 4, 4))
    a = net.conv("a", "image", 4, 3)
    b = net.pool("maxpool", "b", a, 2, 2)
    c = net.concat("c", net.conv("d", b, 2, 1), net.conv("e", b, 4, 1))
    g = net.pool("avgpool", "g", c, 2, 2)
    net.dense("logits", g, 3)
    return compile_graph(random_graph(net, seed=4), CONFIG)


@pytest.mark.parametrize("network", [program, pooled], ids=["tiny", "pooled"])
@pytest.mark.parametrize("guard", [GUARD_OFF, GUARD_ON], ids=["off", "on"])
def test_the_empty_pipeline_holds_nothing(network, guard):
    """With random values in all its registers before every layer, the inference is golden."""
    source = random.Random(3)
    inference = RtlSession(network(), netlist(), guard, spacing=16)
    size = inference.program.graph.nodes[0].shape[1]
    codes = image_codes(generated_images(1, 5).images[:, :, :size, :size].copy(), 8)[0].numpy()
    inference.golden = golden = inference.record(codes)
    lockstep = inference.lockstep
    stale = [f for f in netlist().flip_flops if f.held.pipeline]
    nothing = inference.plain(Fault((), 0))
    assert golden.empty.sum() == len(inference.schedule.runs)
    for moment in golden.moments[golden.empty.astype(bool)]:
        for _ in range(3):
            lockstep.load(int(moment))
            for flip_flop in stale:
                lockstep.model.write(flip_flop.name, source.getrandbits(flip_flop.width))
            end = lockstep.proceed(inference.limit, golden.cycles)
            assert (end.kind, end.cycle, end.memories) == ("ended", golden.cycles, [])
            assert lockstep.violations() == int(golden.counts[-1])
            assert np.array_equal(inference.read_out(end).output, nothing.output)
