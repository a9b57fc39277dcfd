"""What protections see: faults of it end a run, so that the control decides them."""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.fault.injection.session import InferenceOutcome
from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Held, Role

from .resolver import DecidesTogether, Decision, Later, Resolver

Answer = Decision | Later | InferenceOutcome | None


class Unchecked:
    """Asks a resolver that knows of no protection, of faults that none sees.

    Parameters
    ----------
    held : Mapping
        What registers and memories are for, by name.
    roles : frozenset
        As of `checked_roles`.
    """

    def __init__(self, resolver: Resolver, held: Mapping[str, Held], roles: frozenset[Role]):
        self._resolver, self._held, self._roles = resolver, held, roles

    def resolve(self, fault: Fault) -> Answer:
        """Decides as the resolver does."""
        return self.resolve_all([fault])[0]

    def resolve_all(self, faults: Sequence[Fault]) -> list[Any]:
        """Decides as the resolver does, faults together."""
        left = [
            index
            for index, fault in enumerate(faults)
            if not any(self._held[site.signal].role in self._roles for site in fault.bits)
        ]
        found: list[Any] = [None] * len(faults)
        chosen = [faults[index] for index in left]
        if isinstance(self._resolver, DecidesTogether):
            decided: Sequence[Any] = self._resolver.resolve_all(chosen)
        else:
            decided = [self._resolver.resolve(fault) for fault in chosen]
        for index, decision in zip(left, decided, strict=True):
            found[index] = decision
        return found
