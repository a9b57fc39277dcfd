"""Says what a protection is: hardware that finds or repairs errors, its switches and its alarms."""

from collections.abc import Mapping
from typing import ClassVar

from amaranth.hdl import Module, Value

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
    stops : Status
        With what it ends a run, through the sequencer's ``fault_`` member of its name; it then has
        no switch.
    sees : frozenset of Role
        State in which it may find an error, beside what it holds itself.
    """

    name: ClassVar[str]
    modes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    switches: ClassVar[Mapping[str, str]] = {}
    alarms: ClassVar[Mapping[str, str]] = {}
    stops: ClassVar[Status | None] = None
    sees: ClassVar[frozenset[Role]] = frozenset()

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
