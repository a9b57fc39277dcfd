"""Clock cycles of an inference, exact."""

from holdfast.base.statistics import Estimate
from holdfast.explore.measurements.latency import LatencyMeasurement

from .base import Objective


class Cycles(Objective):
    name = limit = "cycles"
    title = "cycles"
    heading = "kcycles"
    exact = whole = True
    bounds = (1, 10**12)

    def measurements(self, request):
        return {"latency": LatencyMeasurement(request.point.network, request.point.config)}

    def facts(self, request, results):
        return {key: results["latency"][key] for key in ("cycles", "resident")}

    def value(self, point, target=""):
        return Estimate(*3 * [point["cycles"]])

    def cell(self, value):
        return f"{value.value / 1e3:,.0f}"
