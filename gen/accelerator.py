"""The whole accelerator."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.dataflow.array import SystolicArray
from holdfast.gen.dataflow.feeder import Feeder
from holdfast.gen.dataflow.input_stage import InputStage
from holdfast.gen.dataflow.weight_loader import WeightLoader
from holdfast.gen.port.axi import AxiSubordinate
from holdfast.gen.port.uart_bridge import UartBridge
from holdfast.gen.units.descriptor import Token
from holdfast.gen.units.lane_setup import channel_parameters
from holdfast.gen.units.lanes import Lanes
from holdfast.gen.units.memory import LaneMemory, cells, weight_memory
from holdfast.gen.units.output_writer import OutputWriter
from holdfast.gen.units.parameter_loader import ParameterLoader
from holdfast.gen.units.residual_reader import ResidualReader
from holdfast.gen.units.sequencer import Sequencer

from .config import ROUNDINGS, AcceleratorConfig
from .layout import (
    CONTROL,
    COUNTERS,
    DESCRIPTOR_STRIDE,
    INTERFACE,
    MAGIC,
    REGION_BITS,
    REGISTERS,
    Region,
    word_stride,
)
from .roles import Kind, Role, at

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """Systolic-array accelerator with one port to the host and an interrupt.

    Parameters
    ----------
    config : AcceleratorConfig
    port
        What turns the host's bus into accesses; ``AxiSubordinate()`` by default.

    Members
    -------
    s_axi_*
        The port's: registers and memories, addresses in ``layout``. While a run is under way,
        activation memories cannot be accessed and no memory can be read (AXI: SLVERR); weights,
        parameters and descriptors can be written.
    interrupt
        A run has ended and the interrupt is enabled.

    Latency
    -------
    See ``Feeder`` for a layer's cycles; ``latency`` from its last pixel read to the last output
    written.

    Protection
    ----------
    Range guard at the array's input and before the output clamp.
    """

    STATE = {
        "descriptors": Kind(Role.PROGRAM_WORDS),
        r"descriptors__read\d+": Kind(Role.PROGRAM_PORT),
        r"parameters_(?P<field>[a-z]+)": Kind(Role.PARAMETER_WORDS),
        r"parameters_(?P<field>[a-z]+)(?:_word|__read\d+)": Kind(
            Role.PARAMETER_PORT, pipeline=True
        ),
        "weight": Kind(Role.WEIGHT_ROW, pipeline=True),
        r"(?:swap|token)(?:_\d+)?|input_bank|residual_bank|sub_block": Kind(Role.CONTROL),
        r"for_(?:feeder|residual)_\d+": Kind(Role.CONTROL),
        r"(?P<name>guard_(?:input|output))": Kind(Role.GUARD_COUNTER),
        r"control_guard_\w+|guard_(?:input|output)_count_now\w*": Kind(Role.GUARD),
        rf"(?P<name>cycles|{'|'.join(COUNTERS)})": Kind(Role.COUNTER),
        "ready": Kind(Role.HOST, live=("layer",)),
        r"\w+": Kind(Role.HOST),
    }

    def __init__(self, config: AcceleratorConfig, port: AxiSubordinate | UartBridge | None = None):
        self.config = config
        self._port = AxiSubordinate() if port is None else port
        members = dict(self._port.signature.members)
        del members["host"]
        self._bus = members
        super().__init__(members | {"interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        cfg = self.config
        m.submodules[self._port.NAME] = self._port
        for name, member in self._bus.items():
            inner, outer = getattr(self._port, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        host = self._port.host

        m.submodules.feeder = feeder = Feeder(cfg)
        m.submodules.input_stage = input_stage = InputStage(cfg)
        m.submodules.array = array = SystolicArray(cfg)
        m.submodules.weight_loader = weight_loader = WeightLoader(cfg)
        m.submodules.lanes = lanes = Lanes(cfg)
        m.submodules.parameter_loader = parameter_loader = ParameterLoader(cfg)
        m.submodules.residual_reader = residual_reader = ResidualReader(cfg)
        m.submodules.output_writer = output_writer = OutputWriter(cfg)
        token_stages = InputStage.LATENCY + SystolicArray.latency(cfg) - Lanes.LEAD
        drain = token_stages + Lanes.latency(cfg) + 1
        m.submodules.sequencer = sequencer = Sequencer(cfg, drain)
        layer = sequencer.layer

        weights = weight_memory(cfg)
        m.submodules.weights = weights
        banks = [
            LaneMemory(cfg.word_lanes, cfg.act_bits, cfg.act_depth) for _ in range(cfg.act_banks)
        ]
        for index, bank in enumerate(banks):
            m.submodules[f"activations_{index}"] = at(bank, bank=index)
        program = cells(32, cfg.program_depth * DESCRIPTOR_STRIDE)
        m.submodules.descriptors = program
        parameters = {
            name: cells(width, cfg.param_depth) for name, width in self._parameter_widths().items()
        }
        for name, store in parameters.items():
            m.submodules[f"parameters_{name}"] = store

        busy = sequencer.busy
        region = host.address[REGION_BITS:]
        # Why an access cannot be served, one reason per region.
        refusals: list[Value] = []
        region_read = Signal.like(region)
        offset_read = Signal(REGION_BITS)
        m.d.sync += [region_read.eq(region), offset_read.eq(host.address[:REGION_BITS])]
        read_data = Signal(32)
        m.d.comb += host.read_data.eq(read_data)

        activity = {
            "stream": feeder.streaming,
            "stall_weights": feeder.stall_weights,
            "stall_memory": feeder.stall_memory,
            "stall_writeback": feeder.stall_writeback,
            "stall_fetch": sequencer.fetching,
            "stall_host": sequencer.waiting,
        }
        activity["stall_drain"] = busy & ~Cat(activity.values()).any()
        # A cycle later, so that the counters' carries have a cycle of their own.
        spent_now = {name: Signal(name=f"{name}_now") for name in activity}
        m.d.sync += [flag.eq(activity[name]) for name, flag in spent_now.items()]
        control = self._registers(m, host, offset_read, refusals, sequencer, spent_now)
        register_data = Signal(32)
        m.d.sync += register_data.eq(control["read"])
        m.d.comb += [
            sequencer.start.eq(control["start"]),
            sequencer.first.eq(control["first"]),
            sequencer.count.eq(control["count"]),
            sequencer.ready.eq(control["ready"]),
            self.interrupt.eq(sequencer.done & control["interrupt"]),
        ]

        # Program memory.
        fetch, load = program.read_port(), program.write_port()
        selected = region == Region.PROGRAM
        index = host.address[2:REGION_BITS]
        m.d.comb += [
            fetch.addr.eq(Mux(busy, sequencer.address, index)),
            sequencer.word.eq(fetch.data),
            load.addr.eq(index),
            load.data.eq(host.data),
            load.en.eq(selected & host.write & (host.strobe == 0b1111)),
        ]
        refusals.append(
            selected
            & (
                (index >= cfg.program_depth * DESCRIPTOR_STRIDE)
                | (host.read & busy)
                | (host.write & (host.strobe != 0b1111))
            )
        )

        # Parameter memories: four bus words per channel.
        selected = region == Region.PARAMETERS
        channel, slot = host.address[4:REGION_BITS], host.address[2:4]
        slots: list[list[tuple[int, Value]]] = [[] for _ in range(4)]
        layout = channel_parameters(cfg)
        for name, store in parameters.items():
            read, write = store.read_port(), store.write_port()
            number, parts = self._parameter_slot(name)
            bits = Cat(host.data[offset : offset + width] for _, offset, width in parts)
            m.d.comb += [
                read.addr.eq(Mux(busy, parameter_loader.address, channel)),
                write.addr.eq(channel),
                write.data.eq(bits),
                write.en.eq(selected & host.write & (slot == number) & (host.strobe == 0b1111)),
            ]
            held = Signal(len(read.data), name=f"parameters_{name}_word")
            m.d.sync += held.eq(read.data)
            position = 0
            for field, offset, width in parts:
                value = held[position : position + width]
                m.d.comb += lanes.parameters[field].eq(value)
                signed_field = layout[field].shape == signed(width)
                slots[number].append((offset, value.as_signed() if signed_field else value))
                position += width
        refusals.append(
            selected
            & (
                (channel >= cfg.param_depth)
                | (host.read & busy)
                | (host.write & (host.strobe != 0b1111))
            )
        )
        parameter_data = Array(Signal(32, name=f"parameter_slot_{slot}") for slot in range(4))
        for number, fields in enumerate(slots):
            for position, (offset, value) in enumerate(fields):
                width = (fields[position + 1][0] if position + 1 < len(fields) else 32) - offset
                m.d.comb += parameter_data[number][offset : offset + width].eq(value)

        # Weight memory.
        selected = region == Region.WEIGHTS
        word, chunk = self._window(host.address, cfg.cols)
        for lane in range(cfg.cols):
            m.d.comb += [
                weights.read_address[lane].eq(Mux(busy, weight_loader.next_address, word)),
                weights.write_address[lane].eq(word),
                weights.write_data[lane].eq(host.data[8 * (lane % 4) :][: cfg.weight_bits]),
                weights.write_enable[lane].eq(
                    selected & host.write & (chunk == lane // 4) & host.strobe[lane % 4]
                ),
            ]
        refusals.append(selected & ((word >= cfg.weight_depth) | (host.read & busy)))

        # Activation banks: feeder or residual reader while busy, else the host.
        word, chunk = self._window(host.address, cfg.word_lanes)
        input_bank = Signal(2)
        residual_bank = Signal(2)
        m.d.sync += [
            # The host reads by the input's way.
            input_bank.eq(Mux(busy, layer.input_bank, region)),
            residual_bank.eq(layer.residual_bank),
        ]
        for number, bank in enumerate(banks):
            selected = region == Region.ACTIVATIONS + number
            # Whose address it is, known before: neither reads in the first cycles of a run.
            for_feeder = Signal(name=f"for_feeder_{number}")
            for_residual = Signal(name=f"for_residual_{number}")
            m.d.sync += [
                for_feeder.eq(busy & (layer.input_bank == number)),
                for_residual.eq(busy & (layer.input_bank != number)),
            ]
            for_host = ~(for_feeder | for_residual)
            for lane in range(cfg.word_lanes):
                readers = (
                    (for_feeder, feeder.address),
                    (for_residual, residual_reader.address[lane]),
                    (for_host, word),
                )
                host_enable = (
                    selected & host.write & (chunk == lane // 4) & host.strobe[lane % 4] & ~busy
                )
                m.d.comb += [
                    bank.read_address[lane].eq(
                        reduce(or_, (Mux(chosen, address, 0) for chosen, address in readers))
                    ),
                    bank.write_address[lane].eq(Mux(busy, output_writer.address[lane], word)),
                    bank.write_data[lane].eq(
                        Mux(
                            busy,
                            output_writer.word[lane],
                            host.data[8 * (lane % 4) :][: cfg.act_bits].as_signed(),
                        )
                    ),
                    bank.write_enable[lane].eq(
                        Mux(
                            busy,
                            output_writer.enable[lane] & (layer.output_bank == number),
                            host_enable,
                        )
                    ),
                ]
            refusals.append(selected & ((word >= cfg.act_depth) | busy))
        refusals.append(region >= Region.ACTIVATIONS + cfg.act_banks)
        # Bounds of all memories are behind a refusal: registers cut the way.
        refusal = Signal(len(refusals))
        m.d.sync += refusal.eq(Cat(refusals))
        m.d.comb += host.error.eq(refusal.any())

        words = Array(bank.read_data.as_value() for bank in banks)
        word_layout = data.ArrayLayout(signed(cfg.act_bits), cfg.word_lanes)
        feeder_word = Signal(word_layout)
        residual_word = Signal(word_layout)
        m.d.comb += [feeder_word.eq(words[input_bank]), residual_word.eq(words[residual_bank])]

        # The host's address is stable until its read is over; each stage ends in a register.
        weight_row = Signal(data.ArrayLayout(signed(cfg.weight_bits), cfg.cols))
        program_word = Signal(32)
        activation_word = Signal(32)
        m.d.sync += [
            weight_row.eq(weights.read_data),
            program_word.eq(fetch.data),
            activation_word.eq(self._bus_word(feeder_word, cfg.word_lanes, offset_read)),
        ]
        with m.Switch(region_read):
            with m.Case(Region.REGISTERS):
                m.d.sync += read_data.eq(register_data)
            with m.Case(Region.PROGRAM):
                m.d.sync += read_data.eq(program_word)
            with m.Case(Region.PARAMETERS):
                m.d.sync += read_data.eq(parameter_data[offset_read[2:4]])
            with m.Case(Region.WEIGHTS):
                m.d.sync += read_data.eq(self._bus_word(weight_row, cfg.cols, offset_read))
            with m.Default():
                m.d.sync += read_data.eq(activation_word)

        # The pixel's way: feeder, bank, input stage, array, lanes, bank.
        token, swap = feeder.token, feeder.token.start
        for stage in range(token_stages):
            following = Signal(Token, name=f"token_{stage}")
            m.d.sync += following.eq(token)
            token = following
        for stage in range(InputStage.LATENCY - 1):
            following = Signal(name=f"swap_{stage}")
            m.d.sync += following.eq(swap)
            swap = following
        m.d.comb += [
            feeder.layer.eq(layer),
            feeder.go.eq(sequencer.go),
            feeder.stop.eq(sequencer.stop),
            sequencer.feeder_done.eq(feeder.done),
            input_stage.layer.eq(layer),
            input_stage.sub_block.eq(feeder.sub_block),
            input_stage.pad.eq(feeder.pad),
            input_stage.valid.eq(feeder.token.valid),
            input_stage.word.eq(feeder_word),
            weight_loader.base.eq(layer.weight_base),
            weight_loader.go.eq(sequencer.go),
            weight_loader.stop.eq(sequencer.stop),
            weight_loader.load_next.eq(feeder.load_next),
            array.act.eq(input_stage.act),
            array.swap.eq(swap),
            array.weight.eq(weight_row),
            array.load.eq(weight_loader.load),
            lanes.layer.eq(layer),
            lanes.token.eq(token),
            lanes.sums.eq(array.sums),
            lanes.residual.eq(residual_reader.codes),
            lanes.residual_present.eq(residual_reader.present),
            parameter_loader.base.eq(layer.param_base),
            parameter_loader.go.eq(sequencer.go),
            parameter_loader.begin.eq(lanes.parameter_begin),
            residual_reader.layer.eq(layer),
            residual_reader.go.eq(sequencer.go),
            residual_reader.token.eq(lanes.residual_token),
            residual_reader.word.eq(residual_word),
            output_writer.layer.eq(layer),
            output_writer.go.eq(sequencer.go),
            output_writer.token.eq(lanes.codes_token),
            output_writer.codes.eq(lanes.codes),
        ]

        def beyond(addresses, used):
            return Cat(
                (addresses[lane] >= cfg.act_depth) & used[lane] for lane in range(cfg.word_lanes)
            ).any()

        m.d.comb += [
            sequencer.fault_activation.eq(
                feeder.token.valid & ~feeder.pad & (feeder.address >= cfg.act_depth)
            ),
            sequencer.fault_weight.eq(
                weight_loader.active & (weight_loader.address >= cfg.weight_depth)
            ),
            sequencer.fault_parameter.eq(
                parameter_loader.active & (parameter_loader.address >= cfg.param_depth)
            ),
            sequencer.fault_output.eq(beyond(output_writer.address, output_writer.enable)),
            sequencer.fault_residual.eq(
                residual_reader.active & (residual_reader.address[0] >= cfg.act_depth)
            ),
            sequencer.fault_accumulator.eq(lanes.overflow),
        ]

        if cfg.learnt_guard:
            m.d.comb += [
                input_stage.enable.eq(control["guard_input"]),
                input_stage.use_zero.eq(control["guard_zero"]),
            ]
        if cfg.guard:
            m.d.comb += lanes.enable.eq(control["guard_output"])
        if cfg.learnt_guard:
            m.d.comb += lanes.use_zero.eq(control["guard_zero"])
        for name, exists, violations in (
            ("guard_output_count", cfg.guard, lanes.violation),
            ("guard_input_count", cfg.learnt_guard, input_stage.violation),
        ):
            if exists:
                m.d.comb += control[name].eq(_ones(m, violations, f"{name}_now"))
        return m

    def _parameter_widths(self) -> dict[str, int]:
        """Memories that hold the channel parameters, and their widths."""
        cfg = self.config
        widths = {"bias": cfg.acc_bits, "scale": cfg.multiplier_bits + 6}
        if cfg.learnt_guard:
            widths["bounds"] = 2 * cfg.guard_bits
        return widths

    def _parameter_slot(self, name: str) -> tuple[int, list[tuple[str, int, int]]]:
        """Bus word of a parameter memory, and its fields as (name, bus bit, width)."""
        cfg = self.config
        scale = [("multiplier", 0, cfg.multiplier_bits)] if cfg.multiplier_bits else []
        return {
            "bias": (0, [("bias", 0, cfg.acc_bits)]),
            "scale": (1, [*scale, ("shift", 24, 6)]),
            "bounds": (2, [("guard_lo", 0, cfg.guard_bits), ("guard_hi", 16, cfg.guard_bits)]),
        }[name]

    @staticmethod
    def _window(address, lanes: int):
        """Word and chunk (of four lanes) of a bus address."""
        shift = word_stride(lanes).bit_length() - 1
        return address[shift:REGION_BITS], address[2:shift]

    @staticmethod
    def _bus_word(word, lanes: int, offset):
        """The four lanes of a memory word that a bus address names, sign-extended to bytes."""
        shift = word_stride(lanes).bit_length() - 1
        chunks = Array(
            Cat(_byte(word[lane]) for lane in range(first, min(first + 4, lanes)))
            for first in range(0, word_stride(lanes), 4)
        )
        return chunks[offset[2:shift]] if len(chunks) > 1 else chunks[0]

    def _registers(
        self, m: Module, host, offset_read, refusals, sequencer, activity
    ) -> dict[str, Any]:
        """The register file; returns its outputs, and the counters' increments to be driven."""
        cfg = self.config
        exists = {"start": False, "guard_output": cfg.guard}
        exists |= dict.fromkeys(("guard_input", "guard_zero"), cfg.learnt_guard)
        names = [name for name in CONTROL if exists.get(name, True)]
        settings = {name: Signal(name=f"control_{name}") for name in names}
        first = Signal(16)
        count = Signal(16)
        cycles = Signal(32)
        ready = Signal(16, init=0xFFFF)
        refused = Signal()
        spent = {name: Signal(32, name=name) for name in COUNTERS}
        read = Signal(32)
        start = Signal()
        guards = ("guard_output", "guard_input")
        counters = {name: Signal(32, name=name) for name in guards if exists[name]}
        increments = {name: Signal(8, name=f"{name}_count") for name in counters}
        control = Cat(settings.get(name, Const(0, 1)) for name in CONTROL)
        values = {
            "id": Const(MAGIC, 32),
            "control": control,
            "status": Cat(
                sequencer.busy,
                sequencer.done,
                refused,
                Const(0, 5),
                sequencer.status,
                sequencer.index,
            ),
            "first": first,
            "count": count,
            "cycles": cycles,
            "guard_output": Const(0, 32),
            "guard_input": Const(0, 32),
            **counters,
            "ready": ready,
            **spent,
            "array": _bytes(cfg.rows, cfg.cols, cfg.act_bits, cfg.weight_bits),
            "widths": _bytes(
                cfg.acc_bits,
                cfg.multiplier_bits,
                ROUNDINGS.index(cfg.rounding),
                0 if not cfg.guard else 1 if cfg.learnt_bounds else 2,
            ),
            "interface": Const(INTERFACE << 16 | cfg.signature, 32),
        }
        offset = host.address[:REGION_BITS]
        # What the counters count is a cycle late, and so is their reset.
        busy_now = Signal()
        started = Signal()
        m.d.sync += [busy_now.eq(sequencer.busy), started.eq(start)]
        with m.If(busy_now):
            m.d.sync += cycles.eq(cycles + 1)
        for name, counter in spent.items():
            m.d.sync += counter.eq(counter + activity[name])
        for name, counter in counters.items():
            m.d.sync += counter.eq(counter + increments[name])
        selected = host.address[REGION_BITS:] == Region.REGISTERS
        hit = {register.name: offset == register.offset for register in REGISTERS}
        # A start or a change of settings in the middle of a run is refused.
        settled = ("control", "first", "count")
        whole = host.strobe == 0b1111
        served = []
        for register in REGISTERS:
            writable = whole if "w" in register.access else Const(0, 1)
            if register.name in settled:
                writable = writable & ~sequencer.busy
            served.append(hit[register.name] & (~host.write | writable))
        refusals.append(selected & ~Cat(served).any())
        # Other addresses are refused, whatever is read.
        index = offset_read[2 : max(register.offset for register in REGISTERS).bit_length()]
        with m.Switch(index):
            for register in REGISTERS:
                with m.Case(register.offset // 4):
                    m.d.comb += read.eq(values[register.name])

        written = selected & host.write & whole
        with m.If(written & ~sequencer.busy):
            with m.If(hit["control"]):
                for name, setting in settings.items():
                    m.d.sync += setting.eq(host.data[CONTROL[name]])
                with m.If(host.data[CONTROL["start"]]):
                    m.d.comb += start.eq(1)
                    m.d.sync += refused.eq(0)
            with m.If(hit["first"]):
                m.d.sync += first.eq(host.data)
            with m.If(hit["count"]):
                m.d.sync += count.eq(host.data)
        with m.If(started):
            m.d.sync += [counter.eq(0) for counter in (cycles, *spent.values())]
        with m.If(written):
            with m.If(hit["ready"]):
                m.d.sync += ready.eq(host.data)
            for name, counter in counters.items():
                with m.If(hit[name]):
                    m.d.sync += counter.eq(0)
        written_in_run = Signal()
        m.d.sync += written_in_run.eq(sequencer.busy & host.write)
        with m.If(written_in_run & host.error):
            m.d.sync += refused.eq(1)
        return (
            settings
            | {f"{name}_count": value for name, value in increments.items()}
            | {"read": read, "start": start, "first": first, "count": count, "ready": ready}
        )


def _ones(m: Module, flags: Value, name: str) -> Value:
    """How many flags were set, two cycles ago: four of them are counted by one small table."""
    registered = Signal(len(flags), name=name)
    m.d.sync += registered.eq(flags)
    total: Value = Const(0, 1)
    for index in range(0, len(flags), 4):
        part = registered[index : index + 4]
        ones = Signal(range(len(part) + 1), name=f"{name}_{index // 4}")
        with m.Switch(part):
            for pattern in range(1 << len(part)):
                with m.Case(pattern):
                    m.d.sync += ones.eq(pattern.bit_count())
        total = total + ones
    return total


def _byte(value) -> Value:
    """A signed value of at most 8 bits, extended to a byte."""
    value = Value.cast(value)
    return Cat(value, value[-1].replicate(8 - len(value)))


def _bytes(*values: int) -> Const:
    return Const(sum(int(value) << (8 * index) for index, value in enumerate(values)), 32)
