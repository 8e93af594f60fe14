"""`ssd-eval sweep` on real checkpoints, from sampling to the last file: nothing is replayed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[1]


def another(checkpoint: Path, folder: Path) -> Path:
    """The same checkpoint with a sharper head."""
    shutil.copytree(checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"] * 1.1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_sweep_of_two_checkpoints_leaves_tables_pictures_positions_and_page(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    distilled = another(tiny_checkpoint, tmp_path / "distilled")
    run = tmp_path / "run"
    problems = tmp_path / "problems.jsonl"
    tests = [{"kind": "stdin", "input": "1", "expected": "1"}]
    problems.write_text(
        "".join(
            json.dumps({"id": name, "statement": f"Echo {name}.", "tests": tests}) + "\n"
            for name in ("a", "b")
        )
    )
    small = (
        "--benchmark",
        str(problems),
        "--samples",
        "2",
        "--k",
        "1",
        "--t-eval",
        "1.0",
        "--max-tokens",
        "8",
    )
    command = [
        sys.executable, "-c", "import cli; cli.main()", "sweep", "--base", str(tiny_checkpoint),
        "--distilled", str(distilled), "--preset", "organism", *small, "--run-dir", str(run),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    command.append("--json")  # the second finds everything done, and its files readable
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["positions"]
    assert found == json.loads((run / "positions/figure6.json").read_text())
    assert found["positions"] > 0
    assert json.loads((run / "manifest.json").read_text())["status"] == "finished"
    for name in ("tables/main.json", "plots/sweep.png", "positions/figure6.json", "report.html"):
        assert (run / name).stat().st_size > 0, name
