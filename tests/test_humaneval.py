"""HumanEval from its package: prompts, programs, and verdicts that cannot be had cheaply."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import humaneval, registry
from benchmarks.base import Benchmark, BenchmarkError, Problem
from benchmarks.extract import STOPS, program
from benchmarks.prompts import TEXT, messages
from sandbox.pool import Pool
from ssd_eval.backends.fake import FakeBackend
from ssd_eval.decoding import DecodingConfig
from ssd_eval.grade import grade, grade_programs
from ssd_eval.interchange import Program
from ssd_eval.sample import plan, sample

ROWS = {row["task_id"]: row for row in humaneval.rows()}
BASE = {problem.id: problem for problem in registry.load("humaneval:base").problems()}
CHAT = {problem.id: problem for problem in registry.load("humaneval").problems()}
# Problems whose check or solution uses a helper that the head gives, and a few plain ones.
SOME = [f"HumanEval/{n}" for n in (0, 10, 32, 33, 38, 50, 83, 160)]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


def verdicts(pool: Pool, programs: dict[str, str], problems: dict[str, Problem]) -> dict[str, str]:
    given = [Program(name, 0, code, "given") for name, code in programs.items()]
    return {v.key.problem_id: v.status for v in grade_programs(given, problems, pool)}


def test_both_ways_of_asking_have_the_same_164_problems_and_tests() -> None:
    assert len(BASE) == len(CHAT) == len(ROWS) == 164
    assert all(BASE[name].tests == CHAT[name].tests for name in BASE)
    assert isinstance(registry.load("humaneval"), Benchmark)


def test_base_prompt_is_the_packages_text_as_it_is() -> None:
    for name, problem in BASE.items():
        assert messages(problem) == [{"role": TEXT, "content": ROWS[name]["prompt"]}]


def test_chat_prompt_holds_the_head_in_a_fence() -> None:
    (message,) = messages(CHAT["HumanEval/0"])
    assert message["role"] == "user"
    assert f"```python\n{ROWS['HumanEval/0']['prompt']}```" in message["content"]


@pytest.mark.slow
def test_all_canonical_solutions_pass(pool: Pool) -> None:
    found = verdicts(pool, {name: p.references[0] for name, p in BASE.items()}, BASE)
    assert set(found.values()) == {"passed"}
    assert len(found) == 164


def test_canonical_solutions_pass_where_helpers_are_needed(pool: Pool) -> None:
    found = verdicts(pool, {name: BASE[name].references[0] for name in SOME}, BASE)
    assert set(found.values()) == {"passed"}


def test_a_chat_answer_without_the_heads_imports_and_helpers_passes(pool: Pool) -> None:
    bare = {}
    for name in SOME:
        whole = BASE[name].references[0]
        bare[name] = whole[whole.rindex(f"def {BASE[name].entry_point}(") :]
    assert "List" in bare["HumanEval/0"]
    assert set(verdicts(pool, bare, CHAT).values()) == {"passed"}


def test_a_helper_redefined_by_the_program_does_not_change_its_test(pool: Pool) -> None:
    forged = "def poly(xs, x):\n    return 0\ndef find_zero(xs):\n    return 0.0\n"
    assert verdicts(pool, {"HumanEval/32": forged}, BASE) == {"HumanEval/32": "wrong_answer"}


def test_continuations_are_cut_at_the_first_stop_rule(pool: Pool) -> None:
    answers = {
        name: [f"{row['canonical_solution'].rstrip()}{stop} junk that would not compile\n("]
        for (name, row), stop in zip(((n, ROWS[n]) for n in SOME), STOPS * 2, strict=False)
    }
    backend = FakeBackend(answers)
    requests = plan([BASE[name] for name in SOME], DecodingConfig(0), samples=1, max_tokens=2000,
                    seed=0, backend=backend)  # fmt: skip
    assert requests[0].prompt_ids == tuple(map(ord, BASE[SOME[0]].statement))
    found = list(grade(sample(backend, requests), BASE, pool))
    assert {v.status for v in found} == {"passed"}
    assert {v.rule for v in found} == {"continuation"}


def test_the_preamble_is_not_put_before_a_future_import(pool: Pool) -> None:
    code = "from __future__ import annotations\n" + BASE["HumanEval/10"].references[0]
    assert verdicts(pool, {"HumanEval/10": code}, BASE) == {"HumanEval/10": "passed"}


def test_a_continuation_keeps_the_whole_text_where_nothing_stops_it() -> None:
    assert program("    return 1", BASE["HumanEval/0"]).code == (
        BASE["HumanEval/0"].statement + "    return 1"
    )


@pytest.mark.parametrize("style", ["official", "paper"])
def test_styles_that_ask_for_standard_input_are_refused(style: str) -> None:
    with pytest.raises(BenchmarkError, match="--prompt simple"):
        messages(CHAT["HumanEval/0"], style)


def test_unknown_window_and_missing_pool_say_the_fix() -> None:
    with pytest.raises(BenchmarkError, match="humaneval:base"):
        humaneval.load("v2")
    with pytest.raises(BenchmarkError, match="--prompts"):
        humaneval.load("base").prompts()


def test_a_damaged_package_file_says_how_to_restore_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> bytes:
        raise EOFError("ended early")

    monkeypatch.setattr(humaneval.gzip, "decompress", broken)
    with pytest.raises(BenchmarkError, match=r"ended early.*reinstall"):
        humaneval.rows()


def test_no_check_holds_the_solution() -> None:
    for problem in BASE.values():
        assert ROWS[problem.id]["canonical_solution"] not in problem.tests[0].input
