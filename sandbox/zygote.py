"""The process that every test is forked from: slim, exec'd, isolated once, without the answers.

Run as `python -I -S -B -c LAUNCH FD TIER MODULES`, with an empty environment. Speaks `protocol`
on FD:

    evaluator → job {kind, entry, limits} + source       ← compiled {ok, detail}
    evaluator → test + input                             ← done {...} + stdout, result, stderr
    evaluator → end                                      ← (nothing; ready for a job)

A job gets a process of its own, which compiles once and forks each test from there. Compares
nothing: expected outputs never come here. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
import time
from importlib.machinery import PathFinder
from types import CodeType
from typing import Any, NoReturn

from sandbox import child, linux, protocol, root, seccomp

# The package's folder is on the path for these imports only.
LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from sandbox.zygote import main; "
    "del sys.path[0]; main()"
)

NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
FIRST_UID = 1_000_000_000  # nobody's; one for each zygote, since RLIMIT_NPROC counts by uid
MIB = 1 << 20
PROCESSES = 64
OPEN_FILES = 128
STDERR_TAIL = 4000
RESULT = 3  # the descriptor that a functional test's value leaves by
ASIDE = 200  # descriptors that nothing of ours uses
MOST_FD = 65_536
_F_ADD_SEALS, _EVERY_SEAL = 1033, 0xF  # no shrinking, growing, writing or unsealing


class Zygote:
    """What every test inherits."""

    def __init__(self, sock: socket.socket, tier: str, modules: dict[str, str]) -> None:
        self.sock = sock
        self.tier = tier
        self.modules = modules
        # Tier B keeps its uid: another could not read an interpreter in a private folder.
        own_uid = tier == "A" and os.getuid() == 0
        self.uid = FIRST_UID + os.getpid() if own_uid else None
        self.names = child.prelude()
        self.mapped = _mapped_bytes()  # before /proc is gone
        self.baseline = 0
        self.landlock = linux.landlock_version() > 0
        self.filter = seccomp.build(linux.MACHINE) if tier == "A" else None

    def isolate(self) -> None:
        """Namespaces and the small root. Raises OSError where the tier cannot be had."""
        if self.tier != "A":
            sys.meta_path.append(_Allowed(self.modules))
            return
        if os.getuid() != 0:
            _become_root_inside()
        linux.unshare(NAMESPACES)
        root.build(self.modules)
        sys.path[:] = [path for path in sys.path if "python" in path and path.startswith("/")]
        sys.path.append(root.SITE)

    def serve(self) -> None:
        """Jobs until the evaluator goes away."""
        self.baseline = _peak_kb()
        gc.collect()
        gc.freeze()
        while True:
            header, blobs = protocol.receive(self.sock)
            if header["op"] == "job":
                self._job(header, blobs[0])

    def _job(self, header: dict[str, Any], source: bytes) -> None:
        pid = os.fork()
        if pid == 0:
            linux.die_with_parent()
            try:
                Candidate(self, header).serve(source)
            except protocol.Closed:
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if status:
            protocol.send(self.sock, {"op": "lost", "status": status})


class Candidate:
    """One program's process: compiles it, then forks its tests."""

    def __init__(self, zygote: Zygote, header: dict[str, Any]) -> None:
        self.zygote = zygote
        self.sock = zygote.sock
        self.kind: str = header["kind"]
        self.entry: str = header["entry"] or ""
        self.limits: dict[str, float] = {**header["limits"], "mapped": zygote.mapped}

    def serve(self, source: bytes) -> None:
        code, problem = _compiled(source)
        protocol.send(self.sock, {"op": "compiled", "ok": code is not None, "detail": problem})
        by_name = b"/dev/stdin" in source
        while code is not None:
            header, blobs = protocol.receive(self.sock)
            if header["op"] != "test":
                return
            self._test(code, blobs[0], by_name)

    def _test(self, code: CodeType, data: bytes, by_name: bool) -> None:
        files = Files(data)
        box = tempfile.mkdtemp(prefix="ssd-eval-box-") if self.zygote.tier == "B" else None
        ready, done = os.pipe()
        started = time.monotonic()
        flags = linux.CLONE_NEWPID | linux.CLONE_NEWNS if self.zygote.tier == "A" else 0
        pid = linux.fork_into(flags)
        if pid == 0:
            os.close(ready)
            self._be_the_test(code, files, done, by_name, box)
        os.close(done)
        timed_out = self._wait(pid)
        _, status, usage = os.wait4(pid, 0)
        began = os.read(ready, 200)
        os.close(ready)
        report = {
            "op": "done",
            "began": began == b"+",
            "setup": began.decode("utf-8", "replace"),
            "timed_out": timed_out,
            "status": status,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "wall_s": time.monotonic() - started,
            "memory_mb": max(0, usage.ru_maxrss - self.zygote.baseline) / 1024,
            "written": files.sizes(),
        }
        protocol.send(self.sock, report, *files.contents(int(self.limits["output_mb"]) * MIB))
        files.close()
        if box is not None:
            shutil.rmtree(box, ignore_errors=True)

    def _wait(self, pid: int) -> bool:
        """Whether it had to be killed. An evaluator that is gone ends the test and us."""
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self.sock.fileno(), select.POLLRDHUP)
        events = dict(poll.poll(self.limits["wall_s"] * 1000))
        over = pidfd in events
        if not over:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        if self.sock.fileno() in events:
            os.kill(pid, signal.SIGKILL)
            os._exit(1)
        return not over

    def _be_the_test(
        self, code: CodeType, files: Files, done: int, by_name: bool, box: str | None
    ) -> NoReturn:
        try:
            self._prepare(files, by_name, box)
            done = files.install(done)
            self._confine(box)
            os.write(done, b"+")
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(done, f"{type(error).__name__}: {error}".encode()[:190])
            os._exit(1)
        os.close(done)
        names = self.zygote.names
        if self.kind == "stdin":
            child.run_stdin(code, names)
        child.run_functional(code, names, self.entry, files.arguments, RESULT)

    def _prepare(self, files: Files, by_name: bool, box: str | None) -> None:
        """An empty working folder."""
        if self.zygote.tier == "A":
            root.fresh_box(int(self.limits["box_mb"]))
            if by_name:
                files.stdin = root.show_stdin(files.data)
        elif box is not None:
            os.chdir(box)
        os.setsid()

    def _confine(self, box: str | None) -> None:
        """Every restriction; the filter of system calls comes last."""
        tier, uid = self.zygote.tier, self.zygote.uid
        _set_limits(self.limits)
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        linux.die_with_parent()
        if tier != "C":
            linux.drop_capabilities()
        linux.no_new_privileges()
        sys.setrecursionlimit(child.RECURSION)
        os.environ.clear()
        if box is not None:
            _landlock([*self.zygote.modules.values()], box)
        elif tier == "A" and self.zygote.landlock:
            _landlock([root.SITE, "/dev/stdin"], root.BOX)
        if tier == "B":
            linux.install_filter(seccomp.build(linux.MACHINE, own_pid=os.getpid()))
        elif self.zygote.filter is not None:
            linux.install_filter(self.zygote.filter)


class Files:
    """A test's standard streams and its result, as memory files that outlive it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.arguments = data.decode("utf-8", "surrogateescape")
        self.stdin = _memory_file("stdin", data)
        self.out = [_memory_file(name) for name in ("stdout", "result", "stderr")]

    def install(self, done: int) -> int:
        """Descriptors 0, 1, 2 and 3 (result); all others but `done` are closed. `done` moves."""
        spare = [os.dup2(fd, ASIDE + i) for i, fd in enumerate((self.stdin, *self.out, done))]
        for target, source in zip((0, 1, RESULT, 2, RESULT + 1), spare, strict=True):
            os.dup2(source, target)
        os.closerange(RESULT + 2, MOST_FD)
        _open_streams()
        return RESULT + 1

    def sizes(self) -> list[int]:
        return [os.fstat(fd).st_size for fd in self.out]

    def contents(self, most: int) -> list[bytes]:
        """stdout and result up to `most` bytes, the end of stderr."""
        stdout, result, stderr = self.out
        tail = max(0, os.fstat(stderr).st_size - STDERR_TAIL)
        return [
            os.pread(stdout, most, 0),
            os.pread(result, most, 0),
            os.pread(stderr, STDERR_TAIL, tail),
        ]

    def close(self) -> None:
        for fd in (self.stdin, *self.out):
            os.close(fd)


def _open_streams() -> None:
    """Python's own view of descriptors 0, 1 and 2, as a fresh interpreter has it."""
    streams = [
        os.fdopen(0, encoding="utf-8", closefd=False),
        os.fdopen(1, "w", encoding="utf-8", closefd=False),
        os.fdopen(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace"),
    ]
    for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _memory_file(name: str, data: bytes | None = None) -> int:
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    if data is not None:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(fd, _F_ADD_SEALS, _EVERY_SEAL)
    return fd


def _compiled(source: bytes) -> tuple[CodeType | None, str]:
    try:
        return compile(source.decode("utf-8", "surrogatepass"), child.FILE, "exec"), ""
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        return None, f"{type(error).__name__}: {getattr(error, 'msg', error)}{line}"[:300]


def _set_limits(limits: dict[str, float]) -> None:
    """Hard limits: the address space has room for what is mapped now and for thread stacks."""
    memory, stack = int(limits["memory_mb"]) * MIB, int(limits["stack_mb"]) * MIB
    cpu = -(-int(limits["cpu_s"] * 1000) // 1000)
    values = {
        resource.RLIMIT_CPU: max(1, cpu),
        resource.RLIMIT_AS: int(limits["mapped"]) + memory + stack,
        resource.RLIMIT_FSIZE: int(limits["output_mb"]) * MIB,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_NPROC: PROCESSES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for which, value in values.items():
        resource.setrlimit(which, (value, value))
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    soft = stack if hard == resource.RLIM_INFINITY else min(stack, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _become_root_inside() -> None:
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {uid} 1"),
        ("gid_map", f"0 {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


_READABLE = ("/lib", "/lib64", "/usr/lib", "/usr/share/zoneinfo", sysconfig.get_path("stdlib"))
_DEVICES = ("/dev/null", "/dev/urandom", "/dev/zero")


def _landlock(modules: list[str], box: str) -> None:
    """Reads of the standard library and the allowed modules; writes in the box alone."""
    linux.landlock([*_READABLE, *modules, *_DEVICES], [box])


class _Allowed:
    """Finds the allowed third-party modules where no small root holds them (tiers B and C)."""

    def __init__(self, modules: dict[str, str]) -> None:
        self._folders = {
            name.removesuffix(".py"): os.path.dirname(path) for name, path in modules.items()
        }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        folder = self._folders.get(name) if path is None else None
        return PathFinder.find_spec(name, [folder]) if folder else None


def _mapped_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _offer_to_the_oom_killer() -> None:
    """So that a machine out of memory loses a test, not the evaluator."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")


def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    try:
        _offer_to_the_oom_killer()
        zygote = Zygote(sock, sys.argv[2], json.loads(sys.argv[3]))
        zygote.isolate()
    except (OSError, ImportError, KeyError) as error:
        protocol.send(sock, {"op": "hello", "ok": False, "detail": str(error)})
        return
    protocol.send(sock, {"op": "hello", "ok": True, "detail": sys.version.split()[0]})
    with contextlib.suppress(protocol.Closed):
        zygote.serve()
