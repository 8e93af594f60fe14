"""Waiting for a test's process to end, within its limits and no longer than the evaluator lives.

Trusted. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time


def watch(pid: int, pidfd: int, sock: socket.socket, limits: dict[str, float]) -> bool:
    """Waits, without reaping; whether it had to be killed. Closes `pidfd`.

    An evaluator that is gone (`sock`) ends the test and us.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(sock.fileno(), select.POLLRDHUP)
    end = time.monotonic() + limits["wall_s"]
    left = min(limits["cpu_s"], limits["wall_s"])
    events: dict[int, int] = {}
    while not events and left > 0:
        events = dict(poll.poll(left * 1000 + 1))
        if not events:
            left = min(limits["cpu_s"] - _cpu_s(pid), end - time.monotonic())
    os.close(pidfd)
    if sock.fileno() in events:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os._exit(1)
    if not events:
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    return not events


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process, all threads; 0 once it has been reaped."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes it
    except OSError:
        return 0.0
