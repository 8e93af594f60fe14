"""Completions -> programs -> jobs -> verdicts: the only place where benchmarks meet the sandbox.

Keeps no files (`store`) and computes no scores (`metrics`). What decides a verdict: the problem's
tests, the program, the limits and the machine; the text around the program plays no part.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import astuple, dataclass
from functools import cached_property

from benchmarks.base import BenchmarkError, Problem, TestCase
from benchmarks.extract import Extractor, program, with_preamble
from sandbox.base import Executor, Job, Limits, Outcome, Profile, SandboxError, Test
from ssd_eval.errors import UsageError
from ssd_eval.interchange import Program
from ssd_eval.records import Completion, SampleKey, Verdict

Cache = MutableMapping[str, Outcome]  # a plain dict serves; keys are digests of all that decides

DEFAULT_LIMITS = Limits()
HELD_CHARACTERS = 1 << 27  # of unpacked tests, beside those of jobs that run
NO_CODE_DETAIL = {
    "unfinished-thinking": "the text ends inside <think>",
    "given": "the program is empty",
}


def grade(
    completions: Iterable[Completion],
    problems: Mapping[str, Problem],
    executor: Executor,
    *,
    limits: Limits = DEFAULT_LIMITS,
    all_tests: bool = False,
    profile: Profile = "faithful",
    extractor: Extractor = "ours",
    cache: Cache | None = None,
) -> Iterator[Verdict]:
    """One verdict for each completion, in any order; completions are pulled as workers fall free.

    Identical (problem, program) pairs run once, also across calls that share a `cache`; an
    infra_error is never reused. A text without a program is `no_code` and runs nothing. Raises
    UsageError for a completion of a problem that is not in `problems`, BenchmarkError for a problem
    that cannot be graded, SandboxError when the executor loses jobs.
    """
    samples = (sample_of(completion, problems, extractor) for completion in completions)
    ledger = Ledger(problems, limits, all_tests=all_tests, cache=cache, profile=profile)
    return _graded(samples, ledger, executor)


def grade_programs(
    programs: Iterable[Program],
    problems: Mapping[str, Problem],
    executor: Executor,
    *,
    limits: Limits = DEFAULT_LIMITS,
    all_tests: bool = False,
    profile: Profile = "faithful",
    float_tolerance: float = 0.0,
    cache: Cache | None = None,
) -> Iterator[Verdict]:
    """As `grade`, for programs from a file; the verdicts' keys hold no checkpoint or decoding."""
    samples = (
        Sample(SampleKey("", each.problem_id, "", each.sample), each.code, each.rule)
        for each in programs
    )
    ledger = Ledger(
        problems,
        limits,
        all_tests=all_tests,
        cache=cache,
        profile=profile,
        float_tolerance=float_tolerance,
    )
    return _graded(samples, ledger, executor)


def check_gradable(problem: Problem) -> None:
    """Raises BenchmarkError, naming the problem, where a verdict on it would be impossible.

    `grade` does this too, but only when the problem's first completion is there.
    """
    kinds = problem.kinds
    if "assertion" in kinds and len(kinds) > 1:
        raise BenchmarkError(
            f"{problem.id}: tests of the kind 'assertion' beside others; "
            "make it two problems, or write all of its tests as checks"
        )
    if not kinds:
        raise BenchmarkError(f"{problem.id}: it has no tests, so that nothing could fail; add some")
    if "functional" in kinds and not problem.entry_point:
        raise BenchmarkError(
            f"{problem.id}: functional tests but no entry_point; name the function"
        )


def counted_tests(problem: Problem, profile: Profile) -> tuple[TestCase, ...]:
    """The tests that count: for ml-ssd the private ones alone, where there are any."""
    tests = tuple(problem.tests)
    private = tuple(test for test in tests if not test.public)
    return private if profile == "ml-ssd" and private else tests


@dataclass(frozen=True)
class Sample:
    """A program to grade, or None where its text holds none."""

    key: SampleKey
    code: str | None
    rule: str
    cut_off: bool = False


def sample_of(
    completion: Completion, problems: Mapping[str, Problem], extractor: Extractor = "ours"
) -> Sample:
    """The program in the text."""
    found = program(completion.text, problems.get(completion.key.problem_id), extractor)
    return Sample(completion.key, found.code, found.rule, completion.finish == "length")


@dataclass(frozen=True)
class _Prepared:
    """A problem, checked, with its tests as the sandbox wants them."""

    problem: Problem
    tests: tuple[Test, ...]
    digest: str  # of all that decides a verdict beside the program

    @cached_property
    def characters(self) -> int:
        return sum(len(test.input) + len(test.expected) for test in self.tests)


class _Jobs:
    """Samples to jobs. A problem is checked, converted and hashed once for a row of its samples.

    All samples share its tests; those of earlier problems go when they take too much memory.
    """

    def __init__(
        self,
        problems: Mapping[str, Problem],
        limits: Limits,
        all_tests: bool,
        profile: Profile = "faithful",
        float_tolerance: float = 0.0,
    ) -> None:
        self.problems = problems
        self.limits = limits
        self.all_tests = all_tests
        self.profile: Profile = profile
        self.float_tolerance = float_tolerance
        self._prepared: dict[str, _Prepared] = {}

    def prepared(self, sample: Sample) -> _Prepared:
        name = sample.key.problem_id
        if name not in self._prepared:
            if name not in self.problems:
                raise UsageError(
                    f"a completion of problem {name!r}, which the benchmark lacks; "
                    "grade it with the benchmark it was sampled from"
                )
            self._prepared[name] = self._prepare(self.problems[name])
            self._forget_oldest()
        return self._prepared[name]

    def _forget_oldest(self) -> None:
        held = sum(each.characters for each in self._prepared.values())
        while held > HELD_CHARACTERS and len(self._prepared) > 1:
            held -= self._prepared.pop(next(iter(self._prepared))).characters

    def job(self, prepared: _Prepared, source: str) -> Job:
        source = with_preamble(prepared.problem, source)
        # A lone surrogate is a program like any other here; the sandbox decides what it is.
        program = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
        return Job(
            key=f"{prepared.digest}/{program}",
            source=source,
            tests=prepared.tests,
            entry_point=prepared.problem.entry_point,
            limits=self.limits,
            all_tests=self.all_tests,
            profile=self.profile,
            float_tolerance=self.float_tolerance,
        )

    def _prepare(self, problem: Problem) -> _Prepared:
        check_gradable(problem)
        tests = tuple(
            Test(test.kind, test.input, test.expected)
            for test in counted_tests(problem, self.profile)
        )
        settings = (self.all_tests, self.profile, self.float_tolerance)
        decides = repr((problem.digest(), astuple(self.limits), *settings))
        return _Prepared(problem, tests, hashlib.sha256(decides.encode()).hexdigest())


class Ledger:
    """Which samples wait for which job, and the outcomes known so far; for one thread at a time.

    Identical (problem, program) pairs have one job. `cache` is used and filled.
    """

    def __init__(
        self,
        problems: Mapping[str, Problem],
        limits: Limits = DEFAULT_LIMITS,
        *,
        all_tests: bool = False,
        cache: Cache | None = None,
        profile: Profile = "faithful",
        float_tolerance: float = 0.0,
        extractor: Extractor = "ours",
    ) -> None:
        self.extractor: Extractor = extractor
        self._jobs = _Jobs(problems, limits, all_tests, profile, float_tolerance)
        self._known: Cache = {} if cache is None else cache
        self._waiting: dict[str, list[Sample]] = {}  # by job key

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._jobs.problems

    @property
    def waiting(self) -> int:
        """Jobs without an outcome."""
        return len(self._waiting)

    def enter(self, sample: Sample) -> Job | Verdict | None:
        """The job to run, or the verdict where none is needed; None where it runs already."""
        prepared = self._jobs.prepared(sample)
        if sample.code is None:
            return _no_code(sample, prepared, self._jobs.profile)
        job = self._jobs.job(prepared, sample.code)
        if job.key in self._known:
            return _verdict(sample, self._known[job.key], self._jobs.profile)
        if job.key in self._waiting:
            self._waiting[job.key].append(sample)
            return None
        self._waiting[job.key] = [sample]
        return job

    def settle(self, outcome: Outcome) -> Iterator[Verdict]:
        """The verdicts of all samples that waited for this. Raises SandboxError for a stranger."""
        samples = self._waiting.pop(outcome.key, None)
        if samples is None:
            raise SandboxError(f"the executor answered the job {outcome.key}, which was not asked")
        if outcome.status != "infra_error":
            self._known[outcome.key] = outcome
        return (_verdict(sample, outcome, self._jobs.profile) for sample in samples)

    def check_empty(self) -> None:
        """Raises SandboxError where jobs never got an outcome."""
        if self._waiting:
            lost = next(iter(self._waiting.values()))[0].key.text()
            raise SandboxError(
                f"the executor lost {len(self._waiting)} jobs, first {lost}; run again"
            )


def _graded(samples: Iterable[Sample], ledger: Ledger, executor: Executor) -> Iterator[Verdict]:
    ready: deque[Verdict] = deque()  # decided without a run of their own

    def pulled() -> Iterator[Job]:
        for sample in samples:
            entered = ledger.enter(sample)
            if isinstance(entered, Job):
                yield entered
            elif entered is not None:
                ready.append(entered)

    for outcome in executor.run(pulled()):
        yield from ledger.settle(outcome)
        while ready:
            yield ready.popleft()
    yield from ready
    ledger.check_empty()


def _no_code(sample: Sample, prepared: _Prepared, profile: Profile) -> Verdict:
    detail = NO_CODE_DETAIL.get(sample.rule, "no code block in the text")
    if sample.cut_off:
        detail += ", which was cut off by the token limit"
    tests = len(prepared.tests)
    return Verdict(sample.key, "no_code", detail, sample.rule, 0.0, 0, tests, profile=profile)


def _verdict(sample: Sample, outcome: Outcome, profile: Profile) -> Verdict:
    return Verdict(
        key=sample.key,
        status=outcome.status,
        detail=outcome.detail,
        rule=sample.rule,
        cpu_s=outcome.cpu_s,
        tests_passed=outcome.tests_passed,
        tests=outcome.tests,
        failed_test=outcome.failed_test,
        flaky=outcome.flaky,
        profile=profile,
    )
