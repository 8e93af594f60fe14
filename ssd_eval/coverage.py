"""How often intervals hold the truth and tests find what is not there, by simulation.

Designs are problems whose pass rates are drawn from a Beta, `samples` of each, in families of
`size` that share their rate. Used by the tests, by perf/coverage.py and by anybody who doubts the
statistics for a benchmark of another shape. Nothing of a run depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_eval.intervals import Estimate, mean_interval
from ssd_eval.paired import ALPHA, Difference, paired_difference
from ssd_eval.signflip import sign_flip_ps

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """`spread`: correlation of two samples of a problem; 0: all problems alike."""

    problems: int
    samples: int
    rate: float
    spread: float = 0.0
    size: int = 1  # problems of a family

    @property
    def families(self) -> list[str] | None:
        if self.size == 1:
            return None
        return [f"family {index // self.size}" for index in range(self.problems)]

    @property
    def plenty(self) -> bool:
        """Expected passes and failures, in independent problems' worth, both 10 or more."""
        return min(self.rate, 1 - self.rate) * self.problems / self.size >= 10 - 1e-9

    def rates(self, rng: np.random.Generator) -> Floats:
        """Of every problem."""
        count = -(-self.problems // self.size)
        if self.spread == 0:
            each = np.full(count, self.rate)
        else:
            total = 1 / self.spread - 1
            each = rng.beta(self.rate * total, (1 - self.rate) * total, count)
        return np.repeat(each, self.size)[: self.problems]


@dataclass(frozen=True)
class Coverage:
    """`given`: share of the data sets for which there was an interval at all."""

    share: float
    width: float
    given: float


def mean_coverage(
    design: Design,
    runs: int,
    seed: int = 0,
    interval: Callable[..., Estimate] = mean_interval,
) -> Coverage:
    """Of the interval for the mean pass@1; a data set without an interval counts as a miss."""
    rng = np.random.default_rng([seed, 11])
    hits, widths = 0, []
    for _ in range(runs):
        scores = rng.binomial(design.samples, design.rates(rng)) / design.samples
        found = interval(scores, design.families)
        if found.low is not None and found.high is not None:
            hits += found.low <= design.rate <= found.high
            widths.append(found.high - found.low)
    return Coverage(hits / runs, float(np.mean(widths)) if widths else 0.0, len(widths) / runs)


def exact_coverage(
    problems: int, rate: float, interval: Callable[..., Estimate] = mean_interval
) -> float:
    """For one sample a problem, all alike: summed over every outcome, nothing simulated."""
    return float(exact_coverages(problems, [rate], interval)[0])


def exact_coverages(
    problems: int, rates: list[float], interval: Callable[..., Estimate] = mean_interval
) -> Floats:
    """`exact_coverage` at many rates for the price of one."""
    from scipy.stats import binom

    passes = np.arange(problems + 1)
    found = [interval([1.0] * c + [0.0] * (problems - c)) for c in passes.tolist()]
    low, high = (
        np.array([np.nan if limit is None else limit for limit in limits])
        for limits in ([e.low for e in found], [e.high for e in found])
    )
    chances = np.asarray(rates)[:, None]
    with np.errstate(invalid="ignore"):
        holds = (low <= chances) & (chances <= high)
    return np.asarray((binom.pmf(passes, problems, chances) * holds).sum(axis=1))


def paired_coverage(
    design: Design,
    gain_share: float,
    runs: int,
    seed: int = 0,
    interval: Callable[..., Difference] = paired_difference,
) -> Coverage:
    """Of the paired difference's; a share of families gains a uniform part of what it lacks."""
    rng = np.random.default_rng([seed, 12])
    truth = gain_share * (1 - design.rate) / 2
    hits, widths = 0, []
    for run in range(runs):
        base, treated = pair(design, gain_share, rng)
        found = interval(base, treated, design.families, resamples=1000, seed=run)
        if found.low is not None and found.high is not None:
            hits += found.low <= truth <= found.high
            widths.append(found.high - found.low)
    return Coverage(hits / runs, float(np.mean(widths)) if widths else 0.0, len(widths) / runs)


def pair(
    design: Design, gain_share: float, rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Both checkpoints' scores on the same problems."""
    before = design.rates(rng)
    count = -(-design.problems // design.size)
    part = np.where(rng.random(count) < gain_share, rng.random(count), 0.0)
    after = before + (1 - before) * np.repeat(part, design.size)[: design.problems]
    base, treated = (rng.binomial(design.samples, each) for each in (before, after))
    return (base / design.samples).tolist(), (treated / design.samples).tolist()


def type_one_error(design: Design, runs: int, seed: int = 0, resamples: int = 999) -> float:
    """Share of p < 5 % of the sign-flip test (McNemar's, for one sample) under no effect."""
    return float((null_p_values(design, runs, seed, resamples) < ALPHA).mean())


def null_p_values(design: Design, runs: int, seed: int = 0, resamples: int = 999) -> Floats:
    """Of `runs` comparisons of two equal checkpoints."""
    rng = np.random.default_rng([seed, 13])
    rates = np.stack([design.rates(rng) for _ in range(runs)])
    both = rng.binomial(design.samples, np.stack([rates, rates])) / design.samples
    families = np.arange(design.problems) // design.size
    sums: Floats = np.zeros((runs, int(families[-1]) + 1))
    np.add.at(sums.T, families, (both[1] - both[0]).T)
    return sign_flip_ps(sums, resamples=resamples, seed=seed)
