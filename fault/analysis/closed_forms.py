"""Says of which accelerators the analyses know what a fault does."""

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.weight_stationary import WeightStationary

CLOSED_FORMS = {WeightStationary.name}
"""Names of the dataflows whose latencies and sums the analyses know."""


def rtl_alone(config: AcceleratorConfig) -> bool:
    """Tells whether plain RTL decides every fault: nothing else knows another dataflow's values,
    nor alarms that are not of the range guard.
    """
    return bool(config.protections) or config.dataflow not in CLOSED_FORMS
