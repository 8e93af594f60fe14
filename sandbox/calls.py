"""The program's side of an `assertion` test: runs the program, then answers calls from the check.

Runs inside the program's own process, so nothing here is trusted: only bytes leave, and the check
takes them for plain values (`literal`). Standard library only.
"""

from __future__ import annotations

import os
import struct
import sys
from types import CodeType, ModuleType
from typing import Any, NoReturn

from sandbox import child, literal

SIZE = struct.Struct("!Q")
MOST = 1 << 32  # one message; the output limit is far below
RECURSION = 1000  # Python's own, as in a fresh interpreter


def run_assertion(code: CodeType, module: ModuleType, channel: int) -> NoReturn:
    """The program in a namespace without our prelude, then its calls, until the check ends."""
    child.finish(lambda: _serve(code, module, channel), code, module.__dict__)


def _serve(code: CodeType, module: ModuleType, channel: int) -> None:
    sys.modules[module.__name__] = module
    sys.setrecursionlimit(RECURSION)
    exec(code, module.__dict__)
    answers = _Answers(module.__dict__)
    while (request := receive(channel)) is not None:
        send(channel, answers.to(request))
    os._exit(0)  # the check has decided: nothing more is asked of the program


class _Answers:
    """Objects without a plain form stay here; the check knows them by number."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._kept: list[Any] = []

    def to(self, request: bytes) -> bytes:
        action, target, *rest = literal.decode(request)
        try:
            return literal.encode(self._done(action, target, rest), self._keep)
        except (SystemExit, KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            return _raised(error)

    def _done(self, action: str, target: Any, rest: list[Any]) -> tuple[Any, ...]:
        if action == "call":
            return self._called(target, *rest)
        it = self._kept[target]
        if action == "get":
            return ("value", getattr(it, rest[0]), None)
        if action == "set":
            setattr(it, rest[0], self._meant(rest[1]))
            return ("value", None, None)
        if action == "len":
            return ("value", len(it), None)
        return ("value", list(it) if action == "list" else bool(it), None)

    def _called(
        self, target: str | int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The value, and the arguments where the program changed them."""
        before = literal.encode((args, kwargs))
        args, kwargs = self._meant(args), self._meant(kwargs)
        value = self._function(target)(*args, **kwargs)
        given = (args, kwargs)
        changed = literal.encode(given, self._keep) != before
        return ("value", value, given if changed else None)

    def _function(self, target: str | int) -> Any:
        if isinstance(target, int):
            return self._kept[target]
        if target not in self._names:
            raise NameError(f"the program does not define {target}")
        return self._names[target]

    def _meant(self, value: Any) -> Any:
        """With objects of the program's own in place of their numbers."""
        if isinstance(value, literal.Handle):
            return self._kept[value.number]
        if type(value) in (list, tuple):
            return type(value)(self._meant(each) for each in value)
        if type(value) is dict:
            return {key: self._meant(each) for key, each in value.items()}
        return value

    def _keep(self, it: Any) -> literal.Handle:
        for number, each in enumerate(self._kept):
            if each is it:
                return literal.Handle(number, type(it).__name__)
        self._kept.append(it)
        return literal.Handle(len(self._kept) - 1, type(it).__name__)


def _raised(error: BaseException) -> bytes:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    try:
        text = str(error)
    except Exception:
        text = ""
    return literal.encode(("error", type(error).__name__, kinds, text[:2000]))


def send(channel: int, message: bytes) -> None:
    data = memoryview(SIZE.pack(len(message)) + message)
    while data:
        data = data[os.write(channel, data) :]


def receive(channel: int, most: int = MOST) -> bytes | None:
    """None at the end. Raises OverflowError for a message of more than `most` bytes."""
    head = _exactly(channel, SIZE.size)
    if head is None:
        return None
    (size,) = SIZE.unpack(head)
    if size > most:
        raise OverflowError(f"{size} bytes")
    return _exactly(channel, size)


def _exactly(channel: int, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(channel, min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
