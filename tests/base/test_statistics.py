import numpy as np
import pytest

from base.statistics import sample_size, stratified, wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(hits, trials, low, high):
    interval = wilson(hits, trials)
    assert interval.value == hits / trials
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_at_the_ends():
    assert wilson(0, 1000).low == 0 and wilson(0, 1000).high == pytest.approx(0.0038, abs=5e-5)
    assert wilson(7, 7).high == 1
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


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


def test_weighted_total_by_hand():
    total = stratified({"x": (1, 4), "y": (3, 4)}, {"x": 900, "y": 100})
    x, y = wilson(1, 4), wilson(3, 4)
    assert total.value == pytest.approx(0.9 * 0.25 + 0.1 * 0.75)
    below = ((0.9 * (0.25 - x.low)) ** 2 + (0.1 * (0.75 - y.low)) ** 2) ** 0.5
    above = ((0.9 * (x.high - 0.25)) ** 2 + (0.1 * (y.high - 0.75)) ** 2) ** 0.5
    assert total.low == pytest.approx(total.value - below)
    assert total.high == pytest.approx(total.value + above)


def test_one_stratum_is_wilson():
    assert stratified({"x": (3, 50)}, {"x": 10}).high == pytest.approx(wilson(3, 50).high)


def test_a_stratum_without_faults_is_unknown():
    assert stratified({"x": (0, 100)}, {"x": 1, "y": 1}).high > 0.5


def test_weighted_interval_covers():
    shares = {"x": 0.02, "y": 0.3, "z": 0.6}
    sizes = {"x": 9000, "y": 800, "z": 200}
    true = sum(shares[name] * sizes[name] for name in sizes) / 10000
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        counts = {name: (int(generator.binomial(20, p)), 20) for name, p in shares.items()}
        interval = stratified(counts, sizes)
        covered += interval.low <= true <= interval.high
    assert covered / 2000 > 0.93
