"""The objectives by name, in the order in which they are shown."""

from .accuracy import Accuracy
from .area import LookUpTables
from .base import Objective
from .failures import Failures
from .latency import Cycles

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective for objective in (Accuracy(), Failures(), LookUpTables(), Cycles())
}
