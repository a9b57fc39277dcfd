"""Nothing that a host writes hangs the accelerator or spoils the run after it.

Descriptors are random: nearly right ones with fields changed, and plain noise. What the run must
end with is worked out here from the documented meaning of the fields. After every one of them a
network runs and its outputs must be exact.
"""

import random

import numpy as np
import pytest
import torch

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR, FIRST_CHECK, REGISTERS, Descriptor, Region, Status
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.nn.networks.spec import Network
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator, image_writes, region, tensor_range
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.registers import REGISTER, AcceleratorError, check_status, control_word
from holdfast.sim.transport.base import AccessRefused
from tests.random_graph import random_graph

CONFIG = AcceleratorConfig(
    rows=2, cols=3, act_depth=64, weight_depth=160, acc_depth=16, param_depth=16, program_depth=4
)
LANES = 4
SLOT = 3
# The longest: every kernel position of every pixel with one weight tile, until the parameters end.
LIMIT = 31 * 31 * CONFIG.acc_depth * (CONFIG.param_depth // CONFIG.cols + 2)


class Subject:
    """A simulated accelerator, a network on it, and what the network computes."""

    def __init__(self):
        spec = Network("tiny", (2, 4, 4))
        spec.dense("logits", spec.conv("conv", "image", 3, 3), 4)
        graph = random_graph(spec, seed=1)
        self.program = compile_graph(graph, CONFIG)
        self.codes = np.random.default_rng(1).integers(-128, 128, (1, 2, 4, 4)).astype(np.int8)
        result = Golden(graph).run(torch.from_numpy(self.codes))
        self.expected = result.outputs["logits"].numpy().reshape(1, -1)
        self.model = CompiledModel(accelerator_netlist(CONFIG))
        self.model.reset()
        self.bus = CompiledBus(self.model)
        self.accelerator = Accelerator(self.bus)
        self.accelerator.load(self.program)

    def register(self, name, value):
        self.bus.write_word(REGISTER[name], value)

    def run(self, first, count):
        """Status after a run."""
        self.register("first", first)
        self.register("count", count)
        self.register("control", control_word(start=True, interrupt=True))
        assert self.bus.wait_interrupt(LIMIT), "the accelerator hangs"
        status = self.bus.read_word(REGISTER["status"])
        assert status & 0b111 == 0b010
        return Status(status >> 8 & 0xFF), status >> 16

    def check(self):
        """The network still gives what it has to."""
        assert (self.accelerator.run(self.codes) == self.expected).all()


@pytest.fixture(scope="module")
def subject():
    return Subject()


def full_range(source, field):
    low = -(1 << field.width - 1) if field.signed else 0
    return source.randint(low, low + (1 << field.width) - 1)


def near(source):
    """A small descriptor that could run, mostly inside the memories."""
    values = {field.name: 0 for field in DESCRIPTOR}
    values |= {
        "magic": CONFIG.signature,
        "hold_weights": source.random() < 0.3,
        "maximum": source.random() < 0.2,
        "residual": source.random() < 0.3,
        "input_bank": (bank := source.randrange(2)),
        "output_bank": source.randrange(2),
        "residual_bank": 1 - bank,
        "stride": source.randrange(4),
        "dilation": source.randrange(3),
        "sub_block": source.randrange(2),
        "out_lane": source.randrange(4),
        "res_lane": source.randrange(4),
        "lane_mask": source.randrange(8),
        "blocks": source.randrange(1, 4),
        "origin_y": source.randrange(-2, 3),
        "origin_x": source.randrange(-2, 3),
        "kernel_h": source.randrange(1, 4),
        "kernel_w": source.randrange(1, 4),
        "in_h": source.randrange(1, 6),
        "in_w": source.randrange(1, 6),
        "co_tiles": source.randrange(1, 4),
        "out_h": source.randrange(1, 5),
        "out_w": source.randrange(1, 5),
        "res_tiles": source.randrange(3),
        "add_shift": source.randrange(32),
    }
    for name in ("input_base", "out_base", "res_base"):
        values[name] = source.choice([0, source.randrange(40), source.randrange(70)])
    for name in ("input_step", "step_x", "step_y", "step_kx", "step_ky", "out_step"):
        values[name] = source.randrange(5)
    values |= {"res_step_x": source.randrange(4), "res_step_y": source.randrange(6)}
    values |= {"weight_base": source.randrange(165), "param_base": source.randrange(18)}
    for field in DESCRIPTOR:
        if field.signed and field.width == 8:
            values[field.name] = full_range(source, field)
        if field.name.startswith("add_multiplier"):
            values[field.name] = source.randrange(1 << 16)
    if values["hold_weights"]:
        values["blocks"] = 1
    return values


def is_illegal(v):
    """As the documentation has it; codes of 8 bits cannot be out of range here."""
    positive = ("blocks", "kernel_h", "kernel_w", "co_tiles", "out_h", "out_w", "in_h", "in_w")
    return (
        v["magic"] != CONFIG.signature
        or (v["hold_weights"] and v["blocks"] != 1)
        or any(v[name] == 0 for name in positive)
        or any(v[name] > 1 for name in ("input_bank", "output_bank", "residual_bank"))
        or (v["residual"] and v["residual_bank"] == v["input_bank"])
        or v["sub_block"] > 1
        or v["out_lane"] > 3
        or v["res_lane"] > 3
        or v["lane_mask"] > 7
        or v["add_multiplier_a"] >> 16 > 0
        or v["add_multiplier_b"] >> 16 > 0
    )


def possible_faults(v):
    """Every fault that the whole walk would meet; the run ends with one of them."""
    if v["out_h"] * v["out_w"] > CONFIG.acc_depth:
        # The walk of the first tile ends early; a fault before its end may come first.
        return {s for s in Status if 1 < s < Status.PROGRAM_ADDRESS}
    faults = set()
    reductions = v["kernel_h"] * v["kernel_w"] * v["blocks"]
    tiles = v["co_tiles"] * (1 if v["hold_weights"] else reductions)
    if v["weight_base"] + CONFIG.rows * tiles > CONFIG.weight_depth:
        faults.add(Status.WEIGHT_ADDRESS)
    if v["param_base"] + CONFIG.cols * v["co_tiles"] > CONFIG.param_depth:
        faults.add(Status.PARAMETER_ADDRESS)
    # Parameters and weights bound the tiles that are really walked.
    co = np.arange(min(v["co_tiles"], 8))
    rows, columns = np.arange(v["out_h"]), np.arange(v["out_w"])
    ky, kx = np.arange(v["kernel_h"]), np.arange(v["kernel_w"])
    block = np.arange(min(v["blocks"], 81))
    y = (v["origin_y"] + ky[:, None] * v["dilation"] + rows * v["stride"]) % 1024 < v["in_h"]
    x = (v["origin_x"] + kx[:, None] * v["dilation"] + columns * v["stride"]) % 1024 < v["in_w"]
    inside = y[:, None, :, None] & x[None, :, None, :]
    pixel = rows[:, None] * v["step_y"] + columns * v["step_x"]
    kernel = ky[:, None] * v["step_ky"] + kx * v["step_kx"]
    words = (v["sub_block"] + block) // 2
    offset = (co[:, None] * v["input_step"] + words).reshape(-1)
    used = (kernel[:, :, None, None] + pixel)[inside]
    address = (v["input_base"] + offset[:, None] + used) % (1 << 16)
    if (address >= CONFIG.act_depth).any():
        faults.add(Status.ACTIVATION_ADDRESS)

    def pointers(base, lane, step_y, step_x, tiles):
        for tile in range(tiles):
            word, first = divmod(lane + CONFIG.cols * tile, LANES)
            yield first, base + word + (rows[:, None] * step_y + columns * step_x)

    step = v["out_step"]
    for first, pointer in pointers(
        v["out_base"], v["out_lane"], v["out_w"] * step, step, min(v["co_tiles"], 8)
    ):
        for lane in range(CONFIG.cols):
            word = (pointer + (first + lane >= LANES)) % (1 << 16)
            if v["lane_mask"] >> lane & 1 and (word >= CONFIG.act_depth).any():
                faults.add(Status.OUTPUT_ADDRESS)
    if v["residual"]:
        read = min(v["co_tiles"], v["res_tiles"], 8)
        steps = v["res_step_y"], v["res_step_x"]
        for first, pointer in pointers(v["res_base"], v["res_lane"], *steps, read):
            last = (pointer + (first + CONFIG.cols > LANES)) % (1 << 16)
            if (last >= CONFIG.act_depth).any():
                faults.add(Status.RESIDUAL_ADDRESS)
    return faults


def check_descriptor(subject, values):
    words = np.array(Descriptor(**{k: int(x) for k, x in values.items()}).pack(CONFIG), "<u4")
    subject.bus.write(region(Region.PROGRAM) + SLOT * 128, words.tobytes())
    status, index = subject.run(SLOT, 1)
    assert index == SLOT
    if is_illegal(values):
        assert status == Status.BAD_DESCRIPTOR, values
    else:
        faults = possible_faults(values)
        assert status in (faults or {Status.OK}), (status, faults, values)
    subject.check()
    return status


@pytest.mark.parametrize("seed", range(4))
def test_random_descriptors(subject, seed):
    source = random.Random(seed)
    met = set()
    for _ in range(400):
        values = near(source)
        if source.random() < 0.5:
            for field in source.sample(DESCRIPTOR, source.choice([1, 1, 2, 4])):
                values[field.name] = full_range(source, field)
        met.add(check_descriptor(subject, values))
    assert met == {s for s in Status if s < FIRST_CHECK} - {Status.PROGRAM_ADDRESS}


def test_every_field_at_its_ends(subject):
    source = random.Random(10)
    for field in DESCRIPTOR:
        low = -(1 << field.width - 1) if field.signed else 0
        for value in (low, low + 1, low + (1 << field.width) - 2, low + (1 << field.width) - 1):
            check_descriptor(subject, near(source) | {field.name: value})


def test_noise(subject):
    source = random.Random(20)
    for _ in range(200):
        values = {field.name: full_range(source, field) for field in DESCRIPTOR}
        values["magic"] = source.choice([CONFIG.signature, values["magic"]])
        check_descriptor(subject, values)


def test_program_past_its_end(subject):
    source = random.Random(30)
    depth = CONFIG.program_depth
    for _ in range(100):
        count = source.choice([0, 1, 5, 0xFFFF, source.randrange(1 << 16)])
        first = source.choice([0, 3, 4, 0xFFFF, source.randrange(1 << 16)])
        if count == 0 or first + count > depth:
            assert subject.run(first, count) == (Status.PROGRAM_ADDRESS, first)
    with pytest.raises(AcceleratorError, match="descriptor 7 lies outside the 4 descriptors"):
        check_status(subject.run(7, 1)[1] << 16 | Status.PROGRAM_ADDRESS << 8 | 2, CONFIG)
    subject.check()


def test_error_names_the_descriptor_in_a_longer_program(subject):
    for bad in range(2, 4):
        good = subject.program.descriptors[0].astype("<u4").tobytes()
        for slot in range(2, 4):
            subject.bus.write(region(1) + slot * 128, bytes(72) if slot == bad else good)
        assert subject.run(0, 4) == (Status.BAD_DESCRIPTOR, bad)
        subject.accelerator.load(subject.program)
        subject.check()


def test_interrupted_by_start_writes(subject):
    """Starts and changes of the settings during a run are refused and change nothing."""
    model, bus = subject.model, subject.bus
    count = len(subject.program.descriptors)
    subject.check()
    for delay in range(0, 200, 3):
        for address, data in image_writes(subject.program, subject.codes[0]):
            bus.write(address, data)
        for name, value in (("first", 0), ("count", count)):
            subject.register(name, value)
        subject.register("control", control_word(start=True, interrupt=True))
        model.step(delay)
        for name in ("control", "first", "count"):
            with pytest.raises(AccessRefused):
                subject.register(name, 0xFFFF)
        assert bus.wait_interrupt(LIMIT)
        assert bus.read_word(REGISTER["status"]) == 0b110 | (count - 1) << 16
        start, length = tensor_range(subject.program, "logits")
        data = bus.read(start, length)
        subject.check()
        assert bus.read(start, length) == data


def words_of(number):
    """Bytes of a region that can be accessed."""
    return {
        Region.PROGRAM: 4 * 128,
        Region.PARAMETERS: 16 * 16,
        Region.WEIGHTS: 160 * 4,
        Region.ACTIVATIONS: 64 * 4,
        Region.ACTIVATIONS + 1: 64 * 4,
    }.get(number, 0)


def is_refused(address, length, write):
    for word in range(address & ~3, address + length, 4):
        number, offset = word >> 22, word & 0x3FFFFF
        whole = address <= word and word + 4 <= address + length
        if number == Region.REGISTERS:
            found = [r for r in REGISTERS if r.offset == offset]
            if not found or (write and ("w" not in found[0].access or not whole)):
                return True
        elif offset >= words_of(number):
            return True
        elif write and not whole and number in (Region.PROGRAM, Region.PARAMETERS):
            return True
    return False


def test_random_bus_traffic(subject):
    """Accesses anywhere, of any length and size, while runs of whatever was written go on."""
    source = random.Random(40)
    model, bus = subject.model, subject.bus
    for _ in range(1500):
        number = source.randrange(8)
        size = words_of(number) or 0x50
        offset = source.choice([source.randrange(size + 16), source.randrange(1 << 22), size - 4])
        address = number << 22 | offset
        if source.random() < 0.5:
            address &= ~3
        length = source.choice([1, 2, 3, 4, 4, 8, source.randrange(1, 60)])
        length = min(length, (1 << 25) - address)
        write = source.random() < 0.6
        busy = bus.read_word(REGISTER["status"]) & 1
        refused = False
        try:
            if write:
                bus.write(address, source.randbytes(length))
            else:
                assert len(bus.read(address, length)) == length
        except AccessRefused:
            refused = True
        if is_refused(address, length, write):
            assert refused, (hex(address), length, write)
        elif not busy and not (write and number == Region.REGISTERS):
            # (A burst over registers may start a run that refuses the rest of it.)
            assert not refused, (hex(address), length, write)
        if source.random() < 0.1:
            bus.write_word(REGISTER["ready"], 0xFFFF)
            for name in ("first", "count", "control"):
                value = {"control": 0b10001}.get(name, source.randrange(5))
                try:
                    subject.register(name, value)
                except AccessRefused:
                    break
            model.step(source.randrange(300))
    bus.write_word(REGISTER["ready"], 0xFFFF)
    for _ in range(LIMIT // 100 * 4):
        if not bus.read_word(REGISTER["status"]) & 1:
            break
        model.step(100)
    subject.accelerator.load(subject.program)
    subject.check()


def test_beats_of_any_size_and_burst(subject):
    source = random.Random(50)
    model, bus = subject.model, subject.bus
    subject.accelerator.load(subject.program)
    for _ in range(300):
        kind = source.choice(["aw", "ar"])
        size, burst = source.randrange(8), source.randrange(4)
        beats = source.choice([1, 2, 4, 8, 16, source.randrange(1, 257)])
        model.poke(f"s_axi_{kind}size", size)
        model.poke(f"s_axi_{kind}burst", burst)
        model.poke(f"s_axi_{kind}addr", region(7) + source.randrange(5000))
        model.poke(f"s_axi_{kind}len", beats - 1)
        bus._offer(kind)
        values = []
        if kind == "aw":
            model.poke("s_axi_wstrb", source.randrange(16))
            for beat in range(beats):
                model.poke("s_axi_wlast", beat == beats - 1)
                bus._offer("w")
        for _ in range(10 * beats + 20):
            channel = "b" if kind == "aw" else "r"
            if model.peek(f"s_axi_{channel}valid"):
                assert model.peek(f"s_axi_{channel}resp") == 2
                values.append(kind == "aw" or model.peek("s_axi_rlast"))
            model.step()
        assert values == ([True] if kind == "aw" else [False] * (beats - 1) + [True])
        model.poke(f"s_axi_{kind}size", 2)
        model.poke(f"s_axi_{kind}burst", 1)
    subject.check()
