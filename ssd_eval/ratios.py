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
    """`mean` is None where nothing was counted, the limits where fewer than two clusters were."""

    mean: float | None
    low: float | None
    high: float | None


def ratio(parts: Sequence[float], wholes: Sequence[float], clusters: Sequence[str]) -> Ratio:
    """Σ parts / Σ wholes, one of each a problem."""
    total = float(sum(wholes))
    if total == 0:
        return Ratio(None, None, None)
    mean = float(sum(parts)) / total
    half = _half_width(_residuals(parts, wholes, clusters))
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
    half = _half_width(_residuals(*after, clusters) - _residuals(*before, clusters))
    if half is None:
        return Ratio(mean, None, None)
    return Ratio(mean, max(-1.0, mean - half), min(1.0, mean + half))


def _residuals(parts: Sequence[float], wholes: Sequence[float], clusters: Sequence[str]) -> Floats:
    """Each cluster's pull on the ratio."""
    a, b = np.asarray(parts, float), np.asarray(wholes, float)
    pull = (a - b * (a.sum() / b.sum())) / b.sum()
    return np.bincount(places(clusters), weights=pull).astype(np.float64)


def _half_width(residuals: Floats) -> float | None:
    count = residuals.size
    if count < 2:
        return None
    se = math.sqrt(count / (count - 1) * float((residuals**2).sum()))
    return se * t_quantile((1 + LEVEL) / 2, count - 1)
