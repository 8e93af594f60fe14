"""95 % intervals for a mean of per-problem scores. The problem is the unit, never the sample.

`auto`, the default, is Student's t where passes and failures are plenty, and a binomial interval on
the effective sample size where they are not: the method that holds its coverage everywhere
(docs/statistics.md). One yes or no of each problem has limits of its own (`binomial`). A method
asked for by name is refused where it does not. Scores come from `metrics`; nothing here knows
verdicts or checkpoints.

Sources: Korn & Graubard 1998 (binomial limits on an effective sample size); Lancaster 1961 (mid-P);
Hesterberg 2015 (arXiv 1411.5279, expanded percentiles); Gelman et al., BDA3 §5.3 (Beta-Binomial).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ssd_eval.binomial import held_limits
from ssd_eval.clustering import TIE, Clustered, by_cluster, kish

LEVEL = 0.95
PLENTY = 40.0  # effective passes and failures from which t covers (docs/statistics.md)
SCARCE = 6.0  # below, limits are exact
TELLING = 3.0  # clusters with a pass (or failure, the rarer) from which their spread is believed
RESAMPLES = 10_000

Method = Literal["auto", "t", "bootstrap", "posterior"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Estimate:
    """A mean over problems. `low` and `high` bound the 95 % interval (None: see `reason`).

    `method` is the one used: t, mid-p, exact, binomial, bootstrap or posterior.
    """

    mean: float | None
    se: float | None
    low: float | None
    high: float | None
    problems: int
    clusters: int
    reason: str | None = None
    method: str | None = None


def mean_interval(
    scores: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    method: Method = "auto",
    counts: Sequence[tuple[int, int]] | None = None,
    k: int = 1,
    seed: int = 0,
) -> Estimate:
    """Mean of scores in [0, 1], its clustered standard error and interval.

    `posterior` needs `counts`, (n, c) for each problem, of which `scores` are the pass@k. Raises
    ValueError for scores that are not finite or leave [0, 1], and for clusters of another length.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; the known ones: {', '.join(METHODS)}")
    data = by_cluster(scores, clusters)
    if not data.problems:
        return Estimate(None, None, None, None, 0, 0, "no problems")
    if data.values.min() < 0 or data.values.max() > 1:
        raise ValueError(f"scores from {data.values.min()} to {data.values.max()} leave (0.0, 1.0)")
    reason = _refusal(data, method, counts)
    if reason is not None:
        return _estimate(data, None, reason, None)
    if method == "posterior":
        from ssd_eval.posterior import credible_interval

        return _estimate(data, credible_interval(counts or (), k), None, "posterior")
    if method == "bootstrap":
        from ssd_eval.resampling import bootstrap_interval

        return _estimate(data, bootstrap_interval(data, RESAMPLES, seed), None, "bootstrap")
    used = rule(data) if method == "auto" else "t"
    limits, held = LIMITS[used](data), _held(data) if method == "auto" else None
    if held is not None and not np.allclose(held, np.clip(limits, 0, 1), rtol=0, atol=TIE):
        return _estimate(data, held, None, "binomial")
    return _estimate(data, limits, None, used)


def rule(data: Clustered) -> str:
    """What `auto` uses: t, mid-p or exact."""
    rarer = min(data.mean, 1 - data.mean) * effective_size(data)
    rarer += TIE * rarer  # 1 - p is rounded: passes and failures must mirror
    return "t" if rarer >= PLENTY else "mid-p" if rarer >= SCARCE else "exact"


def effective_size(data: Clustered) -> float:
    """Independent yes/no trials that would know the mean as well: p (1 - p) / SE^2.

    Made smaller by (z / t)^2, as the standard error is itself an estimate, but never below the
    number of clusters: no mean of G values in [0, 1] spreads more than that of G yes/no ones.
    """
    spread, se = data.mean * (1 - data.mean), data.se
    if not se or spread <= 0:
        return float(data.clusters)
    shrunk = (
        t_quantile((1 + LEVEL) / 2, 10**9) / t_quantile((1 + LEVEL) / 2, data.clusters - 1)
    ) ** 2
    return max(float(data.clusters), shrunk * spread / se**2)


def cautious_size(data: Clustered, telling: float = TELLING) -> float:
    """The effective size, but the clusters' number where too few of them tell it."""
    sums = data.sums if data.mean < 0.5 else data.sizes - data.sums
    return effective_size(data) if kish(sums) >= telling else float(data.clusters)


def t_quantile(share: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def t_limits(mean: float, se: float, clusters: int) -> tuple[float, float]:
    half = t_quantile((1 + LEVEL) / 2, clusters - 1) * se
    return mean - half, mean + half


def exact_limits(share: float, trials: float) -> tuple[float, float]:
    """Clopper-Pearson; `share` times `trials` need be no whole number."""
    from scipy.special import betaincinv

    hits, tail = share * trials, (1 - LEVEL) / 2
    misses = trials - hits
    low = 0.0 if hits <= 0 else float(betaincinv(hits, misses + 1, tail))
    high = 1.0 if misses <= 0 else float(betaincinv(hits + 1, misses, 1 - tail))
    return low, high


def mid_p_limits(share: float, trials: float) -> tuple[float, float]:
    """Where half the weight of what was seen, and all beyond, is 2.5 %; needs 0 < share < 1."""
    from scipy.optimize import brentq
    from scipy.special import betainc

    hits, tail = share * trials, (1 - LEVEL) / 2
    misses = trials - hits

    def at_least(p: float) -> float:
        return float(betainc(hits, misses + 1, p) + betainc(hits + 1, misses, p)) / 2

    low = brentq(lambda p: at_least(p) - tail, 0.0, share)
    return float(low), float(brentq(lambda p: at_least(p) - 1 + tail, share, 1.0))


def _held(data: Clustered) -> tuple[float, float] | None:
    """For one yes or no of each problem, where problems are independent, not few and not many."""
    if data.clusters < data.problems or not np.isin(data.values, (0.0, 1.0)).all():
        return None
    limits = held_limits(data.problems, _by_rule)
    return limits[round(float(data.values.sum()))] if limits else None


def _by_rule(passes: int, problems: int) -> tuple[float, float]:
    data = by_cluster([1.0] * passes + [0.0] * (problems - passes))
    low, high = LIMITS[rule(data)](data)
    return max(0.0, low), min(1.0, high)


def _student(data: Clustered) -> tuple[float, float]:
    return t_limits(data.mean, data.se or math.nan, data.clusters)


def _mid_p(data: Clustered) -> tuple[float, float]:
    return mid_p_limits(data.mean, effective_size(data))


def _exact(data: Clustered) -> tuple[float, float]:
    return exact_limits(data.mean, cautious_size(data))


LIMITS = {"t": _student, "mid-p": _mid_p, "exact": _exact}


def _refusal(
    data: Clustered, method: Method, counts: Sequence[tuple[int, int]] | None
) -> str | None:
    """Why there is no interval by this method; None where there is."""
    if data.clusters < 2:
        return "one problem or cluster: nothing to estimate the spread from"
    if method == "posterior":
        if counts is None or len(counts) != data.problems:
            return "posterior refused: it needs each problem's sample and pass counts"
        if data.clusters < data.problems:
            return "posterior refused: it takes problems for independent, and some share a cluster"
    if method in ("t", "bootstrap") and rule(data) != "t":
        return (
            f"{method} refused: fewer than {PLENTY:g} passes or failures (effective), where it "
            "covers less than it says; use auto"
        )
    return None


def _estimate(
    data: Clustered, limits: tuple[float, float] | None, reason: str | None, method: str | None
) -> Estimate:
    low, high = (None, None) if limits is None else limits
    if low is not None and high is not None:
        low, high = float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))
    return Estimate(data.mean, data.se, low, high, data.problems, data.clusters, reason, method)
