"""Verdict profiles from command line to record: chosen, kept apart, and said under tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.base import Problem, TestCase
from cli import cli
from sandbox.base import Limits
from sandbox.pool import Pool
from ssd_eval.config import resolve
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.grade import counted_tests, grade
from ssd_eval.records import Completion, SampleKey, Verdict
from ssd_eval.store import VERDICTS, RunStore

KEY = SampleKey("f" * 16, "add", "d" * 16, 0)
PUBLIC, PRIVATE = TestCase("stdin", "1", "1", public=True), TestCase("stdin", "2", "2")
ITERATES = "import sys\nfor line in sys.stdin: print(int(line))"


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    tests = [{"kind": "stdin", "input": "1\n", "expected": "1\n"}]
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps({"id": "echo", "statement": "Echo.", "tests": tests}) + "\n")
    return path


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    path = tmp_path / "programs.jsonl"
    path.write_text(json.dumps({"problem_id": "echo", "code": ITERATES}) + "\n")
    return path


def test_score_gives_the_profiles_verdicts_and_says_whose(problems: Path, programs: Path) -> None:
    base = ["score", str(programs), "--benchmark", str(problems), "--workers", "1"]
    statuses = {}
    for profile in ("faithful", "official", "ml-ssd"):
        done = CliRunner().invoke(cli, [*base, "--profile", profile, "--json"])
        result = json.loads(done.stdout)
        statuses[profile] = result["verdicts"][0]["status"]
        assert result["sandbox"]["profile"] == profile
    assert statuses == {"faithful": "passed", "official": "runtime_error", "ml-ssd": "passed"}
    table = CliRunner().invoke(cli, base, env={"SSD_EVAL_PROFILE": "official"})
    assert "verdict profile official: LiveCodeBench's own checker" in table.stdout
    assert "profile" not in CliRunner().invoke(cli, base).stdout


def test_a_float_tolerance_is_for_returned_floats_alone(tmp_path: Path) -> None:
    tests = [{"kind": "functional", "input": "[1]", "expected": "0.3"}] * 2
    problem = {"id": "third", "statement": "S.", "entry_point": "f", "tests": tests}
    file, programs = tmp_path / "problems.jsonl", tmp_path / "programs.jsonl"
    file.write_text(json.dumps(problem) + "\n")
    codes = ("def f(x): return 0.1 + 0.2", "def f(x): return 0.3001", "def f(x): return '0.3'")
    rows = [json.dumps({"problem_id": "third", "code": code}) for code in codes]
    programs.write_text("\n".join(rows) + "\n")
    base = ["score", str(programs), "--benchmark", str(file), "--workers", "1"]
    for tolerance, passed in (("0", [0, 0, 0]), ("1e-9", [1, 0, 0]), ("0.01", [1, 1, 0])):
        done = CliRunner().invoke(cli, [*base, "--float-tolerance", tolerance, "--json"])
        result = json.loads(done.stdout)
        assert [each["status"] == "passed" for each in result["verdicts"]] == passed
        assert result["sandbox"]["float_tolerance"] == float(tolerance)
    said = CliRunner().invoke(cli, [*base, "--float-tolerance", "1e-9"]).stdout
    assert "returned floats equal within 1e-09" in said
    assert "within" not in CliRunner().invoke(cli, base).stdout


@pytest.mark.parametrize("wrong", ["-1", "nan", "1", "inf"])
def test_a_senseless_tolerance_is_refused(wrong: str, problems: Path, programs: Path) -> None:
    base = ["score", str(programs), "--benchmark", str(problems), "--float-tolerance"]
    with pytest.raises(UsageError, match="at least 0 and below 1"):
        CliRunner().invoke(cli, [*base, wrong], catch_exceptions=False)
    with pytest.raises(UsageError, match="faithful profile: official has rules of its own"):
        CliRunner().invoke(cli, [*base, "1e-6", "--profile", "official"], catch_exceptions=False)


def test_all_tests_are_refused_where_the_first_failure_ends(problems: Path, programs: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", "import cli; cli.main()", "score", programs, "--all-tests"),
            *("--benchmark", problems, "--profile", "official"),
        ],
        capture_output=True, text=True, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 2
    assert "official stops at the first failing test" in done.stderr


def test_profile_comes_from_file_environment_or_flag(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('profile = "official"')
    assert resolve({}, environ={}).config.profile == "faithful"
    assert resolve({}, config_file=file, environ={}).config.profile == "official"
    environ = {"SSD_EVAL_PROFILE": "ml-ssd"}
    assert resolve({}, config_file=file, environ=environ).config.profile == "ml-ssd"
    given = {"profile": "faithful"}
    assert resolve(given, config_file=file, environ=environ).config.profile == "faithful"


def test_ml_ssd_counts_private_tests_alone_where_there_are_any() -> None:
    both = Problem("p", "", (PUBLIC, PRIVATE))
    assert counted_tests(both, "ml-ssd") == (PRIVATE,)
    assert counted_tests(both, "official") == counted_tests(both, "faithful") == (PUBLIC, PRIVATE)
    assert counted_tests(Problem("p", "", (PUBLIC,)), "ml-ssd") == (PUBLIC,)


def test_verdicts_of_another_profile_extend_a_run(tmp_path: Path) -> None:
    ours = Verdict(KEY, "passed", "", "given", 0.1, 1, 1)
    theirs = Verdict(KEY, "runtime_error", "", "given", 0.1, 0, 1, profile="official")
    folder = tmp_path / "run"
    with RunStore.open(folder, digest="a", manifest={}) as store:
        store.add_verdict(ours)
    with RunStore.open(folder, digest="a", manifest={}, profile="official") as store:
        assert not store.graded()
        store.add_verdict(theirs)
        with pytest.raises(ValueError, match="faithful among those of official"):
            store.add_verdict(ours)
    with RunStore.open(folder, digest="a", manifest={}, profile="official") as store:
        assert store.verdicts == {KEY: theirs}
    with RunStore.open(folder, digest="a", manifest={}) as store:
        assert store.verdicts == {KEY: ours}
    assert len((folder / VERDICTS).read_text().splitlines()) == 2


def test_verdicts_without_a_profile_are_faithful() -> None:
    row = Verdict(KEY, "passed", "", "given", 0.1, 1, 1).to_json()
    assert row.pop("profile") == "faithful"
    assert Verdict.from_json(row).profile == "faithful"


def test_a_shared_cache_keeps_profiles_apart() -> None:
    problem = Problem("add", "", (TestCase("stdin", "1\n", "1\n"),))
    text = f"```python\n{ITERATES}\n```"
    sampled = Completion(KEY, text, (1,), "stop", 1, DecodingConfig(1.0, 0, 1.0), 1.0)
    cache: dict[str, object] = {}
    with Pool(1, Limits()) as pool:
        statuses = [
            next(
                grade([sampled], {"add": problem}, pool, profile=profile, cache=cache)  # type: ignore[arg-type]
            ).status
            for profile in ("faithful", "official")
        ]
    assert statuses == ["passed", "runtime_error"]
