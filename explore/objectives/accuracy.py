"""Accuracy in per cent, on the largest test set at hand."""

from holdfast.base.statistics import Estimate
from holdfast.explore.measurements.accuracy import AccuracyMeasurement
from holdfast.nn.data.cifar import find_data

from .base import Objective


class Accuracy(Objective):
    name = limit = "accuracy"
    title = "accuracy"
    heading = "acc. %"
    unit = "%"
    larger = True
    bounds = (0, 100)

    def measurements(self, request):
        if not find_data(request.data):
            return {"accuracy": "no CIFAR-10 data were at hand"}
        point = request.point
        return {"accuracy": AccuracyMeasurement(point.network, point.guard, request.data)}

    def facts(self, request, results):
        return {"accuracy": results.get("accuracy")}

    def value(self, point, target=""):
        sets = (point["accuracy"] or {}).get("sets")
        if not sets:
            return None
        return Estimate(sets[0]["percent"], sets[0]["low"], sets[0]["high"])

    def cell(self, value):
        return f"{value.value:.2f}"
