"""maj@n by behaviour, pass@k to large k, and arms of equal training tokens."""

from __future__ import annotations

import pytest

from benchmarks.base import Problem, TestCase
from sandbox.base import Limits
from sandbox.pool import Pool
from ssd_eval import arms
from ssd_eval.backends.base import Request
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import SsdEvalError, UsageError
from ssd_eval.majority import Vote, _job, _run, majority_score
from ssd_eval.metrics import ProblemScore
from ssd_eval.reach import reach
from ssd_eval.records import Completion, SampleKey, Verdict

CONFIG = DecodingConfig(1.0)


def votes(*camps: tuple[str | None, int, bool]) -> list[Vote]:
    return [Vote(printed, passed) for printed, times, passed in camps for _ in range(times)]


def test_the_largest_camp_wins_right_or_wrong() -> None:
    assert majority_score(votes(("a", 3, False), ("b", 2, True)), 5) == 0.0
    assert majority_score(votes(("a", 2, False), ("b", 3, True)), 5) == 1.0


def test_equal_camps_share_the_win_and_a_crash_has_no_vote() -> None:
    assert majority_score(votes(("a", 2, False), ("b", 2, True), (None, 6, False)), 10) == 0.5
    assert majority_score(votes((None, 4, False)), 4) == 0.0


def test_a_camp_that_the_hidden_tests_divide_wins_in_part() -> None:
    mixed = [Vote("a", True), Vote("a", True), Vote("a", False), Vote("b", True)]
    assert majority_score(mixed, 4) == pytest.approx(2 / 3)


def test_one_vote_is_pass_at_1_and_more_votes_than_samples_are_absent() -> None:
    some = votes(("a", 3, True), ("b", 7, False))
    assert majority_score(some, 1) == pytest.approx(0.3)
    assert majority_score(some, 9) == 0.0
    assert majority_score(some, 11) is None
    more = [majority_score(some, n) or 0.0 for n in (1, 5, 10)]
    assert more == sorted(more, reverse=True)  # a minority of right answers is voted down


def problem(tests: int = 2, public: bool = True) -> Problem:
    cases = tuple(TestCase("stdin", f"{i}\n", f"{2 * i}\n", public=public) for i in range(tests))
    return Problem("double", "?", (*cases, TestCase("stdin", "9\n", "18\n")))


def completion(source: str | None, sample: int) -> Completion:
    text = "no program here" if source is None else f"```python\n{source}\n```"
    key = SampleKey("c", "double", "d", sample)
    return Completion(key, text, (1,) * (sample + 1), "stop", 1, CONFIG, 1.0)


def test_behaviour_is_what_is_printed_on_public_inputs() -> None:
    sources = [
        "print(2 * int(input()))",
        "n = int(input())\nprint(n + n, '')",  # white space at a line's end is no difference
        "print(int(input()) ** 2)",
        "print(2 * int(input()))\nraise SystemExit(3)",
        None,
    ]
    drawn = [completion(source, i) for i, source in enumerate(sources)]
    with Pool(1) as pool:
        found = {
            b.key.sample: b.printed for b in _run(drawn, {"double": problem()}, pool, Limits())
        }
    assert found[0] == found[1]
    assert found[0] is not None
    assert found[2] not in (None, found[0])
    assert (found[3], found[4]) == (None, None)


def test_a_vote_without_public_inputs_is_refused() -> None:
    with pytest.raises(UsageError, match="no public inputs"):
        _job("j", "print(1)", problem(public=False), Limits())


def test_only_public_inputs_are_run() -> None:
    job = _job("j", "print(1)", problem(), Limits())
    assert [test.input for test in job.tests] == ["0\n", "1\n"]
    assert job.all_tests
    assert job.keep_outputs


def score(name: str, c: int, n: int = 20) -> ProblemScore:
    return ProblemScore(name, None, f"problem:{name}", n, c, 0, {})


def test_curves_cross_where_the_base_catches_up() -> None:
    broad = [score(f"{i}", 3) for i in range(10)]
    narrow = [score(f"{i}", 18 if i < 5 else 0) for i in range(10)]
    found = reach(broad, narrow)
    assert [step.k for step in found.steps] == [1, 2, 5, 10, 20]
    assert (found.steps[0].distilled.mean or 0) > (found.steps[0].base.mean or 1)
    assert found.crossing == 5
    assert found.only_base == tuple(f"{i}" for i in range(5, 10))
    assert found.only_distilled == ()
    assert reach(narrow, broad).crossing is None
    assert reach(broad, broad).crossing is None


def test_unequal_samples_leave_a_problem_out_of_large_k_only() -> None:
    few = [score("a", 2), score("b", 1, n=4)]
    found = reach(few, few)
    assert found.steps[0].difference.problems == 2
    assert found.steps[-1].k == 20
    assert found.steps[-1].difference.problems == 1
    with pytest.raises(ValueError, match="no problem"):
        reach(few, [score("c", 1)])


def training(statuses: list[str]) -> tuple[list[Request], dict, dict]:
    requests, completions, verdicts = [], {}, {}
    for sample, status in enumerate(statuses):
        key = SampleKey("c", f"p{sample % 7}", "d", sample)
        requests.append(Request(key, (1,), CONFIG, 9, sample))
        completions[key] = Completion(key, "x", (1,) * 9, "stop", 1, CONFIG, 1.0)
        verdicts[key] = Verdict(key, status, "", "", 0.0, 0, 1)  # type: ignore[arg-type]
    return requests, completions, verdicts


def test_arms_have_equal_tokens_and_only_what_qualifies() -> None:
    statuses = ["passed", "wrong_answer", "runtime_error", "infra_error"] * 25
    requests, completions, verdicts = training(statuses)
    any_, ran, passed = arms.closed_loop(requests, completions, verdicts)
    assert any_.tokens == ran.tokens == passed.tokens == 25 * 10
    assert {verdicts[r.key].status for r in passed.requests} == {"passed"}
    assert {verdicts[r.key].status for r in ran.requests} == {"passed", "wrong_answer"}
    assert len({verdicts[r.key].status for r in any_.requests}) == 4
    assert (any_.of, ran.of, passed.of) == (100, 50, 25)
    assert any_.sampled < ran.sampled < passed.sampled <= 900


def test_arms_depend_on_keys_not_on_order() -> None:
    requests, completions, verdicts = training(["passed", "wrong_answer"] * 20)
    there = arms.closed_loop(requests, completions, verdicts)
    back = arms.closed_loop(requests[::-1], completions, verdicts)
    assert there == back


def test_an_empty_arm_is_refused() -> None:
    with pytest.raises(SsdEvalError, match="none of 3 training samples passed"):
        arms.closed_loop(*training(["wrong_answer"] * 3))
