"""LiveCodeBench through the command: listings, scores, and every kind of bad input in one line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_lcb import hostile, rows, solution, write

import cli

ROOT = Path(__file__).parent.parent


def ssd_eval(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SSD_EVAL_")}
    return subprocess.run(
        [sys.executable, "-c", "import cli; cli.main()", *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
        env={**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "80", **variables},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("lcb"))


def generations(path: Path, name: str = "test6.jsonl") -> Path:
    """A right and a wrong program for each problem of one file."""
    entries = [
        {"question_id": row["question_id"], "code_list": [solution(row), "print()"]}
        for row in rows(name)
    ]
    path.write_text(json.dumps(entries))
    return path


def test_programs_are_scored_on_a_window(folder: Path, tmp_path: Path) -> None:
    file = generations(tmp_path / "generations.json")
    done = ssd_eval("score", file, "--benchmark", "lcb:v6-v6", "--json", SSD_EVAL_LCB_DIR=folder)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [each["status"] == "passed" for each in result["verdicts"]] == [True, False] * 12
    assert result["metrics"]["all"]["pass@1"] == 0.5
    assert result["benchmark"]["window"].startswith("12 INSTEAD OF 175 problems, #")
    assert result["benchmark"]["name"] == "lcb:v6-v6"


def test_the_table_says_window_tests_errata_and_hash(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    row = rows("test6.jsonl")[0]
    file.write_text(json.dumps([{"question_id": row["question_id"], "code_list": ["x"]}]))
    done = ssd_eval("score", file, "--benchmark", "lcb:v6-v6", "--data-dir", folder,
                    "--tests", "private", "--exclude-errata")  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "score on lcb:v6-v6 (12 INSTEAD OF 175 problems, #" in shown
    assert "private tests, without 1 errata), 11 problems in all" in shown


def test_a_run_records_window_and_hash_and_shows_them(folder: Path, tmp_path: Path) -> None:
    answers = {
        row["question_id"]: [f"```python\n{solution(row)}```"]
        for row in rows("test6.jsonl")
        if "2025-02" <= row["contest_date"][:7] <= "2025-05"
    }
    (tmp_path / "base.json").write_text(json.dumps(answers))
    arguments = ["eval", "--base", tmp_path / "base.json", "--preset", "organism", "--backend",
                 "fake", "--samples", 1, "--k", 1, "--t-eval", 1, "--max-tokens", 600,
                 "--benchmark", "lcb:paper-v6", "--data-dir", folder,
                 "--run-dir", tmp_path / "run"]  # fmt: skip
    done = ssd_eval(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["cells"][0]["pass@1"]["mean"] == 1.0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["benchmark"] == result["benchmark"]
    assert manifest["benchmark"]["problems"] == 8
    again = ssd_eval(*arguments)
    assert "lcb:paper-v6 (8 INSTEAD OF 131 problems, #" in " ".join(again.stdout.split())


def test_the_listing_says_counts_hashes_and_origin(folder: Path, tmp_path: Path) -> None:
    quiet = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    listed = {
        row["name"]: row for row in json.loads(ssd_eval("benchmarks", "--json", **quiet).stdout)
    }
    assert listed["lcb:paper-v6"]["expected"] == 131
    assert listed["lcb:paper-v6"]["problems"] is None
    assert listed["lcb:paper-v6"]["from"] == "hub, 134 MB to fetch"
    found = ssd_eval("benchmarks", "--json", "--data-dir", folder)
    listed = {row["name"]: row for row in json.loads(found.stdout)}
    assert listed["lcb:paper-v6"]["problems"] == 8
    assert len(listed["lcb:paper-v6"]["hash"]) == 16
    assert listed["lcb:paper-v6"]["from"] == str(folder)
    table = ssd_eval("benchmarks", "--data-dir", folder).stdout
    assert "8, NOT 131" in table
    assert max(map(len, table.splitlines())) <= 80


def test_validate_proves_the_grader_of_a_window(folder: Path) -> None:
    done = ssd_eval("validate", "lcb:v6-v6", "--data-dir", folder, "--limit", 3, "--json")
    assert done.returncode == 0, done.stderr
    proof = json.loads(done.stdout)
    assert proof["ok"]
    assert proof["window"].startswith("12 INSTEAD OF 175 problems, #")


def lines(folder: Path) -> list[str]:
    return (folder / "test6.jsonl").read_text().splitlines(keepends=True)


def replaced(folder: Path, **fields: str) -> None:
    row = {**json.loads(lines(folder)[2]), **fields}
    content = [*lines(folder)[:2], json.dumps(row) + "\n", *lines(folder)[3:]]
    (folder / "test6.jsonl").write_text("".join(content))


def gone(folder: Path) -> None:
    (folder / "test6.jsonl").unlink()


def cut_off(folder: Path) -> None:
    text = (folder / "test6.jsonl").read_text()
    (folder / "test6.jsonl").write_text(text[:-200])


def cut_off_gzip(folder: Path) -> None:
    packed = gzip.compress((folder / "test6.jsonl").read_bytes())
    (folder / "test6.jsonl").unlink()
    (folder / "test6.jsonl.gz").write_bytes(packed[: len(packed) // 2])


def without_field(folder: Path) -> None:
    row = json.loads(lines(folder)[2])
    del row["question_content"]
    (folder / "test6.jsonl").write_text("".join([*lines(folder)[:2], json.dumps(row) + "\n"]))


def twice(folder: Path) -> None:
    (folder / "test6.jsonl").write_text("".join([*lines(folder), lines(folder)[0]]))


def between_files(folder: Path) -> None:
    replaced(folder, question_id=rows("test5.jsonl")[0]["question_id"])


BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing": (gone, "lcb:paper-v6", "lacks test6.jsonl (134 MB), which lcb:paper-v6 needs; put"),
    "no folder": (lambda folder: os.rename(folder, f"{folder}-"), "lcb:v1", "is no folder; put"),
    "cut off": (cut_off, "lcb:paper-v6", "test6.jsonl:12: not JSON"),
    "gzip": (cut_off_gzip, "lcb:paper-v6", "test6.jsonl.gz: cannot be unpacked"),
    "schema": (without_field, "lcb:v6-v6", "test6.jsonl:3: 1963_A: the field 'question_content'"),
    "type": (
        lambda folder: replaced(folder, metadata="nope"),
        "lcb:v6-v6",
        "test6.jsonl:3: 1963_A: metadata: ",
    ),
    "twice": (twice, "lcb:v6-v6", "test6.jsonl:13: the id '3061' came before, at "),
    "twice over files": (between_files, "lcb:v6", "came before, at "),
    "no tests": (
        lambda folder: replaced(folder, public_test_cases="[]", private_test_cases="[]"),
        "lcb:v6-v6",
        "test6.jsonl:3: 1963_A: it has no tests, so that nothing could fail",
    ),
    "date": (
        lambda folder: replaced(folder, contest_date="2025-02-31"),
        "lcb:v6-v6",
        "test6.jsonl:3: 1963_A: contest_date: ",
    ),
    "pickle": (
        lambda folder: replaced(folder, private_test_cases=hostile(folder / "touched")),
        "lcb:v6-v6",
        "test6.jsonl:3: 1963_A: the tests cannot be decoded (the pickle holds more than one string",
    ),
    "empty window": (
        lambda folder: None,
        "lcb:2025-01-01..2025-01-02",
        "holds no problems: none of the 24 rows of test5.jsonl, test6.jsonl is of these dates",
    ),
    "unknown window": (lambda folder: None, "lcb:v9", "unknown window 'v9'; give lcb:NAME"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, window, says = BAD[name]
    folder = write(tmp_path / "data")
    spoil(folder)
    arguments = ["ssd-eval", "validate", window, "--data-dir", str(folder), "--json"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2, said.err
    assert says in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not (folder / "touched").exists()
