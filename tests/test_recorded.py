"""Runs read back: `report` repeats a sweep's numbers without doing anything, `runs` lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from recorded_run import write_run
from test_sweep import fenced, sweep

import cli
from benchmarks.micro import Micro
from ssd_eval import manifest, recorded, table_formats
from ssd_eval.errors import RunFolderError
from ssd_eval.sheets import Column, Sheet


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run folder `runs/small` of a real sweep, and the JSON that it printed."""
    folder = tmp_path_factory.mktemp("recorded")
    problems = Micro().problems()
    half = {p.id: [fenced(p.references[0]), fenced(p.wrong[0])] for p in problems}
    full = {p.id: [fenced(p.references[0]), fenced(p.references[1])] for p in problems}
    scripts = folder / "half.json", folder / "full.json"
    for file, script in zip(scripts, (half, full), strict=True):
        file.write_text(json.dumps(script))
    done = sweep(scripts, folder / "runs" / "small", "--json")
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "small", done.stdout


def invoke(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.cli, [str(each) for each in arguments])
    message = str(done.exception) if done.exception else ""
    return getattr(done.exception, "exit_code", done.exit_code), done.stdout, message


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_report_has_the_very_numbers_of_the_sweep(finished: tuple[Path, str]) -> None:
    run, printed = finished
    code, out, _ = invoke("report", run, "--json")
    assert code == 0
    assert json.loads(out) == json.loads(printed)


def test_report_changes_no_record_and_repeats_every_rendered_byte(
    finished: tuple[Path, str],
) -> None:
    run, _ = finished
    before = contents(run)
    assert invoke("report", run)[0] == 0
    assert contents(run) == before


def test_report_elsewhere_leaves_the_run_alone(finished: tuple[Path, str], tmp_path: Path) -> None:
    run, _ = finished
    (run / "tables" / "main.md").unlink()
    assert invoke("report", run, "--out", tmp_path)[0] == 0
    assert not (run / "tables" / "main.md").exists()
    assert (tmp_path / "tables" / "main.md").exists()
    assert invoke("report", run)[0] == 0


def test_tables_that_claims_left_stand_in_the_page(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    run, _ = finished
    sheet = Sheet("majority", "votes & more", (Column("vote"), Column("base")), (("maj@2", "x"),))
    files = table_formats.write([sheet], run / "tables")
    assert invoke("report", run, "--out", tmp_path)[0] == 0
    assert "votes &amp; more" in (tmp_path / "report.html").read_text()
    for file in files:
        file.unlink()


def test_pictures_of_other_commands_go_along_and_none_of_another_run_is_shown(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    run, _ = finished
    kept = [run / "plots" / f"grid.{ending}" for ending in ("svg", "png")]
    for path in kept:
        path.write_bytes(b"<svg/>")
    stranger = tmp_path / "plots" / "large-k.svg"
    stranger.parent.mkdir()
    stranger.write_bytes(b"<svg/>")
    assert invoke("report", run, "--out", tmp_path)[0] == 0
    text = (tmp_path / "report.html").read_text()
    assert (tmp_path / "plots" / "grid.png").exists()
    assert 'alt="grid"' in text
    assert 'alt="large-k"' not in text
    for path in kept:
        path.unlink()


def test_report_loads_no_torch(finished: tuple[Path, str]) -> None:
    script = (
        "import sys, cli\n"
        f"sys.argv = ['ssd-eval', 'report', {str(finished[0])!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end: assert not end.code\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.strip().endswith("[]"), done.stderr


@pytest.mark.parametrize("command", ["report"])
def test_folder_without_a_finished_sweep_is_refused_with_the_fix(
    command: str, tmp_path: Path
) -> None:
    code, _, message = invoke(command, tmp_path)
    assert (code, "is no run folder" in message) == (2, True)
    manifest.write(tmp_path, {"format": 1, "status": "interrupted"})
    code, _, message = invoke(command, tmp_path)
    assert (code, "repeat its command" in message) == (2, True)


def test_runs_are_listed_newest_first_with_what_they_found(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "small").symlink_to(finished[0])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    os.utime(tmp_path / "broken" / "manifest.json", (0, 0))
    (tmp_path / "no run").mkdir()
    code, out, _ = invoke("runs", tmp_path, "--json")
    assert code == 0
    first, second = json.loads(out)
    assert (first["name"], first["status"], first["benchmark"]) == ("small", "finished", "micro")
    assert (first["base_pass_1"], first["distilled_pass_1"]) == (0.5, 1.0)
    assert (second["name"], second["status"]) == ("broken", "unreadable")
    code, out, _ = invoke("runs", tmp_path)
    assert code == 0
    assert "50.0 → 100.0" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_runs_of_no_directory_is_one_line(tmp_path: Path) -> None:
    code, _, message = invoke("runs", tmp_path / "nowhere")
    assert (code, "is no directory" in message) == (2, True)


def test_verdicts_of_another_profile_do_not_hide_those_asked_for(tmp_path: Path) -> None:
    """A folder that was graded by other rules last, and asked for ours again."""
    run = write_run(tmp_path, {"base": lambda n, i: True, "distilled": lambda n, i: True})
    file = run / "verdicts.jsonl"
    lines = file.read_text()
    file.write_text(lines + lines.replace('"profile":"faithful"', '"profile":"official"'))
    assert len(recorded.read(run).scored("base")) == 48
    assert len(recorded.read(run, "ml-ssd").scored("base")) == 0
    file.write_text(lines + '{"key":["torn')
    assert len(recorded.read(run).scored("base")) == 48
    file.write_text(f"{lines}no record\n")
    with pytest.raises(RunFolderError, match="line 97 is corrupt"):
        recorded.read(run)
