"""`ssd-eval score`: bad problems are an error that names them, bad programs get a verdict."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

import cli
from sandbox.base import PROFILES

STDIN = {"input": "1\n", "output": "1\n", "testtype": "stdin"}
OURS = {"kind": "stdin", "input": "1\n", "expected": "1\n"}


def packed(tests: object) -> str:
    data = pickle.dumps(json.dumps(tests))
    return base64.b64encode(zlib.compress(data)).decode()


def row(public: object = (), private: str = "[]", **more: Any) -> dict[str, Any]:
    return {
        "question_id": "p-17",
        "question_content": "Echo.",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": "{}",
        **more,
    }


def own(*tests: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "p-17", "statement": "Echo.", "tests": list(tests), **more}


BAD_PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "no tests at all": (row(), "no tests"),
    "no tests in the pickle": (row(private=packed([])), "no tests"),
    "our schema without tests": (own(), "no tests"),
    "no base64": (row([STDIN], private="%%%"), "cannot be decoded"),
    "no zlib": (row([STDIN], private=base64.b64encode(b"x" * 40).decode()), "cannot be decoded"),
    "cut short": (row([STDIN], private=packed([STDIN] * 9)[:-24]), "cannot be decoded"),
    "a pickle that calls": (
        row([STDIN], private=base64.b64encode(zlib.compress(b"cos\ngetpid\n(tR.")).decode()),
        "cannot be decoded",
    ),
    "no JSON in the pickle": (
        row([STDIN], private=base64.b64encode(zlib.compress(pickle.dumps("{nope"))).decode()),
        "cannot be decoded",
    ),
    "unknown test type": (row([{**STDIN, "testtype": "interactive"}]), "interactive"),
    "our schema with an unknown kind": (own({**OURS, "kind": "interactive"}), "interactive"),
    "no expected output": (row([{"input": "1", "testtype": "stdin"}]), "output"),
    "our schema without expected output": (own({"kind": "stdin", "input": "1"}), "expected"),
    "expected output that is null": (row([{**STDIN, "output": None}]), "output"),
    "expected value that is no JSON": (
        row([{"input": "1", "output": "one", "testtype": "functional"}]),
        "cannot be decoded",
    ),
    "no function to call": (
        row([{"input": "1", "output": "1", "testtype": "functional"}]),
        "no function to call",
    ),
}
BAD_PROGRAMS: dict[str, tuple[str, str]] = {
    "10 MB that print": (f"x = '{'7' * 10_000_000}'\nprint(input())", "passed"),
    "10 MB of nonsense": ("(" * 10_000_000, "compile_error"),
    "a NUL byte": ("print(input())\0", "compile_error"),
    "a NUL in a text": ("x = 'a\0b'\nprint(input())", "compile_error"),
    "a lone surrogate": ("print(input()) # \ud800", "compile_error"),
    "a lone surrogate in a name": ("\udcff = 1\nprint(input())", "compile_error"),
    "10^6 lines of comment": ("#\n" * 1_000_000 + "print(input())", "passed"),
    "spaces": (" \t\n", "no_code"),
}


def write(path: Path, value: dict[str, Any]) -> Path:
    path.write_text(json.dumps(value) + "\n")
    return path


def score(
    monkeypatch: pytest.MonkeyPatch, problem: Path, program: Path, *more: str
) -> int | str | None:
    monkeypatch.setattr(
        "sys.argv",
        ["ssd-eval", "score", str(program), "--benchmark", str(problem), "--workers", "1", *more],
    )
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    return leaving.value.code


@pytest.mark.parametrize("name", BAD_PROBLEMS)
def test_bad_problem_is_named_and_never_passed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    problem, says = BAD_PROBLEMS[name]
    file = write(tmp_path / "problems.jsonl", problem)
    program = write(tmp_path / "programs.jsonl", {"problem_id": "p-17", "code": "print(1)"})
    assert score(monkeypatch, file, program) == 2
    message = capsys.readouterr().err
    assert "p-17" in message
    assert says in message
    assert message.count("\n") == 1


CASES = [
    pytest.param(name, profile, marks=[pytest.mark.slow] * (large and profile != "faithful"))
    for name in BAD_PROGRAMS
    for profile in PROFILES
    for large in [len(BAD_PROGRAMS[name][0]) > 10**6]
]


@pytest.mark.parametrize(("name", "profile"), CASES)
def test_bad_program_gets_a_verdict(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    profile: str,
) -> None:
    source, wanted = BAD_PROGRAMS[name]
    file = write(tmp_path / "problems.jsonl", own(OURS))
    program = write(tmp_path / "programs.jsonl", {"problem_id": "p-17", "code": source})
    assert score(monkeypatch, file, program, "--json", "--profile", profile) == 0
    status = json.loads(capsys.readouterr().out)["verdicts"][0]["status"]
    assert status == wanted


def test_file_of_programs_that_is_not_utf_8_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "problems.jsonl", own(OURS))
    program = tmp_path / "programs.jsonl"
    program.write_bytes(b'{"problem_id": "p-17", "code": "\xff"}\n')
    assert score(monkeypatch, file, program) == 2
    assert "not UTF-8 (byte 32)" in capsys.readouterr().err
