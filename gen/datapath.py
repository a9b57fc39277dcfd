"""The units of the accelerator, and what connects them from one memory to the next."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.memory import Memory

from .config import AcceleratorConfig
from .dataflow.base import Dataflow
from .dataflow.registry import dataflow, latencies
from .layout import DESCRIPTOR_STRIDE
from .roles import at
from .units.descriptor import Token
from .units.lanes import Lanes
from .units.memory import LaneMemory, cells, weight_memory
from .units.output_writer import OutputWriter
from .units.parameter_loader import ParameterLoader
from .units.residual_reader import ResidualReader
from .units.sequencer import Sequencer


@dataclass
class Datapath:
    """Units and memories of one accelerator; a protection may replace them before they are used.

    Attributes
    ----------
    parameters : dict
        Memories of the channels' parameters, by name.
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
    parameters: dict[str, Memory]

    @classmethod
    def of(cls, config: AcceleratorConfig) -> "Datapath":
        """Returns the units that a configuration asks for, not yet connected."""
        widths = {"bias": config.acc_bits, "scale": config.multiplier_bits + 6}
        if config.learnt_guard:
            widths["bounds"] = 2 * config.guard_bits
        banks = [LaneMemory(config.word_lanes, config.act_bits, config.act_depth)
                 for _ in range(config.act_banks)]  # fmt: skip
        return cls(
            config,
            dataflow(config)(config),
            Lanes(config),
            ParameterLoader(config),
            ResidualReader(config),
            OutputWriter(config),
            Sequencer(config, latencies(config).drain),
            weight_memory(config),
            [at(bank, bank=index) for index, bank in enumerate(banks)],
            cells(32, config.program_depth * DESCRIPTOR_STRIDE),
            {name: cells(width, config.param_depth) for name, width in widths.items()},
        )

    def place(self, m: Module) -> None:
        """Makes the units and memories submodules."""
        units = self.dataflow.units | {
            name: getattr(self, name)
            for name in ("lanes", "parameter_loader", "residual_reader", "output_writer",
                         "sequencer", "weights")
        }  # fmt: skip
        units |= {f"activations_{index}": bank for index, bank in enumerate(self.banks)}
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
        token = flow.token
        for stage in range(latencies(self.config).token):
            following = Signal(Token, name=f"token_{stage}")
            m.d.sync += following.eq(token)
            token = following
        flow.connect(m, sequencer, input_word, weight_row)
        m.d.comb += [
            lanes.layer.eq(layer),
            lanes.token.eq(token),
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
