"""The interval of a share: accuracies and fault rates alike."""

from math import sqrt
from statistics import NormalDist

__all__ = ["wilson"]


def wilson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a binomial share; (0, 1) without trials.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    1927.
    """
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / trials
    weight = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / weight
    margin = z / weight * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Exact where rounding would leave a trace of a limit.
    return 0.0 if hits == 0 else centre - margin, 1.0 if hits == trials else centre + margin
