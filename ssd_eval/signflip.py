"""The sign-flip permutation test of mean difference 0, and McNemar's, which is its n = 1 case.

Valid where the two sides' scores could be exchanged within a cluster. No intervals here.
Source: Edgington & Onghena 2007, "Randomization tests"; McNemar 1947.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

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
    found = np.ones(len(sums))
    rest = []
    for row, each in enumerate(sums):
        exact = _exact_p(each, resamples)
        if exact is None:
            rest.append(row)
        else:
            found[row] = exact
    if rest:
        found[rest] = _sampled_p(sums[rest], resamples, seed)
    return found


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact two-sided p-value; `gained` problems pass only after, `lost` only before."""
    from scipy.stats import binomtest

    if gained < 0 or lost < 0:
        raise ValueError(f"{gained} gained and {lost} lost problems")
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def _exact_p(sums: Floats, resamples: int) -> float | None:
    """Where it costs no more than sampling would; else None."""
    moved = sums[np.abs(sums) > TIE]
    sizes = np.abs(moved)
    if sizes.size == 0:
        return 1.0
    if sizes.max() - sizes.min() < TIE:
        gained = int((moved > 0).sum())
        return mcnemar_p(gained, sizes.size - gained)
    if 2**sizes.size > resamples:
        return None
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
