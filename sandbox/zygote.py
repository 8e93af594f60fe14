"""The process that every test is forked from: slim, exec'd, isolated, without the answers.

The second stage: `namespace` has isolated this process and exec'd it. Speaks `protocol`:

    evaluator → job {entry, limits} + source       ← compiled {ok, detail}
    evaluator → test {kind} + input                ← done {...} + stdout, result, stderr
    evaluator → series {kinds} + inputs            ← the same, the result a list of answers
    evaluator → end                                ← (nothing; ready for a job)

A job with a `profile` gets a `session` instead, one of `assertion` tests an `assertion`; they speak
their own words.

A job gets a process of its own (`candidate`), which compiles once and forks each test. Compares
nothing: expected outputs never come here. Standard library only.
"""

from __future__ import annotations

import _thread
import contextlib
import gc
import importlib
import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any

from sandbox import child, confine, linux, protocol, root, streams
from sandbox.candidate import Candidate, Inherited, Shared
from sandbox.surroundings import Surroundings

_own_package: list[ModuleType] = []  # out of programs' sight
_AGAIN = 3  # the exit status that asks for another process
_THREAD_STACK = 8 << 20  # what a fresh interpreter gives them; else they'd get the main thread's
_KEPT = (
    *(linux.CAP_SYS_ADMIN, linux.CAP_SETUID, linux.CAP_SETGID),
    *(linux.CAP_SETPCAP, linux.CAP_KILL),
)


def main() -> None:
    fd, tier, statm, uid, boxes, modules = sys.argv[1:]
    sys.argv, sys.orig_argv = [child.FILE], [child.FILE]
    with socket.socket(fileno=streams.moved_up(int(fd))) as sock:
        try:
            inherited = _prepare(tier, int(uid) if uid else None, boxes, json.loads(modules))
        except (OSError, ImportError) as error:
            protocol.send(sock, {"op": "hello", "ok": False, "detail": str(error)})
            return
        inherited.mapped = _mapped_bytes(int(statm))
        hello = {"op": "hello", "ok": True, "detail": sys.version.split()[0]}
        with contextlib.suppress(protocol.Closed):
            protocol.send(sock, hello)
            _serve(sock, inherited)


def _prepare(tier: str, uid: int | None, boxes: str, modules: dict[str, str]) -> Inherited:
    linux.die_with_parent()  # again: exec with capabilities may forget it
    os.environ.pop("LD_LIBRARY_PATH", None)
    if tier == "A":
        linux.keep_capabilities(*_KEPT)
        sys.path.append(root.SITE)
    else:
        sys.meta_path.append(_Allowed(modules))
    _thread.stack_size(_THREAD_STACK)
    by_kind = child.prepared()
    surroundings = Surroundings(by_kind["stdin"].__dict__)
    _own_package.append(sys.modules.pop("sandbox"))
    confined = confine.confinement(tier, uid, modules, boxes or None)
    inherited = Inherited(confined, by_kind, surroundings, boxes or None, frozenset(modules))
    if tier == "A":
        inherited.changes = streams.moved_up(linux.change_queue())
    return inherited


def _serve(sock: socket.socket, inherited: Inherited) -> None:
    """Jobs until the evaluator goes away."""
    gc.collect()
    gc.freeze()
    inherited.baseline_kb = _baseline_kb()
    while True:
        header, blobs = protocol.receive(sock)
        if header["op"] == "job":
            shared = [Shared(_received(sock), size) for size in header.pop("shared", [])]
            _run(sock, inherited, header, blobs[0], shared)
            for each in shared:
                os.close(each.file)


def _received(sock: socket.socket) -> int:
    return streams.moved_up(protocol.receive_descriptor(sock))


def _run(
    sock: socket.socket,
    inherited: Inherited,
    header: dict[str, Any],
    source: bytes,
    shared: list[Shared],
) -> None:
    server = _server(inherited, header)(sock, inherited, header)
    server.shared = shared
    status = _in_a_fork(lambda: server.serve(source))
    if status == _AGAIN << 8:
        server.staged = False
        status = _in_a_fork(lambda: server.serve(source))
    if status:
        protocol.send(sock, {"op": "lost", "status": status})


def _in_a_fork(serve: Callable[[], bool | None]) -> int:
    """The status it ended with: _AGAIN where `serve` returned False."""
    own = os.getpid()
    pid = linux.fork_into(0)
    if pid == 0:
        code = 1
        try:
            linux.die_with_parent(own)
            code = _AGAIN if serve() is False else 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


def _server(inherited: Inherited, header: dict[str, Any]) -> Any:
    """The class; imported when the first job asks for it, so that other zygotes stay slim."""
    if "assertion" not in header and "profile" not in header:
        return Candidate
    name = "sandbox.assertion" if "assertion" in header else "sandbox.session"
    if name not in sys.modules:
        sys.modules["sandbox"] = _own_package[0]
        importlib.import_module(name).prepare()
        del sys.modules["sandbox"]
        gc.collect()
        gc.freeze()
        inherited.baseline_kb = _baseline_kb()
    return sys.modules[name].Session


def _baseline_kb() -> int:
    """What a fork that does nothing counts as resident. Our own figure holds the evaluator's."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.wait4(pid, 0)[2].ru_maxrss


class _Allowed:
    """Finds the allowed third-party modules where no small root holds them (tiers B and C)."""

    def __init__(self, modules: dict[str, str]) -> None:
        self._places = {name.removesuffix(".py"): path for name, path in modules.items()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """By the place alone: programs may not list the folder that holds it."""
        place = self._places.get(name) if path is None else None
        if place is None:
            return None
        if place.endswith(".py"):
            return spec_from_file_location(name, place)
        return spec_from_file_location(
            name, f"{place}/__init__.py", submodule_search_locations=[place]
        )


def _mapped_bytes(statm: int) -> int:
    pages = int(os.pread(statm, 100, 0).split()[0])
    os.close(statm)
    return pages * resource.getpagesize()
