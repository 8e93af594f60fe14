"""Files of problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_livecodebench import row as livecodebench_row

from benchmarks.base import Benchmark, BenchmarkError, TestCase
from benchmarks.jsonl import read

STDIN = {"kind": "stdin", "input": "1\n", "expected": "1\n"}


def row(**changes: Any) -> dict[str, Any]:
    return {"id": "p", "statement": "Echo.", "tests": [STDIN], **changes}


def write(folder: Path, *lines: object) -> Path:
    path = folder / "problems.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def test_a_full_row_keeps_every_field(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row(
            tests=[
                {**STDIN, "public": True},
                {"kind": "functional", "input": "[1, [2]]", "expected": "null"},
                {"kind": "assertion", "input": "assert f() == 1"},
            ],
            title="Echo",
            starter_code="def f(): ...",
            entry_point="f",
            difficulty="hard",
            contest_date="2025-02-01",
            contest_id="c",
            platform="x",
            family="echo",
            references=["print(input())"],
            wrong=["print()"],
        ),
    )
    benchmark = read(path)
    assert isinstance(benchmark, Benchmark)
    (problem,) = benchmark.problems()
    assert problem.tests == (
        TestCase("stdin", "1\n", "1\n", public=True),
        TestCase("functional", "[1, [2]]", "null"),
        TestCase("assertion", "assert f() == 1", ""),
    )
    assert (problem.starter_code, problem.entry_point) == ("def f(): ...", "f")
    assert (problem.difficulty, problem.contest_date) == ("hard", "2025-02-01")
    assert (problem.family, problem.contest_id, problem.platform) == ("echo", "c", "x")
    assert (problem.references, problem.wrong) == (("print(input())",), ("print()",))


def test_both_schemas_may_stand_in_one_file_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, row(), "", livecodebench_row(), row(id="q"))
    assert [problem.id for problem in read(path).problems()] == ["p", "abc_a", "q"]


def test_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(row()).encode() + b"\r\n\r\n")
    assert len(read(path).problems()) == 1


def test_the_window_follows_the_content(tmp_path: Path) -> None:
    first = read(write(tmp_path, row())).window
    assert read(write(tmp_path, row())).window == first
    assert read(write(tmp_path, row(statement="Echo!"))).window != first


def test_a_file_has_no_prompts(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"problems\.jsonl has no SSD prompt pool"):
        read(write(tmp_path, row())).prompts()


BAD_LINES = {
    "corrupt": ('{"id": "p", ', "not JSON"),
    "array": ("[1]", "a JSON list, not an object"),
    "neither schema": ({"task": 1}, "the field 'id' is missing"),
    "missing statement": ({"id": "p", "tests": [STDIN]}, "'statement' is missing"),
    "missing expected": (row(tests=[{"kind": "stdin", "input": ""}]), r"tests\.0: .*'expected'"),
    "misspelt": (row(famly="x"), "'famly' is unknown"),
    "misspelt in a test": (row(tests=[{**STDIN, "pubic": True}]), r"'tests\.0\.pubic' is unknown"),
    "no tests": (row(tests=[]), "p: it has no tests"),
    "no tests, LiveCodeBench": (
        livecodebench_row(public_test_cases="[]", private_test_cases="[]"),
        "abc_a: it has no tests",
    ),
    "unknown kind": (row(tests=[{**STDIN, "kind": "interactive"}]), "kind: .*'interactive'"),
    "undecodable": (
        livecodebench_row(private_test_cases="?"),
        "abc_a: the tests cannot be decoded",
    ),
    "no function": (
        row(tests=[{"kind": "functional", "input": "[]", "expected": "1"}]),
        "no function to call; name it in entry_point",
    ),
    "arguments no array": (
        row(entry_point="f", tests=[{"kind": "functional", "input": "1", "expected": "1"}]),
        "input must be a JSON array",
    ),
    "expected no JSON": (
        row(entry_point="f", tests=[{"kind": "functional", "input": "[]", "expected": "True"}]),
        "must be JSON texts",
    ),
    "number as text": (row(tests=[{**STDIN, "expected": 1}]), r"tests\.0\.expected: .*not 1"),
    "empty id": (row(id=""), "id: "),
    "deep": ('{"id": ' + "[" * 100_000, "not JSON"),
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_named_in_one_line(tmp_path: Path, line: object, message: str) -> None:
    path = write(tmp_path, row(id="fine"), "", line)
    with pytest.raises(BenchmarkError, match=rf"problems\.jsonl:3: .*{message}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_duplicate_id_is_named_at_its_second_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r":2: the id 'p' came before"):
        read(write(tmp_path, row(), row()))


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_bytes(json.dumps(row()).encode() + b'\n{"id": "\xff"}\n')
    with pytest.raises(BenchmarkError, match=":2: not UTF-8"):
        read(path)


@pytest.mark.parametrize("lines", [(), ("", "  ")])
def test_an_empty_file_is_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(BenchmarkError, match="holds no problems"):
        read(write(tmp_path, *lines))


def test_an_unreadable_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"gone\.jsonl: No such file"):
        read(tmp_path / "gone.jsonl")
    with pytest.raises(BenchmarkError, match="Is a directory"):
        read(tmp_path)
