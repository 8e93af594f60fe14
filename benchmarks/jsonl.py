"""`--benchmark problems.jsonl`: a file of problems, one JSON object a line, as a Benchmark.

A .json file holds the same objects in one array. Three schemas, told apart by their fields:
LiveCodeBench's rows (`livecodebench`), MBPP's (`mbpp`), and our own, of which `problem.schema.json`
is the JSON Schema:

    id            text, unique in the file
    statement     text: what the model is asked
    tests         list of one or more {"kind", "input", "expected", "public"}
                  kind "stdin":      input and expected are texts
                  kind "functional": input is the text of a JSON array of arguments, expected the
                                     text of one JSON value; the problem needs an entry_point
                  kind "assertion":  input is the source of a check; no expected
                  public (default false) marks the examples that the statement shows
    optional      title, starter_code, entry_point, difficulty ("easy", "medium", "hard"),
                  contest_date (ISO), contest_id, platform, family (problems that share one are not
                  independent), references (programs that pass), wrong (programs that fail),
                  preamble (source put before every program), continued (true: the statement is
                  code that a base model goes on from)

Unknown fields of our own schema are refused, so that a misspelt one is not lost. Blank lines are
skipped. Nothing is run here: whether references pass is `ssd-eval validate`'s business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from benchmarks import lcb_rows, livecodebench, mbpp
from benchmarks.base import BenchmarkError, Difficulty, Problem, TestCase, TestKind


class TestRow(BaseModel):
    __test__ = False  # keeps pytest from collecting the class
    model_config = ConfigDict(extra="forbid")

    kind: TestKind
    input: str
    expected: str | None = None
    public: StrictBool = False


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1)
    statement: str
    tests: list[TestRow]
    title: str = ""
    starter_code: str = ""
    entry_point: str | None = None
    difficulty: Difficulty | None = None
    contest_date: date | None = None
    contest_id: str | None = None
    platform: str | None = None
    family: str | None = None
    references: list[str] = []
    wrong: list[str] = []
    preamble: str = ""
    continued: StrictBool = False


@dataclass(frozen=True)
class FileBenchmark:
    """The problems of one file, read and checked. The window is a hash of its lines."""

    name: str
    description: str
    window: str
    rows: tuple[Problem, ...]

    def problems(self) -> tuple[Problem, ...]:
        return self.rows

    def prompts(self) -> tuple[Problem, ...]:
        raise BenchmarkError(
            f"{self.name} has no SSD prompt pool: a file's problems are for scoring; "
            "give a file of other prompts with --prompts"
        )


def read(path: Path) -> FileBenchmark:
    """The benchmark in `path`. Raises BenchmarkError that names the file and the line."""
    digest = hashlib.sha256()
    problems: dict[str, Problem] = {}
    for name, line, place in _lines(path):
        digest.update(line)
        try:
            problem = _problem(line, place)
            if problem.id in problems:
                raise BenchmarkError(f"the id {problem.id!r} came before; make the ids unique")
        except BenchmarkError as error:
            raise BenchmarkError(f"{name}: {error}") from error
        problems[problem.id] = problem
    if not problems:
        raise BenchmarkError(f"{path} holds no problems; give one JSON object a line")
    return FileBenchmark(
        name=path.name,
        description=f"{len(problems)} problems of {path}",
        window=f"sha256-{digest.hexdigest()[:16]}",
        rows=tuple(problems.values()),
    )


def _lines(path: Path) -> Iterator[tuple[str, bytes, lcb_rows.Place | None]]:
    """What to call each row, its JSON, and its place; an entry of a .json array has no place."""
    if path.suffix != ".json":
        yield from ((str(place), line, place) for place, line in lcb_rows.lines(path))
        return
    try:
        rows = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise BenchmarkError(f"{path}: {error.strerror}; give a readable file") from error
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path}: not JSON ({error}); write one array of objects") from error
    if not isinstance(rows, list):
        raise BenchmarkError(f"{path}: no JSON array; write one array, or a .jsonl file")
    for number, row in enumerate(rows):
        yield f"{path}: entry {number}", json.dumps(row).encode(), None


def _problem(line: bytes, place: lcb_rows.Place | None) -> Problem:
    row = lcb_rows.parsed(line)
    if livecodebench.is_row(row):
        return lcb_rows.problem(row, place) if place else livecodebench.problem(row)
    problem = mbpp.problem(row) if mbpp.is_row(row) else _own(row)
    _check(problem)
    return problem


def _own(row: dict[str, object]) -> Problem:
    try:
        fields = Row.model_validate(row)
    except ValidationError as error:
        raise BenchmarkError(livecodebench.named(row.get("id"), error)) from error
    return Problem(
        id=fields.id,
        statement=fields.statement,
        tests=tuple(_case(fields.id, index, test) for index, test in enumerate(fields.tests)),
        title=fields.title,
        starter_code=fields.starter_code,
        entry_point=fields.entry_point,
        difficulty=fields.difficulty,
        contest_date=fields.contest_date.isoformat() if fields.contest_date else None,
        contest_id=fields.contest_id,
        platform=fields.platform,
        family=fields.family,
        references=tuple(fields.references),
        wrong=tuple(fields.wrong),
        preamble=fields.preamble,
        continued=fields.continued,
    )


def _case(problem_id: str, index: int, test: TestRow) -> TestCase:
    where = f"{problem_id}: tests.{index}"
    if test.expected is None and test.kind != "assertion":
        raise BenchmarkError(f"{where}: the field 'expected' is missing; add it")
    if test.kind == "functional":
        _check_functional(where, test)
    return TestCase(test.kind, test.input, test.expected or "", test.public)


def _check_functional(where: str, test: TestRow) -> None:
    try:
        arguments = json.loads(test.input)
        json.loads(test.expected or "")
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{where}: input and expected must be JSON texts ({error})") from error
    if not isinstance(arguments, list):
        raise BenchmarkError(f"{where}: input must be a JSON array, one element an argument")


def _check(problem: Problem) -> None:
    if not problem.tests:
        raise BenchmarkError(f"{problem.id}: it has no tests, so that nothing could fail; add some")
    kinds = {test.kind for test in problem.tests}
    if "assertion" in kinds and len(kinds) > 1:
        raise BenchmarkError(f"{problem.id}: assertion tests beside others; make it two problems")
    if problem.entry_point is None and any(test.kind == "functional" for test in problem.tests):
        raise BenchmarkError(
            f"{problem.id}: functional tests but no function to call; "
            "name it in entry_point (LiveCodeBench: metadata.func_name)"
        )
