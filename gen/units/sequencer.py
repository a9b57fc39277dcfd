"""Runs the descriptors of a program."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR, DESCRIPTOR_STRIDE, DESCRIPTOR_WORDS, Status
from holdfast.gen.roles import Kind, Role

from .descriptor import Layer, lane_offsets


class Sequencer(wiring.Component):
    """Fetches a descriptor, checks it, starts the units and waits until the last pixel is written.

    Parameters
    ----------
    drain : int
        Cycles from the feeder's last pixel until its output is in memory.
    checks : Mapping of Status
        What protections find, by name: more members ``fault_*``.

    Attributes
    ----------
    running, opening, ending : Signal
        A layer runs or drains; its first cycle, and its last, in which a check still counts. They
        exist where there are checks.

    Members
    -------
    start, first, count
        Run ``count`` descriptors from ``first``; ignored while busy.
    ready
        A descriptor waits before it is fetched until its index is below ``ready``: the host may
        still be writing its weights.
    fetching, waiting
        What a busy cycle is spent on, unless the feeder works.
    busy, done, status, index
        ``done`` and ``status`` hold until the next start; ``index`` is the current descriptor.
    address, word
        Program memory: word address, and its content one cycle later.
    layer, go
        Fields of the current descriptor, and the pulse that starts the units.
    feeder_done, stop
        From and to the feeder.
    fault_*
        A unit met an address outside its memory. The run ends with the matching status.
    """

    FAULTS = {
        "fault_activation": Status.ACTIVATION_ADDRESS,
        "fault_weight": Status.WEIGHT_ADDRESS,
        "fault_parameter": Status.PARAMETER_ADDRESS,
        "fault_output": Status.OUTPUT_ADDRESS,
        "fault_residual": Status.RESIDUAL_ADDRESS,
        "fault_accumulator": Status.ACCUMULATOR_ADDRESS,
    }

    STATE = {
        r"word_(?P<word>\d+)": Kind(Role.DESCRIPTOR_WORD),
        "index": Kind(Role.DESCRIPTOR_INDEX),
        r"fsm_state|(?P<told>busy)": Kind(Role.CONTROL, live=("layer", "inference")),
        # With ``busy``, what the host is told of a run.
        r"(?P<told>done|status)": Kind(Role.CONTROL),
        r"\w+": Kind(Role.CONTROL),
    }

    def __init__(
        self, config: AcceleratorConfig, drain: int, checks: Mapping[str, Status] | None = None
    ):
        self.config = config
        self._drain = drain
        self._checks = bool(checks)
        found = {f"fault_{name}": status for name, status in (checks or {}).items()}
        self.faults = self.FAULTS | found
        self.running = Signal()
        self.opening = Signal()
        self.ending = Signal()
        super().__init__(
            {
                "start": In(1),
                "first": In(16),
                "count": In(16),
                "ready": In(16),
                "fetching": Out(1),
                "waiting": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "status": Out(8),
                "index": Out(16),
                "address": Out(range(config.program_depth * DESCRIPTOR_STRIDE)),
                "word": In(32),
                "layer": Out(Layer),
                "go": Out(1),
                "feeder_done": In(1),
                "stop": Out(1),
            }
            | {name: In(1) for name in self.faults}
        )

    def _illegal(self):
        """Tells whether the descriptor could never run."""
        layer, cfg = self.layer, self.config
        counts = ("blocks", "kernel_h", "kernel_w", "co_tiles", "out_h", "out_w", "in_h", "in_w")
        faults = [layer.magic != cfg.signature, layer.hold_weights & (layer.blocks != 1)]
        faults += [layer[name] == 0 for name in counts]
        faults += [
            layer[name] >= cfg.act_banks for name in ("input_bank", "output_bank", "residual_bank")
        ]
        faults += [
            layer.residual & (layer.residual_bank == layer.input_bank),
            layer.sub_block >= cfg.sub_blocks,
            ~Cat(layer.out_lane == offset for offset in lane_offsets(cfg)).any(),
            ~Cat(layer.res_lane == offset for offset in lane_offsets(cfg)).any(),
            (layer.lane_mask >> cfg.cols).any(),
            (layer.add_multiplier_a >> cfg.add_multiplier_bits).any(),
            (layer.add_multiplier_b >> cfg.add_multiplier_bits).any(),
        ]
        low, high = -(1 << (cfg.act_bits - 1)), (1 << (cfg.act_bits - 1)) - 1
        codes = [f.name for f in DESCRIPTOR if f.signed and f.width == 8]
        faults += [(layer[name] < low) | (layer[name] > high) for name in codes]
        return Cat(faults).any()

    def _refuse(self, m, status: Status) -> None:
        """Ends the run before its descriptor begins."""
        m.d.sync += [self.busy.eq(0), self.done.eq(1), self.status.eq(status)]
        m.next = "IDLE"

    def elaborate(self, platform):
        m = Module()
        words = [Signal(32, name=f"word_{index}") for index in range(DESCRIPTOR_WORDS)]
        for field in DESCRIPTOR:
            bits = words[field.word][field.offset : field.offset + field.width]
            m.d.comb += self.layer[field.name].eq(bits)

        fetch = Signal(range(DESCRIPTOR_WORDS + 1))
        remaining = Signal(16)
        drain = Signal(range(self._drain + 1))
        m.d.comb += self.address.eq(Cat(fetch[: DESCRIPTOR_STRIDE.bit_length() - 1], self.index))
        fault = Cat(getattr(self, name) for name in self.faults).any()
        # All words but the last, which has nothing to check, are in place a cycle before CHECK.
        illegal = Signal()
        m.d.sync += illegal.eq(self._illegal())

        with m.FSM() as fsm:
            hold = fsm.ongoing("FETCH") & (fetch == 0) & (self.index >= self.ready)
            m.d.comb += [
                self.waiting.eq(hold),
                self.fetching.eq((fsm.ongoing("FETCH") & ~hold) | fsm.ongoing("CHECK")),
            ]
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        self.done.eq(0),
                        self.status.eq(Status.OK),
                        self.index.eq(self.first),
                        remaining.eq(self.count),
                        fetch.eq(0),
                        self.busy.eq(1),
                    ]
                    m.next = "FETCH"
                    last = self.first + self.count
                    with m.If((self.count == 0) | (last > self.config.program_depth)):
                        self._refuse(m, Status.PROGRAM_ADDRESS)
            with m.State("FETCH"):
                m.d.sync += fetch.eq(Mux(hold, 0, fetch + 1))
                for index, word in enumerate(words):
                    with m.If(fetch == index + 1):
                        m.d.sync += word.eq(self.word)
                with m.If(fetch == DESCRIPTOR_WORDS):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += drain.eq(self._drain)
                with m.If(illegal):
                    self._refuse(m, Status.BAD_DESCRIPTOR)
                with m.Else():
                    m.d.comb += self.go.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.stop.eq(fault)
                with m.If(self.feeder_done | fault):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += drain.eq(drain - 1)
                with m.If(drain == 1):
                    m.d.sync += fetch.eq(0)
                    failed = self.status != Status.OK
                    if self._checks:
                        failed |= fault
                    with m.If((remaining == 1) | failed):
                        m.d.sync += [self.busy.eq(0), self.done.eq(1)]
                        m.next = "IDLE"
                    with m.Else():
                        m.d.sync += [self.index.eq(self.index + 1), remaining.eq(remaining - 1)]
                        m.next = "FETCH"

        running = fsm.ongoing("RUN") | fsm.ongoing("DRAIN")
        if self._checks:
            m.d.sync += self.opening.eq(self.go)
            m.d.comb += [
                self.running.eq(running),
                self.ending.eq(fsm.ongoing("DRAIN") & (drain == 1)),
            ]
        with m.If(running & (self.status == Status.OK)):
            for name, status in self.faults.items():
                with m.If(getattr(self, name)):
                    m.d.sync += self.status.eq(status)
        return m
