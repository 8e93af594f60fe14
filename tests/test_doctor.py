"""`ssd-eval doctor`: each check sees the fault it is there for, and says the fix."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sandbox import tiers
from ssd_eval import doctor, environment
from ssd_eval.doctor import Check

ROOT = Path(__file__).parent.parent


def check(name: str) -> Check:
    [found] = [each for each in doctor.diagnose() if each.name == name]
    return found


def refused(name: str, *says: str) -> None:
    found = check(name)
    assert not found.ok
    assert found.fix
    for words in says:
        assert words in f"{found.detail} {found.fix}"
    assert "\n" not in found.detail + found.fix


def test_sound_installation_has_no_complaint_but_about_the_machine() -> None:
    found = {each.name: each for each in doctor.diagnose()}
    for name in ("python", "modules", "packages", "sandbox", "organism"):
        assert found[name].ok, found[name]
    assert all(bool(each.fix) != each.ok for each in found.values())
    assert len(found) == len(doctor.diagnose())


def test_command_prints_the_checks_and_loads_no_torch() -> None:
    script = (
        "import sys, cli\n"
        "sys.argv = ['ssd-eval', 'doctor', '--json']\n"
        "try:\n    cli.main()\n"
        "except SystemExit as end: code = end.code\n"
        "print('torch' in sys.modules, code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    rows = json.loads(done.stdout)
    assert done.stderr.split()[-2:] == ["False", str(int(not all(row["ok"] for row in rows)))]


def test_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 9, "final", 0))
    refused("python", "3.10.9", "install Python 3.11")


def test_module_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another package named `benchmarks` comes first on the path."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "benchmarks", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    refused("modules", str(tmp_path), "environment of its own")


def test_package_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    real = environment.package_version
    monkeypatch.setattr(
        environment, "package_version", lambda n: "1.0" if n == "torch" else real(n)
    )
    refused("packages", "torch 1.0", "pip install 'torch<2.14,>=2.13'")


def test_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = environment.package_version
    monkeypatch.setattr(environment, "package_version", lambda n: None if n == "scipy" else real(n))
    refused("packages", "scipy None", "pip install 'scipy")


def test_local_build_of_a_package_is_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "package_version", lambda _: "2.13.0+cpu")
    assert doctor._satisfied(Requirement("torch>=2.13,<2.14"))


def test_no_sandbox_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    offers = (tiers.Offer("A", False, "no user namespaces"), tiers.Offer("B", False, "no Landlock"))
    monkeypatch.setattr(tiers, "probe", lambda: offers)
    refused("sandbox", "A: no user namespaces; B: no Landlock", "--unsafe")


def test_lesser_tier_says_why_not_the_better(monkeypatch: pytest.MonkeyPatch) -> None:
    offers = (tiers.Offer("A", False, "no user namespaces"), tiers.Offer("B", True))
    monkeypatch.setattr(tiers, "probe", lambda: offers)
    found = check("sandbox")
    assert found.ok
    assert found.detail == "tier B (not A: no user namespaces)"


def test_organism_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ssd_eval import checkpoint

    monkeypatch.setattr(checkpoint, "folder", lambda _: tmp_path)
    refused("organism", "no weights", "reinstall")


def test_little_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "MEMORY", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:  8000000 kB\n")
    monkeypatch.setattr(doctor, "CGROUP", tmp_path)
    assert check("memory").detail == "8.2 GB free"
    (tmp_path / "memory.max").write_text("max\n")
    assert check("memory").ok
    (tmp_path / "memory.max").write_text("1500000000\n")
    (tmp_path / "memory.current").write_text("500000000\n")
    refused("memory", "1.0 GB free", "--workers 1")


def test_little_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_DISK_GB", 1e9)
    refused("disk", "--run-dir")


def test_hub_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    refused("hub cache", "HF_HOME")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "new" / "hub"))
    assert check("hub cache").ok
