"""Checks of the installation, the sandbox and the machine, each with its fix (`ssd-eval doctor`).

Looks and reports; changes nothing and imports no torch.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ssd_eval import environment
from ssd_eval.config import cores
from ssd_eval.errors import SsdEvalError

MODULES = ("cli", "ssd_eval", "benchmarks", "sandbox")
LEAST_PYTHON = (3, 11)
LEAST_DISK_GB = 2


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
        _machine,
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
    versions = {name: environment.package_version(name) for name in environment.PACKAGES}
    missing = [name for name, found in versions.items() if found is None]
    shown = ", ".join(f"{name} {found}" for name, found in versions.items() if found)
    fix = f"pip install {' '.join(missing)}" if missing else ""
    return Check("packages", not missing, shown, fix)


def _sandbox() -> Check:
    from sandbox.tiers import best, probe

    offers = ", ".join(f"{o.tier} {'yes' if o.available else 'no'}" for o in probe())
    tier = best()
    if tier is not None:
        return Check("sandbox", True, f"uses tier {tier} ({offers})")
    reasons = "; ".join(f"{o.tier}: {o.reason}" for o in probe() if not o.available)
    return Check("sandbox", False, reasons, "allow user namespaces, or accept --unsafe")


def _organism() -> Check:
    from ssd_eval import checkpoint

    try:
        return Check("organism", True, f"fingerprint {checkpoint.fingerprint('organism')}")
    except SsdEvalError as error:
        return Check("organism", False, str(error), "reinstall ssd-eval")


def _machine() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    detail = f"{cores()} cores, {free:.0f} GB free here"
    good = free >= LEAST_DISK_GB
    return Check("machine", good, detail, "" if good else "free some disk for run folders")
