"""Files of problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_livecodebench import row as livecodebench_row

from benchmarks import jsonl
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
            preamble="import os",
            continued=True,
        ),
    )
    benchmark = read(path)
    assert isinstance(benchmark, Benchmark)
    (problem,) = benchmark.problems()
    assert problem.tests == (
        TestCase("stdin", "1\n", "1\n", public=True),
        TestCase("functional", "[1, [2]]", "null"),
    )
    assert (problem.starter_code, problem.entry_point) == ("def f(): ...", "f")
    assert (problem.difficulty, problem.contest_date) == ("hard", "2025-02-01")
    assert (problem.family, problem.contest_id, problem.platform) == ("echo", "c", "x")
    assert (problem.preamble, problem.continued) == ("import os", True)
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
    "mixed kinds": (
        row(tests=[STDIN, {"kind": "assertion", "input": "f()"}]),
        "p: assertion tests beside others",
    ),
    "MBPP without tests": ({"task_id": 1, "code": "", "test_list": []}, "task 1: test_list"),
    "MBPP without Python": (
        {"task_id": 1, "text": "", "code": "def", "test_list": ["assert f()"]},
        "task 1: no Python",
    ),
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


def mbpp(**changes: Any) -> dict[str, Any]:
    return {
        "task_id": 7, "text": "Add.", "code": "import sys\ndef sum(a, b):\n    return a + b\n",
        "test_list": ["assert sum(1, 2) == 3", "assert sum(sys.maxsize, 0) == sys.maxsize"],
        "test_setup_code": "x = 1", "challenge_test_list": ["assert 0"], **changes,
    }  # fmt: skip


def test_an_mbpp_row_is_one_check_that_the_statement_shows(tmp_path: Path) -> None:
    (problem,) = read(write(tmp_path, mbpp())).problems()
    assert (problem.id, problem.entry_point) == ("MBPP/7", "sum")
    (test,) = problem.tests
    assert test.input == (
        "import sys\nx = 1\nassert sum(1, 2) == 3\nassert sum(sys.maxsize, 0) == sys.maxsize"
    )
    assert problem.statement == (
        "Add.\nYour code should pass these tests:\n\n"
        "assert sum(1, 2) == 3\nassert sum(sys.maxsize, 0) == sys.maxsize"
    )
    assert problem.references == (mbpp()["code"],)


def test_a_json_array_is_read_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "sanitized.json"
    sanitized = {k: v for k, v in mbpp(prompt="Do.", test_imports=["import math"]).items()
                 if k not in ("text", "test_setup_code")}  # fmt: skip
    path.write_text(json.dumps([sanitized, row()], indent=1))
    first, second = read(path).problems()
    assert first.statement.startswith("Do.\n")
    assert "import math" in first.tests[0].input
    assert second.id == "p"
    path.write_text(json.dumps([row(), {"id": 1}]))
    with pytest.raises(BenchmarkError, match=r"sanitized\.json: entry 1: "):
        read(path)
    for content, says in (("[{", "not JSON"), ("{}", "no JSON array")):
        path.write_text(content)
        with pytest.raises(BenchmarkError, match=says):
            read(path)


SCHEMA = json.loads((Path(jsonl.__file__).parent / "problem.schema.json").read_text())
CALL = {"kind": "functional", "input": "[]", "expected": "1"}
GOOD_ROWS = [
    row(), row(tests=[CALL], entry_point="f"), row(tests=[{"kind": "assertion", "input": "f()"}]),
    row(title="t", starter_code="s", entry_point=None, difficulty=None, contest_date="2025-02-01",
        contest_id="c", platform=None, family="f", references=["x"], wrong=[], preamble="",
        continued=False),
]  # fmt: skip
STRUCTURAL = [
    "missing expected", "misspelt", "misspelt in a test", "no tests", "unknown kind", "no function",
    "number as text", "empty id", "mixed kinds", "missing statement",
]  # fmt: skip


def valid(value: object) -> bool:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(value))


@pytest.mark.parametrize("number", range(len(GOOD_ROWS)))
def test_the_schema_accepts_what_is_read(tmp_path: Path, number: int) -> None:
    read(write(tmp_path, GOOD_ROWS[number]))
    assert valid(GOOD_ROWS[number])


@pytest.mark.parametrize("name", STRUCTURAL)
def test_the_schema_refuses_what_is_refused(name: str) -> None:
    assert not valid(BAD_LINES[name][0])


def test_the_schema_names_every_field_that_is_read() -> None:
    assert set(SCHEMA["properties"]) == set(jsonl.Row.model_fields)
    assert set(SCHEMA["$defs"]["test"]["properties"]) == set(jsonl.TestRow.model_fields)


@pytest.mark.parametrize("lines", [(), ("", "  ")])
def test_an_empty_file_is_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(BenchmarkError, match="holds no problems"):
        read(write(tmp_path, *lines))


def test_an_unreadable_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"gone\.jsonl: No such file"):
        read(tmp_path / "gone.jsonl")
    with pytest.raises(BenchmarkError, match="Is a directory"):
        read(tmp_path)
