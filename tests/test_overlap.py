"""Grading beside sampling: prompt, complete, stopped at once, and never a verdict twice or lost."""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.base import Problem, TestCase
from sandbox.base import Answers, Job, Limits, Outcome, SandboxError
from sandbox.pool import Pool
from ssd_eval import stages
from ssd_eval.backends.base import Request
from ssd_eval.backends.fake import FakeBackend, Script
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import BackendError, RunFolderError, SsdEvalError
from ssd_eval.grade import Ledger
from ssd_eval.overlap import Grading
from ssd_eval.progress import Bars, Silent
from ssd_eval.records import Completion, Verdict
from ssd_eval.sample import plan, sample
from ssd_eval.store import RunStore

LIMITS = Limits(cpu_s=2, memory_mb=256)
PROBLEMS = {
    name: Problem(id=name, statement="", tests=(TestCase("stdin", "1", "1", public=True),))
    for name in ("a", "b")
}
RIGHT, WRONG = "```python\nprint(input())\n```", "```python\nprint(2)\n```"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(1, LIMITS) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore.open(tmp_path / "run", digest="d", manifest={}) as opened:
        yield opened


def requests(backend: FakeBackend, samples: int = 3) -> list[Request]:
    return plan(
        list(PROBLEMS.values()), DecodingConfig(1.0), samples=samples, max_tokens=500, seed=0,
        backend=backend,
    )  # fmt: skip


def scored(store: RunStore, pool: Pool, script: Script, samples: int = 3) -> list[Request]:
    backend = FakeBackend(script)
    asked = requests(backend, samples)
    scoring = stages.Scoring(pool, PROBLEMS, LIMITS)
    stages.score(store, backend, asked, scoring, Silent(), "base")
    return asked


def completions(script: Script, samples: int = 3) -> list[Completion]:
    backend = FakeBackend(script)
    return list(sample(backend, requests(backend, samples)))


def waited(condition: object, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.01)
    return bool(done)


def test_a_verdict_is_kept_while_the_next_completion_is_still_sampled(
    store: RunStore, pool: Pool
) -> None:
    seen: list[bool] = []

    def script(request: Request) -> str:
        if request.key.sample == 1:
            seen.append(waited(lambda: any(k.sample == 0 for k in store.verdicts)))
        return (RIGHT, WRONG, "no program")[request.key.sample]

    asked = scored(store, pool, script)
    assert seen == [True, True]
    found = [store.verdicts[request.key].status for request in asked]
    assert found == ["passed", "wrong_answer", "no_code"] * 2


def test_what_is_sampled_but_not_graded_is_graded_and_nothing_is_done_twice(
    store: RunStore, pool: Pool
) -> None:
    drawn = completions({"a": [RIGHT], "b": [WRONG]})
    for each in drawn[:4]:
        store.add_completion(each)
    asked = scored(store, pool, {"a": [RIGHT], "b": [WRONG]})
    kept = {name: store.path(name).read_bytes() for name in ("completions.jsonl", "verdicts.jsonl")}
    assert [len(text.splitlines()) for text in kept.values()] == [6, 6]
    scored(store, pool, {"a": [RIGHT], "b": [WRONG]})
    assert all(store.path(name).read_bytes() == text for name, text in kept.items())
    assert {request.key for request in asked} == set(store.verdicts)


def test_seconds_and_grading_cpu_are_written_down(store: RunStore, pool: Pool) -> None:
    burn = "```python\nx = sum(range(10**7))\nprint(input())\n```"
    scored(store, pool, {"a": [burn], "b": [burn]}, samples=1)
    seconds, cpu = store.manifest["seconds"], store.manifest["cpu_seconds"]
    assert seconds["grade base"] >= seconds["sample base"] > 0
    assert 0.1 < cpu["grade base"] < 10
    assert cpu["grade base"] >= 0.8 * sum(each.cpu_s for each in store.verdicts.values())


def test_an_error_of_sampling_stops_grading_at_once_and_loses_nothing(
    store: RunStore, pool: Pool
) -> None:
    slow = "```python\nimport time\ntime.sleep(5)\n```"
    backend = FakeBackend({"a": [slow], "b": [slow]}, fail_after=2)
    started = time.monotonic()
    with pytest.raises(BackendError):
        stages.score(
            store, backend, requests(backend), stages.Scoring(pool, PROBLEMS, LIMITS), Silent(),
            "base",
        )  # fmt: skip
    assert time.monotonic() - started < 3
    assert (len(store.completions), len(store.verdicts)) == (2, 0)
    assert not [t for t in threading.enumerate() if t.name == "grading"]
    scored(store, pool, {"a": [RIGHT], "b": [RIGHT]})


def test_a_full_disk_met_by_grading_ends_sampling(
    store: RunStore, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(verdict: Verdict) -> None:
        raise RunFolderError("no room")

    def script(request: Request) -> str:
        if request.key == asked[1].key:
            waited(lambda: not [t for t in threading.enumerate() if t.name == "grading"])
        return RIGHT

    backend = FakeBackend(script)
    asked = requests(backend)
    monkeypatch.setattr(store, "add_verdict", full)
    with pytest.raises(RunFolderError, match="no room"):
        stages.score(
            store, backend, asked, stages.Scoring(pool, PROBLEMS, LIMITS), Silent(), "base"
        )
    assert len(store.completions) == 2


class Counting:
    """Answers by hand."""

    tier = "A"

    def __init__(self, status: str = "passed") -> None:
        self.jobs: list[Job] = []
        self.answers: Answers = queue.SimpleQueue()
        self.status = status

    def submit(self, job: Job, answers: Answers) -> None:
        self.jobs.append(job)
        self.answers = answers

    def cpu_seconds(self) -> float:
        return 0.0

    def answer(self, number: int = 0) -> None:
        self.answers.put(Outcome(self.jobs[number].key, self.status))  # type: ignore[arg-type]


def test_identical_programs_run_once_and_all_get_their_verdict() -> None:
    executor, kept = Counting(), list[Verdict]()
    with Grading(Ledger(PROBLEMS), executor, kept.append) as grading:  # type: ignore[arg-type]
        for each in completions({"a": [RIGHT], "b": [RIGHT]}):
            grading.add(each)
        assert waited(lambda: len(executor.jobs) == 2)
        executor.answer(0)
        executor.answer(1)
        grading.finish()
    assert len(executor.jobs) == 2
    assert [each.status for each in kept] == ["passed"] * 6
    assert len({each.key for each in kept}) == 6


@pytest.mark.parametrize(
    "answer", [SandboxError("lost"), KeyboardInterrupt(), Outcome("stranger", "passed")]
)
def test_what_is_wrong_with_the_executor_reaches_the_caller(
    answer: BaseException | Outcome,
) -> None:
    executor = Counting()
    error = type(answer) if isinstance(answer, BaseException) else SandboxError
    with Grading(Ledger(PROBLEMS), executor, lambda verdict: None) as grading:  # type: ignore[arg-type]
        grading.add(completions({"a": [RIGHT], "b": [RIGHT]})[0])
        assert waited(lambda: executor.jobs)
        executor.answers.put(answer)
        with pytest.raises(error):
            grading.finish()


def test_a_sandbox_that_fails_everywhere_ends_the_run_with_the_fix(
    store: RunStore, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(job: Job, answers: Answers) -> None:
        answers.put(Outcome(job.key, "infra_error", "no mounts"))

    monkeypatch.setattr(pool, "submit", lost)
    with pytest.raises(SsdEvalError, match=r"no mounts.*doctor"):
        scored(store, pool, {"a": [RIGHT], "b": [RIGHT]})
    assert len(store.completions) == 6


def test_two_stages_at_once_have_a_bar_each() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, no_color=True)
    bars = Bars(console)
    with bars.stage("grade base", 4, 1) as grade, bars.stage("sample base", 4) as sampled:
        grade.advance(note="50% pass")
        sampled.advance(note="9 tok/s")
        assert bars._live
        bars._live.refresh()
    with bars.stage("train", 2) as third:
        third.advance(2)
    for words in ("2/4", "1/4", "grade base: 4 in", "sample base: 4 in", "train: 2 in"):
        assert words in out.getvalue()
