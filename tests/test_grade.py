"""Completions to verdicts. The executor here is a fake; the real one is at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from test_livecodebench import SHARED

from benchmarks.base import BenchmarkError, Problem, TestCase, TestKind
from benchmarks.extract import extract
from benchmarks.jsonl import read
from benchmarks.micro import Micro
from sandbox.base import Executor, Job, Limits, Outcome, SandboxError, Status, Test, Tier
from sandbox.pool import Pool
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.grade import Cache, check_gradable, grade, grade_programs
from ssd_eval.interchange import Program
from ssd_eval.records import Completion, FinishReason, SampleKey, Verdict


def by_source(job: Job) -> Status:
    return "passed" if "right" in job.source else "wrong_answer"


@dataclass
class FakeExecutor:
    """Judges a program by its text, holds `room` jobs at once, answers the newest first."""

    judge: Callable[[Job], Status] = by_source
    room: int = 2
    ran: list[Job] = field(default_factory=list)
    tier: Tier = "A"

    def describe(self) -> dict[str, object]:
        return {}

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        held: list[Job] = []
        for job in jobs:
            self.ran.append(job)
            held.append(job)
            if len(held) == self.room:
                yield self.outcome(held.pop())
        while held:
            yield self.outcome(held.pop())

    def outcome(self, job: Job) -> Outcome:
        return Outcome(job.key, self.judge(job), "why", 0.5, tests_passed=1, tests=len(job.tests))

    def close(self) -> None:
        pass


def problem(name: str = "a", kind: TestKind = "stdin", entry_point: str | None = None) -> Problem:
    tests = (TestCase(kind, "1", "1", public=True), TestCase(kind, "2", "2"))
    return Problem(id=name, statement="", tests=tests, entry_point=entry_point)


PROBLEMS = {"a": problem("a"), "b": problem("b")}


def completion(
    code: str | None, sample: int = 0, name: str = "a", finish: FinishReason = "stop"
) -> Completion:
    text = "I don't know." if code is None else f"Text {sample}.\n```python\n{code}\n```"
    key = SampleKey("base", name, "d", sample)
    return Completion(key, text, (), finish, 0, DecodingConfig(1.0), 1.0)


def graded(*completions: Completion, executor: FakeExecutor | None = None) -> dict[int, Verdict]:
    verdicts = list(grade(completions, PROBLEMS, executor or FakeExecutor()))
    assert len(verdicts) == len(completions)
    return {verdict.key.sample: verdict for verdict in verdicts}


def test_every_completion_gets_the_verdict_of_its_program() -> None:
    codes = ["right", "off", None, "right # too", "off by one"]
    verdicts = graded(*(completion(code, index) for index, code in enumerate(codes)))
    assert [verdicts[index].status for index in range(5)] == [
        "passed",
        "wrong_answer",
        "no_code",
        "passed",
        "wrong_answer",
    ]
    assert verdicts[0] == Verdict(
        SampleKey("base", "a", "d", 0), "passed", "why", "python-fence", 0.5, 1, 2
    )


def test_the_job_holds_all_tests_in_order_and_nothing_of_the_text() -> None:
    executor = FakeExecutor()
    problems = {"f": problem("f", "functional", "solve")}
    limits = Limits(cpu_s=2)
    found = grade([completion("x", name="f")], problems, executor, limits=limits, all_tests=True)
    assert len(list(found)) == 1
    (job,) = executor.ran
    assert job.tests == (Test("functional", "1", "1"), Test("functional", "2", "2"))
    assert (job.source, job.entry_point) == ("x", "solve")
    assert (job.limits, job.all_tests) == (limits, True)


def test_identical_programs_of_one_problem_run_once_each_problem() -> None:
    executor = FakeExecutor()
    rows = [completion("right", index, name) for index in range(6) for name in ("a", "b")]
    verdicts = list(grade(rows, PROBLEMS, executor))
    assert len(executor.ran) == 2
    assert {verdict.key for verdict in verdicts} == {row.key for row in rows}
    assert all(verdict.passed for verdict in verdicts)


def test_a_cache_is_shared_between_calls_and_kept_apart_by_what_decides() -> None:
    executor, cache = FakeExecutor(), {}
    rows = [completion("right")]

    def run(problems: dict[str, Problem] = PROBLEMS, **more: object) -> int:
        before = len(executor.ran)
        (verdict,) = grade(rows, problems, executor, cache=cache, **more)  # type: ignore[arg-type]
        assert verdict.passed
        return len(executor.ran) - before

    assert run() == 1
    assert run() == 0
    assert run(limits=Limits(cpu_s=1)) == 1
    assert run(all_tests=True) == 1
    assert run({"a": replace(PROBLEMS["a"], tests=PROBLEMS["a"].tests[:1])}) == 1
    assert run() == 0


def test_an_infra_error_is_told_apart_and_never_reused() -> None:
    executor = FakeExecutor(judge=lambda job: "infra_error")
    cache: Cache = {}
    (first,) = grade([completion("right")], PROBLEMS, executor, cache=cache)
    assert first.status == "infra_error"
    (second,) = grade([completion("right")], PROBLEMS, FakeExecutor(), cache=cache)
    assert second.passed


def test_a_text_without_a_program_runs_nothing_and_says_why() -> None:
    executor = FakeExecutor()
    rows = [completion(None, 0), completion(None, 1, finish="length")]
    thought = replace(completion(None, 2), text="<think>\n```python\nright\n```")
    verdicts = graded(*rows, thought, executor=executor)
    assert executor.ran == []
    assert {verdict.status for verdict in verdicts.values()} == {"no_code"}
    assert verdicts[0].detail == "no code block in the text"
    assert verdicts[1].detail.endswith("cut off by the token limit")
    assert (verdicts[2].rule, verdicts[2].tests) == ("unfinished-thinking", 2)


def test_completions_are_pulled_no_faster_than_the_executor_takes_them() -> None:
    pulled = []

    def stream() -> Iterator[Completion]:
        for index in range(100):
            pulled.append(index)
            yield completion(f"right {index}", index)

    verdicts = grade(stream(), PROBLEMS, FakeExecutor(room=3))
    next(verdicts)
    assert len(pulled) == 3


def test_programs_from_a_file_are_graded_as_they_are() -> None:
    programs = [Program("a", 0, "right", "given"), Program("b", 4, None, "given")]
    verdicts = {v.key: v for v in grade_programs(programs, PROBLEMS, FakeExecutor())}
    assert verdicts[SampleKey("", "a", "", 0)].passed
    empty = verdicts[SampleKey("", "b", "", 4)]
    assert (empty.status, empty.detail) == ("no_code", "the program is empty")


@pytest.mark.parametrize("code", ["right", None])
def test_checks_beside_other_tests_are_refused_by_name(code: str | None) -> None:
    mixed = replace(problem(), tests=(*problem().tests, TestCase("assertion", "f()", "")))
    with pytest.raises(BenchmarkError, match=r"a: .*'assertion' beside others"):
        list(grade([completion(code)], {"a": mixed}, FakeExecutor()))


def test_checks_reach_the_sandbox_as_they_are() -> None:
    executor = FakeExecutor()
    list(grade([completion("right")], {"a": problem("a", "assertion")}, executor))
    assert executor.ran[0].tests[0] == Test("assertion", "1", "1")


def test_problems_without_a_possible_verdict_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="no tests"):
        check_gradable(replace(problem(), tests=()))
    with pytest.raises(BenchmarkError, match="no entry_point"):
        check_gradable(problem("a", "functional"))
    check_gradable(problem())


def test_a_completion_of_an_unknown_problem_is_refused() -> None:
    with pytest.raises(UsageError, match="'z', which the benchmark lacks"):
        list(grade([completion("right", name="z")], PROBLEMS, FakeExecutor()))


@dataclass
class Careless(FakeExecutor):
    """Loses the second job, or answers one that it was not given."""

    invents: bool = False

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        for index, job in enumerate(jobs):
            if index != 1:
                yield self.outcome(job)
        if self.invents:
            yield Outcome("invented", "passed")


def test_lost_jobs_are_an_error_after_all_other_verdicts() -> None:
    rows = [completion(f"right {index}", index) for index in range(3)]
    verdicts = grade(rows, PROBLEMS, Careless())
    assert {next(verdicts).key.sample for _ in range(2)} == {0, 2}
    with pytest.raises(SandboxError, match=r"lost 1 jobs, first base/d/1/a"):
        next(verdicts)


def test_an_unasked_outcome_is_an_error() -> None:
    with pytest.raises(SandboxError, match="invented"):
        list(grade([completion("right")], PROBLEMS, Careless(invents=True)))


# --- the real sandbox ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    try:
        made = Pool(workers=1)
    except SandboxError as error:
        pytest.skip(f"no sandbox tier here: {error}")
    with made:
        yield made


def test_micros_references_pass_and_its_wrong_programs_fail(pool: Executor) -> None:
    problems = {each.id: each for each in Micro().problems()[:6]}
    assert {test.kind for each in problems.values() for test in each.tests} == {
        "stdin",
        "functional",
    }
    rows = [
        (each.id, code, right)
        for each in problems.values()
        for codes, right in ((each.references, True), (each.wrong, False))
        for code in codes
    ]
    programs = [Program(name, index, code, "given") for index, (name, code, _) in enumerate(rows)]
    verdicts = list(grade_programs(programs, problems, pool))
    assert len(verdicts) == len(rows)
    for verdict in verdicts:
        expected = "passed" if rows[verdict.key.sample][2] else "wrong_answer"
        assert verdict.status == expected, (verdict, rows[verdict.key.sample])


# Both end in `Thread(target=main).start()`. The official checker reads the output when the module's
# code has ended, before the thread prints; plain Python waits for the thread, and all tests pass.
PASS_BUT_FOR_UNJOINED_THREADS = {
    ("1883_C", "o1-preview-2024-09-12", True),
    ("1899_C", "o1-preview-2024-09-12", True),
}


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "lcb_dev_model_outputs.jsonl").exists(),
    reason=f"LiveCodeBench outputs are not in {SHARED}; set SSD_EVAL_SHARED_DATA",
)
def test_verdicts_on_real_outputs_agree_with_the_published_ones(pool: Executor) -> None:
    problems = {each.id: each for each in read(SHARED / "lcb_dev.jsonl").problems()}
    with (SHARED / "lcb_dev_model_outputs.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    programs = [
        Program(row["question_id"], index, found.code, found.rule)
        for index, row in enumerate(rows)
        for found in (extract(row["output"]),)
    ]
    passed = {v.key.sample: v.passed for v in grade_programs(programs, problems, pool)}
    published = {index: row["expected"] == "pass" for index, row in enumerate(rows)}
    differing = {
        (rows[index]["question_id"], rows[index]["author"], passed[index])
        for index in published
        if published[index] != passed[index]
    }
    assert differing == PASS_BUT_FOR_UNJOINED_THREADS
