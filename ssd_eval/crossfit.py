"""What the best temperature is worth without the winner's curse, and how flat a curve is.

Both are maxima over noisy cells: taken naively they flatter. Knows tables of scores only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_eval.clustering import TIE, Floats, by_cluster, places

FOLDS = 5
RESAMPLES = 4_000
LEVEL = 0.95


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


@dataclass(frozen=True)
class Spread:
    """Highest minus lowest mean of a curve. `naive` is biased upwards by noise; the interval not.

    `low` and `high` bound the true spread (95 %, None: see `reason`).
    """

    naive: float
    low: float | None
    high: float | None
    reason: str | None = None


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


def spread(
    scores: Sequence[Sequence[float]] | Floats,
    temperatures: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Spread:
    """How far a curve's means lie apart, with an interval that no noise alone can lift off 0.

    All pairwise differences get intervals that hold together (the bootstrap's 95 % quantile of the
    largest studentised deviation); the true spread lies between the largest of their lower and the
    largest of their upper limits. Wider than need be, never too short. Raises what
    `cross_fitted_best` raises.
    """
    table = _table(scores, temperatures)
    means = table.mean(axis=0)
    naive = float(means.max() - means.min())
    if table.shape[1] == 1:
        return Spread(0.0, None, None, "one temperature: no curve")
    totals = np.stack([by_cluster(column, clusters).sums for column in table.T], axis=1)
    sizes = by_cluster(table[:, 0], clusters).sizes
    if sizes.size < 2:
        return Spread(naive, None, None, "one problem or cluster: nothing to estimate from")
    left, right = np.triu_indices(table.shape[1], 1)
    gaps = means[left] - means[right]
    errors = _standard_errors(totals[:, left] - totals[:, right], sizes)
    if not errors.any():
        return Spread(naive, None, None, "all problems or clusters agree: no spread to go by")
    drawn = _resampled(totals, sizes, resamples, seed)
    known = errors > TIE
    deviations = np.abs(drawn[:, left] - drawn[:, right] - gaps)[:, known] / errors[known]
    half = float(np.quantile(deviations.max(axis=1), LEVEL)) * errors
    low, high = float((np.abs(gaps) - half).max()), float((np.abs(gaps) + half).max())
    return Spread(naive, max(0.0, low), min(1.0, high))


def _standard_errors(sums: Floats, sizes: Floats) -> Floats:
    """Clustered standard error of each column's mean, as in `clustering`."""
    count, total = sizes.size, sizes.sum()
    residuals = sums - sizes[:, None] * (sums.sum(axis=0) / total)
    scaled = np.sqrt(count / (count - 1) * (residuals**2).sum(axis=0)) / total
    return np.asarray(np.where(scaled < TIE, 0.0, scaled))


def _resampled(totals: Floats, sizes: Floats, resamples: int, seed: int) -> Floats:
    """Means of bootstrap draws of clusters: draws x temperatures."""
    rng = np.random.default_rng([seed, 4])
    count = sizes.size
    times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.asarray((times @ totals) / (times @ sizes)[:, None])


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
    if clusters is not None and len(clusters) != problems:
        raise ValueError(f"{len(clusters)} clusters for {problems} problems")
    index = np.arange(problems) if clusters is None else places(clusters)
    count = int(index.max()) + 1
    fold = np.empty(count, dtype=np.intp)
    order = np.random.default_rng([seed, 3]).permutation(count)
    fold[order] = np.arange(count) % min(folds, count)
    return fold[index]
