"""Says what a resolver answers: it decides a fault with less than a whole run of RTL, or passes it
on.

An engine asks its resolvers in turn (`fault.campaign.resolvers`); the first answer decides.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from holdfast.fault.injection.session import InferenceOutcome
from holdfast.fault.model.fault import Fault

from .effect import Effect


@dataclass
class Decision:
    """Holds what was decided for a fault before its corrupted tensors are propagated to the logits.

    Attributes
    ----------
    path : str
        Which way decided it, as the store names it.
    has_latent_state : bool
        Something wrong is left that the next inference reads before it is written.
    counts, shift : int
        Guard violations, and cycles, beyond the golden run's.
    detected : int or None
        First cycle in which RTL counted more violations than in the golden run.
    died : str
        Where it ended if the logits are golden, where the effect does not tell.
    """

    path: str
    effect: Effect
    has_latent_state: bool = False
    counts: int = 0
    shift: int = 0
    detected: int | None = None
    died: str = ""


class Later(NamedTuple):
    """The fault does the same if it begins in a later cycle: the next resolver gets that one."""

    cycle: int


class Resolver(Protocol):
    """Decides faults of an image's inference in one way."""

    def resolve(self, fault: Fault) -> Decision | Later | InferenceOutcome | None:
        """Decides a fault, or delays it; None leaves it to the next resolver."""


class MadeWhenAsked:
    """Stands for a resolver whose making takes a while, until one of its faults comes.

    Parameters
    ----------
    names : container of str
        The registers that it decides upsets of.
    make : Callable
        Makes it.
    """

    def __init__(self, names: Container[str], make: Callable[[], Resolver]):
        self._names, self._make = names, make
        self._made: Resolver | None = None

    def resolve(self, fault: Fault) -> Decision | Later | InferenceOutcome | None:
        """Decides as the resolver does that it stands for."""
        if not fault.single or fault.site.signal not in self._names:
            return None
        if self._made is None:
            self._made = self._make()
        return self._made.resolve(fault)


@runtime_checkable
class DecidesTogether(Protocol):
    """Decides many faults with less work than one after the other."""

    def resolve_all(self, faults: Sequence[Fault]) -> Sequence[Decision | Later | None]:
        """Returns for each fault what `Resolver.resolve` does."""
