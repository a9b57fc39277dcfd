"""Says what protects a run, by the names that commands take.

GUARDS["bound"].golden(graph).run(codes)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.base import Protection
from holdfast.gen.protection.guards import FixedGuard, LearntGuard
from holdfast.gen.protection.range_guard import fixed_bound
from holdfast.gen.protection.registry import PROTECTIONS, protections

from .graph import Graph

if TYPE_CHECKING:
    from .golden import Golden, GuardMode

GOLDEN_SIDES: "dict[str, Callable[[Graph, str], Golden]]" = {}
"""By the name of a protection that replaces values: the golden model of a graph in a mode of it."""


@dataclass(frozen=True)
class GuardSettings:
    """Switches of the range guard, or the mode of another protection.

    Attributes
    ----------
    output, input : bool
        Which check is on.
    zero : bool
        Replace by the zero point instead of the nearer bound.
    fixed : bool
        The output check is that of an accelerator without learnt bounds.
    mode : str
        A mode of a protection beside the range guard; empty: none is on.
    """

    output: bool = False
    input: bool = False
    zero: bool = False
    fixed: bool = False
    mode: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "GuardSettings":
        """Returns settings from their `values`."""
        return cls(**values)

    @property
    def on(self) -> bool:
        """Tells whether anything is checked."""
        return self.output or self.input or bool(self.mode)

    @property
    def protection(self) -> type[Protection] | None:
        """Returns what the mode is of."""
        return next((kind for kind in PROTECTIONS.values() if self.mode in kind.modes), None)

    @property
    def control(self) -> dict[str, bool]:
        """Switches by name, those of the control register and others."""
        kind = self.protection
        return {
            "guard_output": self.output,
            "guard_input": self.input,
            "guard_zero": self.zero,
            **dict.fromkeys(kind.modes[self.mode] if kind else (), True),
        }

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the mode's alarms; those of the range guard are known without."""
        return tuple(self.protection.alarms) if self.protection else ()

    @property
    def values(self) -> dict[str, Any]:
        """Returns every setting by name; the mode only if there is one."""
        return {name: value for name, value in asdict(self).items() if name != "mode" or value}

    def golden(self, graph: Graph) -> "Golden":
        """Returns the golden model with this protection."""
        from .golden import Golden

        if self.protection and self.protection.name in GOLDEN_SIDES:
            return GOLDEN_SIDES[self.protection.name](graph, self.mode)
        mode: GuardMode = "zero" if self.zero else "bound"
        output, input = mode if self.output else None, mode if self.input else None
        return Golden(graph, output, input, fixed_bound(graph.act_bits) if self.fixed else None)


class _Guards(Mapping[str, GuardSettings]):
    """The modes of all protections, and ``off``; looked up when asked for."""

    def _known(self) -> dict[str, GuardSettings]:
        known = {"off": GUARD_OFF}
        for kind in PROTECTIONS.values():
            for mode, switches in kind.modes.items():
                known[mode] = GuardSettings(mode=mode)
                if kind in (LearntGuard, FixedGuard):
                    output, input, zero = (
                        f"guard_{name}" in switches for name in ("output", "input", "zero")
                    )
                    known[mode] = GuardSettings(output, input, zero, kind is FixedGuard)
        return known

    def __getitem__(self, name: str) -> GuardSettings:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


GUARD_OFF = GuardSettings()
GUARD_ON = GuardSettings(output=True, input=True)
GUARDS = _Guards()
"""``bound`` and ``zero`` need an accelerator with learnt bounds, ``fixed`` one without, others
their protection."""


def check_guard(config: AcceleratorConfig, guard: GuardSettings) -> None:
    """Refuse a check that the accelerator does not have.

    Raises
    ------
    HoldfastError
        Names the accelerator.
    """
    if not guard.on:
        return
    kind = guard.protection
    if kind is not None:
        if kind not in protections(config):
            raise HoldfastError(
                f"protection {kind.name} cannot be switched on: accelerator {config.name} has none."
            )
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
    """Returns a setting by its name; without one what the accelerator has, of two ``bound``.

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
    """Returns a setting's name."""
    return next(name for name, known in GUARDS.items() if known == guard)
