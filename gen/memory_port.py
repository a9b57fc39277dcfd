"""The host's way to the memories, and theirs to the units while a run is under way."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from .datapath import Datapath
from .layout import DESCRIPTOR_STRIDE, Region
from .units.lane_setup import channel_parameters
from .window import REGION_BITS, word_stride


class MemoryPort:
    """Decodes the host's addresses, refuses what cannot be served and reads back.

    Parameters
    ----------
    parts : Datapath
        Memories, and the units that address them during a run.
    host : HostAccess

    Attributes
    ----------
    offset : Signal
        Of the host's address in its region, when what is read there is known.
    input_word, residual_word, weight_row : Value
        What the units take of the memories.
    """

    def __init__(self, parts: Datapath, host):
        self.parts, self.host, self.config = parts, host, parts.config
        self.busy = parts.sequencer.busy
        self.region = host.address[REGION_BITS:]
        self.region_read = Signal.like(self.region)
        self.offset = Signal(REGION_BITS, name="offset_read")
        self.read_data = Signal(32)
        self.input_word = Signal(self._word(), name="feeder_word")
        self.residual_word = Signal(self._word())
        self.weight_row = Signal(
            data.ArrayLayout(signed(self.config.weight_bits), self.config.cols)
        )
        # Why an access cannot be served, one reason per region.
        self._refusals: list[Value] = []

    def _word(self) -> data.ArrayLayout:
        return data.ArrayLayout(signed(self.config.act_bits), self.config.word_lanes)

    def begin(self, m: Module) -> None:
        """Keep what is addressed until it is read."""
        m.d.sync += [
            self.region_read.eq(self.region),
            self.offset.eq(self.host.address[:REGION_BITS]),
        ]
        m.d.comb += self.host.read_data.eq(self.read_data)

    def connect(self, m: Module, refused: Value, register_data: Value) -> None:
        """Connects all memories.

        Parameters
        ----------
        refused, register_data
            Of the register file: the access is not served, and what is read.
        """
        self._refusals.append(refused)
        fetched = self._program(m)
        parameters = self._parameters(m)
        self._weights(m)
        self._activations(m)
        self._refusals.append(self.region >= Region.ACTIVATIONS + self.config.act_banks)
        # Bounds of all memories are behind a refusal: registers cut the way.
        refusal = Signal(len(self._refusals))
        m.d.sync += refusal.eq(Cat(self._refusals))
        m.d.comb += self.host.error.eq(refusal.any())
        self._read_back(m, register_data, fetched, parameters)

    def _program(self, m: Module) -> Value:
        """Program memory; returns the word that is read."""
        host, sequencer, program = self.host, self.parts.sequencer, self.parts.program
        fetch, load = program.read_port(), program.write_port()
        selected = self.region == Region.PROGRAM
        index = host.address[2:REGION_BITS]
        m.d.comb += [
            fetch.addr.eq(Mux(self.busy, sequencer.address, index)),
            sequencer.word.eq(fetch.data),
            load.addr.eq(index),
            load.data.eq(host.data),
            load.en.eq(selected & host.write & (host.strobe == 0b1111)),
        ]
        self._refuse(selected, index >= self.config.program_depth * DESCRIPTOR_STRIDE)
        return fetch.data

    def _refuse(self, selected: Value, beyond: Value) -> None:
        """Serves a memory of whole bus words, which the run reads."""
        host = self.host
        part = host.write & (host.strobe != 0b1111)
        self._refusals.append(selected & (beyond | (host.read & self.busy) | part))

    def _parameters(self, m: Module) -> Array:
        """Parameter memories: four bus words per channel; returns the words of one channel."""
        cfg, host, lanes = self.config, self.host, self.parts.lanes
        selected = self.region == Region.PARAMETERS
        channel, slot = host.address[4:REGION_BITS], host.address[2:4]
        slots: list[list[tuple[int, Value]]] = [[] for _ in range(4)]
        known = dict(channel_parameters(cfg))
        for name, store in self.parts.parameters.items():
            read, write = store.read_port(), store.write_port()
            fields = self.parts.parameter_fields[name]
            number = fields[0].slot
            bits = Cat(host.data[part.offset : part.offset + part.width] for part in fields)
            m.d.comb += [
                read.addr.eq(Mux(self.busy, self.parts.parameter_loader.address, channel)),
                write.addr.eq(channel),
                write.data.eq(bits),
                write.en.eq(selected & host.write & (slot == number) & (host.strobe == 0b1111)),
            ]
            held = Signal(len(read.data), name=f"parameters_{name}_word")
            m.d.sync += held.eq(read.data)
            position = 0
            self.parts.parameter_words[name] = held
            for field, _, offset, width in fields:
                value = held[position : position + width]
                position += width
                slots[number].append((offset, value))
                if field in known:
                    m.d.comb += lanes.parameters[field].eq(value)
                    if known[field].shape == signed(width):
                        slots[number][-1] = (offset, value.as_signed())
        self._refuse(selected, channel >= cfg.param_depth)
        words = Array(Signal(32, name=f"parameter_slot_{number}") for number in range(4))
        for number, found in enumerate(slots):
            for position, (offset, value) in enumerate(found):
                width = (found[position + 1][0] if position + 1 < len(found) else 32) - offset
                m.d.comb += words[number][offset : offset + width].eq(value)
        return words

    def _weights(self, m: Module) -> None:
        cfg, host, weights = self.config, self.host, self.parts.weights
        selected = self.region == Region.WEIGHTS
        word, chunk = _window(host.address, cfg.weight_bytes)
        lanes = [(weights, lane, cfg.weight_bits) for lane in range(cfg.cols)]
        if self.parts.weight_checks is not None:
            lanes.append((self.parts.weight_checks, 0, len(self.parts.weight_checks.read_data[0])))
        for byte, (memory, lane, bits) in enumerate(lanes):
            m.d.comb += [
                memory.read_address[lane].eq(Mux(self.busy, self.parts.dataflow.weight_next, word)),
                memory.write_address[lane].eq(word),
                memory.write_data[lane].eq(host.data[8 * (byte % 4) :][:bits]),
                memory.write_enable[lane].eq(
                    selected & host.write & (chunk == byte // 4) & host.strobe[byte % 4]
                ),
            ]
        self._refusals.append(selected & ((word >= cfg.weight_depth) | (host.read & self.busy)))

    def _activations(self, m: Module) -> None:
        """Activation banks: feeder or residual reader while busy, else the host."""
        layer, banks = self.parts.sequencer.layer, self.parts.banks
        input_bank = Signal(2)
        residual_bank = Signal(2)
        m.d.sync += [
            # The host reads by the input's way.
            input_bank.eq(Mux(self.busy, layer.input_bank, self.region)),
            residual_bank.eq(layer.residual_bank),
        ]
        for number in range(len(banks)):
            self._bank(m, number)
        self.parts.choices += [input_bank, residual_bank]
        words = Array(bank.read_data.as_value() for bank in banks)
        self._chosen = words[input_bank], words[residual_bank]

    def _bank(self, m: Module, number: int) -> None:
        cfg, host, parts, busy = self.config, self.host, self.parts, self.busy
        layer, writer, bank = parts.sequencer.layer, parts.output_writer, parts.banks[number]
        word, chunk = _window(host.address, cfg.word_lanes)
        selected = self.region == Region.ACTIVATIONS + number
        # Whose address it is, known before: neither reads in the first cycles of a run.
        for_feeder = Signal(name=f"for_feeder_{number}")
        for_residual = Signal(name=f"for_residual_{number}")
        m.d.sync += [
            for_feeder.eq(busy & (layer.input_bank == number)),
            for_residual.eq(busy & (layer.input_bank != number)),
        ]
        parts.choices += [for_feeder, for_residual]
        for_host = ~(for_feeder | for_residual)
        for lane in range(cfg.word_lanes):
            readers = (
                (for_feeder, parts.dataflow.address),
                (for_residual, parts.residual_reader.address[lane]),
                (for_host, word),
            )
            host_enable = (
                selected & host.write & (chunk == lane // 4) & host.strobe[lane % 4] & ~busy
            )
            enable = writer.enable[lane] & (layer.output_bank == number)
            code = host.data[8 * (lane % 4) :][: cfg.act_bits].as_signed()
            m.d.comb += [
                bank.read_address[lane].eq(
                    reduce(or_, (Mux(chosen, address, 0) for chosen, address in readers))
                ),
                bank.write_address[lane].eq(Mux(busy, writer.address[lane], word)),
                bank.write_data[lane].eq(Mux(busy, writer.word[lane], code)),
                bank.write_enable[lane].eq(Mux(busy, enable, host_enable)),
            ]
        self._refusals.append(selected & ((word >= cfg.act_depth) | busy))

    def _read_back(
        self, m: Module, register_data: Value, fetched: Value, parameters: Array
    ) -> None:
        """Returns what the host reads; its address is stable until its read is over, so each stage
        ends in a register.
        """
        cfg, offset = self.config, self.offset
        input_word, residual_word = self._chosen
        m.d.comb += [self.input_word.eq(input_word), self.residual_word.eq(residual_word)]
        row = list(self.weight_row)
        if self.parts.weight_checks is not None:
            read = self.parts.weight_checks.read_data[0]
            self.parts.weight_check = Signal.like(read, name="weight_check")
            m.d.sync += self.parts.weight_check.eq(read)
            row.append(self.parts.weight_check)
        program_word = Signal(32)
        activation_word = Signal(32)
        m.d.sync += [
            self.weight_row.eq(self.parts.weights.read_data),
            program_word.eq(fetched),
            activation_word.eq(_bus_word(self.input_word, cfg.word_lanes, offset)),
        ]
        words = {
            Region.REGISTERS: register_data,
            Region.PROGRAM: program_word,
            Region.PARAMETERS: parameters[offset[2:4]],
            Region.WEIGHTS: _bus_word(row, cfg.weight_bytes, offset),
        }
        with m.Switch(self.region_read):
            for region, word in words.items():
                with m.Case(region):
                    m.d.sync += self.read_data.eq(word)
            with m.Default():
                m.d.sync += self.read_data.eq(activation_word)


def _window(address: Value, lanes: int) -> tuple[Value, Value]:
    """Word and chunk (of four lanes) of a bus address."""
    shift = word_stride(lanes).bit_length() - 1
    return address[shift:REGION_BITS], address[2:shift]


def _bus_word(word, lanes: int, offset: Value) -> Value:
    """The four lanes of a memory word that a bus address names, sign-extended to bytes."""
    shift = word_stride(lanes).bit_length() - 1
    chunks = Array(
        Cat(_byte(word[lane]) for lane in range(first, min(first + 4, lanes)))
        for first in range(0, word_stride(lanes), 4)
    )
    return chunks[offset[2:shift]] if len(chunks) > 1 else chunks[0]


def _byte(value) -> Value:
    """A signed value of at most 8 bits, extended to a byte."""
    value = Value.cast(value)
    return Cat(value, value[-1].replicate(8 - len(value)))
