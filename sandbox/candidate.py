"""One program's process, between zygote and tests: compiles it once, then forks each test, or one
process for a series of them where the program can't tell the difference.

Trusted: the program never runs here. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import time
from functools import partial
from types import CodeType, ModuleType
from typing import Any, NamedTuple, NoReturn

from sandbox import boxes, child, linux, protocol, root, series
from sandbox.confine import MIB, Confinement
from sandbox.memoryless import is_memoryless
from sandbox.stage import Stage
from sandbox.streams import RESULT, Streams
from sandbox.surroundings import Surroundings
from sandbox.watch import watch

COMPILE_CPU_S = 10
_QUICK_S = 0.5
_HEAVY = ("numpy", "pandas", "scipy", "sympy", "networkx")  # imported once a job, if at all
_IMPORTS = re.compile(rb"\b(?:import|from)\s[^\n]*")
_HEAVY_ROOM = 512 * MIB  # what they map beyond the zygote


class Inherited:
    """What every program starts from."""

    def __init__(
        self,
        confinement: Confinement,
        modules_by_kind: dict[str, ModuleType],
        surroundings: Surroundings,
        boxes: str | None,
        third_party: frozenset[str],
    ) -> None:
        self.confinement = confinement
        self.modules_by_kind = modules_by_kind  # what programs run as
        self.surroundings = surroundings  # of those that may share a process
        self.boxes = boxes  # the folder for tests' working folders; None: a mount of their own
        self.third_party = third_party
        self.changes = -1  # a queue of `linux.change_queue`, for stages
        self.mapped = 0  # bytes of address space
        self.baseline_kb = 0  # resident


class Shared(NamedTuple):
    """An input that came as a descriptor, with a position of its own for this job."""

    file: int
    size: int


class Asked(NamedTuple):
    """A test, or a series of them (`tests`, each a kind and an input; the rest is empty)."""

    kind: str
    given: bytes | Shared
    tests: list[tuple[str, bytes]]


class Candidate:
    """`serve` once."""

    def __init__(self, sock: socket.socket, inherited: Inherited, header: dict[str, Any]) -> None:
        self.sock = sock
        self.inherited = inherited
        self.entry: str = header["entry"] or ""
        self.asks_for_series = bool(header.get("series"))
        self.staged = True
        self.shared: list[Shared] = []  # large inputs of the job
        self.limits: dict[str, float] = {**header["limits"], "mapped": inherited.mapped}

    def serve(self, source: bytes) -> bool | None:
        """Until the job ends. False where another process has to go on, without a stage.

        Raises protocol.Closed when the evaluator is gone.
        """
        began = time.process_time()
        code, problem = self._compiled(source)
        is_quick = time.process_time() - began < _QUICK_S  # it may have to be done again
        if code is not None:
            child.import_ahead(source)
            if self._import_heavy(source):
                self.limits["mapped"] += _HEAVY_ROOM
        if self.staged:
            answer = {"op": "compiled", "ok": code is not None, "detail": problem}
            shares = code is not None and self.asks_for_series and self._may_share(source)
            protocol.send(self.sock, {**answer, "series": shares})
        if code is None:
            return True
        if (
            self.staged
            and is_quick
            and self.inherited.boxes is None
            and b"/dev/stdin" not in source
        ):
            return self._on_a_stage(code)
        by_name = b"/dev/stdin" in source
        while (asked := self._next()) is not None:
            self._test(code, asked, by_name)
        return True

    def _may_share(self, source: bytes) -> bool:
        """Whether tests of the program may run in one process."""
        text = source.decode("utf-8", "surrogatepass")
        return is_memoryless(text, self.inherited.surroundings)

    def _next(self) -> Asked | None:
        header, blobs = protocol.receive(self.sock)
        if header["op"] == "series":
            return Asked("", b"", list(zip(header["kinds"], blobs, strict=True)))
        if header["op"] != "test":
            return None
        return Asked(header["kind"], blobs[0] if blobs else self.shared[header["shared"]], [])

    def _on_a_stage(self, code: CodeType) -> bool:
        """All tests in one set of mounts; False once a test has touched them."""
        try:
            stage = Stage(self.inherited.confinement, self.limits, self.inherited.changes)
        except OSError:  # whether this is ours or the machine's, tests without a stage will tell
            return False
        child.fresh_interpreter()
        while (asked := self._next()) is not None:
            if asked.kind == "stdin" and isinstance(asked.given, Shared):
                data = b""
                stage.streams.renew(asked.given.file)
            else:
                data = _whole(asked.given)
                stage.streams.renew(data)
            namespace = self._entered(asked)
            started = time.monotonic()
            pid, pidfd = stage.start(partial(self._program, code, namespace, asked, data))
            timed_out = watch(pid, pidfd, self.sock, self._limits_of(asked))
            report = self._report(pid, started, timed_out)
            sizes = stage.streams.sizes()
            blobs = stage.streams.contents(sizes, int(self.limits["output_mb"]) * MIB)
            self._send(report, stage.began(), sizes, blobs)
            if stage.is_touched():
                return False
        return True

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
        # In linear time: a program may consist of nothing but the word.
        imports = b"\n".join(_IMPORTS.findall(source))
        found = [
            name
            for name in _HEAVY
            if name in self.inherited.third_party
            and re.search(rb"\b" + name.encode() + rb"\b", imports)
        ]
        for name in found:
            with contextlib.suppress(Exception):  # the program will meet the error itself
                __import__(name)
        return bool(found)

    def _test(self, code: CodeType, asked: Asked, by_name: bool) -> None:
        """One in mounts of its own, or in a folder of its own."""
        streams = Streams(_whole(asked.given))
        folder = self.inherited.boxes
        box = boxes.make(folder) if folder else None
        ready, done = os.pipe()
        started = time.monotonic()
        pid = linux.fork_into(0 if folder else linux.CLONE_NEWPID | linux.CLONE_NEWNS)
        if pid == 0:
            self._be_the_test(code, asked, streams, done, by_name, box)
        os.close(done)
        timed_out = watch(pid, os.pidfd_open(pid), self.sock, self._limits_of(asked))
        report = self._report(pid, started, timed_out)
        began = os.read(ready, 200)
        os.close(ready)
        most = int(self.limits["output_mb"]) * MIB
        self._send(report, began, streams.sizes(), streams.contents(most))
        streams.close()
        if box is not None:
            boxes.remove(box)

    def _report(self, pid: int, started: float, timed_out: bool) -> dict[str, Any]:
        """What the kernel says of a test that has ended; reaps it."""
        _, status, usage = os.wait4(pid, 0)
        return {
            "op": "done",
            "timed_out": timed_out,
            "status": status,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "wall_s": time.monotonic() - started,
            "memory_mb": max(0, usage.ru_maxrss - self.inherited.baseline_kb) / 1024,
        }

    def _send(
        self, report: dict[str, Any], began: bytes, sizes: list[int], blobs: list[bytes]
    ) -> None:
        report["began"] = began == b"+"
        report["setup"] = began.decode("utf-8", "replace")
        report["written"] = sizes
        protocol.send(self.sock, report, *blobs)

    def _limits_of(self, asked: Asked) -> dict[str, float]:
        """A series is cut short: its tests are tried again one by one, within all their limits."""
        if not asked.tests:
            return self.limits
        most = {"cpu_s": series.MOST_CPU_S, "wall_s": series.MOST_WALL_S}
        return {name: min(limit, most.get(name, limit)) for name, limit in self.limits.items()}

    def _entered(self, asked: Asked) -> dict[str, Any]:
        """The globals of a single test; a series makes its own."""
        return {} if asked.tests else child.entered(self.inherited.modules_by_kind[asked.kind])

    def _program(
        self, code: CodeType, namespace: dict[str, Any], asked: Asked, data: bytes
    ) -> NoReturn:
        if asked.tests:
            most = int(self.limits["output_mb"]) * MIB
            series.run(code, self.inherited.surroundings, self.entry, asked.tests, RESULT, most)
        if asked.kind == "stdin":
            child.run_stdin(code, namespace)
        arguments = data.decode("utf-8", "surrogatepass")
        child.run_functional(code, namespace, self.entry, arguments, RESULT)

    def _be_the_test(
        self,
        code: CodeType,
        asked: Asked,
        streams: Streams,
        done: int,
        by_name: bool,
        box: str | None,
    ) -> NoReturn:
        try:
            self._working_folder(streams, by_name, box)
            os.setsid()
            done = streams.install(done, keep=self.inherited.confinement.rules)
            self.inherited.confinement.apply(self.limits)
            child.fresh_interpreter()
            namespace = self._entered(asked)
            os.write(done, b"+")
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(done, f"{type(error).__name__}: {error}".encode()[:190])
            os._exit(1)
        os.close(done)
        self._program(code, namespace, asked, streams.data)

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


def _whole(given: bytes | Shared) -> bytes:
    if isinstance(given, bytes):
        return given
    parts = bytearray()
    while len(parts) < given.size:
        parts += os.pread(given.file, given.size - len(parts), len(parts))
    return bytes(parts)
