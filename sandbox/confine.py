"""What a test's process gives up before the program starts: limits, uid, capabilities, calls.

Called in the test's own process, in tier order; the filter of system calls comes last. Standard
library only.
"""

from __future__ import annotations

import os
import resource
from typing import NamedTuple

from sandbox import linux, root, seccomp

MIB = 1 << 20
THREADS = 64
OPEN_FILES = 128
_READABLE = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/dev/zero")
_DEVICES = ("/dev/null", "/dev/urandom")
_PACKAGES = ("site-packages", "dist-packages")


class Confinement(NamedTuple):
    """Made once in the zygote. `uid`: whom programs run as, where we are root on the host."""

    tier: str
    uid: int | None
    landlock: bool
    counts_threads: bool  # whether RLIMIT_NPROC counts this sandbox's processes alone
    rules: int | None  # Landlock's, where every test has the same
    call_filter: bytes | None

    def apply(self, limits: dict[str, float]) -> None:
        """Raises OSError. `limits` has the fields of `base.Limits`, and `mapped` in bytes."""
        _set_limits(limits, self.counts_threads)
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        linux.die_with_parent()  # a change of uid forgets it
        linux.no_new_privileges()
        if self.tier == "C":
            return
        linux.drop_capabilities()
        self._obey_landlock()
        own_pid = os.getpid() if self.tier == "B" else None
        linux.install_filter(self.call_filter or seccomp.build(linux.MACHINE, own_pid=own_pid))

    def settle(self, limits: dict[str, float], files: int) -> None:
        """For the parent of tests (tier A): all that they give up but what making them takes.

        `files` is a folder of its own, by descriptor. Raises OSError.
        """
        parent = os.getppid()
        _set(_shared_limits(self.counts_threads))
        _set_stack(int(limits["stack_mb"]) * MIB)
        if self.uid is not None:
            linux.keep_capabilities_of_root()
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        linux.drop_capabilities(linux.CAP_SYS_ADMIN)
        linux.die_with_parent(parent)
        linux.no_new_privileges()
        if self.landlock:
            rules = _rules_of_the_root(files)
            linux.obey_landlock(rules)
            os.close(rules)
        linux.install_filter(seccomp.build(linux.MACHINE, forks_tests=True))

    def _obey_landlock(self) -> None:
        if not self.landlock:
            return
        rules = self.rules
        if rules is None:  # the box is new in each test
            rules = _rules_of_the_root()
        linux.obey_landlock(rules)
        os.close(rules)
        if self.tier == "B":  # the shared rules let a test into its neighbours' boxes
            own = linux.landlock_rules(["/"], [os.getcwd(), "/dev/null"])
            linux.obey_landlock(own)
            os.close(own)


def confinement(
    tier: str, uid: int | None, modules: dict[str, str], boxes: str | None
) -> Confinement:
    """`boxes`: the folder that holds the tests' folders (tier B). Raises OSError."""
    rules = None
    if tier == "B":
        readable = [*_READABLE, *_DEVICES, *_standard_library(), *modules.values()]
        rules = linux.landlock_rules(readable, [boxes or "", "/dev/null"])
    return Confinement(
        tier,
        uid,
        landlock=tier != "C" and linux.landlock_version() > 0,
        counts_threads=uid is not None or (tier == "A" and _kernel() >= (5, 14)),
        rules=rules,
        call_filter=seccomp.build(linux.MACHINE) if tier == "A" else None,
    )


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()))


def _standard_library() -> list[str]:
    """Its entries one by one: Landlock cannot leave out the packages that lie inside."""
    import sysconfig  # tier A needs none: its zygotes stay slim

    folder = sysconfig.get_path("stdlib")
    return [f"{folder}/{name}" for name in os.listdir(folder) if name not in _PACKAGES]


def complete(own: list[tuple[int, tuple[int, int]]]) -> None:
    """For a test whose parent has settled; `own`: soft and hard `own_limits`. Raises OSError."""
    for which, values in own:
        resource.setrlimit(which, values)
    linux.become_a_test()


def _rules_of_the_root(*writable: int) -> int:
    return linux.landlock_rules(
        [root.PYTHON, root.SITE], [root.BOX, "/dev/null", *writable], unlisted=("/",)
    )


def _set_limits(limits: dict[str, float], counts_threads: bool) -> None:
    _set(own_limits(limits) | _shared_limits(counts_threads))
    _set_stack(int(limits["stack_mb"]) * MIB)


def own_limits(limits: dict[str, float]) -> dict[int, int]:
    """Those that the parent of tests needs more of. Hard ones: the address space has room for what
    is mapped now and for thread stacks."""
    memory, stack = int(limits["memory_mb"]) * MIB, int(limits["stack_mb"]) * MIB
    return {
        # Whole seconds, so only a backstop: the parent watches the clock.
        resource.RLIMIT_CPU: int(limits["cpu_s"]) + 2,
        resource.RLIMIT_AS: int(limits["mapped"]) + memory + stack,
        resource.RLIMIT_FSIZE: int(limits["output_mb"]) * MIB,
    }


def _shared_limits(counts_threads: bool) -> dict[int, int]:
    values = {
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    return values | ({resource.RLIMIT_NPROC: THREADS + 1} if counts_threads else {})


def _set(values: dict[int, int]) -> None:
    for which, value in values.items():
        resource.setrlimit(which, (value, value))


def _set_stack(size: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    soft = size if hard == resource.RLIM_INFINITY else min(size, hard)
    # The hard one stays: contest programs raise the soft, and the address space bounds it anyway.
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
