"""The check's side of an `assertion` test: runs a benchmark's check, whose calls leave by a socket.

Runs in a process of its own, isolated like a program, since checks come with the benchmark's data.
Names that the check does not define are the program's functions. What the program returns is
decoded (`literal`) to plain values of exact types and compared here; an object that has no plain
form is a Remote, which equals only itself. Writes one JSON object to its standard output:

    {"status", "detail", "calls"}: passed; failed (an assertion, or the check cannot use a value);
    raised (an exception of the program's that the check does not expect); ended (the program did);
    too_large, malformed (what it returned); broken (the check itself, before it called anything)

Standard library only.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

from sandbox import literal
from sandbox.calls import receive, send

FILE = "check.py"
SHOWN = 100
RECURSION = 5000  # reading nested values takes two frames a level


class Stopped(BaseException):
    """No check catches it. `status` as in the module's docstring."""

    def __init__(self, status: str, detail: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def run_check(channel: int, most: int, entry: str) -> NoReturn:
    """Source on descriptor 0, verdict to descriptor 1. `most`: bytes of one returned value.

    `entry` is the program's even if Python has a function of that name.
    """
    code = 1
    try:
        verdict = os.dup(1)
        sys.stdout = sys.stderr = io.StringIO()  # what a check prints
        sys.setrecursionlimit(RECURSION)
        with open(0, "rb", closefd=False) as file:
            source = file.read().decode("utf-8", "surrogatepass")
        os.write(verdict, json.dumps(_verdict(source, Program(channel, most, entry))).encode())
        code = 0
    finally:
        os._exit(code)


def _verdict(source: str, program: Program) -> dict[str, object]:
    try:
        names = Names(program)
        exec(compile(source, FILE, "exec", dont_inherit=True), names)
        status, detail = "passed", ""
        if not program.calls:
            status, detail = "broken", "it never calls the program"
    except Stopped as stop:
        status, detail = stop.status, stop.detail
    except MemoryError:
        status, detail = "too_large", "what the program returned takes too much memory to check"
    except BaseException as error:
        status, detail = _failure(error, source, program)
    return {"status": status, "detail": detail[:300], "calls": program.calls}


def _failure(error: BaseException, source: str, program: Program) -> tuple[str, str]:
    said = traceback.format_exception_only(error)[-1].strip()
    if error is program.raised:
        return "raised", said
    if not program.calls:
        return "broken", said
    line = _line(error, source)
    if isinstance(error, AssertionError):
        said = f"{said.removeprefix('AssertionError').removeprefix(': ')} {line}".strip()
    return "failed", f"{said}; the last call returned {_shown(program.returned)}"


def _line(error: BaseException, source: str) -> str:
    """The innermost line of the check that failed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == FILE]
    lines = source.split("\n")
    number = (frames[-1].lineno or 0) - 1 if frames else -1
    return _cut(lines[number].strip()) if 0 <= number < len(lines) else ""


def _shown(value: object) -> str:
    try:
        return _cut(repr(value))
    except Exception:
        return f"a {type(value).__name__}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


class Names(dict[str, Any]):
    """The check's globals: what it does not define and Python does not have is the program's."""

    def __init__(self, program: Program) -> None:
        super().__init__(__name__="check", __builtins__=builtins)
        self._program = program
        if program.entry:
            self[program.entry] = Remote(program, program.entry, "function")

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)  # Python then looks there
        return Remote(self._program, name, "function")


class Program:
    """The other end. `calls` counts answers; `raised` is the last exception that crossed."""

    def __init__(self, channel: int, most: int, entry: str) -> None:
        self._channel, self._most, self.entry = channel, most, entry
        self._known: dict[int, Remote] = {}
        self.calls = 0
        self.raised: BaseException | None = None
        self.returned: Any = None

    def ask(self, action: str, target: str | int, *rest: Any) -> tuple[Any, Any]:
        """The value and the changed arguments. Raises what the program raised, and Stopped."""
        answer = self._answer(literal.encode((action, target, *rest), _plain_only))
        self.calls += 1
        if answer[0] == "error":
            self.raised = _exception(*answer[1:])
            raise self.raised
        self.returned = self._local(answer[1])
        return self.returned, self._local(answer[2])

    def _answer(self, request: bytes) -> tuple[Any, ...]:
        try:
            send(self._channel, request)
            reply = receive(self._channel, self._most)
        except OSError:
            reply = None
        except OverflowError as error:
            raise Stopped("too_large", f"the program returned {error}") from error
        if reply is None:
            raise Stopped("ended")
        try:
            answer = literal.decode(reply)
        except (literal.Malformed, RecursionError) as error:
            raise Stopped("malformed", f"the program returned no value: {error}") from error
        if not _well_formed(answer):
            raise Stopped("malformed", "the program returned no value")
        return answer  # type: ignore[no-any-return]

    def _local(self, value: Any) -> Any:
        """With a Remote in place of every Handle."""
        if isinstance(value, literal.Handle):
            if value.number not in self._known:
                self._known[value.number] = Remote(self, value.number, value.kind)
            return self._known[value.number]
        if type(value) in (list, tuple):
            return type(value)(self._local(each) for each in value)
        if type(value) in (set, frozenset):
            return type(value)(self._local(each) for each in value)
        if type(value) is dict:
            return {self._local(key): self._local(each) for key, each in value.items()}
        return value


class Remote:
    """A function or an object of the program's. It equals itself alone."""

    def __init__(self, program: Program, target: str | int, kind: str) -> None:
        vars(self).update(_program=program, _target=target, _kind=kind)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value, changed = self._program.ask("call", self._target, args, kwargs)
        if changed is not None:
            _write_back((args, kwargs), changed)
        return value

    def __getattr__(self, name: str) -> Any:
        if isinstance(self._target, str) or name.startswith("__"):
            raise AttributeError(name)
        return self._program.ask("get", self._target, name)[0]

    def __setattr__(self, name: str, value: Any) -> None:
        self._program.ask("set", self._target, name, value)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._target, str):
            raise TypeError("a function is not iterable")
        return iter(self._program.ask("list", self._target)[0])

    def __len__(self) -> int:
        return int(self._program.ask("len", self._target)[0])

    def __bool__(self) -> bool:
        return isinstance(self._target, str) or bool(self._program.ask("bool", self._target)[0])

    def __repr__(self) -> str:
        return f"<{self._kind} of the program>"


def _plain_only(value: Any) -> literal.Handle:
    if isinstance(value, Remote) and isinstance(value._target, int):
        return literal.Handle(value._target, value._kind)
    if type(value) in (list, tuple, dict, set, frozenset):  # as deep as the program made it
        raise Stopped("malformed", "what the program returned is nested too deeply to be used")
    raise Stopped("broken", f"it passes a {type(value).__name__}, which has no plain form")


def _well_formed(answer: Any) -> bool:
    if not isinstance(answer, tuple) or not answer:
        return False
    if answer[0] == "error":
        return len(answer) == 4 and isinstance(answer[2], list)
    return answer[0] == "value" and len(answer) == 3


def _exception(name: str, kinds: list[str], text: str) -> Exception:
    """Of the nearest built-in class, so that the check can expect it."""
    for each in kinds:
        kind = getattr(builtins, str(each), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(text) if each == name else kind(f"{name}: {text}")
            except TypeError:  # some want more than a text
                continue
    return Exception(f"{name}: {text}")


def _write_back(mine: Any, changed: Any) -> None:
    """What the program did to its arguments, done to the check's own."""
    if type(mine) is not type(changed) or mine is changed:
        return
    if type(mine) in (tuple, list):
        for old, new in zip(mine, changed, strict=False):
            _write_back(old, new)
    if type(mine) is list:
        mine[:] = _kept(mine, changed)
    elif type(mine) is dict:
        for key in mine.keys() & changed.keys():
            _write_back(mine[key], changed[key])
        merged = {key: _same(mine.get(key), each) for key, each in changed.items()}
        mine.clear()
        mine.update(merged)
    elif type(mine) in (set, bytearray):
        mine.clear()
        mine.update(changed) if type(mine) is set else mine.extend(changed)


def _kept(mine: list[Any], changed: list[Any]) -> list[Any]:
    return [_same(mine[i] if i < len(mine) else None, each) for i, each in enumerate(changed)]


def _same(old: Any, new: Any) -> Any:
    """The check's own object where it was changed in place, so that its other names see that."""
    return old if type(old) is type(new) and type(new) in (list, dict, set, bytearray) else new
