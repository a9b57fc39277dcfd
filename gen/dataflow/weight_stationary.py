"""The weight-stationary dataflow."""

from amaranth.hdl import Module, Signal

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.latencies import Latencies
from holdfast.gen.units.sequencer import Sequencer

from .array import SystolicArray
from .base import Dataflow
from .feeder import Feeder
from .input_stage import InputStage
from .pe import ProcessingElement
from .weight_loader import WeightLoader


class StationaryLatencies(Latencies):
    """Latencies of a weight-stationary array.

    Attributes
    ----------
    first_token : int
        From the pulse that starts the units to T of the first pixel.
    enter, swap : int
        From T to row 0's activation at the array's edge, row r r cycles later; from T of a tile's
        first pixel to the swap of processing element (0, 0).
    product, partial_sum : int
        From a processing element's edge to its registers.
    load : int
        From a weight's address to the cycle in which the shadow register takes it.
    gap : int
        Cycles more at the end of an output tile.
    """

    first_token = Feeder.FIRST_TOKEN
    enter, swap = InputStage.LATENCY, InputStage.LATENCY - 1
    product, partial_sum = ProcessingElement.PRODUCT, ProcessingElement.LATENCY
    load = WeightLoader.LATENCY
    gap = Feeder.GAP

    @property
    def sum(self) -> int:
        return self.enter + SystolicArray.latency(self.rows)

    @property
    def weight_lead(self) -> int:
        """Returns the cycles from T of a tile's first pixel to the address of the next tile's first
        weight row; row r is r cycles later.
        """
        return WeightLoader.lead(self.rows, self.cols)

    def interval(self, swaps: bool, chained: bool) -> int:
        """Returns the least cycles of a tile: whether the next one has new weights, and else
        whether it is one pixel that is summed in a register.
        """
        if swaps:
            return Feeder.weight_interval(self.rows, self.cols)
        return 1 if chained else Feeder.HAZARD


class WeightStationary(Dataflow):
    """Weights stay in the array while all pixels of a tile stream past them."""

    name = "weight_stationary"
    latencies = StationaryLatencies

    def __init__(self, config: AcceleratorConfig):
        self.feeder = feeder = Feeder(config)
        self.input_stage = InputStage(config)
        self.array = SystolicArray(config)
        self.loader = loader = WeightLoader(config)
        self.units = {
            "feeder": feeder,
            "input_stage": self.input_stage,
            "array": self.array,
            "weight_loader": loader,
        }
        self.address, self.pad, self.token = feeder.address, feeder.pad, feeder.token
        self.weight_address, self.weight_next = loader.address, loader.next_address
        self.weight_active = loader.active
        self.sums = self.array.sums
        self.activity = {
            "stream": feeder.streaming,
            "stall_weights": feeder.stall_weights,
            "stall_memory": feeder.stall_memory,
            "stall_writeback": feeder.stall_writeback,
        }

    def connect(self, m: Module, sequencer: Sequencer, word, weights) -> None:
        layer, go, stop = sequencer.layer, sequencer.go, sequencer.stop
        feeder, stage, array, loader = self.units.values()
        swap = feeder.token.start
        for number in range(StationaryLatencies.swap):
            following = Signal(name=f"swap_{number}")
            m.d.sync += following.eq(swap)
            swap = following
        m.d.comb += [
            feeder.layer.eq(layer),
            feeder.go.eq(go),
            feeder.stop.eq(stop),
            sequencer.feeder_done.eq(feeder.done),
            stage.layer.eq(layer),
            stage.sub_block.eq(feeder.sub_block),
            stage.pad.eq(feeder.pad),
            stage.valid.eq(feeder.token.valid),
            stage.word.eq(word),
            loader.base.eq(layer.weight_base),
            loader.go.eq(go),
            loader.stop.eq(stop),
            loader.load_next.eq(feeder.load_next),
            array.act.eq(stage.act),
            array.swap.eq(swap),
            array.weight.eq(weights),
            array.load.eq(loader.load),
        ]
