"""Differences and ratios of shares."""

from dataclasses import asdict
from math import sqrt

import numpy as np
import pytest

from base.statistics import wilson
from fault.compare import Pairs, combined, independent


def pairs(both, prevented, caused, neither):
    """Pairs of one image with these counts."""
    cells = [(1, 1)] * both + [(1, 0)] * prevented + [(0, 1)] * caused + [(0, 0)] * neither
    before, after = np.array(cells, bool).T
    return Pairs(before[:, None], after[:, None])


def test_images_that_always_agree_add_nothing():
    """The same images under the same faults: the interval is that of one image."""
    one = pairs(30, 25, 10, 200)
    four = Pairs(np.repeat(one.before, 4, 1), np.repeat(one.after, 4, 1))
    a, b = one.difference(0.95), four.difference(0.95)
    assert a.value == pytest.approx(b.value)
    assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.01)


def test_independent_images_count_in_full():
    source = np.random.default_rng(1)
    before, after = source.random((2, 400, 4)) < 0.3
    whole = Pairs(before, after).difference(0.95)
    flat = Pairs(before.reshape(-1, 1), after.reshape(-1, 1)).difference(0.95)
    assert whole.high - whole.low == pytest.approx(flat.high - flat.low, rel=0.1)


def test_nothing_that_failed_has_no_ratio():
    assert pairs(0, 0, 3, 50).ratio(0.95) is None
    found = pairs(0, 9, 0, 50).ratio(0.95)
    assert found.value == 0 and found.low == 0 and 0 < found.high < 1


def test_ratio_of_strata_is_that_of_the_weighted_shares():
    strata = {"a": pairs(40, 10, 5, 45), "b": pairs(1, 1, 4, 194)}
    difference, ratio = combined(strata, {"a": 0.1, "b": 0.9}, 0.95)
    before = 0.1 * 50 / 100 + 0.9 * 2 / 200
    after = 0.1 * 45 / 100 + 0.9 * 5 / 200
    assert ratio.value == pytest.approx(after / before)
    assert difference.value == pytest.approx(after - before)
    assert ratio.low < ratio.value < ratio.high and difference.low < difference.high


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_coverage_of_the_ratio(share):
    """Of many samples some 95 % of the intervals hold the true ratio of 0.5."""
    source = np.random.default_rng(7)
    hits = 0
    for _ in range(400):
        first = source.random(2000) < share
        second = np.where(first, source.random(2000) < 0.4, source.random(2000) < 0.1 * share / 1)
        truth = (share * 0.4 + (1 - share) * 0.1 * share) / share
        found = Pairs(first[:, None], second[:, None]).ratio(0.95)
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.985


def test_newcombe_of_two_campaigns():
    """Newcombe (1998), example (a): 56 of 70 and 48 of 80; method 10: 0.0524 to 0.3339."""

    def summary(hits, trials):
        z = 1.959964
        p = hits / trials
        centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
        half = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
        share = {"value": p, "low": centre - half, "high": centre + half}
        return {"structures": {"weight": {"shares": {"sdc1": share}}}, "total": {"sdc1": share}}

    found = independent(summary(48, 80), summary(56, 70), "sdc1")
    assert found["weight"]["difference"] == found["total"]["difference"]
    assert found["total"]["difference"] == pytest.approx(
        {"value": 0.2, "low": 0.0524, "high": 0.3339}, abs=1e-4
    )
    other = {"structures": {}, "total": summary(1, 2)["total"]}
    assert independent(other, summary(48, 80), "sdc1")["weight"]["difference"] is None


def test_ratios_of_two_campaigns_cover_the_truth():
    source = np.random.default_rng(3)
    hits = 0
    drawn = zip(source.binomial(300, 0.3, 400), source.binomial(500, 0.1, 400), strict=True)
    for first, second in drawn:
        found = ratio(wilson(int(first), 300), wilson(int(second), 500))
        assert found["value"] == pytest.approx(second / 500 / (first / 300))
        hits += found["low"] <= 1 / 3 <= found["high"]
    assert 0.92 <= hits / 400 <= 0.985
    assert ratio(wilson(5, 9), wilson(0, 9)) is None


def ratio(first, second):
    a, b = ({"structures": {}, "total": {"avf": asdict(share)}} for share in (first, second))
    return independent(a, b, "avf")["total"]["ratio"]
