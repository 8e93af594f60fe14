"""The printed tables: what they say, and that they fit 80 columns."""

from __future__ import annotations

import functools
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType
from synthetic_sweep import COST, configs, draw, make_problems, outcome, peak, usual, verdicts

from sandbox.base import Status
from ssd_eval import wording
from ssd_eval.decoding import DecodingConfig
from ssd_eval.results import Cost, StageCost, SweepResult
from ssd_eval.tables import cost_table, curve_table, main_table, report, sweep_table, verdict


def printed(part: RenderableType, width: int = 80, **settings: object) -> str:
    file = io.StringIO()
    Console(file=file, width=width, highlight=False, **settings).print(part)  # type: ignore[arg-type]
    return file.getvalue()


def flowing(part: RenderableType) -> str:
    """The text with its line breaks undone."""
    return " ".join(printed(part).split())


@functools.cache
def collapsed() -> SweepResult:
    problems = make_problems(24)
    base = draw(problems, peak(0.9, 0.4), seed=1, failure="no_code")
    return outcome(problems, base, base, truncated=0.312)


@functools.cache
def lone() -> SweepResult:
    problems = make_problems(1)
    some = draw(problems, lambda *_: 0.5, seed=1)
    return outcome(problems, some, some)


@functools.cache
def perfect() -> SweepResult:
    problems = make_problems(12)
    all_pass = draw(problems, lambda *_: 1.0, seed=1)
    return outcome(problems, all_pass, all_pass, benchmark="/a/" + "very_long_" * 12 + "[x].jsonl")


@functools.cache
def presets() -> SweepResult:
    """Base and distilled fixed at configs off the grid, as the paper's presets have them."""
    problems, extra = make_problems(24), (DecodingConfig(0.9), DecodingConfig(0.7, 20, 0.95))
    base = draw(problems, peak(0.9, 0.4), seed=1, grid=(*configs(), extra[0]))
    distilled = draw(problems, peak(0.9, 0.6), seed=2, grid=(*configs(), extra[1]))
    return outcome(problems, base, distilled, base_fixed=extra[0], distilled_fixed=extra[1])


@functools.cache
def noisy() -> SweepResult:
    problems = make_problems(24)
    base, distilled = (draw(problems, lambda *_: 0.4, seed=seed) for seed in (1, 12))
    return outcome(problems, base, distilled, tier="C")


SWEEPS: dict[str, Callable[[], SweepResult]] = {
    "usual": usual,
    "three k": lambda: usual(ks=(1, 2, 5)),
    "k above n": lambda: usual(ks=(1, 50)),
    "collapsed": collapsed,
    "lone": lone,
    "perfect": perfect,
    "presets": presets,
    "noisy": noisy,
}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", SWEEPS)
def test_no_line_is_longer_than_the_terminal_and_no_number_is_cut(name: str, width: int) -> None:
    result = SWEEPS[name]()
    for part in (report(result), curve_table(result.base)):
        text = printed(part, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        assert "nan" not in text
        assert "None" not in text


@pytest.mark.parametrize("name", SWEEPS)
def test_every_value_of_the_sweep_table_stays_on_one_line(name: str) -> None:
    result = SWEEPS[name]()
    rows = [line for line in printed(sweep_table(result)).splitlines() if line.startswith("│")]
    decodings = {c.decoding for curve in (result.base, result.distilled) for c in curve.cells}
    assert len(rows) % len(decodings) == 0
    assert all(row.strip("│ ").split()[0] for row in rows)
    assert not any(row.rstrip("│ ").endswith("±") for row in rows)


# --- the main table ------------------------------------------------------------------------------


def test_main_table_shows_percent_with_one_decimal_intervals_and_a_word_for_each_delta() -> None:
    result = usual()
    group = result.main[0].groups[0]
    difference = group.difference
    assert group.base.mean is not None
    assert group.base.low is not None
    assert difference.mean is not None
    assert difference.low is not None
    text = printed(main_table(result, result.main[0]))
    assert "pass@1 on made-up (eval): 48 problems, 6 samples each" in text
    assert f" {100 * group.base.mean:.1f} " in text
    assert f"[{100 * group.base.low:.1f}, " in text
    assert f" {100 * difference.mean:+.1f} " in text
    assert f"[{100 * difference.low:+.1f}, " in text
    words = [group.verdict for group in result.main[0].groups]
    assert len(set(words)) > 1
    last = next(line for line in text.splitlines() if words[0] in line)
    assert last.strip("│ ").replace("│", "").split() == words


def test_tables_say_the_same_without_colour() -> None:
    shown = printed(report(usual()), force_terminal=True, color_system="truecolor")
    assert "\x1b[32m[+" in shown.replace(" ", "")  # Δ
    assert "\x1b[32mpass@1: +SSD is better" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == printed(report(usual()))


def test_verdict_says_better_worse_or_inconclusive_with_the_smallest_visible_effect() -> None:
    problems = make_problems()
    base = draw(problems, peak(0.9, 0.4), seed=1)
    equal = draw(problems, peak(0.9, 0.41), seed=5)
    distilled = draw(problems, peak(1.3, 0.8), seed=2)
    better, worse, same = (
        flowing(verdict(outcome(problems, *pair).main[0]))
        for pair in ((base, distilled), (distilled, base), (base, equal))
    )
    assert better.startswith("pass@1: +SSD is better, +")
    assert worse.startswith("pass@1: +SSD is worse, -")
    for text in (better, worse):
        assert re.search(r"after Holm; smallest effect this run could see: \d+\.\d pp$", text)
    limit = r"\(smallest effect this run could see: \d+\.\d pp\)"
    assert re.match(rf"pass@1: inconclusive {limit}, .* after Holm$", same)


def test_verdict_names_the_p_value_after_holm() -> None:
    comparison = usual().main[1]
    group = comparison.groups[0]
    assert group.adjusted_p is not None
    assert group.adjusted_p != group.difference.p_value
    assert f", p = {group.adjusted_p:.3f} after Holm" in flowing(verdict(comparison))


def test_verdict_without_spread_says_how_little_that_shows() -> None:
    text = flowing(verdict(perfect().main[0]))
    assert text.startswith(
        "pass@1: inconclusive (smallest effect this run could see: 57.8 pp), 0.0 pp "
        "[-26.5, +26.5], p = 1.000"
    )


def test_a_margin_that_was_not_cross_fitted_does_not_say_so() -> None:
    problems = make_problems(1)
    base, distilled = (draw(problems, peak(t, t / 2), seed=1) for t in (0.9, 1.3))
    one = outcome(problems, base, distilled)
    line = next(line for line in wording.notes(one) if line.startswith("pass@1 over the best"))
    assert "pp best of all, biased upwards: too few problems to cross-fit;" in line
    assert "cross-fitted" not in line
    assert " cross-fitted;" in " ".join(wording.notes(usual()))


def test_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert "-0.0" not in printed(report(perfect()))
    assert "+0.0" not in printed(report(perfect()))


def test_k_without_samples_shows_dashes_and_says_how_many_problems_it_left_out() -> None:
    result = usual(ks=(1, 50))
    text = printed(main_table(result, result.main[1]))
    assert [line.split()[1:] for line in text.splitlines() if "+SSD" in line] == [
        ["+SSD", "│", "–", "│", "–", "│", "–", "│", "–", "│"]
    ]
    assert "48 problems left out: fewer than 50 samples graded" in printed(report(result))
    assert "pass@50: inconclusive (no problems)" in flowing(verdict(result.main[1]))


def test_brackets_in_a_benchmarks_name_are_printed() -> None:
    assert "[x].jsonl" in printed(report(perfect()))


# --- how decodings were chosen -------------------------------------------------------------------


def test_settings_say_how_each_temperature_was_chosen() -> None:
    assert "base at T=0.9 k=20 p=0.8 (cross-fitted over 5 folds)" in printed(report(usual()))
    fixed = printed(report(presets()))
    assert "base at T=0.9 k=none p=1 (fixed beforehand)" in fixed
    assert "+SSD at T=0.7 k=20 p=0.95 (fixed beforehand)" in fixed
    assert "too few problems to cross-fit" in flowing(report(lone()))


def test_folds_that_disagree_are_counted() -> None:
    result = noisy()
    folds = Counter(result.main[0].base.decodings)
    assert len(folds) > 1
    text = flowing(report(result)).split("base at ")[1].split(" (cross-fitted")[0]
    parts = text.split(", ")
    assert sorted(parts) == sorted(f"{each} in {folds[each]}" for each in folds)
    assert [int(part[-1]) for part in parts] == sorted(folds.values(), reverse=True)


# --- the sweep -----------------------------------------------------------------------------------


def test_best_of_each_curve_is_marked_at_each_k() -> None:
    rows = [line for line in printed(sweep_table(usual())).splitlines() if line.startswith("│")]
    marks = [[("*" in value) for value in row.split("│")[2:-1]] for row in rows]
    assert marks == [[False] * 4, [True, False, True, False], [False, True, False, True]]


def test_lone_temperature_is_not_called_the_best() -> None:
    problems = make_problems(12)
    one = draw(problems, peak(0.9, 0.5), seed=1, grid=configs((0.9,)))
    assert "*" not in printed(report(outcome(problems, one, one)))


def test_sweep_says_mean_and_half_the_interval() -> None:
    result = usual()
    estimate = result.base.cells[1].pass_at[1]
    assert estimate.mean is not None
    assert estimate.low is not None
    assert estimate.high is not None
    half = 50 * (estimate.high - estimate.low)
    assert f"{100 * estimate.mean:.1f} ± {half:4.1f}*" in printed(sweep_table(result))


def test_configs_that_share_a_temperature_are_told_apart() -> None:
    text = printed(sweep_table(presets()))
    assert "T=0.9 k=20 p=0.8" in text
    assert "T=0.9 k=none p=1" in text
    row = next(line for line in text.splitlines() if "T=0.7 k=20 p=0.95" in line)
    assert row.split("│")[2].strip() == "–"  # the base was not sampled there


def test_margins_over_the_best_base_name_all_three_readings() -> None:
    result = noisy()
    margin = result.main[0].margin
    fitted, strict, naive = (
        f"{100 * (value or 0):+.1f} pp"
        for value in (margin.fitted.mean, margin.strict.mean, margin.naive)
    )
    assert len({fitted, strict, naive}) == 3
    text = flowing(report(result)).split("pass@1 over the best base temperature: ")[1]
    readings = [reading.split(" [")[0] for reading in text.split("; ")[:3]]
    assert readings[:2] == [fitted, strict]
    assert text.split("; ")[0].endswith("] cross-fitted")
    assert text.split("; ")[1].endswith("] over its naive best")
    assert readings[2].startswith(f"{naive} naive on both sides")


def test_report_says_how_flat_the_base_curve_is() -> None:
    result = usual()
    spread = result.base.spread(1)
    assert spread is not None
    flat = result.base.flatness(1)
    assert flat is not None
    assert flat.low is not None
    assert flat.high is not None
    assert flat.low < spread < flat.high
    limits = f"[{100 * flat.low:.1f}, {100 * flat.high:.1f}]"
    text = f"the base's spans {100 * spread:.1f} pp {limits} in pass@1"
    assert text in flowing(report(result))


def test_collapse_is_explained_by_its_shares_and_health_by_none() -> None:
    text = flowing(report(collapsed()))
    assert re.search(r"T=0\.5 k=20 p=0\.8: base 31 % cut off, \d\d % no code; \+SSD 31 %", text)
    healthy = printed(report(usual(truncated=0.05)))
    assert "cut off" not in healthy
    assert "no code" not in healthy


def test_curve_of_one_checkpoint_needs_no_other() -> None:
    text = printed(curve_table(usual().base))
    assert "+SSD" not in text
    assert "base: mean ± half a 95 % interval, %" in text
    assert sum(line.startswith("│") for line in text.splitlines()) == 3


# --- cost and what may change the reading --------------------------------------------------------


def test_cost_lists_each_stage_and_the_sum_and_unknown_seconds_are_dashes() -> None:
    rows = [line for line in printed(cost_table(usual())).splitlines() if line.startswith("│")]
    values = [[value.strip() for value in row.split("│")[1:-1]] for row in rows]
    assert values[0] == ["sample for SSD", "1,200 completions", "81,234", "20.5", ""]
    assert values[2] == ["grade base", "900 programs", "–", "–", ""]
    assert values[3] == ["all", "", "", f"{COST.seconds:,.1f}", ""]


def test_cost_counts_no_second_twice_where_stages_overlap() -> None:
    cost = Cost(
        (
            StageCost("train", 9, "examples", 99, 5.0),
            StageCost("sample base", 9, "completions", 99, 30.0),
            StageCost("grade base", 9, "programs", None, 40.0, 12.5),
        ),
        frozenset({"sample base"}),
    )
    text = printed(cost_table(replace(usual(), cost=cost)))
    assert cost.seconds == 45
    for words in ("12.5", "45.0", "hold the sampling"):
        assert words in text


def test_healthy_run_prints_no_warning() -> None:
    assert printed(report(usual())).rstrip().endswith("┘")


def test_infra_errors_flaky_samples_and_a_weaker_sandbox_are_named() -> None:
    problems = make_problems(4)
    statuses: list[Status] = ["passed"] * 5 + ["infra_error"]
    found = {
        config: [v for name in problems for v in verdicts(name, config, statuses, flaky=True)]
        for config in configs()
    }
    text = printed(report(outcome(problems, found, found, tier="B")))
    assert "24 samples left out: the sandbox failed there (infra_error)" in text
    assert "144 samples changed verdict when run alone (flaky)" in text
    assert "sandbox tier B" in text
