"""One folder holds our four modules, and the wheel takes them and nothing else."""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from ssd_eval.doctor import MODULES, module_origins

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_all_modules_come_from_one_folder() -> None:
    assert set(module_origins().values()) == {ROOT}


def test_wheel_holds_our_modules_and_nothing_else() -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert {name.removesuffix(".py") for name in included} == set(MODULES)


def test_console_script_is_ours() -> None:
    [script] = [e for e in entry_points(group="console_scripts") if e.name == "ssd-eval"]
    assert script.value == "cli:main"


def test_every_package_is_typed() -> None:
    assert all((ROOT / name / "py.typed").exists() for name in MODULES if name != "cli")


def test_third_party_imports_are_declared() -> None:
    import ast
    import re
    import sys

    declared = {
        re.split(r"[<>=\[]", d)[0].replace("-", "_") for d in PROJECT["project"]["dependencies"]
    }
    used = set()
    for top in ("ssd_eval", "benchmarks", "sandbox"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    used |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    used.add((node.module or "").split(".")[0])
    third = used - sys.stdlib_module_names - set(MODULES)
    assert third <= declared | {"huggingface_hub"}, third - declared
