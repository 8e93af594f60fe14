"""Intervals and paired tests over per-problem scores. The problem is the unit, never the sample.

Problems that share a cluster (a family, a contest) are not independent: every function that takes
`clusters` then treats the cluster as the unit, and weighs problems equally within the mean. Where
an interval cannot be had from the data it is None with a reason in words. Scores come from
`metrics`; nothing here knows verdicts or checkpoints.

Sources: Miller 2024 (arXiv 2411.00640) for clustered standard errors and paired differences;
Hesterberg 2015 (arXiv 1411.5279, "What teachers should know about the bootstrap") for the expanded
percentile interval; Edgington & Onghena 2007, "Randomization tests", for sign flips.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
ALPHA = 0.05  # not 1 - LEVEL, which rounds to more
POWER = 0.80
FOLDS = 5
FEW_CLUSTERS = 10  # the bootstrap of fewer values has too few distinct means for its tails
CHUNK_CELLS = 2_000_000  # resampled values held at once: 16 MB of float64
TIE = 1e-12  # scores are ratios of small counts: nearer means are equal but for rounding

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class Estimate:
    """A mean over problems. `low` and `high` bound the 95 % interval (None: see `reason`)."""

    mean: float | None
    se: float | None
    low: float | None
    high: float | None
    problems: int
    clusters: int
    reason: str | None = None


@dataclass(frozen=True)
class Difference:
    """Treated minus baseline, paired by problem.

    `mde` is the smallest true difference that a comparison like this one detects with 80 % power.
    """

    mean: float | None
    se: float | None
    low: float | None
    high: float | None
    p_value: float | None
    mde: float | None
    verdict: Verdict
    problems: int
    clusters: int
    reason: str | None = None


@dataclass(frozen=True)
class CrossFit:
    """What the best temperature is worth, chosen on other problems than it is scored on.

    `scores` has one value a problem, in row order: that of the temperature chosen without the
    problem's fold; `chosen` has one temperature a fold. `naive_*`: the maximum over all problems,
    which is biased upwards. `scores`, `mean` and `chosen` are None where folds cannot be made.
    """

    scores: tuple[float, ...] | None
    mean: float | None
    chosen: tuple[float, ...] | None
    naive_temperature: float
    naive_mean: float
    naive_scores: tuple[float, ...]
    reason: str | None = None


def mean_interval(
    scores: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Estimate:
    """Mean, clustered standard error and Student-t interval, cut to `bounds`.

    Raises ValueError for scores that are not finite or lie outside the bounds, and for clusters of
    another length.
    """
    values, sums, sizes = _by_cluster(scores, clusters)
    if (
        bounds is not None
        and values.size
        and (values.min() < bounds[0] or values.max() > bounds[1])
    ):
        raise ValueError(f"scores from {values.min()} to {values.max()} leave {bounds}")
    if not values.size:
        return Estimate(None, None, None, None, 0, 0, "no problems")
    mean, se = float(values.mean()), _clustered_se(sums, sizes)
    reason = _no_interval(sizes.size, se)
    if se is None or reason is not None:
        return Estimate(mean, se, None, None, values.size, sizes.size, reason)
    low, high = _t_interval(mean, se, sizes.size)
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(mean, se, low, high, values.size, sizes.size)


def paired_difference(
    baseline: Sequence[float],
    treated: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Mean of treated - baseline over the same problems in the same order.

    The interval is an expanded-percentile bootstrap over clusters (Hesterberg 2015: the percentiles
    are widened so that few clusters do not make it too short), below `FEW_CLUSTERS` clusters
    Student's t on the clustered standard error; the p-value is `sign_flip_p`'s. `better` and
    `worse` need both an interval that excludes 0 and p < 0.05; with no interval to be had, p alone
    decides. Raises ValueError for unequal lengths and scores that are not finite.
    """
    if len(baseline) != len(treated):
        raise ValueError(f"{len(baseline)} baseline scores but {len(treated)} treated ones")
    differences = np.asarray(treated, np.float64) - np.asarray(baseline, np.float64)
    differences[np.abs(differences) < TIE] = 0.0
    values, sums, sizes = _by_cluster(differences, clusters)
    if not values.size:
        return Difference(None, None, None, None, None, None, "inconclusive", 0, 0, "no problems")
    mean, se = float(values.mean()), _clustered_se(sums, sizes)
    p_value = _sign_flip_p(sums, resamples, seed)
    reason = _no_interval(sizes.size, se)
    low = high = mde = None
    if se is not None and reason is None:
        if sizes.size < FEW_CLUSTERS:
            low, high = _t_interval(mean, se, sizes.size)
        else:
            low, high = _bootstrap(sums, sizes, resamples, seed)
        mde = _minimum_detectable(se, sizes.size)
    return Difference(
        mean=mean,
        se=se,
        low=low,
        high=high,
        p_value=p_value,
        mde=mde,
        verdict=_verdict(mean, low, high, p_value),
        problems=values.size,
        clusters=sizes.size,
        reason=reason,
    )


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
    _, sums, _ = _by_cluster(differences, clusters)
    return _sign_flip_p(sums, resamples, seed)


def cross_fitted_best(
    scores: Sequence[Sequence[float]] | Floats,
    temperatures: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> CrossFit:
    """The best temperature's scores without the winner's curse. `scores`: problems x temperatures.

    Each fold is scored at the temperature that is best on the other folds. Clusters stay whole, so
    that no problem helps to choose for its own family; folds depend on the seed and the clusters'
    names (or the row numbers). Ties go to the lower temperature. Raises ValueError for a matrix of
    another shape, missing scores or repeated temperatures.
    """
    table = _table(scores, temperatures)
    order = np.argsort(temperatures)
    table, ordered = table[:, order], [float(temperatures[index]) for index in order]
    naive = _best_column(table)
    naive_scores = tuple(table[:, naive].tolist())
    naive_mean = float(table[:, naive].mean())
    members = _fold_of(table.shape[0], clusters, folds, seed)
    if members.max() == 0:
        reason = "one problem or cluster: no other to choose the temperature on"
        return CrossFit(None, None, None, ordered[naive], naive_mean, naive_scores, reason)
    fitted = np.empty(table.shape[0])
    chosen = []
    for fold in range(int(members.max()) + 1):
        held_out = members == fold
        column = _best_column(table[~held_out])
        fitted[held_out] = table[held_out, column]
        chosen.append(ordered[column])
    return CrossFit(
        scores=tuple(fitted.tolist()),
        mean=float(fitted.mean()),
        chosen=tuple(chosen),
        naive_temperature=ordered[naive],
        naive_mean=naive_mean,
        naive_scores=naive_scores,
    )


def _by_cluster(
    scores: Sequence[float] | Floats, clusters: Sequence[str] | None
) -> tuple[Floats, Floats, Floats]:
    """(scores, their sum in each cluster, the clusters' sizes)."""
    values = np.asarray(scores, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a score is missing or not finite; leave the problem out beforehand")
    if clusters is None:
        return values, values, np.ones_like(values)
    if len(clusters) != values.size:
        raise ValueError(f"{len(clusters)} clusters for {values.size} scores")
    _, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    sums = np.bincount(index, weights=values).astype(np.float64)
    return values, sums, np.bincount(index).astype(np.float64)


def _clustered_se(sums: Floats, sizes: Floats) -> float | None:
    """Miller 2024, corrected by G / (G - 1); with clusters of one the plain standard error."""
    count = sizes.size
    if count < 2:
        return None
    total = sizes.sum()
    residuals = sums - sizes * (sums.sum() / total)
    se = math.sqrt(count / (count - 1) * float((residuals**2).sum())) / total
    return 0.0 if se < TIE else float(se)


def _no_interval(clusters: int, se: float | None) -> str | None:
    if clusters < 2:
        return "one problem or cluster: nothing to estimate the spread from"
    if se == 0:
        return "all problems or clusters agree: no spread to estimate an interval from"
    return None


def _t_interval(mean: float, se: float, clusters: int) -> tuple[float, float]:
    half = _t_quantile((1 + LEVEL) / 2, clusters - 1) * se
    return mean - half, mean + half


def _bootstrap(sums: Floats, sizes: Floats, resamples: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng([seed, 1])
    count = sizes.size
    means = [
        sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        for rows in _chunks(resamples, count)
        for drawn in (rng.integers(count, size=(rows, count)),)
    ]
    tail = _expanded_tail(count)
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def _expanded_tail(count: int) -> float:
    """Phi(-sqrt(n / (n - 1)) t): the share to cut off each side instead of 2.5 %."""
    widened = math.sqrt(count / (count - 1)) * _t_quantile((1 + LEVEL) / 2, count - 1)
    return 0.5 * math.erfc(widened / math.sqrt(2))


def _sign_flip_p(sums: Floats, resamples: int, seed: int) -> float:
    sizes = np.abs(sums[np.abs(sums) > TIE])
    observed = abs(float(sums.sum()))
    if sizes.size == 0:
        return 1.0
    if sizes.max() - sizes.min() < TIE:
        return _binomial_p(sizes.size, round((sizes.size - observed / sizes[0]) / 2))
    at_least = observed - TIE * sizes.sum()
    if 2**sizes.size <= resamples:
        signs = _all_signs(sizes.size)
        return float((np.abs(signs @ sizes) >= at_least).mean())
    rng = np.random.default_rng([seed, 2])
    extreme = sum(
        int((np.abs(_random_signs(rng, rows, sizes.size) @ sizes) >= at_least).sum())
        for rows in _chunks(resamples, sizes.size)
    )
    return (1 + extreme) / (1 + resamples)


def _binomial_p(trials: int, fewer: int) -> float:
    """Exact two-sided sign test: `fewer` of the `trials` go the rarer way."""
    below = sum(math.comb(trials, hits) for hits in range(fewer + 1))
    share: float = 2 * below / (1 << trials)
    return min(1.0, share)


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


def _minimum_detectable(se: float, clusters: int) -> float:
    """(t_{1-alpha/2} + t_{power}) * SE (Miller 2024, power analysis)."""
    alpha, power = _t_quantile((1 + LEVEL) / 2, clusters - 1), _t_quantile(POWER, clusters - 1)
    return (alpha + power) * se


def _t_quantile(share: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def _verdict(mean: float, low: float | None, high: float | None, p_value: float) -> Verdict:
    if p_value >= ALPHA:
        return "inconclusive"
    if mean > 0 and (low is None or low > 0):
        return "better"
    if mean < 0 and (high is None or high < 0):
        return "worse"
    return "inconclusive"


def _table(scores: Sequence[Sequence[float]] | Floats, temperatures: Sequence[float]) -> Floats:
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or 0 in table.shape or table.shape[1] != len(temperatures):
        raise ValueError(
            f"scores of shape {table.shape} are no problems x {len(temperatures)} temperatures"
        )
    if not np.isfinite(table).all():
        raise ValueError("a cell has no score; leave its problem out beforehand")
    if len(set(temperatures)) != len(temperatures):
        raise ValueError("a temperature stands twice")
    return table


def _best_column(table: Floats) -> int:
    """The first column whose mean no other exceeds by more than rounding."""
    means = table.mean(axis=0)
    return int(np.argmax(means >= means.max() - TIE))


def _fold_of(
    problems: int, clusters: Sequence[str] | None, folds: int, seed: int
) -> NDArray[np.intp]:
    """Each problem's fold, from 0; folds hold equal numbers of clusters, give or take one."""
    if folds < 2:
        raise ValueError(f"{folds} folds; cross-fitting needs at least 2")
    if clusters is None:
        index = np.arange(problems)
    elif len(clusters) != problems:
        raise ValueError(f"{len(clusters)} clusters for {problems} problems")
    else:
        _, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    count = int(index.max()) + 1
    fold = np.empty(count, dtype=np.intp)
    order = np.random.default_rng([seed, 3]).permutation(count)
    fold[order] = np.arange(count) % min(folds, count)
    return fold[index]
