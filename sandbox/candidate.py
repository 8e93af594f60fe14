"""One program's process, between zygote and tests: compiles it once, then forks each test.

Trusted: the program never runs here. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import socket
import time
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any, NoReturn

from sandbox import boxes, child, linux, protocol, root
from sandbox.confine import MIB, Confinement
from sandbox.streams import RESULT, Streams

COMPILE_CPU_S = 10
_HEAVY = ("numpy", "pandas", "scipy", "sympy", "networkx")  # imported once a job, if at all
_HEAVY_ROOM = 512 * MIB  # what they map beyond the zygote


@dataclass
class Inherited:
    """What every program starts from."""

    confinement: Confinement
    modules_by_kind: dict[str, ModuleType]  # what programs run as
    boxes: str | None  # the folder for tests' working folders; None: a mount of their own
    third_party: frozenset[str]
    mapped: int = 0  # bytes of address space
    baseline_kb: int = 0  # resident


class Candidate:
    """`serve` once."""

    def __init__(self, sock: socket.socket, inherited: Inherited, header: dict[str, Any]) -> None:
        self.sock = sock
        self.inherited = inherited
        self.entry: str = header["entry"] or ""
        self.limits: dict[str, float] = {**header["limits"], "mapped": inherited.mapped}

    def serve(self, source: bytes) -> None:
        """Until the job ends. Raises protocol.Closed when the evaluator is gone."""
        code, problem = self._compiled(source)
        if code is not None and self._import_heavy(source):
            self.limits["mapped"] += _HEAVY_ROOM
        protocol.send(self.sock, {"op": "compiled", "ok": code is not None, "detail": problem})
        by_name = b"/dev/stdin" in source
        while code is not None:
            header, blobs = protocol.receive(self.sock)
            if header["op"] != "test":
                return
            self._test(code, header["kind"], blobs[0], by_name)

    def _compiled(self, source: bytes) -> tuple[CodeType | None, str]:
        """Under limits of its own: source text alone can cost gigabytes and hours."""
        room = int(self.limits["mapped"]) + int(self.limits["memory_mb"]) * MIB
        with _soft_limit(resource.RLIMIT_AS, room), _soft_limit(resource.RLIMIT_CPU, COMPILE_CPU_S):
            try:
                text = source.decode("utf-8", "surrogatepass")
                return compile(text, child.FILE, "exec", dont_inherit=True), ""
            except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
                return None, _described(error)[:300]

    def _import_heavy(self, source: bytes) -> bool:
        found = [
            name
            for name in _HEAVY
            if name in self.inherited.third_party
            and re.search(rb"\b(import|from)\s+([\w, ]+,\s*)?" + name.encode(), source)
        ]
        for name in found:
            with contextlib.suppress(Exception):  # the program will meet the error itself
                __import__(name)
        return bool(found)

    def _test(self, code: CodeType, kind: str, data: bytes, by_name: bool) -> None:
        streams = Streams(data)
        folder = self.inherited.boxes
        box = boxes.make(folder) if folder else None
        ready, done = os.pipe()
        started = time.monotonic()
        pid = linux.fork_into(0 if folder else linux.CLONE_NEWPID | linux.CLONE_NEWNS)
        if pid == 0:
            self._be_the_test(code, kind, streams, done, by_name, box)
        os.close(done)
        timed_out = self._watch(pid)
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
            "memory_mb": max(0, usage.ru_maxrss - self.inherited.baseline_kb) / 1024,
            "written": streams.sizes(),
        }
        protocol.send(self.sock, report, *streams.contents(int(self.limits["output_mb"]) * MIB))
        streams.close()
        if box is not None:
            boxes.remove(box)

    def _watch(self, pid: int) -> bool:
        """Waits; whether it had to be killed. An evaluator that is gone ends the test and us."""
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self.sock.fileno(), select.POLLRDHUP)
        end = time.monotonic() + self.limits["wall_s"]
        left = min(self.limits["cpu_s"], self.limits["wall_s"])
        events: dict[int, int] = {}
        while not events and left > 0:
            events = dict(poll.poll(left * 1000 + 1))
            left = min(self.limits["cpu_s"] - _cpu_s(pid), end - time.monotonic())
        os.close(pidfd)
        if self.sock.fileno() in events:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os._exit(1)
        if not events:
            os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
        return not events

    def _be_the_test(
        self, code: CodeType, kind: str, streams: Streams, done: int, by_name: bool, box: str | None
    ) -> NoReturn:
        try:
            self._working_folder(streams, by_name, box)
            os.setsid()
            done = streams.install(done, keep=self.inherited.confinement.rules)
            self.inherited.confinement.apply(self.limits)
            child.fresh_interpreter()
            os.write(done, b"+")
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(done, f"{type(error).__name__}: {error}".encode()[:190])
            os._exit(1)
        os.close(done)
        module = self.inherited.modules_by_kind[kind]
        if kind == "stdin":
            child.run_stdin(code, module)
        arguments = streams.data.decode("utf-8", "surrogatepass")
        child.run_functional(code, module, self.entry, arguments, RESULT)

    def _working_folder(self, streams: Streams, by_name: bool, box: str | None) -> None:
        if box is not None:
            os.chdir(box)
            return
        if by_name:
            streams.stdin = root.show_stdin(streams.data)
        root.fresh_box(int(self.limits["box_mb"]))


def _described(error: Exception) -> str:
    message = getattr(error, "msg", None) or str(error)
    line = getattr(error, "lineno", None)
    kind = type(error).__name__
    return (f"{kind}: {message}" if message else kind) + (f", line {line}" if line else "")


@contextlib.contextmanager
def _soft_limit(which: int, value: int) -> Any:
    soft, hard = resource.getrlimit(which)
    resource.setrlimit(which, (value if hard < 0 else min(value, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (soft, hard))


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process, all threads; 0 once it has been reaped."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes it
    except OSError:
        return 0.0
