"""Scores by cluster: problems that share a family or a contest are one draw, not several.

Weighs problems equally within a mean, whatever their cluster's size. Makes no intervals.
Source: Miller 2024 (arXiv 2411.00640), clustered standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TIE = 1e-12  # scores are ratios of small counts: nearer means are equal but for rounding


@dataclass(frozen=True)
class Clustered:
    """Scores in the order given, with each cluster's sum and size."""

    values: Floats
    sums: Floats
    sizes: Floats

    @property
    def problems(self) -> int:
        return int(self.values.size)

    @property
    def clusters(self) -> int:
        return int(self.sizes.size)

    @property
    def mean(self) -> float:
        """Over problems. NaN for none: callers look at `problems` first."""
        return float(self.values.mean()) if self.values.size else math.nan

    @property
    def se(self) -> float | None:
        """Corrected by G / (G - 1), so that clusters of one give the plain standard error.

        None for fewer than two clusters.
        """
        count = self.sizes.size
        if count < 2:
            return None
        total = self.sizes.sum()
        residuals = self.sums - self.sizes * (self.sums.sum() / total)
        se = math.sqrt(count / (count - 1) * float((residuals**2).sum())) / total
        return 0.0 if se < TIE else float(se)


def kish(sums: Floats) -> float:
    """Kish's effective number of those that are not 0: as many equal ones would weigh the same."""
    squares = float((sums**2).sum())
    return float(np.abs(sums).sum()) ** 2 / squares if squares else 0.0


def by_cluster(
    scores: Sequence[float] | Floats, clusters: Sequence[str] | None = None
) -> Clustered:
    """Raises ValueError for scores that are not finite, and for clusters of another length."""
    values = np.asarray(scores, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a score is missing or not finite; leave the problem out beforehand")
    if clusters is None:
        return Clustered(values, values, np.ones_like(values))
    if len(clusters) != values.size:
        raise ValueError(f"{len(clusters)} clusters for {values.size} scores")
    index = places(clusters)
    sums = np.bincount(index, weights=values).astype(np.float64)
    return Clustered(values, sums, np.bincount(index).astype(np.float64))


def places(clusters: Sequence[str]) -> NDArray[np.intp]:
    """Each problem's cluster as a number from 0, by sorted name."""
    return np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
