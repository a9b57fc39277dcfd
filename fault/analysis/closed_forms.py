"""Says of which accelerators the analyses know what a fault does."""

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.weight_stationary import WeightStationary
from holdfast.gen.protection.base import Check, Protection
from holdfast.gen.protection.registry import PROTECTIONS

CLOSED_FORMS = {WeightStationary.name}
"""Names of the dataflows whose latencies and sums the analyses know."""


def rtl_alone(config: AcceleratorConfig) -> bool:
    """Tells whether plain RTL decides every fault: nothing else knows another dataflow's values,
    nor the alarms of a protection that does not say what it sees.
    """
    kinds = [PROTECTIONS.get(name, Protection) for name in config.protections]
    return config.dataflow not in CLOSED_FORMS or not all(issubclass(k, Check) for k in kinds)
