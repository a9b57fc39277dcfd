"""The whole accelerator."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.port.axi import AxiSubordinate
from holdfast.gen.port.uart_bridge import UartBridge
from holdfast.gen.protection.registry import added_registers, checks, protections

from .config import AcceleratorConfig
from .datapath import Datapath
from .layout import COUNTERS, REGISTERS
from .memory_port import MemoryPort
from .register_file import RegisterFile
from .roles import Kind, Role


class Accelerator(wiring.Component):
    """Joins a systolic array, memories, one port to the host and an interrupt.

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
    See ``latencies``.

    Protection
    ----------
    Those that ``protection.registry`` finds in the configuration.
    """

    STATE = {
        "descriptors": Kind(Role.PROGRAM_WORDS),
        r"descriptors__read\d+": Kind(Role.PROGRAM_PORT),
        r"parameters_(?P<field>[a-z]+)": Kind(Role.PARAMETER_WORDS),
        r"parameters_(?P<field>[a-z]+)(?:_word|__read\d+)": Kind(
            Role.PARAMETER_PORT, pipeline=True
        ),
        "weight": Kind(Role.WEIGHT_ROW, pipeline=True),
        "weight_check": Kind(Role.CHECK),
        r"(?:swap|token)(?:_\d+)?|input_bank|residual_bank|sub_block": Kind(Role.CONTROL),
        r"for_(?:feeder|residual)_\d+": Kind(Role.CONTROL),
        r"(?P<name>guard_(?:input|output))": Kind(Role.GUARD_COUNTER),
        r"(?:control_guard|protect)_\w+|(?:guard_(?:input|output)|alarm_\w+)_count_now\w*": Kind(
            Role.GUARD
        ),
        r"alarm_(?P<name>\w+)": Kind(Role.GUARD_COUNTER),
        rf"(?P<name>cycles|{'|'.join(COUNTERS)})": Kind(Role.COUNTER),
        "ready": Kind(Role.HOST, live=("layer",)),
        # Read by the host alone, and read anew.
        "activation_word": Kind(Role.HOST, pipeline=True),
        r"\w+": Kind(Role.HOST),
    }

    def __init__(self, config: AcceleratorConfig, port: AxiSubordinate | UartBridge | None = None):
        self.config = config
        self._protections = protections(config)
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

        parts = Datapath.of(cfg, checks(cfg))
        guards = [kind(cfg) for kind in self._protections]
        for guard in guards:
            guard.replace(parts)
        parts.place(m)
        memories = MemoryPort(parts, host)
        memories.begin(m)
        registers = RegisterFile(
            cfg,
            (*REGISTERS, *added_registers(cfg)),
            [name for guard in guards for name in guard.switches],
            [name for guard in guards for name in guard.alarms],
        )
        sequencer = parts.sequencer
        activity = {
            **parts.dataflow.activity,
            "stall_fetch": sequencer.fetching,
            "stall_host": sequencer.waiting,
        }
        activity["stall_drain"] = sequencer.busy & ~Cat(activity.values()).any()
        # A cycle later, so that the counters' carries have a cycle of their own.
        spent_now = {name: Signal(name=f"{name}_now") for name in activity}
        m.d.sync += [flag.eq(activity[name]) for name, flag in spent_now.items()]
        refused = registers.connect(m, host, memories.offset, sequencer, spent_now)
        register_data = Signal(32)
        m.d.sync += register_data.eq(registers.read)
        m.d.comb += [
            sequencer.start.eq(registers.start),
            sequencer.first.eq(registers.first),
            sequencer.count.eq(registers.count),
            sequencer.ready.eq(registers.ready),
            self.interrupt.eq(sequencer.done & registers.switches["interrupt"]),
        ]
        memories.connect(m, refused, register_data)
        parts.connect(m, memories.input_word, memories.residual_word, memories.weight_row)
        for guard in guards:
            registers.raise_alarms(m, guard.connect(m, parts, registers.switches))
        return m
