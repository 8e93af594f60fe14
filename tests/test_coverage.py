"""Intervals hold the truth as often as they say; tests find nothing where nothing is."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from ssd_eval import coverage
from ssd_eval.coverage import Design
from ssd_eval.intervals import METHODS, mean_interval
from ssd_eval.paired import holm
from ssd_eval.posterior import credible_interval

RATES = [round(rate, 3) for rate in np.arange(0.005, 0.9951, 0.005)]


@pytest.mark.parametrize(
    "problems", [12, 19, 20, 22, 24, 25, 29, 30, 36, 40, 41, 50, 60, 98, 126, 131, 147, 401]
)
def test_one_sample_a_problem_is_covered_93_to_97_percent_where_it_can_be(problems: int) -> None:
    """Every outcome summed, nothing simulated; also just where ten passes begin to be expected."""
    rates = sorted({*RATES, 10 / problems, 1 - 10 / problems})
    found = coverage.exact_coverages(problems, rates)
    plenty = np.array([Design(problems, 1, rate).plenty for rate in rates])
    assert plenty.any() == (problems >= 20)
    assert found[plenty].min(initial=0.95) >= 0.93
    assert found[plenty].max(initial=0.95) <= 0.97
    assert found[~plenty].min(initial=0.95) >= 0.93


@pytest.mark.parametrize(("problems", "wide", "narrow"), [(21, 6, 7), (26, 8, 9), (31, 10, 11)])
def test_at_one_half_these_sizes_leave_no_choice(problems: int, wide: int, narrow: int) -> None:
    """Limits that mirror admit counts that mirror: one more covers too little."""
    from scipy.stats import binom

    too_much, too_little = (1 - 2 * binom.cdf(a - 1, problems, 0.5) for a in (wide, narrow))
    assert too_little < 0.93
    assert too_much > 0.97
    found = coverage.exact_coverages(problems, [0.499, 0.5, 0.501])
    assert found[1] == pytest.approx(too_much)
    assert 0.93 <= min(found[0], found[2]) <= max(found[0], found[2]) <= 0.97


@pytest.mark.parametrize("problems", [21, 26, 40, 131, 374])
def test_limits_of_counts_rise_and_mirror(problems: int) -> None:
    found = [
        mean_interval([1.0] * passes + [0.0] * (problems - passes))
        for passes in range(problems + 1)
    ]
    limits = np.array([(each.low, each.high) for each in found])
    assert (np.diff(limits, axis=0) >= -1e-9).all()
    assert limits == pytest.approx(1 - limits[::-1, ::-1])
    means = np.arange(problems + 1) / problems
    assert ((limits[:, 0] <= means) & (means <= limits[:, 1])).all()


def test_shared_clusters_and_more_samples_keep_their_own_limits() -> None:
    coarse, names = [1.0] * 25 + [0.0] * 35, [f"f{n // 2}" for n in range(60)]
    assert mean_interval(coarse).method == "binomial"
    assert mean_interval(coarse, names).method != "binomial"
    assert mean_interval([0.5, *coarse[1:]]).method != "binomial"


@pytest.mark.parametrize("rate", [0.02, 0.98])
def test_thirty_problems_at_the_edge_are_covered_by_the_default_alone(rate: float) -> None:
    assert coverage.exact_coverage(30, rate) >= 0.93
    for method in ("t", "bootstrap"):
        refused = mean_interval(
            [1.0] * round(30 * rate) + [0.0] * round(30 - 30 * rate), method=method
        )  # type: ignore[arg-type]
        assert refused.low is None
        assert refused.reason is not None
        assert refused.reason.startswith(f"{method} refused")


def test_plain_t_would_not_do_at_the_edge() -> None:
    """Why it is refused there: with t everywhere a third of the truth is lost."""

    def plain(scores: list[float], clusters: object = None) -> object:
        from ssd_eval.clustering import by_cluster
        from ssd_eval.intervals import Estimate, t_limits

        data = by_cluster(scores)
        low, high = t_limits(data.mean, data.se or 0.0, data.clusters)
        return Estimate(data.mean, data.se, low, high, 30, 30)

    assert coverage.exact_coverage(30, 0.02, plain) < 0.6  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("design", "runs"),
    [
        (Design(30, 10, 0.42, 0.5), 400),
        (Design(96, 10, 0.42, 0.1, size=2), 400),
        (Design(30, 10, 0.02, 0.5), 400),
        (Design(96, 10, 0.98, 0.5, size=2), 400),
    ],
)
def test_many_samples_and_families_are_covered(design: Design, runs: int) -> None:
    found = coverage.mean_coverage(design, runs)
    assert found.given == 1.0
    assert found.share >= 0.93
    if design.plenty:
        assert found.share <= 0.97


def test_ignoring_families_would_not_cover() -> None:
    design = Design(96, 10, 0.42, 0.5, size=4)
    blind = coverage.mean_coverage(design, 200, interval=lambda scores, _: mean_interval(scores))
    assert blind.share < 0.8


@pytest.mark.parametrize(
    ("design", "gaining"),
    [
        (Design(30, 1, 0.02), 0.0),
        (Design(30, 1, 0.98), 0.1),
        (Design(30, 10, 0.02), 0.1),
        (Design(12, 10, 0.42, 0.5), 0.4),
    ],
)
def test_paired_differences_are_covered_where_few_problems_move(
    design: Design, gaining: float
) -> None:
    found = coverage.paired_coverage(design, gaining, 300, seed=7)
    assert found.given == 1.0
    assert found.share >= 0.93


@pytest.mark.parametrize(
    ("design", "gaining"),
    [
        (Design(30, 10, 0.42, 0.5), 0.1),
        (Design(96, 10, 0.42, 0.5, size=2), 0.1),
        (Design(131, 10, 0.42, 0.5), 0.1),
    ],
)
def test_a_few_large_gains_among_small_ones_are_covered_93_to_97_percent(
    design: Design, gaining: float
) -> None:
    """Where the bootstrap alone covers 91 to 93 %."""
    assert design.plenty
    assert 0.93 <= coverage.paired_coverage(design, gaining, 500, seed=7).share <= 0.97


def test_few_problems_that_gain_much_are_covered_where_passes_are_scarce() -> None:
    assert coverage.paired_coverage(Design(96, 10, 0.02, size=2), 0.1, 500, seed=7).share >= 0.93


@pytest.mark.parametrize(
    "design",
    [
        Design(30, 1, 0.02),
        Design(30, 1, 0.5),
        Design(30, 10, 0.02, 0.5),
        Design(30, 10, 0.42, 0.5),
        Design(96, 10, 0.3, 0.5, size=2),
    ],
)
def test_equal_checkpoints_are_told_apart_at_most_55_times_in_1000(design: Design) -> None:
    assert coverage.type_one_error(design, 20_000, seed=1, resamples=499) <= 0.055


def test_holm_keeps_the_error_of_a_whole_table() -> None:
    cells = [coverage.null_p_values(Design(16, 5, 0.3), 3_000, seed, 499) for seed in range(8)]
    rows = np.stack(cells, axis=1).tolist()
    assert np.mean([min(holm(row)) < 0.05 for row in rows]) <= 0.055
    assert np.mean([min(row) < 0.05 for row in rows]) > 0.2


# --- the posterior -------------------------------------------------------------------------------


def test_one_sample_a_problem_gives_jeffreys_interval() -> None:
    from scipy.stats import beta

    low, high = credible_interval([(1, 1)] * 9 + [(1, 0)] * 21)
    assert (low, high) == pytest.approx(beta.ppf([0.025, 0.975], 9.5, 21.5), abs=0.005)


def test_more_problems_more_certainty_and_bounds_at_the_ends() -> None:
    few, many = (credible_interval([(10, 3), (10, 9), (10, 0)] * times) for times in (2, 20))
    assert many[1] - many[0] < 0.5 * (few[1] - few[0])
    assert credible_interval([(5, 0)] * 10)[0] == 0.0
    assert credible_interval([(5, 5)] * 10)[1] == 1.0


def test_pass_at_k_of_the_posterior_rises_with_k() -> None:
    counts = [(10, c) for c in (0, 1, 2, 5, 9)]
    ones, fives = credible_interval(counts, 1), credible_interval(counts, 5)
    assert fives[0] > ones[0]
    assert fives[1] > ones[1]


def test_the_posterior_covers_problems_like_its_prior() -> None:
    def interval(scores: list[float], families: object) -> object:
        counts = [(5, round(5 * score)) for score in scores]
        return mean_interval(scores, method="posterior", counts=counts)

    found = coverage.mean_coverage(Design(20, 5, 0.4, 0.3), 200, seed=3, interval=interval)  # type: ignore[arg-type]
    assert 0.92 <= found.share <= 0.98


@pytest.mark.parametrize("counts", [[], [(0, 0)], [(5, 6)], [(5, -1)]])
def test_impossible_counts_are_refused(counts: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="0 <= c <= n"):
        credible_interval(counts)


def test_methods_that_do_not_fit_are_refused_by_name() -> None:
    scores, families = [0.0, 1.0] * 60, [f"{i // 2}" for i in range(120)]
    counts = [(1, round(score)) for score in scores]
    ask = partial(mean_interval, scores)
    assert "counts" in (ask(method="posterior").reason or "")
    shared = ask(families, method="posterior", counts=counts)
    assert "share a cluster" in (shared.reason or "")
    for method in METHODS:
        found = ask(method=method, counts=counts)
        assert found.reason is None
        assert found.low is not None
        assert found.low == pytest.approx(0.41, abs=0.01)
    with pytest.raises(ValueError, match="unknown method"):
        ask(method="wald")  # type: ignore[arg-type]
