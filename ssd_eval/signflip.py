"""The sign-flip permutation test of mean difference 0, and McNemar's, which is its n = 1 case.

Valid where the two sides' scores could be exchanged within a cluster. No intervals here.
Source: Edgington & Onghena 2007, "Randomization tests"; McNemar 1947.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ssd_eval.clustering import TIE, Floats, by_cluster

RESAMPLES = 10_000
CHUNK_CELLS = 2_000_000  # random signs held at once: 16 MB of float64


def sign_flip_p(
    differences: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Two-sided p-value of mean difference 0, by flipping the signs of whole clusters.

    Exact where all non-zero clusters are equally large (McNemar's exact test, for one sample a
    problem) and where the flips can be enumerated; else (1 + extreme) / (1 + resamples). Raises
    ValueError for values that are not finite.
    """
    sums = by_cluster(differences, clusters).sums
    return float(sign_flip_ps(sums[None, :], resamples=resamples, seed=seed)[0])


def sign_flip_ps(sums: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """`sign_flip_p` of many data sets at once; `sums`: data sets x clusters.

    Those that need random signs share them, so that their p-values are not independent.
    """
    sizes = np.abs(sums)
    moved = sizes > TIE
    count, largest = moved.sum(axis=1), sizes.max(axis=1, initial=0.0)
    alike = (sizes >= largest[:, None] - TIE) | ~moved
    equal = alike.all(axis=1)
    few = ~equal & (count <= math.log2(resamples))
    found = np.ones(len(sums))
    found[equal] = _binomial_ps((sums[equal] > TIE).sum(axis=1), count[equal])
    for row in np.flatnonzero(few):
        found[row] = _enumerated_p(sums[row][moved[row]])
    rest = ~equal & ~few
    if rest.any():
        found[rest] = _sampled_p(sums[rest], resamples, seed)
    return found


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact two-sided p-value; `gained` problems pass only after, `lost` only before."""
    if gained < 0 or lost < 0:
        raise ValueError(f"{gained} gained and {lost} lost problems")
    return float(_binomial_ps(np.array([gained]), np.array([gained + lost]))[0])


def _binomial_ps(gained: NDArray[np.intp], moved: NDArray[np.intp]) -> Floats:
    """Two-sided sign tests: `gained` of the `moved` went up."""
    from scipy.stats import binom

    rarer = np.minimum(gained, moved - gained)
    return np.minimum(1.0, 2 * np.asarray(binom.cdf(rarer, moved, 0.5), np.float64))


def _enumerated_p(moved: Floats) -> float:
    sizes = np.abs(moved)
    at_least = abs(float(moved.sum())) - TIE * sizes.sum()
    return float((np.abs(_all_signs(sizes.size) @ sizes) >= at_least).mean())


def _sampled_p(sums: Floats, resamples: int, seed: int) -> Floats:
    rng = np.random.default_rng([seed, 2])
    at_least = np.abs(sums.sum(axis=1)) - TIE * np.abs(sums).sum(axis=1)
    extreme = np.zeros(len(sums))
    for rows in _chunks(resamples, sums.shape[1] + len(sums)):
        flipped = _random_signs(rng, rows, sums.shape[1]) @ sums.T
        extreme += (np.abs(flipped) >= at_least).sum(axis=0)
    return (1 + extreme) / (1 + resamples)


@functools.cache
def _all_signs(count: int) -> Floats:
    codes = np.arange(2**count)[:, None] >> np.arange(count)
    return (1 - 2 * (codes & 1)).astype(np.float64)


def _random_signs(rng: np.random.Generator, rows: int, count: int) -> Floats:
    # Not small integers: those are drawn several at once, and chunks would then change the draw.
    return np.where(rng.random((rows, count)) < 0.5, -1.0, 1.0)


def _chunks(resamples: int, width: int) -> Iterator[int]:
    """Row counts that add up to `resamples`, each a bounded piece of memory."""
    most = max(1, CHUNK_CELLS // width)
    for start in range(0, resamples, most):
        yield min(most, resamples - start)
