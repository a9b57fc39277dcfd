"""The fault models that there are, and the faults that their ids name."""

from holdfast.base.errors import HoldfastError

from .fault import Fault
from .models.base import FaultModel
from .models.stuck_at import StuckAtModel
from .models.upset import UpsetModel
from .space import FaultSpace

MODELS: list[type[FaultModel]] = [UpsetModel, StuckAtModel]


def fault_model(bits: int = 1, stuck: int | None = None, duration: int = 0) -> FaultModel:
    """Returns the model that the options of a campaign describe.

    Raises
    ------
    HoldfastError
        A value is outside its bounds, or only stuck bits have it.
    """
    if stuck is not None:
        return StuckAtModel(bits, stuck, duration)
    if duration:
        raise HoldfastError("only stuck bits have a duration.")
    return UpsetModel(bits)


def parse_fault(space: FaultSpace, cycles: int, text: str) -> Fault:
    """Reads the id of a fault of a whole inference.

    Raises
    ------
    HoldfastError
        The text is no id of any model, or there is no such register, word, bit or cycle.
    """
    own = (model for model in MODELS if model.prefix and text.startswith(model.prefix))
    fault = next(own, FaultModel).parse(space, text)
    for part in (fault, *fault.then):
        part.check_bits(space)
        part.check_cycle(cycles)
    return fault
