"""Testbench: the sequencer with a program memory, and a feeder that is done after some cycles."""

import cocotb

from holdfast.gen.layout import DESCRIPTOR, DESCRIPTOR_STRIDE, Descriptor, Status
from holdfast.gen.units.sequencer import Sequencer
from holdfast.sim.cocotb.build import parameters
from tests.sim.units import Cycles, config, pack_layer

OUTPUTS = (
    "busy", "done", "status", "index", "address", "layer", "go", "stop", "fetching", "waiting",
)  # fmt: skip
LEGAL = {
    "blocks": 1, "kernel_h": 1, "kernel_w": 1, "co_tiles": 1, "out_h": 1, "out_w": 1, "in_h": 1,
    "in_w": 1, "residual_bank": 1,
}  # fmt: skip


class Machine:
    """The sequencer's surroundings."""

    def __init__(self, bench: Cycles, program: list[dict[str, int]]):
        cfg = config()
        self.bench = bench
        self.memory = [0xDEADBEEF] * (cfg.program_depth * DESCRIPTOR_STRIDE)
        for index, fields in enumerate(program):
            words = Descriptor(**LEGAL | fields).pack(cfg)
            begin = index * DESCRIPTOR_STRIDE
            self.memory[begin : begin + len(words)] = words
        self.word = 0

    async def step(self, **inputs: int) -> dict[str, int]:
        seen = await self.bench.step(word=self.word, **inputs)
        self.word = self.memory[seen["address"]]
        return seen

    async def run(
        self,
        first: int,
        count: int,
        *,
        work: int = 5,
        fault: str = "",
        at: int = 3,
        late: bool = False,
    ):
        """Start, play the feeder, and return (descriptors started, last outputs, cycles).

        With ``fault``, that input comes in the second descriptor, ``at`` cycles into its work or,
        if ``late``, after the feeder is done.
        """
        started, left, since, finished = [], None, None, None
        idle = dict.fromkeys([*Sequencer.FAULTS, "feeder_done", "start"], 0)
        seen = await self.step(**idle | {"start": 1, "first": first, "count": count})
        assert not seen["busy"]
        for cycle in range(5000):
            inputs = dict(idle)
            if left is not None:
                left -= 1
                if left == 0:
                    inputs["feeder_done"], left, finished = 1, None, cycle
            if fault and len(started) == 2 and since is not None:
                if (not late and cycle - since == at) or (late and finished == cycle - 1):
                    inputs[fault] = 1
            seen = await self.step(**inputs)
            if seen["go"]:
                started.append((seen["index"], seen["layer"]))
                left, since, finished = work, cycle, None
            if inputs.get(fault) and not late:
                assert seen["stop"]
                left, finished = None, cycle
            if not seen["busy"]:
                return started, seen, cycle - finished if finished is not None else cycle
        raise AssertionError("the sequencer hangs")


async def machine(dut, program: list[dict[str, int]]) -> Machine:
    bench = await Cycles.start(dut, *OUTPUTS, ready=0xFFFF)
    result = Machine(bench, program)
    await result.step()
    return result


@cocotb.test()
async def descriptors_in_order(dut):
    """Every field of every descriptor arrives; the drain is waited for."""
    bench = await Cycles.start(dut, *OUTPUTS, ready=0xFFFF)
    cfg, draw = config(), bench.random
    program = []
    for _ in range(cfg.program_depth):
        low, high = -(1 << cfg.act_bits - 1), (1 << cfg.act_bits - 1) - 1
        fields = {}
        for field in DESCRIPTOR:
            if field.signed and field.width == 8:
                fields[field.name] = draw.randint(low, high)
            elif (
                field.name.startswith(("res_", "step", "out_base", "input_")) and field.width == 16
            ):
                fields[field.name] = draw.randrange(1 << 16)
        fields |= {"in_h": draw.randint(1, 511), "origin_y": draw.randint(-512, 511)}
        fields |= {"add_shift": draw.randint(0, 31), "weight_base": draw.randrange(1 << 20)}
        program.append(fields)
    m = Machine(bench, program)
    for first, count in ((0, cfg.program_depth), (1, 2), (cfg.program_depth - 1, 1)):
        started, seen, drained = await m.run(first, count)
        assert [index for index, _ in started] == list(range(first, first + count))
        for index, layer in started:
            wanted = pack_layer(**LEGAL | {"magic": cfg.signature} | program[index])
            assert layer == wanted, index
        assert seen["done"] and seen["status"] == Status.OK
        assert seen["index"] == first + count - 1
        assert drained == parameters()["drain"] + 1


ILLEGAL = [
    {"magic": 0}, {"blocks": 0}, {"kernel_h": 0}, {"kernel_w": 0}, {"co_tiles": 0}, {"out_h": 0},
    {"out_w": 0}, {"in_h": 0}, {"in_w": 0}, {"input_bank": 2, "residual_bank": 1},
    {"output_bank": 2}, {"residual_bank": 3}, {"residual": 1, "residual_bank": 0},
    {"sub_block": 15}, {"out_lane": 31}, {"lane_mask": 1 << 15}, {"hold_weights": 1, "blocks": 2},
    {"add_multiplier_a": 1 << 23}, {"add_multiplier_b": 1 << 23},
    *({f.name: value} for f in DESCRIPTOR if f.signed and f.width == 8 for value in (-128, 127)),
]  # fmt: skip


@cocotb.test()
async def illegal_descriptors_do_not_run(dut):
    for fields in ILLEGAL:
        m = await machine(dut, [{}, fields, {}])
        started, seen, _ = await m.run(0, 3)
        assert len(started) == 1, fields
        assert seen["done"] and seen["status"] == Status.BAD_DESCRIPTOR, fields
        assert seen["index"] == 1


@cocotb.test()
async def faults_end_the_run(dut):
    """In the middle of a layer, or while its last pixels are still on their way."""
    m = await machine(dut, [{}] * 4)
    for name, status in Sequencer.FAULTS.items():
        for late in (False, True):
            started, seen, _ = await m.run(0, 4, fault=name, late=late)
            assert len(started) == 2, (name, late)
            assert seen["done"] and seen["status"] == status, (name, late)
            assert seen["index"] == 1
    started, seen, _ = await m.run(0, 4)
    assert len(started) == 4 and seen["status"] == Status.OK


@cocotb.test()
async def program_bounds(dut):
    depth = config().program_depth
    m = await machine(dut, [{}] * depth)
    for first, count in (
        (0, 0),
        (0, depth + 1),
        (depth, 1),
        (1, depth),
        (0xFFFF, 1),
        (1, 0xFFFF),
        (0xFFFF, 0xFFFF),
    ):
        started, seen, _ = await m.run(first, count)
        assert not started, (first, count)
        assert seen["done"] and seen["status"] == Status.PROGRAM_ADDRESS, (first, count)


@cocotb.test()
async def start_while_busy_is_ignored(dut):
    m = await machine(dut, [{}] * 4)
    await m.step(start=1, first=2, count=1)
    for _ in range(5):
        seen = await m.step(start=1, first=0, count=4)
    while not seen["go"]:
        seen = await m.step(start=1, first=0, count=4)
    assert seen["index"] == 2
    seen = await m.step(start=0, feeder_done=1)
    while seen["busy"]:
        seen = await m.step(feeder_done=0)
        assert not seen["go"]
    assert seen["done"] and seen["index"] == 2


@cocotb.test()
async def waits_for_ready(dut):
    """A descriptor is fetched once its index is below ``ready``."""
    m = await machine(dut, [{}] * 4)
    await m.step(start=1, first=0, count=3, ready=1)
    seen = await m.step(start=0)
    while not seen["go"]:
        seen = await m.step()
        assert seen["fetching"] and not seen["waiting"]
    seen = await m.step(feeder_done=1)
    for _ in range(parameters()["drain"] + 40):
        seen = await m.step(feeder_done=0)
        assert not seen["go"]
    assert seen["busy"] and seen["waiting"] and not seen["fetching"] and seen["index"] == 1
    # The memory of the second descriptor is written late.
    m.memory[DESCRIPTOR_STRIDE] = Descriptor(**LEGAL, hold_weights=1).pack(config())[0]
    seen = await m.step(ready=2)
    while not seen["go"]:
        seen = await m.step()
    assert seen["layer"] == pack_layer(**LEGAL, hold_weights=1, magic=config().signature)
