"""The words every benchmark speaks: TestCase, Problem, Benchmark.

Plain values only. This module does not load data, render prompts or run programs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, Protocol, overload, runtime_checkable

TestKind = Literal["stdin", "functional", "assertion"]
Chosen = Literal["both", "public", "private"]  # which of a problem's tests count
Difficulty = Literal["easy", "medium", "hard"]


class BenchmarkError(ValueError):
    """Bad benchmark data or an unknown benchmark name; the message says the fix."""

    exit_code = 2


@dataclass(frozen=True)
class TestCase:
    """One test of a problem.

    `stdin`: `input` is the text on standard input, `expected` the text on standard output.
    `functional`: `input` is a JSON array of positional arguments, `expected` one JSON value.
    `assertion`: `input` is the trusted check's source, `expected` is empty.
    """

    __test__ = False  # keeps pytest from collecting the class

    kind: TestKind
    input: str
    expected: str
    public: bool = False


class StoredTests(Sequence[TestCase]):
    """Tests that stay packed on disk until one of them is asked for.

    Equal where `digest` is; `kinds` is known without unpacking. Every access may raise
    BenchmarkError.
    """

    kinds: frozenset[TestKind]

    @property
    def digest(self) -> str:
        raise NotImplementedError

    def unpacked(self) -> tuple[TestCase, ...]:
        raise NotImplementedError

    def only(self, chosen: Chosen) -> StoredTests:
        """The same tests, of which others count."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> TestCase: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TestCase, ...]: ...
    def __getitem__(self, index: int | slice) -> TestCase | tuple[TestCase, ...]:
        return self.unpacked()[index]

    def __iter__(self) -> Iterator[TestCase]:
        return iter(self.unpacked())

    def __len__(self) -> int:
        return len(self.unpacked())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredTests) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True)
class Problem:
    """A statement with its tests; `family` names problems that share a cause of success."""

    id: str
    statement: str
    tests: Sequence[TestCase]  # a tuple, or StoredTests
    title: str = ""
    starter_code: str = ""
    entry_point: str | None = None  # the method or function that functional tests call
    difficulty: Difficulty | None = None
    contest_date: str | None = None  # ISO date
    contest_id: str | None = None
    platform: str | None = None
    family: str | None = None
    references: tuple[str, ...] = ()  # programs that pass
    wrong: tuple[str, ...] = ()  # planted programs that fail
    preamble: str = ""  # source that every program starts from: imports and helpers it was given
    continued: bool = False  # the statement is code; the answer goes on where it ends

    @property
    def public_tests(self) -> tuple[TestCase, ...]:
        return tuple(test for test in self.tests if test.public)

    @property
    def kinds(self) -> frozenset[TestKind]:
        """The kinds of its tests; unpacks none."""
        if isinstance(self.tests, StoredTests):
            return self.tests.kinds
        return frozenset(test.kind for test in self.tests)

    def digest(self) -> str:
        """16 hex digits over all that a score depends on; unpacks no tests."""
        values = asdict(replace(self, tests=()))
        if isinstance(self.tests, StoredTests):
            values["tests"] = self.tests.digest
        else:
            values["tests"] = [asdict(each) for each in self.tests]
        text = json.dumps(values, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def content_digest(problems: Sequence[Problem]) -> str:
    """16 hex digits over statements and tests, in order."""
    joined = "".join(problem.digest() for problem in problems)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


@runtime_checkable
class Benchmark(Protocol):
    """What the registry returns. `problems` scores; `prompts` feeds SSD sampling."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def window(self) -> str:
        """Names the exact slice of problems, for example `eval` or `paper-v6`."""
        ...

    def problems(self) -> tuple[Problem, ...]:
        """The evaluation problems, in a fixed order."""
        ...

    def prompts(self) -> tuple[Problem, ...]:
        """The SSD prompt pool, disjoint from `problems`; BenchmarkError where there is none."""
        ...


def identity(benchmark: Benchmark, problems: Sequence[Problem]) -> dict[str, object]:
    """What a result says of the problems it holds for: the slice, the count and the content."""
    return {
        "name": benchmark.name,
        "window": benchmark.window,
        "problems": len(problems),
        "digest": content_digest(problems),
    }
