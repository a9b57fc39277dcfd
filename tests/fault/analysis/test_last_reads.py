"""Last reads of words, against every read that the timelines say one by one."""

from holdfast.fault.analysis.last_reads import LastReads
from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.gen.roles import Role
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import CONFIG, netlist, program


def reads_of():
    """Every read of a constant word: role, word, cycle."""
    for run in Schedule(program()).runs:
        for cycle, word in zip(*run.weight_reads, strict=True):
            for row in range(CONFIG.rows):
                yield Role.WEIGHT_WORDS, int(word) + row, int(cycle) + row
        for tile, first in enumerate(run.finish):
            for col in range(CONFIG.cols):
                word = run.descriptor.param_base + tile * CONFIG.cols + col
                yield Role.PARAMETER_WORDS, word, int(first) + run.timing.parameters + col
        for part in range(DESCRIPTOR_STRIDE):
            yield Role.PROGRAM_WORDS, run.index * DESCRIPTOR_STRIDE + part, run.fetch + part


def test_all_words():
    last_reads = LastReads(CONFIG, Schedule(program()))
    reads = list(reads_of())
    memories = netlist().memories
    roles = {memory.held.role for memory in memories}
    assert {role for role, _, _ in reads} < roles
    for memory in memories:
        for word in range(memory.depth):
            place = memory.held.place
            held = word
            if memory.held.role is Role.WEIGHT_WORDS and place["part"]:
                held += max(m.depth for m in memories if m.held.role is Role.WEIGHT_WORDS)
            found = [c for role, w, c in reads if (role, w) == (memory.held.role, held)]
            last = max(found, default=-1)
            changes = memory.held.role in (Role.ACTIVATION_WORDS, Role.ACCUMULATOR_WORDS)
            for cycle in (0, last - 1, last, last + 1):
                wanted = not changes and cycle > last
                assert last_reads.before(memory.held, word, max(cycle, 0)) == (
                    wanted if cycle >= 0 else not changes and last < 0
                )
        cycles = last_reads.cycles(memory.held, memory.depth)
        if memory.held.role in (Role.ACTIVATION_WORDS, Role.ACCUMULATOR_WORDS):
            assert cycles is None
        else:
            for word in range(memory.depth):
                last = int(cycles[word])
                assert last < 0 or not last_reads.before(memory.held, word, last)
                assert last_reads.before(memory.held, word, last + 1)
