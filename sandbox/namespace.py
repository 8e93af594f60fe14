"""The first stage of a zygote: isolates its process, then starts the interpreter afresh in there.

The second exec leaves nothing of the host in memory (paths, environment, command line) and gives
the main thread its stack limit. Imports no more than it needs; standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys
from typing import NoReturn

from sandbox import linux, protocol, root

# The package's folder is on the path for these imports only.
LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from sandbox.{stage} import main; "
    "del sys.path[0]; main()"
)
FLAGS = ("-s", "-P", "-S", "-B", "-X", "utf8")
# One hash seed, so that a verdict does not hang on the order of a set; and one thread a library.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
# One uid for each zygote, since RLIMIT_NPROC counts by uid. The first range is nobody's; the second
# is systemd's for passing services, and is mapped in rootless containers too.
_UIDS = ((1_000_000_000, 1 << 22), (61_184, 4_000))


def main() -> None:
    fd, tier, stack_mb, boxes, modules = sys.argv[1:]
    try:
        linux.die_with_parent()
        _offer_to_the_oom_killer()
        _limit_stack(int(stack_mb) << 20)
        statm = os.open("/proc/self/statm", os.O_RDONLY)  # outlives /proc
        os.set_inheritable(statm, True)
        uid = str(_own_uid()) if tier == "A" and os.getuid() == 0 else ""
        if tier == "A":
            _isolate(json.loads(modules))
        _next(tier, [fd, tier, str(statm), uid, boxes, modules])
    except (OSError, ImportError, KeyError) as error:
        with socket.socket(fileno=int(fd)) as sock:
            protocol.send(sock, {"op": "hello", "ok": False, "detail": str(error)})


def _isolate(modules: dict[str, str]) -> None:
    """Namespaces and the small root. Raises OSError where they cannot be had."""
    if os.getuid() != 0:
        _become_root_inside()
    linux.unshare(_NAMESPACES)
    root.build(modules)
    linux.set_host_name("sandbox")


def _next(tier: str, arguments: list[str]) -> NoReturn:
    """The second stage: `zygote`, in the new root if there is one."""
    environment = dict(ENVIRONMENT)
    executable, code = sys.executable, os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if tier == "A":
        executable, code = root.EXECUTABLE, root.OWN_CODE
        environment["LD_LIBRARY_PATH"] = f"{root.PYTHON}/lib"
        arguments[-1] = json.dumps(dict.fromkeys(json.loads(arguments[-1]), ""))  # names alone
    command = [executable, *FLAGS, "-c", LAUNCH.format(stage="zygote"), code, *arguments]
    os.execve(executable, command, environment)


def _limit_stack(size: int) -> None:
    """The kernel lays out memory around the main thread's stack when a program is exec'd."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    soft = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _own_uid() -> int:
    with open("/proc/self/uid_map") as file:
        ranges = [[int(part) for part in line.split()] for line in file]
    # Pids differ within one pid namespace, and containers beside each other count the same uids.
    own = os.getpid() + 2_654_435_761 * os.stat("/proc/self/ns/pid").st_ino
    for first, count in _UIDS:
        uid = first + own % count
        if any(start <= uid < start + size for start, _, size in ranges):
            return uid
    raise OSError("no unprivileged uid is mapped here for programs to run as")


def _become_root_inside() -> None:
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER)
    maps = (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"))
    for name, text in maps:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _offer_to_the_oom_killer() -> None:
    """So that a machine out of memory loses a test, not the evaluator."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")
