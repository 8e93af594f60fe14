"""What docs/benchmarks.md tells a newcomer to type works, the example plugin included."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()


def sections() -> list[str]:
    """The shell commands of each part between <!-- run --> and <!-- /run -->."""
    parts = re.findall(r"<!-- run -->(.*?)<!-- /run -->", PAGE, re.DOTALL)
    return [
        "".join(re.findall(r"```sh\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)) for part in parts
    ]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """`ssd-eval` is this tree's; `pip install` goes to a folder of its own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    bin_, site = tmp_path / "bin", tmp_path / "site"
    bin_.mkdir()
    python = sys.executable
    commands = {
        "ssd-eval": f'exec {python} -c "import cli; cli.main()" "$@"',
        "pip": f'exec {python} -m pip --quiet --disable-pip-version-check "$@" --target {site}',
    }
    for name, line in commands.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{line}\n")
        (bin_ / name).chmod(stat.S_IRWXU)
    path = os.pathsep.join([str(bin_), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": f"{ROOT}:{site}", "COLUMNS": "100",
            "PIP_ROOT_USER_ACTION": "ignore"}  # fmt: skip


def run(commands: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-e", "-c", commands], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=200)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_newcomers_own_benchmark_works(tmp_path: Path, shell: dict[str, str]) -> None:
    shown = run(sections()[0], tmp_path, shell)
    assert "3 of 3" in shown  # references
    assert "33.3 %" in shown  # one of three answers passes
    assert "pass@1" in shown


def test_the_example_plugin_is_installed_listed_and_proved(
    tmp_path: Path, shell: dict[str, str]
) -> None:
    shown = run(sections()[1], tmp_path, shell)
    assert re.search(r"words +│ v1\b", shown)
    proof = shown[shown.index("programs") :]
    for kind in ("references", "planted wrong programs", "exits at once", "equal to anything"):
        assert re.search(rf"{kind} +│ 3 of 3 ", proof), kind
