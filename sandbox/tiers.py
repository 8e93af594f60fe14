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
from sandbox.base import SandboxError, Tier

ORDER: tuple[Tier, ...] = ("A", "B", "C")
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
    """Starts one zygote in each tier and runs a program in it."""
    return tuple(_tried(tier) for tier in ORDER)


def choose(wanted: Tier | None, *, unsafe: bool) -> Tier:
    """The tier to use. Raises SandboxError with the fix where it cannot be had."""
    if not sys.platform.startswith("linux") or not linux.supported():
        raise SandboxError(
            f"no sandbox for {sys.platform} on {linux.MACHINE}; use Linux on x86_64 or aarch64"
        )
    if wanted is not None:
        return _wanted(wanted, unsafe)
    for tier in ("A", "B"):
        if _works(tier):
            return tier
    if unsafe:
        return "C"
    reasons = "; ".join(f"{offer.tier}: {offer.reason}" for offer in probe() if not offer.available)
    raise SandboxError(
        f"this machine offers no sandbox ({reasons}); allow user namespaces (sysctl "
        "user.max_user_namespaces), use a kernel with Landlock, or accept --unsafe"
    )


def _wanted(tier: Tier, unsafe: bool) -> Tier:
    if tier == "C" and not unsafe:
        raise SandboxError("tier C isolates nothing but resources; it needs --unsafe")
    offer = _tried(tier)
    if not offer.available:
        raise SandboxError(f"sandbox tier {tier} is not to be had here: {offer.reason}")
    return tier


def _works(tier: Tier) -> bool:
    return _tried(tier).available


@cache
def _tried(tier: Tier) -> Offer:
    from sandbox.pool import Zygote

    if tier == "B" and linux.landlock_version() < 1:
        return Offer(tier, False, "the kernel has no Landlock")
    try:
        zygote = Zygote(tier, {})
    except SandboxError as error:
        return Offer(tier, False, str(error))
    try:
        return _ran(tier, zygote)
    finally:
        zygote.close()


def _ran(tier: Tier, zygote: object) -> Offer:
    """Whether a test really runs: a namespace can be granted and its mounts refused."""
    from sandbox.base import Job, Test
    from sandbox.trial import Lost, Trial

    job = Job("probe", "print(input())", (Test("stdin", "1\n", "1\n"),))
    try:
        outcome = Trial(zygote.sock, job).run()  # type: ignore[attr-defined]
    except Lost as error:
        return Offer(tier, False, str(error))
    passed = outcome.status == "passed"
    return Offer(tier, passed, "" if passed else f"{outcome.status}: {outcome.detail}")


@cache
def third_party() -> dict[str, str]:
    """Names and places of the allowed modules that are installed."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for name in ALLOWED:
            place = os.path.join(folder, name)
            if name not in found and "site-packages" in folder and os.path.exists(place):
                found[name] = os.path.realpath(place)
    return found
