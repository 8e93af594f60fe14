"""What a sweep found: invariants of `compare` on made-up verdicts."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_sweep import configs, draw, make_problems, outcome, peak, usual, verdicts

from benchmarks.base import Problem
from sandbox.base import Status
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.paired import holm
from ssd_eval.results import FIXED, ONLY, UNFITTED, Comparison, SweepResult, curve


def cells(result: SweepResult) -> dict[tuple[int, str], float]:
    return {
        (comparison.k, group.group): group.difference.mean
        for comparison in result.main
        for group in comparison.groups
        if group.difference.mean is not None
    }


def at(result: SweepResult, k: int) -> Comparison:
    return next(comparison for comparison in result.main if comparison.k == k)


# --- the main table ------------------------------------------------------------------------------


def test_delta_is_distilled_minus_base_in_every_cell() -> None:
    config = configs()[1]
    for result in (usual(), usual(base_fixed=config, distilled_fixed=config)):
        for comparison in result.main:
            for group in comparison.groups:
                assert group.base.mean is not None
                assert group.distilled.mean is not None
                assert group.difference.mean == pytest.approx(
                    group.distilled.mean - group.base.mean
                )


def test_fixed_settings_are_scored_as_they_are() -> None:
    low, high = configs()[0], configs()[2]
    result = usual(base_fixed=low, distilled_fixed=high)
    for comparison in result.main:
        assert (comparison.base.rule, comparison.base.decodings) == (FIXED, (low,))
        assert comparison.distilled.decodings == (high,)
        first = comparison.groups[0]
        assert first.base.mean == pytest.approx(result.base.cells[0].pass_at[comparison.k].mean)
        assert first.distilled.mean == pytest.approx(
            result.distilled.cells[2].pass_at[comparison.k].mean
        )


def test_one_side_may_be_fixed_and_the_other_cross_fitted() -> None:
    first = usual(base_fixed=configs()[0]).main[0]
    assert first.base.rule == FIXED
    assert first.distilled.rule == "cross-fitted over 5 folds"


def test_fixed_setting_without_verdicts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base: no verdicts at T=2 k=20 p=0\.8"):
        usual(base_fixed=DecodingConfig(2.0, 20, 0.8))


@pytest.mark.parametrize("families", [None, 12])
def test_order_of_problems_configs_and_verdicts_changes_nothing(families: int | None) -> None:
    problems = make_problems(families=families)
    base = draw(problems, peak(0.9, 0.4), seed=1)
    distilled = draw(problems, peak(1.3, 0.5), seed=2)
    forwards = outcome(problems, base, distilled).to_json()
    backwards = outcome(
        dict(reversed(problems.items())),
        {config: base[config][::-1] for config in reversed(base)},
        {config: distilled[config][::-1] for config in reversed(distilled)},
    ).to_json()
    assert forwards == backwards


def test_identical_checkpoints_differ_by_exactly_nothing() -> None:
    problems = make_problems()
    same = draw(problems, peak(0.9, 0.5), seed=1)
    result = outcome(problems, same, same)
    assert set(cells(result).values()) == {0.0}
    for comparison in result.main:
        assert {group.verdict for group in comparison.groups} == {"inconclusive"}
        assert comparison.margin.fitted.mean == 0.0
        assert comparison.margin.naive == 0.0


def test_swapping_the_checkpoints_negates_every_delta() -> None:
    problems = make_problems()
    base = draw(problems, peak(0.9, 0.4), seed=1)
    distilled = draw(problems, peak(1.3, 0.8), seed=2)
    there, back = outcome(problems, base, distilled), outcome(problems, distilled, base)
    assert cells(there) == pytest.approx({key: -value for key, value in cells(back).items()})
    assert at(there, 1).groups[0].verdict == "better"
    assert at(back, 1).groups[0].verdict == "worse"


def test_all_holds_every_problem_and_groups_only_their_own() -> None:
    result = usual(48)
    sizes = {group.group: group.difference.problems for group in at(result, 1).groups}
    assert sizes == {"all": 48, "easy": 16, "medium": 16, "hard": 16}


def test_benchmark_without_hard_problems_has_no_hard_group() -> None:
    problems = make_problems(20, levels=("easy", "medium"))
    some = draw(problems, peak(0.9, 0.5), seed=1)
    groups = [group.group for group in outcome(problems, some, some).main[0].groups]
    assert groups == ["all", "easy", "medium"]


def test_unlabelled_problems_count_under_all_alone() -> None:
    problems = make_problems(10, levels=("easy", None))
    some = draw(problems, peak(0.9, 0.5), seed=1)
    groups = outcome(problems, some, some).main[0].groups
    assert [(g.group, g.difference.problems) for g in groups] == [("all", 10), ("easy", 5)]


# --- choice of decoding --------------------------------------------------------------------------


def noise(seed: int) -> SweepResult:
    """No temperature is better than another, so that folds disagree on the best."""
    problems = make_problems(24)
    base, distilled = (draw(problems, lambda *_: 0.4, seed=s) for s in (seed, seed + 100))
    return outcome(problems, base, distilled, ks=(1,))


def test_cross_fitting_takes_back_what_the_maximum_over_noise_flatters() -> None:
    fitted, naive = [], []
    for seed in range(5):
        best = noise(seed).base.best[1]
        assert best.fitted.mean is not None
        assert best.naive.mean is not None
        assert best.fitted.mean <= best.naive.mean + 1e-12
        assert len(best.fitted.decodings) == 5
        fitted.append(best.fitted)
        naive.append(best.naive)
    assert sum(each.mean or 0 for each in fitted) < sum(each.mean or 0 for each in naive)
    assert any(len(set(each.decodings)) > 1 for each in fitted)


def test_family_never_helps_to_choose_for_itself() -> None:
    """One large family passes at T=0.5 alone and decides the naive best; the others prefer 0.9."""
    low, high = configs((0.5, 0.9))
    problems = {
        f"p{index}": Problem(f"p{index}", "?", (), family="large" if index < 10 else f"f{index}")
        for index in range(19)
    }
    share = {(True, low): 6, (True, high): 0, (False, low): 3, (False, high): 4}
    found = {
        config: [
            verdict
            for problem in problems.values()
            for passes in (share[problem.family == "large", config],)
            for verdict in verdicts(
                problem.id, config, ["passed"] * passes + ["wrong_answer"] * (6 - passes)
            )
        ]
        for config in (low, high)
    }
    best = curve(problems, found, "base", truncated={}, ks=(1,)).best[1]
    assert best.naive.decodings == (low,)
    assert {best.fitted.scores[f"p{index}"] for index in range(10)} == {0.0}


def test_margins_are_differences_of_the_choices_they_name() -> None:
    for seed in range(5):
        result = noise(seed)
        base, distilled = result.base.best[1], result.distilled.best[1]
        margin = result.main[0].margin
        means = [each.mean or 0 for each in (base.fitted, base.naive)]
        ours, top = distilled.fitted.mean or 0, distilled.naive.mean or 0
        assert margin.fitted.mean == pytest.approx(ours - means[0])
        assert margin.strict.mean == pytest.approx(ours - means[1])
        assert margin.naive == pytest.approx(top - means[1])


def test_each_problem_is_scored_at_a_config_that_some_fold_chose() -> None:
    result = usual()
    choice = result.base.best[1].fitted
    possible = [cell for cell in result.base.cells if cell.decoding in choice.decodings]
    for problem, value in choice.scores.items():
        found = [s.pass_at(1) for cell in possible for s in cell.scores if s.problem_id == problem]
        assert value in found


def test_ties_go_to_the_lower_temperature() -> None:
    problems = make_problems(20)
    flat = draw(problems, lambda *_: 1.0, seed=0)
    assert set(at(outcome(problems, flat, flat), 1).base.decodings) == {configs()[0]}


def test_single_config_needs_no_choice() -> None:
    problems = make_problems(20)
    one = draw(problems, peak(0.9, 0.5), seed=1, grid=configs((0.9,)))
    choice = outcome(problems, one, one).main[0].base
    assert (choice.rule, choice.decodings) == (ONLY, configs((0.9,)))


def test_configs_that_share_a_temperature_stay_apart() -> None:
    grid = (DecodingConfig(0.9, 20, 0.8), DecodingConfig(0.9, 0, 0.8), DecodingConfig(0.5, 20, 0.8))
    problems = make_problems(20)
    good = draw(problems, lambda *_: 0.9, seed=1, grid=grid[1:2])
    poor = draw(problems, lambda *_: 0.1, seed=1, grid=(grid[0], grid[2]))
    result = outcome(problems, {**good, **poor}, poor)
    assert [cell.decoding for cell in result.base.cells] == [grid[2], grid[1], grid[0]]
    assert result.main[0].base.decodings == (grid[1],) * 5


def test_margin_equals_delta_where_nothing_is_fixed() -> None:
    comparison = at(usual(), 1)
    assert comparison.margin.fitted == comparison.groups[0].difference


def test_margin_over_the_best_base_ignores_where_the_base_is_fixed() -> None:
    low = configs()[0]
    free, fixed = at(usual(), 1), at(usual(base_fixed=low), 1)
    assert free.margin == fixed.margin
    assert free.groups[0].difference != fixed.groups[0].difference


def test_spread_is_highest_minus_lowest_mean() -> None:
    result = usual()
    means = [cell.pass_at[1].mean or 0.0 for cell in result.base.cells]
    assert result.base.spread(1) == max(means) - min(means)


# --- too little data -----------------------------------------------------------------------------


def test_one_problem_is_inconclusive_and_says_that_nothing_was_cross_fitted() -> None:
    problems = make_problems(1)
    never, always = (draw(problems, lambda *_, p=p: p, seed=1) for p in (0.0, 1.0))
    result = outcome(problems, never, always)
    first = at(result, 1)
    assert first.base.rule == UNFITTED
    assert first.groups[0].difference.mean == 1.0
    assert first.groups[0].verdict == "inconclusive"
    json.dumps(result.to_json(), allow_nan=False)


def test_one_family_is_as_inconclusive_as_one_problem() -> None:
    problems = make_problems(30, families=1)
    never, always = (draw(problems, lambda *_, p=p: p, seed=1) for p in (0.0, 1.0))
    assert at(outcome(problems, never, always), 1).groups[0].verdict == "inconclusive"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_fail_or_all_pass_gives_no_difference_but_says_how_sure_that_is(share: float) -> None:
    problems = make_problems()
    same = draw(problems, lambda *_: share, seed=1)
    result = outcome(problems, same, same)
    for comparison in result.main:
        group = comparison.groups[0]
        assert (group.base.mean, group.distilled.mean) == (share, share)
        assert (group.base.low, group.base.high)[int(share)] == share
        assert group.difference.low is not None
        assert group.difference.mde is not None
        assert group.difference.low < 0 < group.difference.mde
        assert group.verdict == "inconclusive"


def test_problem_with_too_few_graded_samples_is_left_out_and_counted_never_zero() -> None:
    problems = make_problems(12)
    full = draw(problems, lambda *_: 1.0, seed=1)
    lost: list[Status] = ["passed"] * 3 + ["infra_error"] * 3
    poor = {
        config: [v for v in found if v.key.problem_id != "p000"] + verdicts("p000", config, lost)
        for config, found in full.items()
    }
    for result in (outcome(problems, poor, full), outcome(problems, full, poor)):
        assert (at(result, 1).dropped, at(result, 5).dropped) == (0, 1)
        everything = at(result, 5).groups[0]
        assert (everything.base.mean, everything.distilled.mean) == (1.0, 1.0)
        assert everything.difference.problems == 11
    assert sum(cell.infra_errors for cell in outcome(problems, poor, full).base.cells) == 9


def test_sample_lost_at_one_temperature_drops_its_problem_from_the_whole_choice() -> None:
    problems, (low, *_, high) = make_problems(12), configs()
    full = draw(problems, lambda *_: 1.0, seed=1)
    for config in (low, high):
        rest = [v for v in full[config] if v.key.problem_id != "p000"]
        lost = verdicts("p000", config, ["passed"] * 4 + ["infra_error"] * 2)
        result = outcome(problems, {**full, config: rest + lost}, full)
        assert at(result, 5).dropped == 1
        assert "p000" not in result.base.best[5].fitted.scores


def test_k_that_no_problem_reaches_is_absent_and_leaves_the_others_alone() -> None:
    result = usual(ks=(1, 50))
    beyond = at(result, 50)
    assert beyond.groups[0].difference.mean is None
    assert beyond.groups[0].adjusted_p is None
    assert beyond.dropped == 48
    assert beyond.base.rule == "none: no problem has 50 samples everywhere"
    assert at(result, 1).groups == usual(ks=(1,)).main[0].groups
    json.dumps(result.to_json(), allow_nan=False)


def test_curve_without_verdicts_is_refused() -> None:
    with pytest.raises(ValueError, match="no decoding config"):
        curve(make_problems(), {}, "base", truncated={}, ks=(1,))


def test_verdict_twice_on_one_sample_is_refused() -> None:
    problems, config = make_problems(1), configs()[0]
    twice = verdicts("p000", config, ["passed"]) * 2
    with pytest.raises(UsageError, match="two verdicts"):
        curve(problems, {config: twice}, "base", truncated={}, ks=(1,))


def test_cells_count_flaky_samples_and_keep_truncation() -> None:
    problems, config = make_problems(2), configs()[0]
    found = verdicts("p000", config, ["time_limit", "no_code"], flaky=True)
    found += verdicts("p001", config, ["passed", "passed"])
    cell = curve(problems, {config: found}, "base", truncated={config: 0.25}, ks=(1,)).cells[0]
    assert (cell.flaky, cell.truncated_share, cell.no_code_share) == (2, 0.25, 0.25)


# --- many cells ----------------------------------------------------------------------------------


def test_holm_is_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= value <= 1 for p, value in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    assert [adjusted[place] for place in order] == sorted(adjusted)


def test_holm_spans_every_cell_of_every_k() -> None:
    result = usual()
    groups = [group for comparison in result.main for group in comparison.groups]
    wanted = holm([group.difference.p_value or 0.0 for group in groups])
    assert tuple(group.adjusted_p for group in groups) == wanted


def test_cell_that_holm_takes_back_is_inconclusive() -> None:
    groups = [group for comparison in usual().main for group in comparison.groups]
    taken = [g for g in groups if g.difference.verdict == "better" and (g.adjusted_p or 0) >= 0.05]
    assert taken
    assert {group.verdict for group in taken} == {"inconclusive"}


def test_json_is_strict_and_holds_the_main_numbers() -> None:
    result = usual()
    read = json.loads(json.dumps(result.to_json(), allow_nan=False))
    first = read["main"][0]
    assert first["k"] == 1
    assert first["groups"][0]["group"] == "all"
    assert first["groups"][0]["verdict"] == "better"
    assert math.isclose(
        first["groups"][0]["difference"]["mean"], first["margin_over_best_base"]["fitted"]["mean"]
    )
    assert [cell["decoding"]["temperature"] for cell in read["base"]["cells"]] == [0.5, 0.9, 1.3]
    assert read["setup"]["benchmark"] == "made-up"
    assert read["cost"]["seconds"] == 121.5


def test_random_checkpoints_of_equal_skill_are_seldom_told_apart() -> None:
    """The full rule (choice, pairing, Holm) holds its level: of 40 null sweeps few are called."""
    problems: dict[str, Problem] = make_problems(24)
    called = 0
    for seed in range(40):
        base = draw(problems, lambda *_: 0.4, seed=2 * seed, samples=4)
        distilled = draw(problems, lambda *_: 0.4, seed=2 * seed + 1, samples=4)
        groups = outcome(problems, base, distilled, ks=(1,)).main[0].groups
        called += any(group.verdict != "inconclusive" for group in groups)
    assert called <= 5
