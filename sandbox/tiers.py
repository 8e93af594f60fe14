"""Which isolation this machine offers, found by trying, and which third-party modules programs get.

A: namespaces, a small root, seccomp. B: Landlock and seccomp. C: resource limits alone, refused
unless the user insists. Never steps down silently.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache

from sandbox import linux
from sandbox.base import Limits, SandboxError, Tier

ORDER: tuple[Tier, ...] = ("A", "B", "C")
MEANING: dict[Tier, str] = {
    "A": "namespaces, a small root, Landlock where present, system call filter",
    "B": "Landlock and a system call filter",
    "C": "resource limits only",
}
# Modules that contest programs import where judges have them. Never all of site-packages: that
# holds benchmarks, and so answers.
ALLOWED = (
    *("numpy", "numpy.libs", "pandas", "pandas.libs", "dateutil", "pytz", "tzdata", "six.py"),
    *("scipy", "scipy.libs", "sortedcontainers", "networkx", "sympy", "mpmath", "more_itertools"),
)


@dataclass(frozen=True)
class Offer:
    """One tier on this machine; `reason` says why it is not to be had."""

    tier: Tier
    available: bool
    reason: str = ""


@cache
def probe() -> tuple[Offer, ...]:
    """Starts one zygote in each tier and runs a program in it. About 0.3 s each."""
    if reason := unsupported():
        return tuple(Offer(tier, False, reason) for tier in ORDER)
    return tuple(_tried(tier) for tier in ORDER)


def best() -> Tier | None:
    """The tier that a Pool takes by itself; never C."""
    return next((each.tier for each in probe() if each.available and each.tier != "C"), None)


def unsupported() -> str:
    """Why there can be no sandbox here at all; empty where there can."""
    if not sys.platform.startswith("linux") or not linux.supported():
        return f"no sandbox for {sys.platform} on {linux.MACHINE}; use Linux on x86_64 or aarch64"
    return ""


def candidates(wanted: Tier | None, *, unsafe: bool) -> tuple[Tier, ...]:
    """The tiers to try, best first. Raises SandboxError where none may be."""
    if reason := unsupported():
        raise SandboxError(reason)
    if wanted is None:
        return ORDER if unsafe else ("A", "B")
    if wanted not in ORDER:
        raise SandboxError(f"no sandbox tier {wanted!r}; use A, B or C")
    if wanted == "C" and not unsafe:
        raise SandboxError("tier C isolates nothing but resources; accept that with --unsafe")
    return (wanted,)


def refusal(reasons: dict[Tier, str]) -> SandboxError:
    """What to tell the user when no tier could be started."""
    tried = "; ".join(f"tier {tier}: {reason}" for tier, reason in reasons.items())
    return SandboxError(
        f"no sandbox can be set up here ({tried}); allow user namespaces (sysctl "
        "user.max_user_namespaces and, where it exists, kernel.unprivileged_userns_clone), "
        "use a kernel with Landlock, or accept resource limits alone with --unsafe"
    )


def _tried(tier: Tier) -> Offer:
    from sandbox.worker import proven

    try:
        proven(tier, {}, Limits().stack_mb).close()
    except SandboxError as error:
        return Offer(tier, False, str(error))
    return Offer(tier, True)


@cache
def third_party() -> dict[str, str]:
    """Names and places of the allowed modules that are installed."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for name in ALLOWED:
            place = os.path.join(folder, name)
            if name not in found and "-packages" in folder and os.path.exists(place):
                found[name] = os.path.realpath(place)
    return found
