"""Says what a protection is: hardware that finds or repairs errors, its switches and its alarms."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from amaranth.hdl import Module, Value

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.datapath import Datapath
from holdfast.gen.layout import Status
from holdfast.gen.roles import Role


class Protection:
    """Adds a protection to one accelerator.

    A member lists itself in ``PROTECTIONS`` under its name, which ``AcceleratorConfig.protections``
    holds. Each of its switches and alarms has a register of its name: one of ``layout``, or else
    one in a block of its own, which only accelerators with the protection have.

    Attributes
    ----------
    name : str
    modes : dict
        By what ``--guard`` accepts, one at a time, the switches that are on; others are off. A mode
        may name switches of other protections, to be used together.
    switches, alarms : dict of str
        What each switch does, and what each alarm counts, by name.
    """

    name: ClassVar[str]
    modes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    switches: ClassVar[Mapping[str, str]] = {}
    alarms: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: AcceleratorConfig):
        self.config = config

    @classmethod
    def present(cls, config: AcceleratorConfig) -> bool:
        """Tells whether an accelerator has it."""
        return cls.name in config.protections

    @classmethod
    def check(cls, config: AcceleratorConfig) -> None:
        """Raise HoldfastError if it does not fit the accelerator."""

    def replace(self, parts: Datapath) -> None:
        """Put units of its own in place of some, before they are connected."""

    def connect(
        self, m: Module, parts: Datapath, switches: Mapping[str, Value]
    ) -> dict[str, Value]:
        """Adds its hardware to the connected units.

        Returns
        -------
        dict of Value
            For each alarm, flags: how many of them are set is counted in every cycle.
        """
        return {}


class Check(Protection, ABC):
    """A protection that is always on, and ends a run in which it finds an error.

    Attributes
    ----------
    stops : Status
        With what it ends a run.
    sees : frozenset of Role
        State in which it may find an error, beside what it holds itself.
    takes : dict of str
        What it takes of other protections, by their names.
    dataflow : str or None
        The only one that it knows.
    """

    stops: ClassVar[Status]
    sees: ClassVar[frozenset[Role]]
    takes: ClassVar[Mapping[str, str]] = {}
    dataflow: ClassVar[str | None] = None

    @classmethod
    def check(cls, config: AcceleratorConfig) -> None:
        if cls.dataflow not in (None, config.dataflow):
            raise HoldfastError(
                f"{cls.name} knows the dataflow {cls.dataflow}, not {config.dataflow}."
            )
        for other, what in cls.takes.items():
            if other not in config.protections:
                raise HoldfastError(
                    f"{cls.name} takes the {what} of {other}, which is not among the protections."
                )

    def connect(
        self, m: Module, parts: Datapath, switches: Mapping[str, Value]
    ) -> dict[str, Value]:
        fault = getattr(parts.sequencer, f"fault_{self.name}")
        m.d.comb += fault.eq(self.watch(m, parts))
        return {}

    @abstractmethod
    def watch(self, m: Module, parts: Datapath) -> Value:
        """Adds its hardware to the connected units; returns whether there is an error."""
