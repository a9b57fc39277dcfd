"""The units of the accelerator, and what connects them from one memory to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.memory import Memory

from .config import AcceleratorConfig
from .dataflow.base import Dataflow
from .dataflow.registry import dataflow, latencies
from .layout import DESCRIPTOR_STRIDE, Status
from .roles import at
from .units.descriptor import Token
from .units.lanes import Lanes
from .units.memory import LaneMemory, cells, weight_memory
from .units.output_writer import OutputWriter
from .units.parameter_loader import ParameterLoader
from .units.residual_reader import ResidualReader
from .units.sequencer import Sequencer


class ParameterField(NamedTuple):
    """Bits of a parameter memory's word: their bus word, first bit there, and width."""

    name: str
    slot: int
    offset: int
    width: int


def parameter_fields(config: AcceleratorConfig) -> dict[str, list[ParameterField]]:
    """Returns what the host writes of each channel, by the memory that holds it."""
    fields = {
        "bias": [ParameterField("bias", 0, 0, config.acc_bits)],
        "scale": [ParameterField("shift", 1, 24, 6)],
    }
    if config.multiplier_bits:
        fields["scale"].insert(0, ParameterField("multiplier", 1, 0, config.multiplier_bits))
    if config.learnt_guard:
        fields["bounds"] = [
            ParameterField("guard_lo", 2, 0, config.guard_bits),
            ParameterField("guard_hi", 2, 16, config.guard_bits),
        ]
    return fields


@dataclass
class Datapath:
    """Units and memories of one accelerator; a protection may replace them before they are used.

    Attributes
    ----------
    parameter_fields : dict of list
        What a channel's parameters are, by the memory that holds them, lowest bits first.
    parameters : dict
        Those memories, from when they are placed on.
    weight_checks : LaneMemory
        Check bits of each row of weights, in one lane.
    parameter_words : dict
        Their words as they are read, from when they are connected on.
    weight_row, weight_check : Signal
        The row of weights that the array may load, and its check bits, from then on.
    tokens : list
        The pixel's token from the dataflow to the lanes, one a stage, from then on.
    choices : list
        Registers that choose between the activation memories, from then on.
    """

    config: AcceleratorConfig
    dataflow: Dataflow
    lanes: Lanes
    parameter_loader: ParameterLoader
    residual_reader: ResidualReader
    output_writer: OutputWriter
    sequencer: Sequencer
    weights: LaneMemory
    banks: list[LaneMemory]
    program: Memory
    parameter_fields: dict[str, list[ParameterField]]
    parameters: dict[str, Memory] = field(default_factory=dict)
    weight_checks: LaneMemory | None = None
    parameter_words: dict[str, Signal] = field(default_factory=dict)
    weight_row: Signal | None = None
    weight_check: Signal | None = None
    tokens: list[Signal] = field(default_factory=list)
    choices: list[Value] = field(default_factory=list)

    @classmethod
    def of(cls, config: AcceleratorConfig, checks: Mapping[str, Status]) -> "Datapath":
        """Returns the units that a configuration asks for, not yet connected.

        Parameters
        ----------
        checks
            As `Sequencer` takes them.
        """
        banks = [LaneMemory(config.word_lanes, config.act_bits, config.act_depth)
                 for _ in range(config.act_banks)]  # fmt: skip
        return cls(
            config,
            dataflow(config)(config),
            Lanes(config),
            ParameterLoader(config),
            ResidualReader(config),
            OutputWriter(config),
            Sequencer(config, latencies(config).drain, checks),
            weight_memory(config),
            [at(bank, bank=index) for index, bank in enumerate(banks)],
            cells(32, config.program_depth * DESCRIPTOR_STRIDE),
            parameter_fields(config),
        )  # fmt: skip

    def place(self, m: Module) -> None:
        """Make the units and memories submodules."""
        for name, fields in self.parameter_fields.items():
            width = sum(part.width for part in fields)
            self.parameters[name] = cells(width, self.config.param_depth)
        units = self.dataflow.units | {
            name: getattr(self, name)
            for name in ("lanes", "parameter_loader", "residual_reader", "output_writer",
                         "sequencer", "weights")
        }  # fmt: skip
        units |= {f"activations_{index}": bank for index, bank in enumerate(self.banks)}
        if self.weight_checks is not None:
            units["weight_checks"] = self.weight_checks
        units["descriptors"] = self.program
        units |= {f"parameters_{name}": store for name, store in self.parameters.items()}
        for name, unit in units.items():
            m.submodules[name] = unit

    def connect(self, m: Module, input_word, residual_word, weight_row) -> None:
        """Connects the units along the pixel's way: bank, dataflow, lanes, bank; words of the
        memories come registered.
        """
        flow, lanes, sequencer = self.dataflow, self.lanes, self.sequencer
        residual, writer, loader = self.residual_reader, self.output_writer, self.parameter_loader
        layer, go = sequencer.layer, sequencer.go
        self.weight_row = weight_row
        self.tokens = [flow.token]
        for stage in range(latencies(self.config).token):
            following = Signal(Token, name=f"token_{stage}")
            m.d.sync += following.eq(self.tokens[-1])
            self.tokens.append(following)
        flow.connect(m, sequencer, input_word, weight_row)
        m.d.comb += [
            lanes.layer.eq(layer),
            lanes.token.eq(self.tokens[-1]),
            lanes.sums.eq(flow.sums),
            lanes.residual.eq(residual.codes),
            lanes.residual_present.eq(residual.present),
            loader.base.eq(layer.param_base),
            loader.go.eq(go),
            loader.begin.eq(lanes.parameter_begin),
            residual.layer.eq(layer),
            residual.go.eq(go),
            residual.token.eq(lanes.residual_token),
            residual.word.eq(residual_word),
            writer.layer.eq(layer),
            writer.go.eq(go),
            writer.token.eq(lanes.codes_token),
            writer.codes.eq(lanes.codes),
        ]
        self._addresses(m)

    def _addresses(self, m: Module) -> None:
        """Tell the sequencer of addresses outside their memories."""
        cfg, flow, writer = self.config, self.dataflow, self.output_writer
        beyond = Cat(
            (writer.address[lane] >= cfg.act_depth) & writer.enable[lane]
            for lane in range(cfg.word_lanes)
        ).any()
        faults = {
            "activation": flow.token.valid & ~flow.pad & (flow.address >= cfg.act_depth),
            "weight": flow.weight_active & (flow.weight_address >= cfg.weight_depth),
            "parameter": self.parameter_loader.active
            & (self.parameter_loader.address >= cfg.param_depth),
            "output": beyond,
            "residual": self.residual_reader.active
            & (self.residual_reader.address[0] >= cfg.act_depth),
            "accumulator": self.lanes.overflow,
        }
        for name, fault in faults.items():
            m.d.comb += getattr(self.sequencer, f"fault_{name}").eq(fault)
