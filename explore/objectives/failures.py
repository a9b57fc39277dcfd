"""SDC-1: the share of upsets that change the class, from a campaign in whole inferences."""

from typing import Annotated

from holdfast.base import options
from holdfast.base.statistics import Estimate
from holdfast.explore.measurements.reliability import Campaign
from holdfast.explore.study import with_guard
from holdfast.nn.graph.guard_modes import GUARDS

from .base import Objective, of_guard


class Failures(Objective):
    name = "sdc1"
    limit = "sdc"
    title = "SDC-1"
    heading = "SDC-1 %"
    unit = "%"
    scale = 100.0
    digits = 3
    bounds = (0, 1)
    unlimited = ""

    def measurements(self, request):
        study, point = request.study, request.point
        if not study.faults:
            return {"campaign": "no faults were asked for"}
        if not request.resident:
            return {"campaign": "its weights do not fit on chip at once, which a campaign needs"}
        settings = _of_one_netlist(study.guards, point.guard)
        return {
            "campaign": Campaign(
                point.network, with_guard(point.config, settings), settings, study.faults,
                study.minimum, study.structures, study.images, study.seed, study.audit,
                request.data,
            )
        }  # fmt: skip

    def facts(self, request, results):
        return {"campaign": of_guard(results.get("campaign"), request.point.guard)}

    def value(self, point, target=""):
        campaign = point["campaign"]
        return Estimate(**campaign["all"]["total"]["sdc1"]) if campaign else None

    def parameter(self):
        return Annotated[
            str, options.text("Most SDC-1, such as 0.5%; the upper end of its interval counts.")
        ]

    def read(self, given):
        return options.share(self.option, given, zero=True) if given else None

    def cell(self, value):
        value, low, high = (100 * share for share in (value.value, value.low, value.high))
        return f"{value:.2g} {low:.2g}-{high:.2g}"


def _of_one_netlist(settings: tuple[str, ...], chosen: str) -> tuple[str, ...]:
    """Returns the settings that share a campaign: those of the protection that is chosen, and
    ``off``, which is measured on the accelerator with learnt bounds where there is one.
    """
    others = [name for name in settings if name != "off"]
    if chosen == "off":
        chosen = min(others, key=lambda name: _protection(name) != "learnt", default="off")
    wanted = _protection(chosen)
    return tuple(name for name in settings if name == "off" or _protection(name) == wanted)


def _protection(setting: str) -> str:
    """Names what does a setting; no netlist has learnt and fixed bounds."""
    guard = GUARDS[setting]
    return guard.protection.name if guard.protection else "fixed" if guard.fixed else "learnt"
