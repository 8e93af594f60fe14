"""The words the sandbox speaks: Limits, Test, Job, Outcome, Executor.

Plain values only: nothing here starts a process, and nothing here knows benchmarks or models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

Status = Literal[
    "passed",
    "wrong_answer",
    "runtime_error",
    "time_limit",
    "memory_limit",
    "output_limit",
    "compile_error",
    "no_code",
    "infra_error",  # ours, never the program's
]
Kind = Literal["stdin", "functional", "assertion"]
Tier = Literal["A", "B", "C"]
# Whose rules decide: ours; LiveCodeBench's checker; the paper's released scorer (apple/ml-ssd).
Profile = Literal["faithful", "official", "ml-ssd"]
PROFILES: tuple[Profile, ...] = get_args(Profile)


class SandboxError(RuntimeError):
    """The sandbox cannot be set up or lost all its workers; the message says the fix."""

    exit_code = 2


@dataclass(frozen=True)
class Limits:
    """Per test. Sizes in MiB, times in seconds (design.md, "Defaults that decide verdicts")."""

    cpu_s: float = 6.0
    memory_mb: int = 1024
    stack_mb: int = 256
    output_mb: int = 64
    box_mb: int = 64

    @property
    def wall_s(self) -> float:
        return 3 * self.cpu_s + 1


@dataclass(frozen=True)
class Test:
    """`stdin`: text in, text out. `functional`: JSON array of arguments in, JSON value out.

    `assertion`: `input` is the source of a check that calls the program; nothing is expected but
    that it ends normally. A job's tests are all checks, or none is.
    """

    __test__ = False

    kind: Kind
    input: str
    expected: str


@dataclass(frozen=True)
class Job:
    """One program against one problem's tests. `key` comes back in the Outcome untouched."""

    key: str
    source: str
    tests: tuple[Test, ...]
    entry_point: str | None = None  # needed by functional tests; may help a check
    limits: Limits = field(default_factory=Limits)
    all_tests: bool = False  # False: the first failing test ends the program
    keep_outputs: bool = False  # Outcome.outputs is filled (profile faithful only)
    profile: Profile = "faithful"  # any other ends at the first failing test
    float_tolerance: float = (
        0.0  # of returned values, relative and absolute (profile faithful only)
    )


@dataclass(frozen=True)
class Outcome:
    """What happened. `detail` is one line for a person (exception, first differing line...)."""

    key: str
    status: Status
    detail: str = ""
    cpu_s: float = 0.0  # summed over the tests that ran
    wall_s: float = 0.0
    memory_mb: float = 0.0  # the largest over tests, above the zygote's baseline
    tests_passed: int = 0
    tests: int = 0
    failed_test: int | None = None  # index of the first test that failed
    flaky: bool = False  # stopped for want of CPU or memory, and not so in a second try alone
    # What the program answered in each test that ran, hashed; "" where it did not end normally.
    outputs: tuple[str, ...] = ()


class Answers(Protocol):
    """Where outcomes go: a queue, whose `put` may be called from any thread."""

    def put(self, item: Outcome | BaseException, /) -> None: ...


class Executor(Protocol):
    """Anything that grades jobs. Our own is `sandbox.pool.Pool`."""

    @property
    def tier(self) -> Tier: ...

    def describe(self) -> dict[str, object]:
        """The verdict profile: tier, limits, interpreter version, importable modules."""
        ...

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yields outcomes as they finish, in any order; pulls jobs lazily (back-pressure)."""
        ...

    def submit(self, job: Job, answers: Answers) -> None:
        """Returns at once; the outcome, or an error of the executor's, is put into `answers`."""
        ...

    def cpu_seconds(self) -> float:
        """CPU that all jobs so far took, with what runs them; grows while they run."""
        ...

    def close(self) -> None: ...
