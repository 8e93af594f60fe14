"""The small commands: score, eval, validate, doctor, benchmarks, presets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.micro import Micro

ROOT = Path(__file__).parent.parent
PROBLEM = Micro().problems()[0]


def ssd_eval(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import cli; cli.main()", *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_score_takes_livecodebenchs_list(tmp_path: Path) -> None:
    codes = [PROBLEM.references[0], PROBLEM.wrong[0], ""]
    file = tmp_path / "generations.json"
    file.write_text(json.dumps([{"question_id": PROBLEM.id, "code_list": codes}]))
    done = ssd_eval("score", file, "--benchmark", "micro", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [v["status"] for v in result["verdicts"]] == ["passed", "wrong_answer", "no_code"]
    wanted = {"problem_id", "sample", "status", "detail", "cpu_s", "tests_passed", "tests"}
    assert all(set(v) == wanted for v in result["verdicts"])
    assert result["metrics"]["all"]["pass@1"] == pytest.approx(1 / 3)
    assert result["metrics"]["all"]["pass@5"] is None


def test_score_takes_texts_and_our_own_problem_file(tmp_path: Path) -> None:
    tests = [{"kind": t.kind, "input": t.input, "expected": t.expected} for t in PROBLEM.tests]
    problems = write(tmp_path / "mine.jsonl", [{"id": "a", "statement": "Do it.", "tests": tests}])
    text = f"Here:\n```python\n{PROBLEM.references[0]}\n```"
    file = write(tmp_path / "out.jsonl", [{"problem_id": "a", "text": text}])
    done = ssd_eval("score", file, "--benchmark", problems, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdicts"][0]["status"] == "passed"
    table = ssd_eval("score", file, "--benchmark", problems)
    assert "100.0 %" in table.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "no generations"), ("{nope", "line 1"), ('{"problem_id": "zzz", "code": "x"}\n', "zzz")],
)
def test_score_refuses_bad_files_by_line(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    done = ssd_eval("score", file, "--benchmark", "micro", "--json")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_score_refuses_a_missing_file(tmp_path: Path) -> None:
    done = ssd_eval("score", tmp_path / "none.json", "--benchmark", "micro")
    assert done.returncode == 2
    assert "none.json" in done.stderr


def test_eval_scores_one_checkpoint(tmp_path: Path) -> None:
    script = tmp_path / "base.json"
    text = f"```python\n{PROBLEM.references[0]}\n```"
    script.write_text(json.dumps({PROBLEM.id: [text]}))
    done = ssd_eval("eval", "--base", script, "--preset", "organism", "--backend", "fake",
                    "--limit", 1, "--samples", 1, "--k", 1, "--t-eval", "1", "--max-tokens", 600,
                    "--run-dir", tmp_path / "run", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cells"][0]["pass@1"]["mean"] == 1.0


def test_validate_proves_the_grader_of_micro() -> None:
    done = ssd_eval("validate", "micro", "--limit", "6", "--json")
    assert done.returncode == 0, done.stderr
    proof = json.loads(done.stdout)
    assert proof["ok"]
    assert len(proof["kinds"]) == 6


def test_validate_fails_where_a_reference_is_wrong(tmp_path: Path) -> None:
    row = {"id": "a", "statement": "s", "references": ["print(2)"],
           "tests": [{"kind": "stdin", "input": "", "expected": "1"}]}  # fmt: skip
    done = ssd_eval("validate", write(tmp_path / "mine.jsonl", [row]), "--json")
    assert done.returncode == 1, done.stderr
    assert not json.loads(done.stdout)["ok"]


def test_doctor_finds_nothing_wrong_here() -> None:
    done = ssd_eval("doctor", "--json")
    checks = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0, checks
    assert {"python", "modules", "packages", "sandbox", "organism"} <= set(checks)


def test_listings_name_what_is_there() -> None:
    assert json.loads(ssd_eval("benchmarks", "--json").stdout)[0]["problems"] == 96
    presets = json.loads(ssd_eval("presets", "--json").stdout)
    assert {"organism", "qwen3-30b-a3b-instruct-2507"} <= {row["preset"] for row in presets}


def test_unexpected_error_says_where_its_traceback_is(tmp_path: Path) -> None:
    script = (
        "import cli\nfrom ssd_eval import listing\n"
        "def broken(): raise KeyError('boom')\n"
        "listing.preset_rows = broken\n"
        "import sys; sys.argv = ['ssd-eval', 'presets']\ncli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "traceback in ssd-eval-error.log" in done.stderr
    assert "boom" in (tmp_path / "ssd-eval-error.log").read_text()


@pytest.mark.parametrize(("given", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "x"}, "x")])
def test_threads_wait_asleep_unless_the_user_says_otherwise(
    given: dict[str, str], policy: str
) -> None:
    """Set before torch is there, which reads it once; spinning is slow beside other processes."""
    code = (
        "import cli, os, sys\n"
        "sys.argv[1:] = ['--version']\n"
        "try: cli.main()\n"
        "finally: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, cwd=ROOT, env={**kept, **given}, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-2:] == [policy, "False"]
