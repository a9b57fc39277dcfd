"""What the range guard's register says, by the names that commands take.

GUARDS["bound"].golden(graph).run(codes)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.range_guard import fixed_bound

from .graph import Graph

if TYPE_CHECKING:
    from .golden import Golden, GuardMode

__all__ = ["GUARDS", "GUARD_OFF", "GUARD_ON", "GuardSettings", "check_guard", "guard_name",
           "named_guard"]  # fmt: skip


@dataclass(frozen=True)
class GuardSettings:
    """The range guard's register.

    Attributes
    ----------
    output, input : bool
        Which check is on.
    zero : bool
        Replace by the zero point instead of the nearer bound.
    fixed : bool
        The output check is that of an accelerator without learnt bounds.
    """

    output: bool = False
    input: bool = False
    zero: bool = False
    fixed: bool = False

    @property
    def control(self) -> dict[str, bool]:
        """Settings of the control register."""
        return {
            "guard_output": self.output,
            "guard_input": self.input,
            "guard_zero": self.zero,
        }

    def golden(self, graph: Graph) -> "Golden":
        """The golden model with this guard."""
        from .golden import Golden

        mode: GuardMode = "zero" if self.zero else "bound"
        output, input = mode if self.output else None, mode if self.input else None
        return Golden(graph, output, input, fixed_bound(graph.act_bits) if self.fixed else None)


GUARD_OFF = GuardSettings()
GUARD_ON = GuardSettings(output=True, input=True)
GUARDS = {
    "off": GUARD_OFF,
    "bound": GUARD_ON,
    "zero": GuardSettings(output=True, input=True, zero=True),
    "fixed": GuardSettings(output=True, zero=True, fixed=True),
}
"""``bound`` and ``zero`` need an accelerator with learnt bounds, ``fixed`` one without."""


def check_guard(config: AcceleratorConfig, guard: GuardSettings) -> None:
    """Refuse a check that the accelerator does not have.

    Raises
    ------
    HoldfastError
        Names the accelerator.
    """
    if not (guard.input or guard.output):
        return
    if not config.guard:
        raise HoldfastError(f"the guard cannot be switched on: accelerator {config.name} has none.")
    if guard.fixed is config.learnt_bounds:
        has, knows = ("learnt", "bound, zero") if config.learnt_bounds else ("fixed", "fixed")
        raise HoldfastError(
            f"the guard of accelerator {config.name} has {has} bounds: its settings are off, "
            f"{knows}."
        )


def named_guard(name: str | None, config: AcceleratorConfig) -> GuardSettings:
    """A setting by its name; without one what the accelerator has, of two ``bound``.

    Raises
    ------
    HoldfastError
        There is no such setting, or the accelerator cannot do it.
    """
    if name is None:
        name = "bound" if config.learnt_guard else "fixed" if config.guard else "off"
    if name not in GUARDS:
        raise HoldfastError(f"the guard is {', '.join(GUARDS)}, not {shown(name)}.")
    check_guard(config, GUARDS[name])
    return GUARDS[name]


def guard_name(guard: GuardSettings) -> str:
    """A setting's name."""
    return next(name for name, known in GUARDS.items() if known == guard)
