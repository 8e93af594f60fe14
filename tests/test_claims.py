"""What the article claims: read from numbers, and measured end to end on replayed completions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic_sweep import configs, draw, make_problems, outcome, peak, usual
from test_sweep import SMALL, scripts, ssd_eval

from ssd_eval import arms, stats
from ssd_eval.claim_tables import claim_sheets, to_json
from ssd_eval.claims import STRESSED, Majority, Measured, Student, measure
from ssd_eval.errors import UsageError
from ssd_eval.findings import cost_in_words, findings
from ssd_eval.reach import reach
from ssd_eval.stats import Difference

__all__ = ["scripts"]  # a fixture


def gain(mean: float, low: float, high: float, verdict: str = "inconclusive") -> Difference:
    return Difference(mean, 0.01, low, high, 0.04, 0.05, verdict, 48, 48)  # type: ignore[arg-type]


BETTER, WORSE = gain(0.1, 0.05, 0.15, "better"), gain(-0.1, -0.15, -0.05, "worse")
NOTHING = gain(0.005, -0.01, 0.015)


def student(name: str, over_base: Difference, over_any: Difference | None = None) -> Student:
    return Student(
        name, 100, 4_000, 6_000, 12.0, stats.mean_interval([0.5] * 30), over_base, over_any
    )


def measured(last: Difference = NOTHING, vote: Difference = BETTER) -> Measured:
    result = usual()
    scores = [cell.scores for cell in (result.base.cells[1], result.distilled.cells[2])]
    found = reach(*scores)
    steps = (*found.steps[:-1], replace(found.steps[-1], difference=last))
    return Measured(
        sweep=result,
        decoding=configs()[1],
        distilled_decoding=configs()[2],
        majority=(Majority(10, stats.mean_interval([0.4] * 30), vote),),
        reach=replace(found, steps=steps),
        students=(
            student("SSD", BETTER),
            student(arms.ANY, BETTER),
            student(arms.RAN, BETTER, NOTHING),
            student(arms.PASSED, BETTER, BETTER),
            replace(student(STRESSED, WORSE), no_code=0.62, passed=0.01),
        ),
    )


def answers(found: Measured) -> dict[str, str]:
    return {each.claim: each.answer for each in findings(found)}


def test_a_claim_holds_or_fails_only_where_the_run_can_tell() -> None:
    found = answers(measured())
    assert found["the base's temperature hardly matters (at most 3.0 pp)"] == "does not hold"
    assert found["no temperature of the base reaches the distilled checkpoint"] == "holds"
    assert found["gibberish still teaches (T_train 2, no truncation)"] == "does not hold"
    assert found["one distilled sample is worth a vote of 10 of the base's"] == "holds"
    assert found["a closed loop is better: samples that ran"] == "inconclusive"
    assert found["a closed loop is better: samples that passed"] == "holds"
    assert found["it costs next to nothing"] == "measured"


def test_an_inconclusive_claim_says_the_smallest_effect_that_could_have_been_seen() -> None:
    words = {each.claim: each.word for each in findings(measured())}
    assert words["a closed loop is better: samples that ran"] == (
        "inconclusive (smallest effect this run could see: 5.0 pp)"
    )
    assert words["a closed loop is better: samples that passed"] == "holds"
    rows = dict(row[:2] for row in claim_sheets(measured())[0].rows)
    assert rows == words


@pytest.mark.parametrize(
    ("last", "answer"),
    [(NOTHING, "holds"), (BETTER, "does not hold"), (gain(0.03, -0.01, 0.07), "inconclusive")],
)
def test_no_new_ability_needs_a_bound_below_two_points(last: Difference, answer: str) -> None:
    assert (
        answers(measured(last))["it creates no ability (pass@6 gains less than 2.0 pp)"] == answer
    )


def test_a_flat_base_curve_is_called_flat_and_a_noisy_one_is_not() -> None:
    problems = make_problems(40)
    flat = draw(problems, lambda *_: 1.0, seed=1)
    noisy = draw(problems, lambda *_: 0.5, seed=1)
    for found, answer in ((flat, "inconclusive"), (noisy, "inconclusive")):
        curve = outcome(problems, found, draw(problems, peak(1.3, 0.9), seed=2))
        assert next(iter(answers(replace(measured(), sweep=curve)).values())) == answer


def test_a_gain_that_may_be_none_has_no_price() -> None:
    assert cost_in_words(student("SSD", BETTER)) == (
        "10,000 tokens and 12 s: 1,000 tokens a point [667, 2,000]"
    )
    assert "no price" in cost_in_words(student("SSD", NOTHING))


def test_what_was_not_trained_is_not_claimed() -> None:
    found = replace(measured(), students=())
    assert not any("gibberish" in claim or "loop" in claim for claim in answers(found))
    assert {sheet.slug for sheet in claim_sheets(found)} == {
        "claims", "majority", "large-k",
    }  # fmt: skip
    rows = claim_sheets(measured())[0].rows
    assert [row[:2] for row in rows][3] == (
        "one distilled sample is worth a vote of 10 of the base's", "holds",
    )  # fmt: skip


def test_the_json_is_strict_and_whole() -> None:
    value = json.loads(json.dumps(to_json(measured()), allow_nan=False))
    assert len(value["findings"]) == 8
    assert value["students"][4]["no_code"] == 0.62


def test_claims_measures_two_checkpoints_and_repeats_nothing(
    scripts: tuple[Path, Path], tmp_path: Path
) -> None:
    base, distilled = scripts
    command = ("claims", "--base", base, "--distilled", distilled, *SMALL, "--large-k", "4")
    first = ssd_eval(*command, "--run-dir", tmp_path / "run", "--json")
    assert first.returncode == 0, first.stderr
    value = json.loads(first.stdout)
    last = value["majority"][-1]
    assert last["n"] == 4
    assert 0 < last["base"]["mean"] < 1
    assert value["reach"]["steps"][-1]["k"] == 4
    assert value["reach"]["steps"][-1]["distilled"]["mean"] == 1.0
    names = {path.name for path in (tmp_path / "run" / "tables").iterdir()}
    assert {"claims.md", "majority.csv", "large-k.tex", "main.md"} <= names
    assert "the base&#39;s vote at" in (tmp_path / "run" / "report.html").read_text()
    lines = (tmp_path / "run" / "behaviours.jsonl").read_text().splitlines()
    again = ssd_eval(*command, "--run-dir", tmp_path / "run", "--json")
    assert json.loads(again.stdout)["majority"] == value["majority"]
    assert (tmp_path / "run" / "behaviours.jsonl").read_text().splitlines() == lines
    assert "sample" not in again.stderr


@pytest.mark.parametrize(("ks", "fix"), [((2, 5), "add 1 to --k"), ((1, 5), "is less than k 5")])
def test_settings_that_cannot_answer_are_refused_before_any_work(
    ks: tuple[int, ...], fix: str
) -> None:
    job: Any = SimpleNamespace(config=SimpleNamespace(k=ks))
    with pytest.raises(UsageError, match=fix):
        measure(job, large_k=4)
