"""Every shortcut of the fault engine against plain RTL inferences."""

import random

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.analysis.liveness import LivenessTable
from holdfast.fault.campaign.engine import PATHS, Engine
from holdfast.fault.injection.lockstep import FREE
from holdfast.fault.injection.many import ManyRuns
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.injection.trace import Trace
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON, GUARDS, GuardSettings
from tests.fault.tiny import CONFIG, FIXED, fixed_netlist, graph, images, netlist, program


def engine_of(program, netlist, codes, guard, spacing=16, watched=False):
    inference = RtlSession(program, netlist, guard, spacing)
    inference.together = watched
    trace = inference.record(codes)
    liveness = None
    if watched:
        inference.golden = trace
        names = [flip_flop.name for flip_flop in netlist.flip_flops]
        liveness = LivenessTable.of(netlist, inference.lockstep, names)
    return Engine(inference, codes, trace, liveness)


@pytest.fixture(
    scope="module",
    params=[(GUARD_OFF, False), (GUARD_ON, False), (GUARD_OFF, True), (GUARD_ON, True)],
    ids=["off", "on", "off, watched", "on, watched"],
)
def engine(request):
    guard, watched = request.param
    return engine_of(program(), netlist(), images()[0].numpy(), guard, watched=watched)


@pytest.fixture(scope="module")
def space():
    return FaultSpace.of(netlist())


@pytest.fixture(scope="module")
def fixed_engine():
    fixed = compile_graph(graph(), FIXED)
    return engine_of(fixed, fixed_netlist(), images()[0].numpy(), GUARDS["fixed"])


def drawn(space, structure, cycles, count, seed):
    source = random.Random(seed)
    upsets = []
    for _ in range(count):
        site = space.site(structure, source.randrange(space.bits(structure)))
        upsets.append(Fault((site,), source.randrange(cycles)))
    return upsets


def disagreements(engine, upsets):
    results = engine.run(upsets)
    plain = [engine.plain(upset) for upset in upsets]
    return [
        (upset, a, b) for upset, a, b in zip(upsets, results, plain, strict=True) if not a.agrees(b)
    ]


def test_faults_together_are_those_one_by_one(space):
    """All that is stored of them, but which of them were delayed to the same."""
    codes = images()[0].numpy()
    faults = []
    for number, structure in enumerate(space.structures):
        faults += drawn(space, structure, 5000, 150, number)
    engines = [engine_of(program(), netlist(), codes, GUARD_OFF) for _ in range(2)]
    engines[1].inference.together = True
    cycles = engines[0].inference.golden.cycles
    faults = [Fault(fault.bits, fault.cycle % cycles) for fault in faults]
    alone, together = (engine.run(faults) for engine in engines)
    assert engines[0].inference.many is None
    assert (engines[1].inference.many is not None) == ManyRuns.pays()
    assert alone == together


def test_golden_run_is_the_golden_model_and_the_schedule(engine):
    """The recorder asserts the schedule's cycles; the logits are the golden model's."""
    seen = engine.inference.plain(Fault((), 0))
    golden = engine.inference.guard.golden(program().graph).run(images()[:1])
    assert np.array_equal(seen.output, golden.outputs["logits"][0].numpy())
    assert (seen.ended, seen.status, seen.has_latent_state) == (True, 0, False)
    assert seen.cycles == engine.inference.schedule.cycles == engine.inference.golden.cycles


@pytest.mark.parametrize("structure", FaultSpace.of(netlist()).structures)
def test_shortcuts_equal_plain_rtl(engine, space, structure):
    upsets = drawn(space, structure, engine.inference.golden.cycles, 60, f"1 {structure}")
    assert not disagreements(engine, upsets)


@pytest.mark.parametrize("structure", FaultSpace.of(fixed_netlist()).structures)
def test_shortcuts_equal_plain_rtl_with_fixed_bounds(fixed_engine, structure):
    space = FaultSpace.of(fixed_netlist())
    cycles = fixed_engine.inference.golden.cycles
    upsets = drawn(space, structure, cycles, 60, f"fixed {structure}")
    assert not disagreements(fixed_engine, upsets)


def test_fixed_bounds_see_large_upsets_alone(fixed_engine):
    """The highest bits of accumulators are seen, the lowest never."""
    space = FaultSpace.of(fixed_netlist())
    upsets = drawn(space, "accumulators", fixed_engine.inference.golden.cycles, 1500, 5)
    detected = {True: 0, False: 0}
    for upset, result in zip(upsets, fixed_engine.run(upsets), strict=True):
        detected[upset.bits[0][2] > FIXED.acc_bits // 2] += result.detected
    assert detected[True] > 0 and detected[False] == 0


def test_words_around_their_reads(engine):
    """A word matters to the very cycle in which it is read; from the next on it does not."""
    source = random.Random(11)
    upsets = []
    for run in engine.inference.schedule.runs:
        moments = []
        tile, pixel = source.randrange(len(run.start)), source.randrange(run.pixels)
        tau, col = source.randrange(run.tiles), source.randrange(CONFIG.cols)
        address = int(run.inputs[0][tile, pixel])
        lane = int(run.inputs[2][tile]) * CONFIG.rows + source.randrange(CONFIG.rows)
        memory = f"activations_{run.descriptor.input_bank}__lane_{lane}"
        moments.append((memory, address, int(run.start[tile]) + pixel))
        loads, words = run.weight_reads
        load, row = source.randrange(len(loads)), source.randrange(CONFIG.rows)
        moments.append((f"weights__lane_{col}", int(words[load]) + row, int(loads[load]) + row))
        channel = run.descriptor.param_base + tau * CONFIG.cols + col
        read = int(run.finish[tau]) + run.timing.parameters + col
        moments += [(f"parameters_{name}", channel, read) for name in ("bias", "scale", "bounds")]
        if run.has_residual:
            words, lanes = run.residuals
            memory = f"activations_{run.descriptor.residual_bank}__lane_{int(lanes[0, col])}"
            for pixel in range(run.pixels):
                read = int(run.finish[0]) + pixel + run.timing.residual
                moments.append((memory, int(words[0, pixel, col]), read))
        upsets += [
            Fault((Site(name, word, 6),), cycle + late)
            for name, word, cycle in moments
            for late in range(-2, 3)
            if word < next(m.depth for m in netlist().memories if m.name == name)
        ]
    assert not disagreements(engine, upsets)


def test_every_path_is_taken(engine, space):
    upsets = [
        upset
        for structure in ("accumulators", "weight_memory", "sequencer")
        for upset in drawn(space, structure, engine.inference.golden.cycles, 60, structure)
    ]
    results = engine.run(upsets)
    assert {result.path for result in results} == set(PATHS)
    assert {"masked", "latent", "benign", "sdc1", "stopped"} <= {r.effect for r in results}


@pytest.mark.parametrize(("kept", "times"), [(1000, 1), (6, 1), (5, 3)])
def test_faults_delayed_to_the_same_run_once(monkeypatch, kept, times):
    """If there is room for the six codes that they show."""
    monkeypatch.setattr("holdfast.fault.campaign.engine._KEPT", kept)
    watched = engine_of(program(), netlist(), images()[0].numpy(), GUARD_OFF, watched=True)
    upsets = [Fault((Site("axi__s_axi_rdata", None, 3),), cycle) for cycle in (100, 200, 300)]
    lockstep, runs = watched.inference.lockstep, []
    inject = lockstep.inject
    monkeypatch.setattr(lockstep, "inject", lambda *a, **k: runs.append(a) or inject(*a, **k))
    assert len({watched.run([upset])[0].output for upset in upsets}) == 1
    assert len(runs) == times
    assert not disagreements(watched, upsets)


def test_order_and_batch_do_not_matter(engine, space):
    names = [name for name in space.structures if name not in ("sequencer", "host")]
    upsets = [upset for name in names for upset in drawn(space, name, 2000, 15, f"5 {name}")]
    random.Random(6).shuffle(upsets)
    together = engine.run(upsets)
    backwards = engine.run(upsets[::-1])[::-1]
    assert together == backwards == [engine.run([upset])[0] for upset in upsets]


def test_closed_forms_of_a_unit_are_computed_once_for_each_descriptor(engine, space, monkeypatch):
    layers, sizes = engine.memories.layers, []
    evaluate = layers.evaluate

    def counted(run, changes):
        sizes.append(len(changes))
        return evaluate(run, changes)

    monkeypatch.setattr(layers, "evaluate", counted)
    for structure in ("weight", "parameter_memory"):
        sizes.clear()
        engine.run(drawn(space, structure, 2000, 80, 8))
        assert sum(sizes) > len(engine.inference.schedule.runs) >= len(sizes)


@pytest.mark.parametrize("stuck", [0, 1])
@pytest.mark.parametrize("duration", [0, 1, 40])
def test_stuck_bits(engine, space, stuck, duration):
    source = random.Random(stuck)
    upsets = []
    for structure in space.structures:
        for upset in drawn(space, structure, 2000, 4, f"{stuck} {structure}"):
            upsets.append(Fault(upset.bits, upset.cycle, stuck, duration))
    source.shuffle(upsets)
    assert not disagreements(engine, upsets)


def test_adjacent_bits(engine, space):
    upsets = []
    for structure in space.structures:
        for upset in drawn(space, structure, 2000, 6, structure):
            ((name, word, bit),) = upset.bits
            bits = range(bit, min(bit + 3, space[name].width))
            upsets.append(Fault(tuple(Site(name, word, b) for b in bits), upset.cycle))
    assert not disagreements(engine, upsets)


def test_counters_influence_nothing(engine):
    """Registers that the engine does not compare: every bit, at one moment, by RTL to the end."""
    golden = engine.plain(Fault((), 0))
    for flip_flop in netlist().flip_flops:
        if flip_flop.held.role in FREE:
            for bit in range(flip_flop.width):
                found = engine.plain(Fault((Site(flip_flop.name, None, bit),), 700))
                assert (found.output, found.cycles, found.status) == (
                    golden.output, golden.cycles, 0,
                ), flip_flop.name  # fmt: skip


def test_a_guard_that_is_off_detects_nothing(engine):
    """An upset of its counter changes the count; it is a flag only while the guard is on."""
    upset = Fault((Site("guard_output", None, 20),), 700)
    guard = engine.inference.guard
    for result in (*engine.run([upset]), engine.plain(upset)):
        assert result.counts >= 1 << 20
        assert result.detected == (guard.output or guard.input)


@pytest.mark.long
def test_registers_are_dead_after_an_inference():
    """Every register bit is flipped in the idle accelerator; only live ones change what follows."""
    inference = RtlSession(program(), netlist(), GUARD_OFF, 16)
    clean = inference.record(images()[0].numpy())
    inference.golden = clean
    inference.lockstep.load(clean.cycles)
    idle = inference.model.snapshot()
    kept = [m.name for m in netlist().memories if "accumulator" not in m.name]
    inference.start(images()[0].numpy())
    second = inference.lockstep.record(inference.limit, *inference.moments())
    contents = {name: inference.model.read_memory(name) for name in kept}
    disturbed = set()
    for flip_flop in netlist().flip_flops:
        for bit in range(flip_flop.width):
            inference.model.restore(idle)
            inference.model.flip(flip_flop.name, bit)
            inference.model.step(2)
            try:
                inference.start(images()[0].numpy())
                again = inference.lockstep.record(inference.limit, *inference.moments())
            except (RuntimeError, HoldfastError):
                disturbed.add(flip_flop.name)
                continue
            finally:
                inference.bus.quiet()
            same = again.cycles == second.cycles and again.counts[-1] == second.counts[-1]
            for name in kept:
                same &= np.array_equal(inference.model.read_memory(name), contents[name])
            if not same:
                disturbed.add(flip_flop.name)
    assert disturbed
    assert all("inference" in netlist().held[name].live for name in disturbed), disturbed


def test_hang_is_proven_early(engine):
    upset = Fault((Site("sequencer__fsm_state", None, 2),), 800)
    fast, plain = engine.run([upset])[0], engine.plain(upset)
    assert (fast.effect, plain.effect) == ("hang", "hang")
    assert fast.cycles < engine.inference.limit


def test_trace_survives_a_file(engine, tmp_path, space):
    upsets = drawn(space, "partial_sum", 2000, 20, 9)
    before = engine.run(upsets)
    engine.inference.golden.save(tmp_path)
    inference = RtlSession(program(), netlist(), engine.inference.guard, 16)
    again = Engine(inference, images()[0].numpy(), Trace.load(tmp_path))
    assert again.run(upsets) == before


def test_golden_words(engine):
    """What the closed forms take for the content of a memory, against the RTL's."""
    source = random.Random(3)
    golden_words = engine.memories.golden_words
    for cycle in sorted(source.randrange(2200) for _ in range(25)):
        engine.inference.lockstep.load(cycle)
        memories = netlist().memories
        words = {m.name: engine.inference.model.read_memory(m.name) for m in memories}
        for memory in memories:
            for _ in range(6):
                address = source.randrange(memory.depth)
                golden = golden_words.at(memory.name, address, cycle)
                upset = Fault((Site(memory.name, address, 0),), cycle)
                if engine.run([upset])[0].path == "closed":
                    assert golden == words[memory.name][address], (memory.name, address, cycle)


def test_bad_requests():
    bare = compile_graph(graph(), CONFIG.with_(guard=False))
    with pytest.raises(HoldfastError, match="accelerator 2x2_a8w8 has none"):
        RtlSession(bare, netlist(), GuardSettings(output=True))
    streamed = compile_graph(graph(), CONFIG.with_(weight_depth=160))
    with pytest.raises(HoldfastError, match="weight memory of 160 words"):
        RtlSession(streamed, netlist(), GUARD_OFF)
    few = compile_graph(graph(), CONFIG.with_(param_depth=16))
    with pytest.raises(HoldfastError, match="parameter memory of 16 words"):
        RtlSession(few, netlist(), GUARD_OFF)


def test_golden_model_agrees_on_a_fault_in_an_input_word(engine):
    """Computed by the golden model alone: a tensor that later layers read, flipped in between."""
    place = program().places["b"]
    run = next(r for r in engine.inference.schedule.runs if r.step.target == "d")
    clean = Golden(graph()).run(images()[:1]).outputs
    codes = clean["b"].clone()
    codes[0, 1, 2, 3] ^= 64
    address = place.base + (2 * 4 + 3) * place.words
    upset = Fault((Site(f"activations_{place.bank}__lane_1", address, 6),), run.fetch)
    if engine.inference.guard == GUARD_OFF:
        expected = Golden(graph()).run_from("b", codes, clean).outputs["logits"][0].numpy()
        assert engine.run([upset])[0].output == expected.tobytes()
