"""A Beta-Binomial posterior of pass@k for small sets of independent problems.

Problem i passes n_i samples at a rate of its own, theta_i ~ Beta(a, b); what is estimated is pass@k
of such a problem, 1 - B(a, b + k) / B(a, b), not of these problems alone. The
posterior is computed on a grid: no sampling, no starting values. Priors: Jeffreys' for the mean
a / (a + b), uniform for the correlation 1 / (1 + a + b) of two samples of a problem (BDA3 §5.3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
MEANS, CORRELATIONS = 200, 40  # of the grid; twice as fine moves no limit by 0.005


def credible_interval(counts: Sequence[tuple[int, int]], k: int = 1) -> tuple[float, float]:
    """Equal-tailed 95 % limits of pass@k; to the bound where no sample, or every one, passed.

    `counts`: (n, c) of each problem. Raises ValueError without a sample or for impossible counts.
    """
    if any(not 0 <= c <= n for n, c in counts) or not any(n for n, _ in counts):
        raise ValueError("counts need 0 <= c <= n, and a sample at least")
    value, weight = _posterior(counts, k)
    order = np.argsort(value)
    share = np.cumsum(weight[order])
    tail = (1 - LEVEL) / 2
    low, high = (float(value[order][np.searchsorted(share, cut)]) for cut in (tail, 1 - tail))
    if not any(c for _, c in counts):
        low = 0.0
    if all(c == n for n, c in counts):
        high = 1.0
    return low, high


def _posterior(
    counts: Sequence[tuple[int, int]], k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """pass@k at each grid point, and the point's share of the posterior."""
    from scipy.special import betaln

    quantile = (np.arange(MEANS) + 0.5) / MEANS
    mean = (np.sin(np.pi / 2 * quantile) ** 2)[:, None]  # equal shares of Jeffreys' prior
    correlation = ((np.arange(CORRELATIONS) + 0.5) / CORRELATIONS)[None, :]
    size = 1 / correlation - 1
    a, b = mean * size, (1 - mean) * size
    log = np.zeros((MEANS, CORRELATIONS))
    for (n, c), times in Counter(counts).items():
        log += times * (betaln(a + c, b + n - c) - betaln(a, b))
    weight = np.exp(log - log.max())
    value = -np.expm1(betaln(a, b + k) - betaln(a, b))
    return value.ravel(), (weight / weight.sum()).ravel()
