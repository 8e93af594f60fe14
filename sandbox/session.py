"""One program's process under another project's rules: forks once for all of the program's tests.

Stands in for `candidate` where a job names such a profile, between zygote and test. Trusted: passes
the evaluator what the program's process tells, one frame at a time, and the permission to go on
back; never holds expected outputs. Standard library only.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from sandbox import boxes, harness, linux, mlssd, official, protocol, root
from sandbox.candidate import Inherited
from sandbox.confine import MIB
from sandbox.streams import Streams

_ROOM = 512 * MIB  # address space of what a program's imports map beyond the zygote
_EXIT_MS = 2000
_STACK_MB = 8  # of a usual shell, where the checkers run
# How deep a call is when the checkers start on a program: a default recursion limit counts it.
_RECURSION = {"official": 1000, "ml-ssd": 1000}


def prepare() -> None:
    """In the zygote, once: what every session would import by itself."""
    for name in ("unittest.mock", "subprocess", "shutil", "faulthandler", "site", "ast"):
        importlib.import_module(name)


class Session:
    """`serve` once."""

    def __init__(self, sock: socket.socket, inherited: Inherited, header: dict[str, Any]) -> None:
        self.sock = sock
        self.inherited = inherited
        self.profile: str = header["profile"]
        self.entry: str | None = header["entry"]
        self.limits: dict[str, float] = {**header["limits"], "stack_mb": _STACK_MB}
        self.limits["mapped"] = inherited.mapped + _ROOM
        self.seconds: float = header["seconds"]

    def serve(self, source: bytes) -> None:
        """Until the job ends. Raises protocol.Closed when the evaluator is gone."""
        _, inputs = protocol.receive(self.sock)
        if mlssd.NUMPY.search(source.decode("utf-8", "replace")):
            with contextlib.suppress(Exception):  # as the checkers do before their guard is up
                importlib.import_module("numpy")
        streams = Streams(b"")
        folder = self.inherited.boxes
        box = boxes.make(folder) if folder else None
        ours, theirs = socket.socketpair()
        started = time.monotonic()
        pid = linux.fork_into(0 if folder else linux.CLONE_NEWPID | linux.CLONE_NEWNS)
        if pid == 0:
            self._be_the_program(source, inputs, streams, theirs.detach(), box)
        theirs.close()
        report = _Watch(self.sock, ours, pid, self.limits).report()
        ours.close()
        _, status, usage = os.wait4(pid, 0)
        report |= {
            "op": "done",
            "status": status,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "wall_s": time.monotonic() - started,
            "memory_mb": max(0, usage.ru_maxrss - self.inherited.baseline_kb) / 1024,
        }
        protocol.send(self.sock, report, streams.contents(0)[2])
        streams.close()
        if box is not None:
            boxes.remove(box)

    def _be_the_program(
        self, source: bytes, inputs: Sequence[bytes], streams: Streams, done: int, box: str | None
    ) -> NoReturn:
        try:
            if box is not None:
                os.chdir(box)
            else:
                root.fresh_box(int(self.limits["box_mb"]))
            os.setsid()
            done = streams.install(done, keep=self.inherited.confinement.rules)
            self.inherited.confinement.apply(self.limits)
            _fresh_interpreter(self.profile)
            os.write(done, b"+")
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(done, f"{type(error).__name__}: {error}".encode()[:190])
            os._exit(1)
        try:
            self._grade(harness.Channel(done), _text(source), [_text(each) for each in inputs])
        except BaseException:  # what the checkers let through ends their process too
            os.write(2, traceback.format_exc(limit=-3).encode("utf-8", "replace")[-4000:])
        os._exit(1)

    def _grade(self, channel: harness.Channel, source: str, inputs: list[str]) -> None:
        if self.profile == "official":
            official.grade(channel, source, self.entry, inputs, self.seconds)
        else:
            mlssd.grade(channel, source, self.entry, inputs)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _fresh_interpreter(profile: str) -> None:
    sys.setrecursionlimit(_RECURSION[profile])
    random.seed(0)
    os.environ.clear()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.modules["__main__"] = ModuleType("__main__")


class _Watch:
    """Frames from the program's process to the evaluator, until either ends. `report` once."""

    def __init__(
        self, sock: socket.socket, channel: socket.socket, pid: int, limits: dict[str, float]
    ) -> None:
        self._sock, self._channel, self._pid = sock, channel, pid
        self._most = int(limits["output_mb"]) * MIB
        self._end = time.monotonic() + limits["wall_s"]
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(sock.fileno(), select.POLLRDHUP)

    def report(self) -> dict[str, Any]:
        """Kills the process at its end; it is still to be waited for."""
        report: dict[str, Any] = {"began": False, "setup": "", "timed_out": False, "over": False}
        report["closed"] = False
        try:
            first = self._exactly(1)
            if first != b"+":
                report["setup"] = (first + self._channel.recv(200)).decode("utf-8", "replace")
                return report
            report["began"] = True
            while self._frame():
                pass
        except TimeoutError:
            report["timed_out"] = True
        except OverflowError:
            report["over"] = True
        except EOFError:
            report["closed"] = not self._ends()
        finally:
            self._kill()
        return report

    def _ends(self) -> bool:
        """Whether the process ends by itself, now that its end of the channel is closed."""
        pidfd = os.pidfd_open(self._pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = bool(poll.poll(_EXIT_MS))
        os.close(pidfd)
        return ended

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def _frame(self) -> bool:
        """Whether there may be another. Raises OverflowError for more than the output limit."""
        kind, length = harness.HEAD.unpack(self._exactly(harness.HEAD.size))
        if length > self._most:
            raise OverflowError
        content = self._exactly(length)
        protocol.send(self._sock, {"op": "frame", "kind": kind.decode("latin-1")}, content)
        answer, _ = protocol.receive(self._sock)
        if answer["op"] != "go":
            return False
        with contextlib.suppress(OSError):
            self._channel.sendall(harness.GO)
        return True

    def _exactly(self, count: int) -> bytes:
        """Raises EOFError, and TimeoutError at the end of the program's time."""
        parts = bytearray()
        while len(parts) < count:
            events = dict(self._poll.poll(max(0.0, self._end - time.monotonic()) * 1000))
            if not events:
                raise TimeoutError
            if self._sock.fileno() in events:
                self._kill()
                os.waitpid(self._pid, 0)
                os._exit(1)
            part = self._channel.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)
