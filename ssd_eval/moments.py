"""Moments: clustered means of many quantities over many problems, in memory of a fixed size.

Problems come one by one; of each nothing stays but sums over clusters, enough for every mean and
its clustered standard error. Estimates are those of `clustering` and `intervals`; reads no files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from ssd_eval.clustering import TIE
from ssd_eval.intervals import Estimate, t_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    # A problem's cluster; its sums [groups, quantities] and counts [groups] of positions.
    Problem = tuple[str, Floats, NDArray[np.int64]]


@dataclass(frozen=True)
class Moments:
    """Sums over clusters c of S, the sum of its problems' means less `origin`, and of n, how many
    problems of it have such positions.

    [groups, quantities]: S, S² and n·S; [groups]: n, n² and 1. `origin` is some problem's mean, so
    that squares are of numbers as small as the spread.
    """

    origin: Floats
    sums: Floats
    squares: Floats
    cross: Floats
    problems: Floats
    sizes: Floats
    clusters: Floats

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, each.name).nbytes for each in fields(self))

    def estimate(self, group: int, quantity: int) -> Estimate:
        """A mean over problems with Student's t on the clustered standard error."""
        problems, clusters = int(self.problems[group]), int(self.clusters[group])
        if not problems:
            return Estimate(None, None, None, None, 0, 0, "no such positions")
        mean = float(self.origin[group, quantity] + self.sums[group, quantity] / problems)
        if clusters < 2:
            reason = "one problem or cluster: nothing to estimate the spread from"
            return Estimate(mean, None, None, None, problems, clusters, reason)
        se = self._se(group, quantity)
        low, high = t_limits(mean, se, clusters)
        return Estimate(mean, se, low, high, problems, clusters, None, "t")

    def _se(self, group: int, quantity: int) -> float:
        """As `clustering.Clustered.se`: residuals S - n·mean, multiplied out."""
        at = (group, quantity)
        problems, clusters = self.problems[group], self.clusters[group]
        mean = self.sums[at] / problems
        spread = self.squares[at] - 2 * mean * self.cross[at] + mean**2 * self.sizes[group]
        se = math.sqrt(clusters / (clusters - 1) * max(0.0, float(spread))) / problems
        return 0.0 if se < TIE else float(se)


def gather(problems: Iterable[Problem], groups: int, quantities: int) -> Moments:
    """Problems of one cluster must stand together."""
    held = Moments(
        *(np.zeros((groups, quantities)) for _ in range(4)), *(np.zeros(groups) for _ in range(3))
    )
    known = np.zeros(groups, bool)
    for _, cluster in groupby(problems, key=itemgetter(0)):
        sums, sizes = np.zeros((groups, quantities)), np.zeros(groups)
        for _, values, counts in cluster:
            means, has = values / np.maximum(counts, 1)[:, None], counts > 0
            first = has & ~known
            held.origin[first] = means[first]
            known |= has
            sums[has] += (means - held.origin)[has]
            sizes += has
        _add(held, sums, sizes)
    return held


def _add(held: Moments, sums: Floats, sizes: Floats) -> None:
    """One cluster."""
    held.sums[:] += sums
    held.squares[:] += sums**2
    held.cross[:] += sizes[:, None] * sums
    held.problems[:] += sizes
    held.sizes[:] += sizes**2
    held.clusters[:] += sizes > 0
