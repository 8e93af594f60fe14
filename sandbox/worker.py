"""One zygote process as the evaluator sees it: start, greeting, end. Judges nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from sandbox import namespace, protocol
from sandbox.base import Job, SandboxError, Test, Tier
from sandbox.leftovers import Folder

HELLO_SECONDS = 30.0
CLOSE_SECONDS = 2.0
# A virtual environment's own interpreter is a link to this one; programs get no more than it has.
INTERPRETER: str = getattr(sys, "_base_executable", sys.executable)
_PROBE = Job("probe", "print(input())", (Test("stdin", "1\n", "1\n"),))


class Zygote:
    """A running zygote and the socket to it. It dies with the thread that starts it."""

    def __init__(self, tier: Tier, modules: dict[str, str], stack_mb: int) -> None:
        self.sock, theirs = socket.socketpair()
        self._boxes = None if tier == "A" else Folder()
        package = str(Path(__file__).parent.parent)
        launch = namespace.LAUNCH.format(stage="namespace")
        arguments = [
            tier,
            str(stack_mb),
            self._boxes.path if self._boxes else "",
            json.dumps(modules),
        ]
        with theirs:
            inside = str(theirs.fileno())
            self.process = subprocess.Popen(
                [INTERPRETER, *namespace.FLAGS, "-c", launch, package, inside, *arguments],
                env=namespace.ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            self.version = self._greet()
        except SandboxError:
            self.close()
            raise

    def _greet(self) -> str:
        self.sock.settimeout(HELLO_SECONDS)
        try:
            hello, _ = protocol.receive(self.sock)
        except (protocol.Closed, TimeoutError) as error:
            raise SandboxError(f"its first process does not start ({error})") from error
        if not hello["ok"]:
            raise SandboxError(str(hello["detail"]))
        return str(hello["detail"])

    def prove(self) -> None:
        """Runs a program: a namespace may be granted and what is needed in it refused."""
        from sandbox.trial import Lost, Trial

        try:
            outcome = Trial(self.sock, _PROBE).run()
        except Lost as error:
            raise SandboxError(f"it ran no program: {error}") from error
        if outcome.status != "passed":
            raise SandboxError(f"{outcome.status}: {outcome.detail}")

    def cpu_seconds(self) -> float:
        """Its own and of all that it started: what has ended and the program that runs."""
        pid = self.process.pid
        pids = [str(pid), *_read(f"/proc/{pid}/task/{pid}/children").split()]
        ticks = sum(_ticks(_read(f"/proc/{each}/stat")) for each in pids)
        return ticks / os.sysconf("SC_CLK_TCK")

    def interrupt(self) -> None:
        """Makes whoever waits for an answer see the end; from another thread."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already

    def close(self) -> None:
        """Ends the zygote and all that it started: tests first, each by its parent."""
        self.sock.close()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()  # the kernel then kills the rest
            self.process.wait()
        if self._boxes is not None:
            self._boxes.close()


def _ticks(stat: str) -> int:
    """User and system time of a process and of its children that ended; 0 once it is gone."""
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def proven(tier: Tier, modules: dict[str, str], stack_mb: int) -> Zygote:
    """A zygote that has run a program. Raises SandboxError with the reason."""
    zygote = Zygote(tier, modules, stack_mb)
    try:
        zygote.prove()
    except SandboxError:
        zygote.close()
        raise
    return zygote
