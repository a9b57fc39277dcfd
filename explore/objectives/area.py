"""Look-up tables after synthesis."""

from holdfast.base.errors import HoldfastError
from holdfast.base.statistics import Estimate
from holdfast.base.text import shown
from holdfast.explore.measurements.area import AreaMeasurement

from .base import Objective


class LookUpTables(Objective):
    name = limit = "lut"
    title = "look-up tables"
    heading = "LUT"
    exact = whole = True
    bounds = (1, 10**9)

    def measurements(self, request):
        folder = request.folder / "synthesis"
        return {
            f"area {target}": AreaMeasurement(request.point.config, target, folder)
            for target in request.study.targets
        }

    def facts(self, request, results):
        return {"area": {target: results[f"area {target}"] for target in request.study.targets}}

    def value(self, point, target=""):
        area = point["area"]
        target = target or next(iter(area))
        if target not in area:
            raise HoldfastError(
                f"target {shown(target)} was not explored; explored were {', '.join(area)}."
            )
        return Estimate(*3 * [area[target]["lut"]])
