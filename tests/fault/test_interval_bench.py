"""The benchmark of intervals: its campaigns are what they say, its limits those of reports."""

import numpy as np
import pytest
from scipy import stats

from holdfast.base.statistics import Sample, stratified
from tests.bench import piloted
from tests.bench.intervals import PARTS, former, interval
from tests.bench.simulated import Faults


def test_patterns_are_binomial_and_beta_binomial():
    for model, wanted in (
        (Faults((0.3,), 5), stats.binom(5, 0.3)),
        (Faults((0.3,), 5, 0.2, beta=True), stats.betabinom(5, 0.3 * 4, 0.7 * 4)),
    ):
        assert model.chances == pytest.approx(wanted.pmf(model.patterns[:, 0]))


@pytest.mark.parametrize("beta", [False, True])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_shares_and_correlation_of_every_way_to_fail(correlation, beta):
    model = Faults((0.1, 0.2, 0.05), 4, correlation, beta)
    for way, share in enumerate(model.shares):
        images = model.patterns[:, way]
        mean = model.chances @ images
        variance = model.chances @ images**2 - mean**2
        assert mean == pytest.approx(4 * share)
        assert variance == pytest.approx(4 * share * (1 - share) * (1 + 3 * correlation))


def test_limits_of_many_campaigns_are_those_of_each():
    source, weights = np.random.default_rng(2), np.array([0.7, 0.3])
    models = Faults((0.01,), 3, 0.5), Faults((0.002,), 3, 0.5)
    counts = [model.draw(source, 150, 40) for model in models]
    samples = [model.failed(part) for model, part in zip(models, counts, strict=True)]
    low, high = interval(samples, weights)
    for campaign in range(40):
        parts = {
            name: Sample.of(np.repeat(np.tri(4, 3, -1), part[campaign], axis=0))
            for name, part in zip("ab", counts, strict=True)
        }
        found = stratified(parts, {"a": 7, "b": 3})
        assert (low[campaign], high[campaign]) == pytest.approx((found.low, found.high), abs=1e-12)


def test_former_limits_of_one_image_are_those_of_wilson():
    exact = stats.binomtest(7, 200).proportion_ci(method="wilson")
    sample = Sample(200, np.array([7 / 200]), np.array([7 / 200 * 193 / 200]))
    low, high = former([sample], np.ones(1), 1)
    # The spread's n - 1 instead of n.
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high), rel=5e-3)


def test_a_population_drawn_by_a_pilot_is_whole():
    assert piloted.SHARES.sum() == pytest.approx(1)
    assert np.bincount(piloted.STRUCTURES).sum() == len(piloted.STRATA)
    assert len(np.unique(piloted.STRUCTURES)) == 13
    # 0.042 % on this image, of which unseen strata add a little.
    assert piloted.SHARES @ piloted.rates(0.0) == pytest.approx(4.2e-4, rel=0.02)
    assert piloted.SHARES @ piloted.rates(10.0) < 5e-4


@pytest.mark.parametrize("part", ["piloted", "stopped", "both"])
def test_intervals_of_campaigns_that_adapt_hold_the_truth(part):
    points = list(PARTS[part](np.random.default_rng(4), 25))
    assert np.mean([point["now coverage"] for point in points]) > 0.94
