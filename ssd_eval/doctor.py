"""Checks of the installation, the sandbox and the machine, each with its fix (`ssd-eval doctor`).

Looks and reports; changes nothing, loads no model and imports no torch.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

from ssd_eval import environment
from ssd_eval.config import cores
from ssd_eval.errors import SsdEvalError

MODULES = ("cli", "ssd_eval", "benchmarks", "sandbox")
LEAST_PYTHON = (3, 11)
LEAST_DISK_GB = 2.0
LEAST_MEMORY_GB = 2.0  # a program may hold 1 GiB, beside the model and this process
MEMORY = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Check:
    """`fix` is empty where all is well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def diagnose() -> list[Check]:
    checks: list[Callable[[], Check]] = [
        _python,
        _modules,
        _packages,
        _sandbox,
        _organism,
        _cores,
        _memory,
        _disk,
        _hub_cache,
    ]
    return [check() for check in checks]


def module_origins() -> dict[str, Path | None]:
    """The folder that holds each of our four modules; None for one that is not found."""
    return {name: _origin(name) for name in MODULES}


def _origin(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).resolve()
    return file.parent.parent if file.name == "__init__.py" else file.parent


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= LEAST_PYTHON
    return Check("python", good, found, "" if good else "install Python 3.11 or newer")


def _modules() -> Check:
    """Another package with one of our top-level names would shadow ours."""
    ours = Path(__file__).resolve().parent.parent
    strangers = {n: place for n, place in module_origins().items() if place != ours}
    if not strangers:
        return Check("modules", True, str(ours))
    name, place = next(iter(strangers.items()))
    return Check(
        "modules",
        False,
        f"{name} comes from {place}, not {ours}",
        "install ssd-eval into an environment of its own",
    )


def _packages() -> Check:
    """Every dependency is there, in the range that resolves together (pyproject.toml)."""
    try:
        declared = [Requirement(each) for each in requires("ssd-eval") or []]
    except PackageNotFoundError:
        return Check("packages", False, "ssd-eval is not installed", "pip install -e .")
    needed = [each for each in declared if each.marker is None]
    wrong = [each for each in needed if not _satisfied(each)]
    if wrong:
        detail = ", ".join(f"{w.name} {environment.package_version(w.name)}" for w in wrong)
        return Check("packages", False, detail, "pip install " + shlex.join(map(str, wrong)))
    versions = {name: environment.package_version(name) for name in environment.PACKAGES}
    return Check("packages", True, ", ".join(f"{n} {v}" for n, v in versions.items()))


def _satisfied(needed: Requirement) -> bool:
    found = environment.package_version(needed.name)
    return found is not None and needed.specifier.contains(found, prereleases=True)


def _sandbox() -> Check:
    from sandbox.tiers import best, probe

    tier, offers = best(), probe()
    refused = "; ".join(f"{each.tier}: {each.reason}" for each in offers if not each.available)
    if tier is None:
        return Check("sandbox", False, refused, "allow user namespaces, or accept --unsafe")
    return Check("sandbox", True, f"tier {tier}" + (f" (not {refused})" if refused else ""))


def _organism() -> Check:
    from ssd_eval import checkpoint

    try:
        return Check("organism", True, f"fingerprint {checkpoint.fingerprint('organism')}")
    except SsdEvalError as error:
        return Check("organism", False, str(error), "reinstall ssd-eval")


def _cores() -> Check:
    return Check("cores", True, str(cores()))


def _memory() -> Check:
    free = free_memory()
    if free is None:
        return Check("memory", True, "unknown here")
    return _enough("memory", free, LEAST_MEMORY_GB, "free some memory, or use --workers 1")


def free_memory() -> float | None:
    """Bytes that may still be used, by the machine's and the control group's account."""
    found = []
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024.0)
    except (OSError, KeyError, ValueError):
        return None
    try:
        limit = int((CGROUP / "memory.max").read_text())
        found.append(float(limit - int((CGROUP / "memory.current").read_text())))
    except (OSError, ValueError):
        pass  # no version 2 control group, or one without a limit
    return min(found)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return _enough("disk", free, LEAST_DISK_GB, "free some disk, or give --run-dir elsewhere")


def _enough(name: str, free: float, least_gb: float, fix: str) -> Check:
    good = free >= least_gb * 1e9
    return Check(name, good, f"{free / 1e9:.1f} GB free", "" if good else fix)


def _hub_cache() -> Check:
    """Where checkpoints of the hub are kept; it may not exist yet."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE)
    nearest = next(place for place in (cache, *cache.parents) if place.exists())
    good = nearest.is_dir() and os.access(nearest, os.W_OK)
    return Check("hub cache", good, str(cache), "" if good else "set HF_HOME to a writable folder")
