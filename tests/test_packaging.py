"""One folder holds our four modules, and the wheel takes them and nothing else."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ssd_eval.doctor import MODULES, module_origins

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = tuple(name for name in MODULES if name != "cli")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_wheel_holds_our_modules_complete_and_nothing_else(unpacked: Path) -> None:
    tops = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {*PACKAGES, "cli.py"}
    wanted = {
        path.relative_to(ROOT)
        for top in PACKAGES
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {path.relative_to(unpacked) for top in PACKAGES for path in (unpacked / top).rglob("*")}
    assert wanted <= held
    assert Path("ssd_eval/organism/weights/model.safetensors") in wanted
    assert not [path for path in held if path.suffix == ".pyc"]


def test_wheel_carries_licence_script_and_metadata(unpacked: Path) -> None:
    [info] = unpacked.glob("*.dist-info")
    assert (info / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "ssd-eval = cli:main" in (info / "entry_points.txt").read_text()
    assert "Requires-Python: >=3.11" in (info / "METADATA").read_text()


def test_installed_modules_come_from_one_folder_and_find_the_organism(
    unpacked: Path, tmp_path: Path
) -> None:
    script = (
        "from ssd_eval import checkpoint, doctor\n"
        "print({str(place) for place in doctor.module_origins().values()})\n"
        "print(checkpoint.fingerprint('organism'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    from ssd_eval import checkpoint

    assert done.stdout.splitlines() == [str({str(unpacked)}), checkpoint.fingerprint("organism")]


def test_all_modules_come_from_one_folder() -> None:
    assert set(module_origins().values()) == {ROOT}


def test_console_script_is_ours() -> None:
    [script] = [e for e in entry_points(group="console_scripts") if e.name == "ssd-eval"]
    assert script.value == "cli:main"


def test_every_package_is_typed() -> None:
    assert all((ROOT / name / "py.typed").exists() for name in PACKAGES)


def test_third_party_imports_are_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"]]
    wanted += [each for name, needs in extras.items() if name != "dev" for each in needs]
    declared = {re.split(r"[<>=\[]", each)[0].replace("-", "_") for each in wanted}
    used = set()
    for top in PACKAGES:
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    used |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    used.add((node.module or "").split(".")[0])
    third = used - sys.stdlib_module_names - set(MODULES)
    assert third <= declared | {"huggingface_hub"}, third - declared


def test_pinned_packages_are_the_ones_installed() -> None:
    """The environment that runs these tests is one that the ranges allow."""
    from ssd_eval import doctor

    [found] = [each for each in doctor.diagnose() if each.name == "packages"]
    assert found.ok, found
