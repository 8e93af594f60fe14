"""Bootstrap over clusters: BCa with tails widened for few clusters, through scipy.

Draws whole clusters; a problem keeps its weight. Tests nothing.
Sources: Efron 1987 (BCa); Hesterberg 2015 (arXiv 1411.5279): a nominal 95 % interval of n values is
too short by about sqrt((n - 1) / n) and by z instead of t, so the tails are taken further out.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from ssd_eval.clustering import Clustered

LEVEL = 0.95
Floats = NDArray[np.float64]


def bootstrap_interval(data: Clustered, resamples: int, seed: int) -> tuple[float, float]:
    """BCa limits of the mean over problems; percentiles where BCa does not exist.

    Needs two clusters and some spread.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    def found(method: str) -> tuple[float, float]:
        result = bootstrap(
            (data.sums, data.sizes),
            _mean,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, 2_000_000 // data.clusters),
            confidence_level=1 - 2 * expanded_tail(data.clusters),
            method=method,
            rng=np.random.default_rng([seed, 1]),
        )
        return float(result.confidence_interval.low), float(result.confidence_interval.high)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = found("BCa")
    return limits if all(map(math.isfinite, limits)) else found("percentile")


def expanded_tail(count: int) -> float:
    """Phi(-sqrt(n / (n - 1)) t): the share to cut off each side instead of 2.5 %."""
    from scipy.special import stdtrit

    widened = math.sqrt(count / (count - 1)) * float(stdtrit(count - 1, (1 + LEVEL) / 2))
    return 0.5 * math.erfc(widened / math.sqrt(2))


def _mean(sums: Floats, sizes: Floats, axis: int = -1) -> Floats:
    return np.asarray(sums.sum(axis=axis) / sizes.sum(axis=axis))
