"""The range guard: with bounds that are learnt, and with fixed ones."""

from collections.abc import Mapping

from amaranth.hdl import Module, Value

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.datapath import Datapath

from .base import Protection

_OUTPUT = "checks outputs before their clamp"


class LearntGuard(Protection):
    """Replaces inputs and outputs outside the bounds of their layer or channel."""

    name = "learnt_guard"
    modes = {
        "bound": ("guard_output", "guard_input"),
        "zero": ("guard_output", "guard_input", "guard_zero"),
    }
    switches = {
        "guard_output": _OUTPUT,
        "guard_input": "checks activations that enter the array",
        "guard_zero": "replaces a value by the zero point instead of the bound",
    }
    alarms = {"guard_output": "output guard violations", "guard_input": "input guard violations"}

    @classmethod
    def present(cls, config: AcceleratorConfig) -> bool:
        return config.learnt_guard

    def connect(
        self, m: Module, parts: Datapath, switches: Mapping[str, Value]
    ) -> dict[str, Value]:
        stage, lanes = parts.dataflow.units["input_stage"], parts.lanes
        m.d.comb += [
            stage.enable.eq(switches["guard_input"]),
            stage.use_zero.eq(switches["guard_zero"]),
            lanes.enable.eq(switches["guard_output"]),
            lanes.use_zero.eq(switches["guard_zero"]),
        ]
        return {"guard_output": lanes.violation, "guard_input": stage.violation}


class FixedGuard(Protection):
    """Replaces outputs that are more than two ranges of the codes from the zero point."""

    name = "fixed_guard"
    modes = {"fixed": ("guard_output", "guard_zero")}
    switches = {"guard_output": _OUTPUT}
    alarms = {"guard_output": "output guard violations"}

    @classmethod
    def present(cls, config: AcceleratorConfig) -> bool:
        return config.guard and not config.learnt_bounds

    def connect(
        self, m: Module, parts: Datapath, switches: Mapping[str, Value]
    ) -> dict[str, Value]:
        m.d.comb += parts.lanes.enable.eq(switches["guard_output"])
        return {"guard_output": parts.lanes.violation}
