"""The registers that the host sees."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value

from .config import ROUNDINGS, AcceleratorConfig
from .layout import CONTROL, COUNTERS, INTERFACE, MAGIC, REGION_BITS, REGISTERS, Region, Register
from .units.sequencer import Sequencer

_SETTLED = ("control", "first", "count")
"""A start or a change of settings in the middle of a run is refused."""


class RegisterFile:
    """Settings of a run, its status, and counters of its cycles and alarms.

    Parameters
    ----------
    registers : sequence of Register
    switches, alarms : sequence of str
        Of the accelerator's protections.

    Attributes
    ----------
    switches : dict of Signal
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        registers: Sequence[Register],
        switches: Sequence[str],
        alarms: Sequence[str],
    ):
        self.config, self._registers = config, registers
        names = [name for name in CONTROL if name in (*switches, "interrupt")]
        self._control = {name: Signal(name=f"control_{name}") for name in names}
        self._own = {n: Signal(name=f"protect_{n}") for n in switches if n not in CONTROL}
        self.switches = self._control | self._own
        self.first = Signal(16)
        self.count = Signal(16)
        self.ready = Signal(16, init=0xFFFF)
        self.start = Signal()
        self.read = Signal(32)
        self._cycles = Signal(32, name="cycles")
        self._refused = Signal(name="refused")
        self._spent = {name: Signal(32, name=name) for name in COUNTERS}
        fixed = {register.name for register in REGISTERS}
        self._labels = {name: name if name in fixed else f"alarm_{name}" for name in alarms}
        self._alarms = {n: Signal(32, name=label) for n, label in self._labels.items()}
        # The range guard has 16 flags at most, others any number.
        self._raised = {
            n: Signal(8 if n in fixed else 32, name=f"{label}_count")
            for n, label in self._labels.items()
        }

    def connect(self, m: Module, host, offset_read: Value, sequencer: Sequencer, activity) -> Value:
        """Connects the registers.

        Parameters
        ----------
        activity : dict of Value
            What the cycle before was spent on, by name.

        Returns
        -------
        Value
            Whether an access to the registers is refused.
        """
        started = Signal()
        self._count(m, sequencer, started, activity)
        offset = host.address[:REGION_BITS]
        selected = host.address[REGION_BITS:] == Region.REGISTERS
        hit = {register.name: offset == register.offset for register in self._registers}
        whole = host.strobe == 0b1111
        served = []
        for register in self._registers:
            writable = whole if "w" in register.access else Const(0, 1)
            if register.name in (*_SETTLED, *self._own):
                writable = writable & ~sequencer.busy
            served.append(hit[register.name] & (~host.write | writable))
        self._read(m, offset_read, sequencer)
        self._write(m, host, hit, selected & host.write & whole, sequencer, started)
        written_in_run = Signal()
        m.d.sync += written_in_run.eq(sequencer.busy & host.write)
        with m.If(written_in_run & host.error):
            m.d.sync += self._refused.eq(1)
        return selected & ~Cat(served).any()

    def raise_alarms(self, m: Module, flags: Mapping[str, Value]) -> None:
        """Counts the flags of each alarm, two cycles later."""
        for name, found in flags.items():
            label = f"{self._labels[name]}_count_now"
            m.d.comb += self._raised[name].eq(_ones(m, found, label))

    def _count(self, m: Module, sequencer: Sequencer, started: Value, activity) -> None:
        """Counts a cycle late, and resets as late."""
        busy_now = Signal()
        m.d.sync += [busy_now.eq(sequencer.busy), started.eq(self.start)]
        with m.If(busy_now):
            m.d.sync += self._cycles.eq(self._cycles + 1)
        for name, counter in self._spent.items():
            m.d.sync += counter.eq(counter + activity[name])
        for name, counter in self._alarms.items():
            m.d.sync += counter.eq(counter + self._raised[name])

    def _read(self, m: Module, offset_read: Value, sequencer: Sequencer) -> None:
        cfg = self.config
        guard = 0 if not cfg.guard else 1 if cfg.learnt_bounds else 2
        status = (sequencer.busy, sequencer.done, self._refused, Const(0, 5))
        values = (
            {
                "id": Const(MAGIC, 32),
                "control": Cat(self._control.get(name, Const(0, 1)) for name in CONTROL),
                "status": Cat(*status, sequencer.status, sequencer.index),
                "first": self.first,
                "count": self.count,
                "cycles": self._cycles,
                "guard_output": Const(0, 32),
                "guard_input": Const(0, 32),
                "ready": self.ready,
                "array": _bytes(cfg.rows, cfg.cols, cfg.act_bits, cfg.weight_bits),
                "widths": _bytes(
                    cfg.acc_bits, cfg.multiplier_bits, ROUNDINGS.index(cfg.rounding), guard
                ),
                "interface": Const(INTERFACE << 16 | cfg.signature, 32),
            }
            | self._spent
            | self._own
            | self._alarms
        )
        # Other addresses are refused, whatever is read.
        last = max(register.offset for register in self._registers)
        with m.Switch(offset_read[2 : last.bit_length()]):
            for register in self._registers:
                with m.Case(register.offset // 4):
                    m.d.comb += self.read.eq(values[register.name])

    def _write(self, m: Module, host, hit, written: Value, sequencer, started: Value) -> None:
        with m.If(written & ~sequencer.busy):
            with m.If(hit["control"]):
                for name, setting in self._control.items():
                    m.d.sync += setting.eq(host.data[CONTROL[name]])
                with m.If(host.data[CONTROL["start"]]):
                    m.d.comb += self.start.eq(1)
                    m.d.sync += self._refused.eq(0)
            for name, setting in {"first": self.first, "count": self.count, **self._own}.items():
                with m.If(hit[name]):
                    m.d.sync += setting.eq(host.data)
        with m.If(started):
            m.d.sync += [counter.eq(0) for counter in (self._cycles, *self._spent.values())]
        with m.If(written):
            with m.If(hit["ready"]):
                m.d.sync += self.ready.eq(host.data)
            for name, counter in self._alarms.items():
                with m.If(hit[name]):
                    m.d.sync += counter.eq(0)


def _ones(m: Module, flags: Value, name: str) -> Value:
    """Counts the flags that were set two cycles ago; one small table counts four of them."""
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


def _bytes(*values: int) -> Const:
    return Const(sum(int(value) << (8 * index) for index, value in enumerate(values)), 32)
