"""Shares and their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from holdfast.base.statistics import (
    Estimate,
    Sample,
    limits,
    sample_size,
    share,
    stratified,
    variance,
    weighted,
)


def clustered(source, faults, images, probability, correlation, repetitions):
    """Failed images of every fault of many campaigns: all alike or each its own."""
    alike = source.random((repetitions, faults)) < correlation
    hits = source.binomial(images, probability, (repetitions, faults))
    whole = images * (source.random((repetitions, faults)) < probability)
    return np.where(alike, whole, hits) / images


def former(values, images):
    """Wilson's limits of as many trials as a design effect from the spread between faults leaves,
    which do not hold."""
    trials, p, z = len(values) * images, values.mean(), 1.959964
    if 0 < p < 1 and images > 1:
        trials /= max(1.0, values.var(ddof=1) / len(values) / (p * (1 - p) / trials))
    centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z / (1 + z * z / trials) * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return centre - reach if p else 0.0, centre + reach


@pytest.mark.parametrize(
    ("hits", "faults", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 5 (Clopper and Pearson)
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_exact_limits_of_one_image_against_published_values(hits, faults, low, high):
    found = share(Sample.counted(hits, faults))
    assert found.value == hits / faults
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 2000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_exact_limits_of_one_image_against_scipy(faults, data, confidence):
    hits = data.draw(st.integers(0, faults))
    found = share(Sample.counted(hits, faults), confidence)
    if 0 < hits < faults:
        exact = stats.binomtest(hits, faults).proportion_ci(confidence, "exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-6)
    elif hits:
        exact = stats.binomtest(hits, faults, alternative="greater").proportion_ci(confidence)
        assert (found.low, found.high) == pytest.approx((exact.low, 1), rel=1e-6)
    else:
        exact = stats.binomtest(hits, faults, alternative="less").proportion_ci(confidence)
        assert (found.low, found.high) == pytest.approx((0, exact.high), rel=1e-6)


def test_nothing_failed_has_the_exact_upper_limit():
    """The rule of three: 1 - 0.05 ** (1 / n), however many images a fault was tried on."""
    assert share(Sample.counted(0, 300)).high == pytest.approx(1 - 0.05 ** (1 / 300))
    assert share(Sample.of(np.zeros((300, 16), bool))) == share(Sample.counted(0, 300))
    assert share(Sample.of(np.ones((300, 16), bool))).low == pytest.approx(0.05 ** (1 / 300))
    assert share(Sample.counted(0, 0)) == Estimate(0, 0, 1)


GRIDS = st.integers(1, 6).flatmap(
    lambda images: st.lists(
        st.lists(st.booleans(), min_size=images, max_size=images), min_size=2, max_size=40
    )
)


@given(GRIDS)
def test_interval_holds_the_share(rows):
    hits = np.array(rows)
    found = share(Sample.of(hits))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(hits.mean())


@given(st.integers(1, 500), st.data())
def test_limits_grow_with_failures(faults, data):
    hits = data.draw(st.integers(0, faults - 1))
    fewer, more = (limits([Sample.counted(h, faults)], [1.0], 0.025) for h in (hits, hits + 1))
    assert fewer[0] < more[0] and fewer[1] < more[1]


@given(GRIDS)
def test_failures_and_their_absence_mirror_each_other(rows):
    hits = np.array(rows)
    found, other = share(Sample.of(hits)), share(Sample.of(~hits))
    assert (found.low, found.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


@given(GRIDS, st.integers(1, 8))
def test_images_that_agree_count_once(rows, images):
    one = np.array(rows)[:, :1]
    assert share(Sample.of(np.repeat(one, images, 1))) == share(Sample.of(one))


def test_correlation_widens():
    """20 failed images of 800: each under a fault of its own, or four under each of five."""
    apart, together = np.zeros((2, 200, 4), bool)
    apart[:20, 0] = together[:5] = True
    apart, together = share(Sample.of(apart)), share(Sample.of(together))
    assert apart.value == together.value
    assert apart.low > together.low and apart.high < together.high


def test_many_independent_failures_are_about_as_tight_as_wilson():
    for hits, faults in ((20, 200), (40, 2000), (100, 200), (500, 20_000)):
        exact = stats.binomtest(hits, faults).proportion_ci(method="wilson")
        found = share(Sample.counted(hits, faults))
        assert 1 <= (found.high - found.low) / (exact.high - exact.low) < 1.1


@pytest.mark.parametrize(
    ("faults", "images", "probability", "correlation"),
    [(200, 8, 0.005, 1.0), (1458, 8, 0.001, 1.0), (200, 2, 0.01, 1.0), (200, 1, 8e-4, 0.0),
     (200, 16, 0.02, 0.1)],
)  # fmt: skip
def test_few_failures_of_images_that_agree_are_covered(faults, images, probability, correlation):
    """Where a design effect from the spread between faults covers 55 to 86 %."""
    source = np.random.default_rng(5)
    values = clustered(source, faults, images, probability, correlation, 2000)
    found = [share(Sample.of(row)) for row in values]
    held = np.mean([e.low <= probability <= e.high for e in found])
    assert held >= 0.94
    if (faults, images) != (200, 16):
        before = [former(row, images) for row in values]
        assert np.mean([low <= probability <= high for low, high in before]) < 0.9


def test_total_of_one_stratum_is_its_share():
    sample = Sample.counted(3, 50)
    assert stratified({"x": sample}, {"x": 10}) == share(sample)


def test_total_of_alike_strata_in_proportion_is_that_of_all_faults():
    """Strata without failures add nothing but their faults."""
    parts = {"a": Sample.counted(7, 1000), "b": Sample.counted(0, 3000)}
    found, whole = stratified(parts, {"a": 100, "b": 300}), share(Sample.counted(7, 4000))
    assert found.value == pytest.approx(whole.value)
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high), rel=5e-3)


def test_total_of_rare_failures_is_that_of_fay_and_feuer():
    """Their gamma limits of a weighted sum of rare events, here with scipy's gamma."""
    hits, faults, sizes = np.array([1, 4, 0]), np.array([2e4, 5e4, 4e4]), np.array([1, 5, 3])
    weights = sizes / sizes.sum() / faults
    mean, spread, most = weights @ hits, weights**2 @ hits, weights.max()
    low = stats.gamma.ppf(0.025, mean**2 / spread, scale=spread / mean)
    mean, spread = mean + most, spread + most**2
    high = stats.gamma.ppf(0.975, mean**2 / spread, scale=spread / mean)
    names = "abc"
    parts = {n: Sample.counted(int(h), int(f)) for n, h, f in zip(names, hits, faults, strict=True)}
    found = stratified(parts, {n: int(size) for n, size in zip(names, sizes, strict=True)})
    assert (found.low, found.high) == pytest.approx((low, high), rel=2e-3)


def test_a_stratum_without_faults_is_unknown():
    found = stratified({"x": Sample.counted(0, 100)}, {"x": 1, "y": 1})
    assert found.low == 0 and 0.5 < found.high < 0.52


def test_a_stratum_that_was_tried_whole_is_known():
    whole = Sample.counted(7, 21, whole=True)
    assert share(whole) == Estimate(1 / 3, 1 / 3, 1 / 3)
    drawn = Sample.counted(3, 200)
    found, alone = stratified({"x": whole, "y": drawn}, {"x": 21, "y": 179}), share(drawn)
    shift, scale = 7 / 200, 179 / 200
    assert found.low == pytest.approx(shift + scale * alone.low)
    assert found.high == pytest.approx(shift + scale * alone.high)


def test_a_stratum_that_weighs_nothing_says_nothing():
    whole, drawn = Sample.counted(7, 21, whole=True), Sample.counted(3, 200)
    found = stratified({"x": whole, "y": drawn}, {"x": 5, "y": 0})
    assert (found.value, found.low, found.high) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    alone = share(drawn)
    found = stratified({"x": Sample.counted(9, 9), "y": drawn}, {"x": 0, "y": 5})
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))


def test_weighted_estimates_by_hand():
    parts = {"x": Estimate(0.25, 0.05, 0.7), "y": Estimate(0.75, 0.3, 0.95)}
    total = weighted(parts, {"x": 900, "y": 100})
    assert total.value == pytest.approx(0.9 * 0.25 + 0.1 * 0.75)
    assert total.low == pytest.approx(0.3 - ((0.9 * 0.2) ** 2 + (0.1 * 0.45) ** 2) ** 0.5)
    assert total.high == pytest.approx(0.3 + ((0.9 * 0.45) ** 2 + (0.1 * 0.2) ** 2) ** 0.5)


@pytest.mark.parametrize(
    "shares", [(0.02, 0.3, 0.6), (0.0005, 0.0002, 0.2), (0.0, 0.0, 0.4), (0.03, 0.0, 0.0)]
)
def test_weighted_interval_covers(shares):
    sizes = {"x": 9000, "y": 800, "z": 200}
    true = sum(p * size for p, size in zip(shares, sizes.values(), strict=True)) / 10000
    source = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        counts = {
            name: Sample.counted(int(source.binomial(20, p)), 20)
            for name, p in zip(sizes, shares, strict=True)
        }
        found = stratified(counts, sizes)
        covered += found.low <= true <= found.high
    assert covered / 2000 > 0.93


@pytest.mark.parametrize(
    ("population", "margin", "confidence", "size"),
    [
        # Leveugle et al., DATE 2009; the same values in fault_injection.md
        (10**6, 0.05, 0.95, 385),
        (10**6, 0.01, 0.95, 9_513),
        (10**6, 0.01, 0.99, 16_319),
        (10**8, 0.01, 0.95, 9_604),
        (10**8, 0.01, 0.998, 23_868),
    ],
)
def test_sample_size(population, margin, confidence, size):
    assert sample_size(population, margin, confidence) == pytest.approx(size, rel=2e-4, abs=1.1)


def test_sample_size_of_everything():
    assert sample_size(100, 0.0) == 100


def test_the_variance_of_a_stratified_estimate():
    # By hand: (0.25 * sqrt(0.1 * 0.9 / 99))**2 + (0.75 * sqrt(0.5 * 0.5 / 9))**2; a stratum that is
    # known adds nothing.
    samples = {"a": Sample.counted(10, 100), "b": Sample.counted(5, 10)}
    assert variance(samples, {"a": 1, "b": 3}) == pytest.approx(0.0156818182)
    samples["b"] = Sample.counted(5, 10, whole=True)
    assert variance(samples, {"a": 1, "b": 3}) == pytest.approx(0.0000568182)
