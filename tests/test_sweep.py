"""`ssd-eval sweep` as a user runs it: real command, real sandbox, replayed completions.

The organism itself is sampled and trained by `test_organism_sweep` (slow).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.micro import Micro

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "import cli; cli.main()"]
SMALL = [
    *("--preset", "organism", "--backend", "fake", "--limit", "6", "--samples", "2"),
    *("--k", "1,2", "--t-eval", "0.5,1.0", "--max-tokens", "600"),
]


def fenced(source: str) -> str:
    return f"```python\n{source}\n```"


@pytest.fixture
def scripts(tmp_path: Path) -> tuple[Path, Path]:
    """A base that solves half its samples, and a distilled one that solves all."""
    problems = Micro().problems()
    half = {p.id: [fenced(p.references[0]), fenced(p.wrong[0])] for p in problems}
    full = {p.id: [fenced(p.references[0]), fenced(p.references[1])] for p in problems}
    for name, script in (("half", half), ("full", full)):
        (tmp_path / f"{name}.json").write_text(json.dumps(script))
    return tmp_path / "half.json", tmp_path / "full.json"


def ssd_eval(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environ},
        timeout=900,
    )


def sweep(scripts: tuple[Path, Path], run: Path, *more: object) -> subprocess.CompletedProcess[str]:
    base, distilled = scripts
    return ssd_eval(
        "sweep", "--base", base, "--distilled", distilled, *SMALL, "--run-dir", run, *more
    )


def without_times(text: str) -> dict[str, Any]:
    """And without the run folder's name."""
    result = json.loads(text)
    result.pop("cost")
    folder = result.pop("run")
    if result.get("positions"):  # names the checkpoint in the run's own folder
        assert result["positions"]["header"].pop("distilled").startswith(folder)
    return result


def test_sweep_scores_both_checkpoints_and_prints_json_alone(
    scripts: tuple[Path, Path], tmp_path: Path
) -> None:
    done = sweep(scripts, tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    first = result["main"][0]["groups"][0]
    assert (first["base"]["mean"], first["distilled"]["mean"]) == (0.5, 1.0)
    assert first["difference"]["mean"] == 0.5
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["sandbox"]["tier"] in ("A", "B")
    assert (tmp_path / "run" / "plots" / "sweep.png").stat().st_size > 1000


def test_tables_fit_80_columns(scripts: tuple[Path, Path], tmp_path: Path) -> None:
    done = sweep(scripts, tmp_path / "run", "--no-color")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    for words in ("pass@1 on micro", "+SSD", "temperature sweep", "cost", "easy"):
        assert words in done.stdout


def test_repeated_command_redoes_nothing(scripts: tuple[Path, Path], tmp_path: Path) -> None:
    first = sweep(scripts, tmp_path / "run", "--json")
    sizes = {p: p.stat().st_size for p in (tmp_path / "run").glob("*.jsonl")}
    second = sweep(scripts, tmp_path / "run", "--json")
    assert without_times(first.stdout) == without_times(second.stdout)
    assert sizes == {p: p.stat().st_size for p in (tmp_path / "run").glob("*.jsonl")}
    assert "sample" not in second.stderr


def test_run_is_not_continued_in_another_sandbox_tier(
    scripts: tuple[Path, Path], tmp_path: Path
) -> None:
    sweep(scripts, tmp_path / "run", "--json")
    path = tmp_path / "run" / "manifest.json"
    held = json.loads(path.read_text())
    held["pinned"]["the sandbox's tier"] = "C"
    path.write_text(json.dumps(held))
    again = sweep(scripts, tmp_path / "run", "--json")
    assert (again.returncode, again.stdout) == (2, "")
    assert "the sandbox's tier has changed since" in again.stderr


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.8])
def test_half_a_folder_continues_to_the_same_tables(
    scripts: tuple[Path, Path], tmp_path: Path, kept: float
) -> None:
    whole = sweep(scripts, tmp_path / "run", "--json")
    for file in (tmp_path / "run").glob("*.jsonl"):
        file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    again = sweep(scripts, tmp_path / "run", "--json")
    assert again.returncode == 0, again.stderr
    assert without_times(whole.stdout) == without_times(again.stdout)


def test_run_is_extended_by_more_samples_and_temperatures(
    scripts: tuple[Path, Path], tmp_path: Path
) -> None:
    sweep(scripts, tmp_path / "run", "--json")
    before = (tmp_path / "run" / "completions.jsonl").read_bytes()
    more = sweep(scripts, tmp_path / "run", "--json", "--samples", "3", "--t-eval", "0.5,1.0,1.5")
    assert more.returncode == 0, more.stderr
    after = (tmp_path / "run" / "completions.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(after.splitlines()) == 2 * 3 * 3 * 6


def test_interrupt_exits_130_and_says_how_to_continue(
    scripts: tuple[Path, Path], tmp_path: Path
) -> None:
    slow = {p.id: [fenced("import time\ntime.sleep(9)")] for p in Micro().problems()}
    scripts[0].write_text(json.dumps(slow))
    base, distilled = scripts
    command = ["sweep", "--base", base, "--distilled", distilled, *SMALL]
    process = subprocess.Popen(
        [*COMMAND, *map(str, command), "--run-dir", str(tmp_path / "run")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    verdicts = tmp_path / "run" / "verdicts.jsonl"
    deadline = time.monotonic() + 60
    while not verdicts.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "repeat the command to continue" in errors
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "interrupted"


BAD = {
    "unknown benchmark": (["--benchmark", "nope"], "known: micro"),
    "unknown checkpoint": (["--base", "nope"], "--preset"),
    "unknown checkpoint with preset": (["--base", "nope", "--preset", "organism"], "nope"),
    "unknown backend": (["--backend", "nope"], "known: "),
    "unknown preset": (["--preset", "nope"], "organism"),
    "unknown flag": (["--nope"], "--nope"),
    "negative temperature": (["--t-eval=-1"], "greedy"),
    "top-p of zero": (["--top-p", "0"], "use 1"),
    "k above n": (["--k", "50"], "raise --samples"),
    "no number": (["--t-eval", "a"], "comma-separated"),
    "same checkpoint twice": (["--distilled", "organism"], "same checkpoint"),
    "benchmark without prompts": (["--benchmark", "file.jsonl"], "file.jsonl"),
    "read-only folder": (["--run-dir", "/proc/nope"], "--run-dir"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_with_the_fix_and_exit_2(name: str, tmp_path: Path) -> None:
    arguments, says = BAD[name]
    run = [] if "--run-dir" in arguments else ["--run-dir", tmp_path / "run"]
    done = ssd_eval("sweep", *arguments, *run)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_folder_of_other_settings_is_refused_and_kept(
    scripts: tuple[Path, Path], tmp_path: Path
) -> None:
    sweep(scripts, tmp_path / "run", "--json")
    before = (tmp_path / "run" / "completions.jsonl").read_bytes()
    done = sweep(scripts, tmp_path / "run", "--json", "--seed", "5")
    assert (done.returncode, done.stdout) == (2, "")
    assert "other settings" in done.stderr
    assert (tmp_path / "run" / "completions.jsonl").read_bytes() == before


@pytest.mark.slow
def test_organism_sweep_killed_anywhere_ends_in_the_same_tables(tmp_path: Path) -> None:
    """Real sampling and training; SIGKILL at ever later moments, then the same command."""
    small = ["sweep", "--json", "--limit", "6", "--samples", "2", "--k", "1", "--t-eval", "1.0",
             "--prompts-limit", "24", "--samples-per-prompt", "2", "--epochs", "2"]  # fmt: skip
    whole = ssd_eval(*small, "--run-dir", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    run = [*COMMAND, *small, "--run-dir", str(tmp_path / "killed")]
    for seconds in (3.0, 5.0, 7.0, 9.0):
        process = subprocess.Popen(run, cwd=ROOT, stdout=-3, stderr=-3)
        time.sleep(seconds)
        process.kill()
        process.wait()
    last = ssd_eval(*small, "--run-dir", tmp_path / "killed")
    assert last.returncode == 0, last.stderr
    assert without_times(last.stdout) == without_times(whole.stdout)
