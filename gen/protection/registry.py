"""The protections by name, those of an accelerator, and the registers that they add."""

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import CONTROL, REGISTERS, Register, Status

from .base import Check, Protection
from .check_word import ProgramCheck
from .descriptor_check import DescriptorCheck
from .guards import FixedGuard, LearntGuard
from .lane_parity import LaneParity
from .parameter_parity import ParameterParity
from .schedule_signature import ScheduleSignature
from .stationary_parity import StationaryParity
from .weight_parity import WeightParity

PROTECTIONS: dict[str, type[Protection]] = {
    kind.name: kind
    for kind in (
        LearntGuard,
        FixedGuard,
        ProgramCheck,
        ParameterParity,
        WeightParity,
        DescriptorCheck,
        ScheduleSignature,
        LaneParity,
        StationaryParity,
    )
}

ADDED_FROM = 0x80
"""Byte offset of the first register that a protection adds."""


def protections(config: AcceleratorConfig) -> list[type[Protection]]:
    """Returns the protections of an accelerator.

    Raises
    ------
    HoldfastError
        There is no protection of a name, or it does not fit the accelerator.
    """
    for name in config.protections:
        if name not in PROTECTIONS:
            raise HoldfastError(
                f"protections are some of {', '.join(PROTECTIONS)}, not {shown(name)}."
            )
        if config.protections.count(name) > 1 or not PROTECTIONS[name].present(config):
            raise HoldfastError(
                f"protections must hold {name} once, and a range guard only as guard and "
                "learnt_bounds choose it."
            )
    found = [kind for kind in PROTECTIONS.values() if kind.present(config)]
    for kind in found:
        kind.check(config)
    return found


def alarms(config: AcceleratorConfig) -> list[str]:
    """Returns what an accelerator's protections count, by the names of the registers."""
    return [name for kind in protections(config) for name in kind.alarms]


def checks(config: AcceleratorConfig) -> dict[str, Status]:
    """Returns the status with which each check of an accelerator's protections ends a run."""
    return {kind.name: kind.stops for kind in protections(config) if issubclass(kind, Check)}


def added_registers(config: AcceleratorConfig) -> tuple[Register, ...]:
    """Registers of an accelerator's protections that are not in ``layout``."""
    fixed = {*CONTROL, *(register.name for register in REGISTERS)}
    meanings: dict[str, str] = {}
    for kind in protections(config):
        meanings |= {name: f"bit 0: {text}" for name, text in kind.switches.items()}
        meanings |= {name: f"{text}; any write clears" for name, text in kind.alarms.items()}
    own = [(name, text) for name, text in meanings.items() if name not in fixed]
    return tuple(
        Register(name, ADDED_FROM + 4 * index, "rw", text) for index, (name, text) in enumerate(own)
    )
