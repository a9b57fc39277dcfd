"""The resolvers that an engine asks, in their order; RTL, which decides everything, is the last."""

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.fault.analysis.checked import Unchecked
from holdfast.fault.analysis.endings import EndingResolver
from holdfast.fault.analysis.layer_outputs import LayerOutputs, Points
from holdfast.fault.analysis.memories import MemoryFaultAnalysis
from holdfast.fault.analysis.registers import RegisterFaultAnalysis
from holdfast.fault.analysis.requantizers import RequantizerAnalysis
from holdfast.fault.analysis.resolver import Resolver
from holdfast.fault.analysis.rtl import LockstepResolver
from holdfast.fault.analysis.settings import SettingsAnalysis
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.checked import checked_roles


@dataclass(frozen=True)
class GoldenInference:
    """Holds what resolvers know of an image's golden inference.

    Attributes
    ----------
    liveness : Resolver or None
        Only where it was analysed.
    points : Callable or None
        Another injector's way to decide differences of sums.
    """

    session: RtlSession
    layers: LayerOutputs
    memories: MemoryFaultAnalysis
    liveness: Resolver | None = None
    points: Points | None = None


def _unchecked(it: GoldenInference, resolver: Resolver) -> Resolver:
    roles = checked_roles(it.session.program.config)
    return Unchecked(resolver, it.session.netlist.held, roles) if roles else resolver


RESOLVERS: list[Callable[[GoldenInference], Resolver | None]] = [
    lambda it: _unchecked(it, RegisterFaultAnalysis(it.layers, it.session.netlist.held, it.points)),
    lambda it: it.memories,
    lambda it: it.liveness,
    lambda it: _unchecked(it, RequantizerAnalysis(it.layers, it.session.netlist.held)),
    lambda it: _unchecked(it, SettingsAnalysis(it.layers, it.session.netlist.held)),
    lambda it: EndingResolver.of(it.session),
    lambda it: LockstepResolver(it.session, it.memories),
]
"""Make resolvers of an inference; one that makes None is left out."""
