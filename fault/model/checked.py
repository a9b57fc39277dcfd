"""Says what protections look at."""

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.base import Check
from holdfast.gen.protection.registry import protections
from holdfast.gen.roles import Role


def checked_roles(config: AcceleratorConfig) -> frozenset[Role]:
    """Returns the roles of state in which an accelerator's protections find errors."""
    found = [kind.sees for kind in protections(config) if issubclass(kind, Check)]
    return frozenset(Role.CHECK for _ in found).union(*found)
