"""Imports go one way, and `ssd-eval --help` loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "benchmarks": {"benchmarks"},
    "sandbox": {"sandbox"},
    "ssd_eval": {"ssd_eval", "benchmarks", "sandbox"},
    "cli.py": {"cli", "ssd_eval", "benchmarks", "sandbox"},
}
OURS = {"benchmarks", "sandbox", "ssd_eval", "cli", "tests", "perf"}
HEAVY = {"torch", "transformers", "scipy", "matplotlib", "pandas", "accelerate"}


def sources() -> list[Path]:
    return [
        p
        for top in ALLOWED
        for p in ([ROOT / top] if top.endswith(".py") else sorted((ROOT / top).rglob("*.py")))
    ]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_downwards_and_says_what_it_is(path: Path) -> None:
    top = path.relative_to(ROOT).parts[0]
    assert not (imported(path) & OURS) - ALLOWED[top]
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", sorted((ROOT / "sandbox").glob("*.py")), ids=lambda p: p.stem)
def test_sandbox_uses_the_standard_library_alone(path: Path) -> None:
    """Some of it runs beside untrusted programs; none of it needs more."""
    assert imported(path) <= sys.stdlib_module_names | {"sandbox", "__future__"}


@pytest.mark.parametrize("arguments", [["--help"], ["sweep", "--help"], ["--version"], ["presets"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys, cli\n"
        f"sys.argv = ['ssd-eval', *{arguments!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.strip().endswith("[]"), done.stderr
    assert done.stdout


def test_tests_hold_no_package_named_like_ours() -> None:
    assert not [p for p in (ROOT / "tests").iterdir() if p.name in OURS or p.name == "__init__.py"]


@pytest.mark.parametrize("name", ["store", "config", "records", "metrics", "doctor", "presets"])
def test_module_loads_nothing_heavy(name: str) -> None:
    script = f"import sys, ssd_eval.{name}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_tests_would_notice_a_heavy_import_and_a_wrong_direction(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text("def f():\n    from ssd_eval.store import RunStore\n    import torch.nn\n")
    assert imported(file) == {"ssd_eval", "torch"}
