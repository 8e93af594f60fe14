"""Two checkpoints on the same problems: the paired difference, its interval, test and verdict.

Sources: Miller 2024 (arXiv 2411.00640) for pairing and power; Efron 1987 (BCa); Zou & Donner 2008
(MOVER, limits of a difference from limits of its parts); Holm 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ssd_eval.clustering import TIE, Clustered, by_cluster, kish
from ssd_eval.intervals import LEVEL, cautious_size, exact_limits, t_limits, t_quantile
from ssd_eval.resampling import bootstrap_interval
from ssd_eval.signflip import RESAMPLES, sign_flip_ps

ALPHA = 0.05  # not 1 - LEVEL, which rounds to more
POWER = 0.80
FEW_CLUSTERS = 10  # the bootstrap of fewer values has too few distinct means for its tails
FEW_MOVED = 10.0  # below, too few clusters moved for their spread to be known
TELLING = 4.0  # clusters that gained (or lost) from which their spread is believed
SIGNIFICANT = 6  # clusters that must all move one way for p < 0.05: 2 / 2^6

Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class Difference:
    """Treated minus baseline, paired by problem.

    `mde` is the smallest true difference that a comparison like this one, tested alone, detects
    with 80 % power. `method` says what the interval rests on: t (fewer than ten clusters), bca
    and t, or mover and those where few moved; at each end the widest of them counts.
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
    method: str | None = None


def paired_difference(
    baseline: Sequence[float],
    treated: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Mean of treated - baseline over the same problems in the same order; scores in [0, 1].

    The p-value is `sign_flip_p`'s. `better` and `worse` need both an interval that excludes 0 and
    p < 0.05. Raises ValueError for unequal lengths and scores that are not finite.
    """
    if len(baseline) != len(treated):
        raise ValueError(f"{len(baseline)} baseline scores but {len(treated)} treated ones")
    differences = np.asarray(treated, np.float64) - np.asarray(baseline, np.float64)
    differences[np.abs(differences) < TIE] = 0.0
    data = by_cluster(differences, clusters)
    if not data.problems:
        return Difference(None, None, None, None, None, None, "inconclusive", 0, 0, "no problems")
    p_value = float(sign_flip_ps(data.sums[None, :], resamples=resamples, seed=seed)[0])
    reason, method = _no_interval(data), _rule(data)
    low = high = None
    if reason is None:
        low, high = _limits(data, method, clusters, resamples, seed)
    return Difference(
        mean=data.mean,
        se=data.se,
        low=low,
        high=high,
        p_value=p_value,
        mde=_minimum_detectable(data, method, low, high),
        verdict=_verdict(data.mean, low, high, p_value),
        problems=data.problems,
        clusters=data.clusters,
        reason=reason,
        method=None if reason else method,
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjustment, in the order given (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = floor
    return tuple(adjusted)


def _no_interval(data: Clustered) -> str | None:
    if data.clusters < 2:
        return "one problem or cluster: nothing to estimate the spread from"
    return None


def _rule(data: Clustered) -> str:
    """How the interval is made; moved clusters are counted by Kish's effective number."""
    moved = kish(data.sums)
    if not data.se or (moved < FEW_MOVED and moved < data.clusters / 2):
        return "mover"
    return "t" if data.clusters < FEW_CLUSTERS else "bca"


def _limits(
    data: Clustered, method: str, clusters: Sequence[str] | None, resamples: int, seed: int
) -> tuple[float, float]:
    """At each end the widest of the methods that apply.

    With a few large gains among many small ones each of them alone is too short at one end.
    """
    found = [_mover(data, clusters)] if method == "mover" else []
    if data.se:
        found.append(t_limits(data.mean, data.se, data.clusters))
        if data.clusters >= FEW_CLUSTERS:
            found.append(bootstrap_interval(data, resamples, seed))
    lows, highs = zip(*found, strict=True)
    return max(min(lows), -1.0), min(max(highs), 1.0)


def _mover(data: Clustered, clusters: Sequence[str] | None) -> tuple[float, float]:
    """From exact limits of the two parts of the mean, gains and losses."""
    gain, loss = (
        by_cluster(np.clip(sign * data.values, 0.0, 1.0), clusters) for sign in (1.0, -1.0)
    )
    gains, losses = (exact_limits(part.mean, cautious_size(part, TELLING)) for part in (gain, loss))
    low = math.hypot(gain.mean - gains[0], losses[1] - loss.mean)
    high = math.hypot(gains[1] - gain.mean, loss.mean - losses[0])
    return max(-1.0, data.mean - low), min(1.0, data.mean + high)


def _minimum_detectable(
    data: Clustered, method: str, low: float | None, high: float | None
) -> float | None:
    """(t_{1-alpha/2} + t_{power}) * SE (Miller 2024); None where no effect could be significant.

    Where few moved, the SE knows little: at least what would need to move, and the same multiple of
    the interval's longer half; at most what it takes where clusters move wholly.
    """
    if data.clusters < SIGNIFICANT:
        return None
    freedom = data.clusters - 1
    level, power = t_quantile((1 + LEVEL) / 2, freedom), t_quantile(POWER, freedom)
    from_spread = (level + power) * (data.se or 0)
    if method != "mover" or low is None or high is None:
        return from_spread
    wholly = _least_moved(data.clusters)
    half = max(high - data.mean, data.mean - low)
    return min(wholly, max(from_spread, wholly * _usual_move(data), (1 + power / level) * half))


def _usual_move(data: Clustered) -> float:
    """By how much a cluster that moved did, in its problems' scores; wholly, where none moved."""
    moved = np.abs(data.sums[np.abs(data.sums) > 0])
    return float(moved.mean()) * data.clusters / data.problems if moved.size else 1.0


def _least_moved(clusters: int) -> float:
    """The share that must move, all one way, for enough clusters to do so 80 times in 100."""
    from scipy.special import betaincinv

    return float(betaincinv(SIGNIFICANT, clusters - SIGNIFICANT + 1, POWER))


def _verdict(mean: float, low: float | None, high: float | None, p_value: float) -> Verdict:
    if p_value >= ALPHA:
        return "inconclusive"
    if mean > 0 and (low is None or low > 0):
        return "better"
    if mean < 0 and (high is None or high < 0):
        return "worse"
    return "inconclusive"
