"""Every guard setting is measured on an accelerator that has what it needs, and nothing else."""

from types import SimpleNamespace

import pytest

from holdfast.explore.objectives.failures import Failures
from holdfast.explore.study import Point, Study, with_guard
from holdfast.gen.protection.registry import PROTECTIONS
from tests.fault.tiny import CONFIG
from tests.gen.test_protection_seam import LayerParity

SETTINGS = ("off", "bound", "zero", "parity", "fixed")


@pytest.mark.parametrize(
    ("chosen", "measured", "guard", "learnt", "protections"),
    [
        ("off", ("off", "bound", "zero"), True, True, ()),
        ("bound", ("off", "bound", "zero"), True, True, ()),
        ("fixed", ("off", "fixed"), True, False, ()),
        ("parity", ("off", "parity"), False, True, ("layer_parity",)),
    ],
)
def test_protections_have_netlists_of_their_own(
    monkeypatch, tmp_path, chosen, measured, guard, learnt, protections
):
    monkeypatch.setitem(PROTECTIONS, LayerParity.name, LayerParity)
    study = Study(networks=("resnet8",), guards=SETTINGS)
    point = Point(tmp_path / "x", "x", with_guard(CONFIG, [chosen]), chosen)
    request = SimpleNamespace(study=study, point=point, resident=True, data=None)
    campaign = Failures().measurements(request)["campaign"]
    assert campaign.guards == measured
    made = campaign.config
    assert (made.guard, made.learnt_bounds, made.protections) == (guard, learnt, protections)


def test_without_learnt_bounds_off_is_measured_where_the_first_other_is(monkeypatch, tmp_path):
    monkeypatch.setitem(PROTECTIONS, LayerParity.name, LayerParity)
    for guards in (("off", "parity"), ("off",)):
        study = Study(networks=("resnet8",), guards=guards)
        point = Point(tmp_path / "x", "x", with_guard(CONFIG, ["off"]), "off")
        request = SimpleNamespace(study=study, point=point, resident=True, data=None)
        assert Failures().measurements(request)["campaign"].guards == guards
