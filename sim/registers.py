"""The registers of an accelerator, over a transport that may change what passes through it.

registers = Registers(transport)
registers.set("count", 3)
registers.start(interrupt=True)
status = registers.poll(limit)
"""

from collections.abc import Mapping

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import ROUNDINGS, AcceleratorConfig
from holdfast.gen.layout import (
    CONTROL,
    FIRST_CHECK,
    INTERFACE,
    MAGIC,
    REGISTERS,
    STATUS_BITS,
    STATUS_MEANINGS,
    Status,
)
from holdfast.gen.protection.registry import added_registers, alarms
from holdfast.sim.transport.base import AccessRefused, Transport

REGISTER = {register.name: register.offset for register in REGISTERS}

_NO_INDEX = 1 << 16
_POLLS = 100
_GUARDED = ((), CONTROL, ("guard_output",))
"""Settings that an accelerator with each kind of guard keeps."""


class AcceleratorError(HoldfastError):
    """The accelerator is another one, refused a run or did not end it."""


class DetectedError(AcceleratorError):
    """A protection of the accelerator, or of the driver, found an error; the run ended."""


def offsets(config: AcceleratorConfig) -> dict[str, int]:
    """Returns byte addresses of an accelerator's registers by name, of its protections too."""
    return REGISTER | {register.name: register.offset for register in added_registers(config)}


def alarm_registers(config: AcceleratorConfig) -> list[str]:
    """Names of the registers that count alarms; those of the range guard can always be read."""
    return list(dict.fromkeys(("guard_output", "guard_input", *alarms(config))))


def preparation(config: AcceleratorConfig, settings: Mapping[str, bool]) -> dict[str, int]:
    """Returns what the host writes to which register before a run: no alarms, and the switches that
    are not in the control register.
    """
    own = {register.name for register in added_registers(config)} - {*alarms(config)}
    return dict.fromkeys(alarm_registers(config), 0) | {
        name: int(settings.get(name, False)) for name in sorted(own)
    }


def preparation_writes(
    config: AcceleratorConfig, settings: Mapping[str, bool]
) -> list[tuple[int, bytes]]:
    """Returns `preparation` as writes of addresses and bytes."""
    at = offsets(config)
    found = preparation(config, settings).items()
    return [(at[name], value.to_bytes(4, "little")) for name, value in found]


def control_word(*, start: bool = False, **settings: bool) -> int:
    """Returns the value of the control register; switches that it does not have are left out."""
    words = {"start": start, **settings}
    return sum(1 << CONTROL[name] for name, on in words.items() if on and name in CONTROL)


def status_part(value: int, name: str) -> int:
    """Returns a part of the status register, by its name in `gen.layout.STATUS_BITS`."""
    first, width = STATUS_BITS[name]
    return value >> first & (1 << width) - 1


def check_status(value: int, config: AcceleratorConfig) -> None:
    """Raises AcceleratorError unless the status register tells of a run that ended well."""
    code, index = status_part(value, "code"), status_part(value, "index")
    if code not in STATUS_MEANINGS and code != Status.OK:
        raise AcceleratorError(
            f"the accelerator's status register holds {value:#010x}; there is no code {code}."
        )
    status = Status(code)
    if status != Status.OK:
        meaning = STATUS_MEANINGS[status].format(**config.values)
        kind = DetectedError if status >= FIRST_CHECK else AcceleratorError
        raise kind(f"the accelerator stopped: descriptor {index} {meaning}.")
    if not status_part(value, "done"):
        raise AcceleratorError("the accelerator has not finished a run.")


class Registers:
    """Registers of one accelerator.

    Parameters
    ----------
    transport : Transport

    Attributes
    ----------
    trusted : bool
        Whether the transport loses and changes nothing. Over others, everything is read back.
    array : tuple of int
        Rows, columns, activation bits, weight bits.
    at : dict of int
        Byte addresses by name; with `offsets` those of protections as well.
    widths : tuple of int
        Accumulator bits, multiplier bits, place in ``gen.config.ROUNDINGS``, kind of guard.

    Raises
    ------
    AcceleratorError
        What answers is not a Holdfast accelerator.
    """

    def __init__(self, transport: Transport):
        self._transport = transport
        self.at = REGISTER
        self.trusted: bool = getattr(transport, "checked", False)
        identity = self.read("id")
        if identity != MAGIC:
            raise AcceleratorError(
                f"no Holdfast accelerator answers: its id is {identity:#010x}, not {MAGIC:#010x}."
            )
        try:
            interface = self.read("interface")
        except AccessRefused:
            interface = 0
        if interface >> 16 != INTERFACE:
            raise AcceleratorError(
                f"the accelerator's registers are of version {interface >> 16:#06x}, this client's "
                f"of {INTERFACE:#06x}; make both with the same version of Holdfast."
            )
        array, widths = self.read("array"), self.read("widths")
        self.array = tuple(array.to_bytes(4, "little"))
        self.widths = tuple(widths.to_bytes(4, "little"))
        if not _exists(self.array, self.widths):
            raise AcceleratorError(
                "no accelerator has the size and the widths that this one's registers tell: "
                f"array is {array:#010x}, widths is {widths:#010x}."
            )

    def read(self, name: str) -> int:
        """Returns a register's value."""
        return int.from_bytes(self._transport.read(self.at[name], 4), "little")

    def start_nothing(self) -> None:
        """Makes a run of no descriptors, whose status no other run ends with: should the next start
        go astray, the status of the run before is not taken for its own.
        """
        self.set("count", 0)
        self.start()
        if status_part(self.read("status"), "code") != Status.PROGRAM_ADDRESS:
            raise AcceleratorError("the accelerator has not taken a start.")

    def start(self, **settings: bool) -> None:
        """Begins a run, with settings by their names in `gen.layout.CONTROL`."""
        word = control_word(start=True, **settings)
        self._transport.write(REGISTER["control"], word.to_bytes(4, "little"))
        kept = ("interrupt", *_GUARDED[self.widths[3]])
        expected = control_word(**{name: on for name, on in settings.items() if name in kept})
        if not self.trusted and self.read("control") != expected:
            raise AcceleratorError("the accelerator has not taken the settings of a run.")

    def set(self, name: str, value: int) -> None:
        """Write a register, and over a line that may change it read it back.

        It is not written if it already has the value: a write that went elsewhere is noticed only
        where it has not.
        """
        if self.trusted or self.read(name) != value:
            self._transport.write(self.at[name], value.to_bytes(4, "little"))
        if not self.trusted and (found := self.read(name)) != value:
            raise AcceleratorError(f"register {name} reads {found} after {value} was written.")

    def poll(self, limit: int, index: int = _NO_INDEX) -> int:
        """Status as soon as the run has reached a descriptor or has ended.

        Raises
        ------
        AcceleratorError
            It works for more than `limit` cycles, or does not work on between many reads: it waits
            for the host, or its counters are frozen.
        """
        furthest, still = -1, 0
        believed = self.trusted
        while True:
            status = self.read("status")
            if status_part(status, "index") >= index or not status_part(status, "busy"):
                if believed:
                    return status
                believed = True
                continue
            believed = self.trusted
            # The accelerator's own clock: seconds mean nothing to a simulated one.
            worked = self.read("cycles") - self.read("stall_host")
            if worked > limit:
                raise too_long(limit)
            still = 0 if worked > furthest else still + 1
            furthest = max(furthest, worked)
            if still == _POLLS:
                raise AcceleratorError(
                    f"the accelerator is busy but has stood still for {_POLLS} reads of its status."
                )

    def check_idle(self) -> None:
        """Raise AcceleratorError while a run is under way."""
        if status_part(self.read("status"), "busy"):
            raise AcceleratorError(
                "the accelerator is busy with another run; reset it if nobody waits for that one."
            )


def _exists(array: tuple[int, ...], widths: tuple[int, ...]) -> bool:
    """Tells whether there are accelerators with such registers."""
    rows, cols, act_bits, weight_bits = array
    acc_bits, multiplier_bits, rounding, guard = widths
    if rounding >= len(ROUNDINGS) or guard >= len(_GUARDED):
        return False
    try:
        AcceleratorConfig(rows, cols, act_bits, weight_bits, acc_bits, multiplier_bits)
    except HoldfastError:
        return False
    return True


def too_long(limit: int) -> AcceleratorError:
    """The error of a run that works for more cycles than its program can need."""
    return AcceleratorError(f"the accelerator has not ended its run after {limit} cycles.")
