"""Holdfast in Python: choose a network and an accelerator, run, inject, compare, explore.

    from holdfast.api import Accelerator, inject, load

    network = load("resnet8")
    chip = Accelerator(rows=8, cols=8, guard=True)
    campaign = inject(network, chip, faults=20_000, seed=1)
    campaign.sdc1           # Estimate(value=0.0009, low=0.0005, high=0.0014)
    campaign.table()        # pyarrow; .to_pandas() where pandas is installed

All mistakes of the caller are a :class:`HoldfastError` with one sentence.
"""

from holdfast.base.errors import HoldfastError
from holdfast.base.statistics import Estimate

from .campaign import Campaign, Comparison, compare, inject, read
from .design import Accelerator, load
from .exploration import Exploration, explore
from .simulation import Simulation, run

__all__ = [
    "Accelerator", "Campaign", "Comparison", "Estimate", "Exploration", "HoldfastError",
    "Simulation", "compare", "explore", "inject", "load", "read", "run",
]  # fmt: skip
