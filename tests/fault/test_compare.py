"""Differences and ratios of shares."""

from dataclasses import asdict
from math import sqrt

import numpy as np
import pytest

from holdfast.base.paired import Pairs, change, combined, independent
from holdfast.base.statistics import Sample, share


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


def test_ratios_without_failures_on_one_side_have_one_limit():
    assert pairs(0, 0, 0, 50).ratio(0.95) is None
    found = pairs(0, 9, 0, 50).ratio(0.95)
    assert found.value == 0 and found.low == 0 and 0 < found.high < 1
    # Another scale of the same: nothing before, nine after.
    other = pairs(0, 0, 9, 50).ratio(0.95)
    assert (other.value, other.high) == (None, None)
    assert other.low == pytest.approx(1 / found.high)


def test_ratio_of_strata_is_that_of_the_weighted_shares():
    strata = {"a": pairs(40, 10, 5, 45), "b": pairs(1, 1, 4, 194)}
    difference, ratio = combined(strata, {"a": 0.1, "b": 0.9}, 0.95)
    before = 0.1 * 50 / 100 + 0.9 * 2 / 200
    after = 0.1 * 45 / 100 + 0.9 * 5 / 200
    assert ratio.value == pytest.approx(after / before)
    assert difference.value == pytest.approx(after - before)
    assert ratio.low < ratio.value < ratio.high and difference.low < difference.high


def limits_of(cells, factor, tail):
    """Of *after - factor x before* in many campaigns with these cells, the images of a fault all
    alike."""
    faults = cells[0].sum()
    both, prevented, caused, _ = cells.T / faults
    up = caused + max(0, 1 - factor) * both
    down = prevented + max(0, 1 - 1 / factor) * both
    up_squares = caused + max(0, 1 - factor) ** 2 * both
    down_squares = prevented + max(0, 1 - 1 / factor) ** 2 * both
    more = Sample(faults, up, up_squares - up**2)
    less = Sample(faults, down, down_squares - down**2)
    return change([more], [less], [1.0], factor, tail)


@pytest.mark.parametrize(
    ("both", "prevented", "caused"),
    [(1.0, 2.0, 0.5), (4.0, 0.1, 0.1), (0.2, 4.0, 0.0), (0.0, 0.3, 4.0), (30.0, 10.0, 3.0),
     (3.0, 0.0, 3.0), (100.0, 50.0, 20.0)],
)  # fmt: skip
def test_few_failures_are_covered(both, prevented, caused):
    """Of so many faults expected in 500."""
    source = np.random.default_rng(11)
    chances = np.array([both, prevented, caused, 500 - both - prevented - caused]) / 500
    cells = source.multinomial(500, chances, size=4000)
    low, high = limits_of(cells, 1.0, 0.025)
    gap = (caused - prevented) / 500
    assert np.mean((low <= gap) & (gap <= high)) >= 0.935
    truth = (both + caused) / (both + prevented)
    before, after = cells[:, :2].sum(1), cells[:, [0, 2]].sum(1)
    low, high = limits_of(cells, truth, 0.025)
    one_low, one_high = limits_of(cells, truth, 0.05)
    above = np.where(after == 0, one_high, np.where(before == 0, 0, high)) >= 0
    below = np.where(before == 0, one_low, np.where(after == 0, 0, low)) <= 0
    assert np.mean((above & below) | (before + after == 0)) >= 0.935


@pytest.mark.parametrize("cells", [(30, 25, 10, 200), (1, 3, 0, 96), (0, 9, 0, 50), (0, 0, 9, 50)])
def test_ratio_ends_where_a_difference_may_be_nothing(cells):
    both, prevented, caused, _ = cells
    found = pairs(*cells).ratio(0.95)
    tail = 0.025 if both or (prevented and caused) else 0.05
    ends = [(found.low, 0)] * bool(both + caused) + [(found.high, 1)] * bool(both + prevented)
    for factor, side in ends:
        assert limits_of(np.array([cells]), factor, tail)[side] == pytest.approx(0, abs=1e-9)


def test_strata_tried_whole_are_known():
    whole = pairs(4, 3, 1, 13)
    gap, part = combined({"": Pairs(whole.before, whole.after, whole=True)}, {"": 1.0}, 0.95)
    assert (gap.low, gap.value, gap.high) == pytest.approx([-2 / 21] * 3)
    assert (part.low, part.value, part.high) == pytest.approx([5 / 7] * 3)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_coverage_of_the_ratio(share):
    """Of many samples some 95 % of the intervals hold the true ratio of 0.5."""
    source = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        first = source.random(2000) < share
        second = np.where(first, source.random(2000) < 0.4, source.random(2000) < 0.1 * share / 1)
        truth = (share * 0.4 + (1 - share) * 0.1 * share) / share
        found = Pairs(first[:, None], second[:, None]).ratio(0.95)
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 200 <= 0.99


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
        found = ratio(share(Sample.counted(first, 300)), share(Sample.counted(second, 500)))
        assert found["value"] == pytest.approx(second / 500 / (first / 300))
        hits += found["low"] <= 1 / 3 <= found["high"]
    assert 0.92 <= hits / 400 <= 0.985


def test_ratios_of_two_campaigns_without_failures_on_one_side():
    none, some = share(Sample.counted(0, 300)), share(Sample.counted(20, 300))
    found, other = ratio(some, none), ratio(none, some)
    assert (found["value"], found["low"]) == (0, 0)
    # The rule of three against 20: 0.15, and more for what is not known of the 20.
    assert 0.15 < found["high"] < 0.25
    assert (other["value"], other["high"]) == (None, None)
    assert other["low"] == pytest.approx(1 / found["high"])
    assert ratio(none, none) is None


@pytest.mark.parametrize(("first", "second"), [(3.0, 3.0), (6.0, 1.0), (0.5, 6.0), (2.0, 0.2)])
def test_few_failures_of_two_campaigns_are_covered(first, second):
    """Of so many failures expected in 400 and 800 faults."""
    source = np.random.default_rng(9)
    truth, held = second / 800 / (first / 400), {"difference": 0, "ratio": 0}
    for _ in range(2000):
        hits = source.binomial(400, first / 400), source.binomial(800, second / 800)
        a, b = (
            asdict(share(Sample.counted(int(h), n))) for h, n in zip(hits, (400, 800), strict=True)
        )
        found = independent(*({"structures": {}, "total": {"avf": s}} for s in (a, b)), "avf")
        gap, part = found["total"]["difference"], found["total"]["ratio"]
        held["difference"] += gap["low"] <= second / 800 - first / 400 <= gap["high"]
        held["ratio"] += part is None or (
            part["low"] <= truth and (part["high"] is None or truth <= part["high"])
        )
    assert min(held.values()) / 2000 >= 0.935


def ratio(first, second):
    a, b = ({"structures": {}, "total": {"avf": asdict(share)}} for share in (first, second))
    return independent(a, b, "avf")["total"]["ratio"]
