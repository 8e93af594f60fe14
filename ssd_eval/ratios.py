"""Ratios of sums over problems, with 95 % intervals from the spread between clusters.

For counts per position or pair, where a long completion rightly weighs more than a short one; means
of per-problem scores are in `intervals`. The interval is Student's t on the linearised ratio, cut
to [0, 1]. Source: Cochran, Sampling Techniques (1977), §6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_eval.clustering import places
from ssd_eval.intervals import LEVEL, t_quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """`mean` is None where nothing was counted, the limits without two clusters that have any."""

    mean: float | None
    low: float | None
    high: float | None


def ratio(parts: Sequence[float], wholes: Sequence[float], clusters: Sequence[str]) -> Ratio:
    """Σ parts / Σ wholes, one of each a problem."""
    total = float(sum(wholes))
    if total == 0:
        return Ratio(None, None, None)
    mean = float(sum(parts)) / total
    half = _half_width(_residuals(parts, wholes, clusters), _counted(wholes, clusters))
    if half is None:
        return Ratio(mean, None, None)
    return Ratio(mean, max(0.0, mean - half), min(1.0, mean + half))


def change(
    before: tuple[Sequence[float], Sequence[float]],
    after: tuple[Sequence[float], Sequence[float]],
    clusters: Sequence[str],
) -> Ratio:
    """The second ratio less the first over the same problems, paired by cluster."""
    if not sum(before[1]) or not sum(after[1]):
        return Ratio(None, None, None)
    mean = sum(after[0]) / sum(after[1]) - sum(before[0]) / sum(before[1])
    pulls = _residuals(*after, clusters) - _residuals(*before, clusters)
    counted = min(_counted(before[1], clusters), _counted(after[1], clusters))
    half = _half_width(pulls, counted)
    if half is None:
        return Ratio(mean, None, None)
    return Ratio(mean, max(-1.0, mean - half), min(1.0, mean + half))


def _residuals(parts: Sequence[float], wholes: Sequence[float], clusters: Sequence[str]) -> Floats:
    """Each cluster's pull on the ratio."""
    a, b = np.asarray(parts, float), np.asarray(wholes, float)
    pull = (a - b * (a.sum() / b.sum())) / b.sum()
    return np.bincount(places(clusters), weights=pull).astype(np.float64)


def _counted(wholes: Sequence[float], clusters: Sequence[str]) -> int:
    """Clusters that have anything: the others say nothing of the spread."""
    sums = np.bincount(places(clusters), weights=np.asarray(wholes, float))
    return int((sums > 0).sum())


def _half_width(residuals: Floats, counted: int) -> float | None:
    if counted < 2:
        return None
    se = math.sqrt(counted / (counted - 1) * float((residuals**2).sum()))
    return se * t_quantile((1 + LEVEL) / 2, counted - 1)
