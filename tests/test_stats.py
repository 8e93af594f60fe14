"""Intervals and paired tests over per-problem scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ssd_eval import crossfit, paired, signflip, stats
from ssd_eval.stats import cross_fitted_best, mean_interval, paired_difference, sign_flip_p

RNG = np.random.default_rng(20261124)


# --- means ---------------------------------------------------------------------------------------


def test_the_mean_interval_is_students_t() -> None:
    scores = RNG.uniform(0.2, 0.8, size=30)
    found = mean_interval(scores.tolist())
    low, high = scipy_stats.t.interval(
        0.95, 29, loc=scores.mean(), scale=scores.std(ddof=1) / math.sqrt(30)
    )
    assert (found.mean, found.low, found.high) == pytest.approx((scores.mean(), low, high))
    assert found.reason is None


def test_doubling_every_problem_in_its_family_adds_no_certainty() -> None:
    scores = RNG.uniform(0.2, 0.8, size=20).tolist()
    names = [f"family {index}" for index in range(20)]
    once, twice = mean_interval(scores, names), mean_interval(scores * 2, names * 2)
    assert (twice.se, twice.low, twice.high) == pytest.approx((once.se, once.low, once.high))
    assert (twice.problems, twice.clusters) == (40, 20)
    unaware = mean_interval(scores * 2)
    assert unaware.se is not None
    assert once.se is not None
    assert unaware.se < 0.8 * once.se


def test_the_mean_interval_stays_within_the_scores_bounds() -> None:
    found = mean_interval([0.0] * 9 + [0.1])
    assert found.low == pytest.approx(0.0, abs=1e-4)
    assert found.high is not None
    assert 0.1 < found.high < 0.5


@pytest.mark.parametrize(
    ("scores", "mean", "reason"),
    [
        ([], None, "no problems"),
        ([0.5], 0.5, "one problem"),
    ],
)
def test_no_interval_is_given_where_none_can_be_had(
    scores: list[float], mean: float | None, reason: str
) -> None:
    found = mean_interval(scores)
    assert found.mean == (None if mean is None else pytest.approx(mean))
    assert (found.low, found.high) == (None, None)
    assert found.reason is not None
    assert reason in found.reason


def test_one_family_gives_no_interval() -> None:
    found = mean_interval([0.0, 1.0, 0.5], ["f", "f", "f"])
    assert (found.mean, found.low, found.clusters) == (0.5, None, 1)


def test_all_pass_or_all_fail_has_the_exact_one_sided_bound() -> None:
    bound = 1 - 0.025 ** (1 / 40)
    none, every = mean_interval([0.0] * 40), mean_interval([1.0] * 40)
    assert (none.low, none.high) == pytest.approx((0.0, bound))
    assert (every.low, every.high) == pytest.approx((1 - bound, 1.0))
    assert (none.method, none.se) == ("exact", 0.0)


def test_equal_scores_are_known_no_better_than_so_many_yes_or_no_answers() -> None:
    found = mean_interval([0.3] * 30)
    assert found.low is not None
    assert found.high is not None
    for limit, sign in ((found.low, 1), (found.high, -1)):  # the mid-P equation, by scipy's binom
        beyond = scipy_stats.binom.sf(9, 30, limit)
        tail = beyond if sign == 1 else 1 - beyond - scipy_stats.binom.pmf(9, 30, limit)
        assert tail + scipy_stats.binom.pmf(9, 30, limit) / 2 == pytest.approx(0.025)


@pytest.mark.parametrize("scores", [[math.nan, 0.5], [math.inf, 0.5], [1.5, 0.5], [-0.1, 0.2]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"score is missing|leave \(0\.0, 1\.0\)"):
        mean_interval(scores)


# --- paired differences --------------------------------------------------------------------------


def samples(problems: int, gain: float, rng: np.random.Generator, n: int = 10) -> np.ndarray:
    """Base and treated pass rates [2, problems] of n samples; the gain is `gain` on average."""
    rate = rng.beta(1.0, 1.5, size=problems)
    shift = gain * 2 * rng.uniform(size=problems)
    rates = np.stack([rate, np.clip(rate + shift * (1 - rate), 0, 1)])
    return rng.binomial(n, rates) / n


def true_gain(gain: float) -> float:
    return gain * (1 - 1 / 2.5)  # E[shift] * E[1 - rate]


def coverage(clusters: int, size: int, runs: int = 800) -> float:
    """How often the interval holds the truth; with size > 1, families share their difference."""
    rng = np.random.default_rng(7)
    names = [f"{index}" for index in range(clusters)] * size if size > 1 else None
    hits = 0
    for run in range(runs):
        base, treated = samples(clusters, 0.2, rng)
        shared = (treated - base).tolist() * size
        found = paired_difference([0.0] * len(shared), shared, names, resamples=1000, seed=run)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= true_gain(0.2) <= found.high
    return hits / runs


def test_the_paired_interval_covers_the_truth_95_times_in_100() -> None:
    assert 0.93 <= coverage(clusters=60, size=1, runs=200) <= 0.97


def test_the_clustered_interval_covers_the_truth_95_times_in_100() -> None:
    assert 0.93 <= coverage(clusters=40, size=3, runs=150) <= 0.97


def test_few_problems_do_not_make_the_interval_too_short() -> None:
    assert 0.92 <= coverage(clusters=12, size=1, runs=300) <= 0.99
    few = np.random.default_rng(5).uniform(0.2, 0.5, size=5)
    found = paired_difference([0.0] * 5, few.tolist())
    expected = scipy_stats.t.interval(0.95, 4, loc=few.mean(), scale=few.std(ddof=1) / math.sqrt(5))
    assert (found.low, found.high) == pytest.approx(expected)


def test_under_no_effect_one_in_twenty_is_significant() -> None:
    rng = np.random.default_rng(3)
    flips = rng.choice([-1.0, 1.0], size=(1000, 30)) * rng.uniform(0.1, 1.0, size=(1000, 30))
    p_values = [
        sign_flip_p(row.tolist(), resamples=999, seed=seed) for seed, row in enumerate(flips)
    ]
    rate = np.mean(np.array(p_values) < 0.05)
    assert 0.03 <= rate <= 0.07


def test_the_difference_is_treated_minus_baseline() -> None:
    base, treated = samples(80, 0.3, np.random.default_rng(1))
    up = paired_difference(base.tolist(), treated.tolist())
    down = paired_difference(treated.tolist(), base.tolist())
    assert up.mean == pytest.approx((treated - base).mean())
    assert (up.verdict, down.verdict) == ("better", "worse")
    assert up.low is not None
    assert down.high is not None
    assert up.low > 0 > down.high
    assert up.p_value == pytest.approx(down.p_value)


def test_the_same_scores_twice_are_inconclusive() -> None:
    scores = RNG.uniform(size=30).tolist()
    found = paired_difference(scores, scores)
    assert (found.mean, found.p_value, found.verdict) == (0.0, 1.0, "inconclusive")
    assert found.low is not None
    assert found.high is not None
    assert found.mde is not None
    assert found.low == pytest.approx(-found.high)
    assert 0.1 < found.high < found.mde < 0.3
    assert found.method == "mover"


def test_an_equal_gain_everywhere_is_better_from_six_problems_on() -> None:
    found = paired_difference([0.0] * 10, [1.0] * 10)
    assert found.low is not None
    assert 0.5 < found.low < 0.8
    assert (found.mean, found.high, found.verdict) == (1.0, 1.0, "better")
    assert found.p_value == pytest.approx(2 / 2**10)
    five = paired_difference([0.0] * 5, [1.0] * 5)
    assert (five.verdict, five.mde) == ("inconclusive", None)
    assert paired_difference([0.0] * 6, [1.0] * 6).verdict == "better"


def test_one_problem_decides_nothing() -> None:
    found = paired_difference([0.0], [1.0])
    assert (found.mean, found.low, found.high, found.p_value) == (1.0, None, None, 1.0)
    assert found.verdict == "inconclusive"
    assert found.reason is not None
    assert "one problem" in found.reason


def test_one_family_decides_nothing() -> None:
    found = paired_difference([0.0] * 40, [1.0] * 40, ["f"] * 40)
    assert (found.p_value, found.verdict) == (1.0, "inconclusive")


def test_no_problems_give_no_numbers() -> None:
    found = paired_difference([], [])
    assert (found.mean, found.p_value, found.reason) == (None, None, "no problems")


def test_a_single_outlier_is_inconclusive() -> None:
    found = paired_difference([0.0] * 50, [1.0] + [0.0] * 49)
    assert (found.p_value, found.verdict) == (1.0, "inconclusive")
    assert found.low is not None
    assert found.low < 0.0


@pytest.mark.parametrize(
    ("low", "high", "p_value", "verdict"),
    [
        (0.01, 0.05, 0.04, "better"),
        (-0.01, 0.07, 0.04, "inconclusive"),
        (0.01, 0.05, 0.05, "inconclusive"),
        (None, None, 0.04, "better"),
    ],
)
def test_a_gain_needs_interval_and_p_value_to_agree(
    low: float | None, high: float | None, p_value: float, verdict: str
) -> None:
    opposite = {"better": "worse", "inconclusive": "inconclusive"}[verdict]
    flipped = (None, None) if low is None or high is None else (-high, -low)
    assert paired._verdict(0.03, low, high, p_value) == verdict
    assert paired._verdict(-0.03, *flipped, p_value) == opposite


def test_families_widen_the_interval_of_repeated_problems() -> None:
    base, treated = samples(20, 0.2, np.random.default_rng(2))
    names = [f"{index}" for index in range(20)]
    thrice = (base.tolist() * 3, treated.tolist() * 3)
    aware, unaware = paired_difference(*thrice, names * 3), paired_difference(*thrice)
    once = paired_difference(base.tolist(), treated.tolist())
    assert width(aware) == pytest.approx(width(once), rel=0.05)
    assert width(unaware) < 0.7 * width(aware)
    assert aware.p_value == pytest.approx(once.p_value, abs=0.01)


def width(found: stats.Difference) -> float:
    assert found.high is not None
    assert found.low is not None
    return found.high - found.low


def test_the_seed_alone_decides_the_resamples() -> None:
    base, treated = (row.tolist() for row in samples(40, 0.1, np.random.default_rng(4)))
    assert paired_difference(base, treated, seed=5) == paired_difference(base, treated, seed=5)
    assert paired_difference(base, treated, seed=5) != paired_difference(base, treated, seed=6)


def test_chunked_resamples_are_all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    base, treated = (row.tolist() for row in samples(40, 0.1, np.random.default_rng(4)))
    whole = paired_difference(base, treated)
    monkeypatch.setattr(signflip, "CHUNK_CELLS", 1000)
    assert sum(signflip._chunks(10_001, 40)) == 10_001
    assert paired_difference(base, treated) == whole


def test_the_minimum_detectable_effect_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(9)
    noise = rng.normal(0, 0.2, size=(200, 50))
    effect = np.mean([row.std(ddof=1) for row in noise]) / math.sqrt(50) * 2.86
    found = [
        paired_difference([0.0] * 50, (row + effect).tolist(), resamples=1000) for row in noise
    ]
    assert np.mean([each.mde for each in found]) == pytest.approx(effect, rel=0.01)
    assert 0.74 <= np.mean([each.verdict == "better" for each in found]) <= 0.86


def test_where_few_moved_the_detectable_effect_follows_how_far_they_did() -> None:
    """Enough problems must move; by as much as those that did, or wholly where none did.

    And what an interval does not exclude was not seen.
    """
    still = [0.0] * 13
    wholly, partly, none = (
        paired_difference([0.0] * 16, [*still, *moves])
        for moves in ([1.0] * 3, [0.2, 0.4, 0.3], [0.0] * 3)
    )
    assert {each.method for each in (wholly, partly, none)} == {"mover"}
    assert wholly.mde == none.mde == pytest.approx(0.449, abs=0.001)
    assert partly.mde is not None
    assert partly.high is not None
    assert partly.mde == pytest.approx(1.4 * (partly.high - 0.9 / 16), rel=0.02)
    assert 0.3 * 0.449 <= partly.mde < 0.449
    rng = np.random.default_rng(2)
    gains = np.where(rng.random((400, 16)) < 0.449, 0.3, 0.0)
    found = [sign_flip_p(row.tolist()) < 0.05 for row in gains]
    assert 0.74 <= np.mean(found) <= 0.86


@pytest.mark.parametrize(
    ("base", "treated", "clusters"),
    [([0.0], [0.0, 1.0], None), ([0.0, 1.0], [1.0, math.nan], None), ([0.0], [1.0], ["a", "b"])],
)
def test_unpaired_or_missing_scores_are_refused(
    base: list[float], treated: list[float], clusters: list[str] | None
) -> None:
    with pytest.raises(ValueError, match=r"baseline scores|is missing|clusters for"):
        paired_difference(base, treated, clusters)


# --- sign flips ----------------------------------------------------------------------------------


def test_one_sample_a_problem_gives_mcnemars_exact_test() -> None:
    differences = [1.0] * 19 + [-1.0] * 9 + [0.0] * 30
    assert sign_flip_p(differences) == pytest.approx(scipy_stats.binomtest(9, 28).pvalue, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-5, 5).map(lambda tenth: tenth / 10), min_size=1, max_size=8))
def test_few_problems_are_flipped_exhaustively(differences: list[float]) -> None:
    flips = itertools.product([-1, 1], repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(flip, differences, strict=True))) for flip in flips]
    exact = np.mean([total >= abs(sum(differences)) - 1e-9 for total in sums])
    assert sign_flip_p(differences) == pytest.approx(exact)


def test_random_flips_agree_with_scipys() -> None:
    differences = np.random.default_rng(5).normal(0.25, 1.0, size=60)
    result = scipy_stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert sign_flip_p(differences.tolist()) == pytest.approx(result.pvalue, abs=0.015)


def test_a_p_value_is_never_zero() -> None:
    differences = np.random.default_rng(6).uniform(1, 2, size=100).tolist()
    assert sign_flip_p(differences) == pytest.approx(1 / 10_001)


def test_families_flip_together() -> None:
    differences = [1.0, 0.5, 1.0, 0.5]
    assert sign_flip_p(differences, ["a", "a", "b", "b"]) == pytest.approx(0.5)
    assert sign_flip_p(differences) == pytest.approx(2 / 16)


# --- cross-fitting -------------------------------------------------------------------------------

GRID = [0.5, 1.0, 1.5]


def test_a_clear_best_temperature_is_chosen_by_every_fold() -> None:
    table = np.tile([0.2, 0.9, 0.4], (20, 1))
    found = cross_fitted_best(table, GRID)
    assert found.chosen == (1.0,) * 5
    assert (found.naive_temperature, found.mean) == (1.0, pytest.approx(0.9))


def test_no_problem_helps_to_choose_its_own_temperature() -> None:
    # Problem i alone passes at temperature i: whatever the others choose, it fails there.
    found = cross_fitted_best(np.eye(4), [0.1, 0.2, 0.3, 0.4], folds=4)
    assert found.scores == (0.0, 0.0, 0.0, 0.0)
    assert found.naive_mean == 0.25


def test_noise_alone_gives_no_gain_while_the_naive_maximum_claims_one() -> None:
    rng = np.random.default_rng(8)
    tables = rng.binomial(6, 0.4, size=(200, 30, 10)) / 6
    fits = [cross_fitted_best(table, list(range(10))) for table in tables]
    assert np.mean([fit.mean for fit in fits]) == pytest.approx(0.4, abs=0.01)
    assert np.mean([fit.naive_mean for fit in fits]) > 0.43


def test_ties_go_to_the_lower_temperature_in_any_column_order() -> None:
    table = np.tile([0.3, 0.1 + 0.2, 0.1], (10, 1))
    for columns in itertools.permutations(range(3)):
        found = cross_fitted_best(table[:, columns], [GRID[column] for column in columns])
        assert (found.naive_temperature, found.chosen) == (0.5, (0.5,) * 5)


def test_a_family_is_never_split_over_folds() -> None:
    names = [f"{index % 7}" for index in range(35)]
    folds = crossfit._fold_of(35, names, 5, seed=1)
    for name in set(names):
        assert len({fold for fold, each in zip(folds, names, strict=True) if each == name}) == 1
    assert set(folds) == set(range(5))


def test_folds_follow_the_families_names_and_the_seed_not_the_row_order() -> None:
    names = [f"{index}" for index in range(30)]
    folds = crossfit._fold_of(30, names, 5, seed=1)
    assert (crossfit._fold_of(30, names[::-1], 5, seed=1) == folds[::-1]).all()
    assert (crossfit._fold_of(30, names, 5, seed=2) != folds).any()
    assert sorted(np.bincount(folds)) == [6] * 5


def test_few_problems_get_a_fold_each_and_one_gets_none() -> None:
    assert len(cross_fitted_best(np.eye(3), GRID).chosen or ()) == 3
    alone = cross_fitted_best([[0.1, 0.7, 0.2]], GRID)
    assert (alone.scores, alone.mean, alone.chosen) == (None, None, None)
    assert (alone.naive_temperature, alone.naive_mean) == (1.0, 0.7)
    assert alone.reason is not None
    family = cross_fitted_best(np.eye(3), GRID, ["f"] * 3)
    assert family.reason is not None


@pytest.mark.parametrize(
    ("table", "grid", "message"),
    [
        ([[0.1, 0.2]], [0.5], "no problems x 1"),
        ([], [0.5], "no problems x 1"),
        ([[0.1, math.nan]], [0.5, 1.0], "no score"),
        ([[0.1, 0.2]], [0.5, 0.5], "stands twice"),
    ],
)
def test_malformed_tables_are_refused(
    table: list[list[float]], grid: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cross_fitted_best(table, grid)
