"""What the checkers of other projects have in common: mocked streams, a wrapped program, a guard.

Their behaviour, written anew: LiveCodeBench's `testing_util.py` at 28fef95, from which apple/ml-ssd
took its own. Runs in the test's process, isolated already; nothing here is trusted. Standard
library only; what costs time to import is imported where it is used.
"""

from __future__ import annotations

import ast
import builtins
import io
import json
import os
import struct
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

HEAD = struct.Struct("!cI")  # a frame: what it is, and how many bytes follow
STDOUT, VALUE, TEXT, FAILED, DONE = b"O", b"V", b"S", b"X", b"D"
GO = b"g"
_EXIT_ERROR = 1
_MAIN = "__name__ == '__main__'"
# What the guard takes away; a program that uses one of them fails.
_OS = (
    "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames "
    "truncate replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir"
)
_SHUTIL = "rmtree move chown"
_MODULES = "ipdb joblib resource psutil tkinter"


class Channel:
    """Frames out, one byte of permission for each. The functions of `os` as they were at first."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write, self._read = os.write, os.read

    def tell(self, kind: bytes, content: bytes = b"") -> None:
        """Returns when the evaluator lets the program go on; else the process is killed here."""
        rest = memoryview(HEAD.pack(kind, len(content)) + content)
        while rest:
            rest = rest[self._write(self._descriptor, rest) :]
        if not self._read(self._descriptor, 1):
            os._exit(_EXIT_ERROR)

    def fail(self, status: str, error: BaseException | str) -> NoReturn:
        text = error if isinstance(error, str) else _described(error)
        self.tell(FAILED, json.dumps([status, text[:300]]).encode())
        os._exit(_EXIT_ERROR)


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:
        return type(error).__name__


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def guard(*names: str) -> None:
    """Sets to None what the checkers' guards do; `names` are those of `builtins`."""
    import shutil
    import subprocess

    for name in names:
        setattr(builtins, name, None)
    for name in _OS.split():
        setattr(os, name, None)
    for name in _SHUTIL.split():
        setattr(shutil, name, None)
    subprocess.Popen = None  # type: ignore[misc, assignment]
    sys.modules.update(dict.fromkeys(_MODULES.split()))  # type: ignore[arg-type]


def wrapped(source: str, prelude: str) -> str:
    """The program as a function `wrapped_function`, its own imports before it.

    A last `if __name__ == '__main__'` is replaced by what it holds. Unchanged where that fails.
    """
    imports: list[ast.stmt] = []
    rest: list[ast.stmt] = []
    try:
        for statement in ast.parse(_without_main_guard(source)).body:
            hoisted = isinstance(statement, ast.Import | ast.ImportFrom)
            (imports if hoisted else rest).append(statement)
        parameters = ast.arguments(
            posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]
        )
        function = ast.FunctionDef("wrapped_function", parameters, rest, [], lineno=-1)
        texts = (prelude, *(ast.unparse(part) for part in (imports, function)))  # type: ignore[arg-type]
        return "\n".join(texts)
    except Exception:
        return _without_main_guard(source)


def _without_main_guard(source: str) -> str:
    try:
        *before, last = ast.parse(source).body
        if isinstance(last, ast.If) and ast.unparse(last.test).strip() == _MAIN:
            parts = (before, last.body)
            return "\n".join(ast.unparse(part) for part in parts)  # type: ignore[arg-type]
    except BaseException:
        return source
    return source


class NotCompiled(Exception):
    """The program is none that Python accepts."""


def compiled(source: str) -> CodeType:
    """Raises NotCompiled; what an alarm raises passes."""
    try:
        return compile(source, "<string>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise NotCompiled(_described(error)) from error


def solution(code: CodeType, source: str) -> Any:
    """What the checkers look for functions on: a module, or the one `Solution()` for all tests."""
    module = ModuleType("tmp_sol", "")
    exec(code, module.__dict__)
    return module.Solution() if "class Solution" in source else module


def attribute(of: Any, name: str) -> Any:
    try:
        return getattr(of, name) if hasattr(of, name) else None
    except Exception:
        return None


class Buffer:
    """`sys.stdin.buffer` there: every `read` is the whole input, every `readline` its first."""

    def __init__(self, text: str) -> None:
        self.inputs = text.encode("utf-8")

    def read(self, *_: Any) -> bytes:
        return self.inputs

    def readline(self, *_: Any) -> bytes:
        return self.inputs.split(b"\n")[0] + b"\n"


class Stdin:
    """`sys.stdin` there; no iterator. Lines are read one after the other, all else is all of it."""

    def __init__(self, text: str) -> None:
        self.inputs = text
        self._stringio = io.StringIO(text)
        self.buffer = Buffer(text)

    def read(self, *_: Any) -> str:
        return self.inputs

    def readline(self, *arguments: Any) -> str:
        return self._stringio.readline(*arguments)

    def readlines(self, *_: Any) -> list[str]:
        return self.inputs.split("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stringio, name)


class Captured:
    """Standard output as text in memory, without a `buffer` and not to be closed."""

    text = ""

    def __enter__(self) -> Captured:
        self._before, self._stream = sys.stdout, io.StringIO()
        self._stream.close = lambda _: 1  # type: ignore[method-assign, misc, assignment]
        sys.stdout = self._stream
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.text = self._stream.getvalue()
        sys.stdout = self._before


def call_with_input(function: Callable[[], Any], text: str, stdin: type[Stdin]) -> None:
    """Calls it with the mocks in place; SystemExit is an end like any other.

    The functions of the real `sys.stdin` are replaced before `sys.stdin` itself: a program that
    took it at its import reads the input by them, line by line without the line's end.
    """
    from unittest.mock import mock_open, patch

    lines = iter(text.split("\n"))
    mocks = (
        patch("sys.stdin.read", lambda *_: text),
        patch("sys.stdin.readlines", lambda *_: text.split("\n")),
        patch("sys.stdin.readline", lambda *_: next(lines)),
        patch("sys.stdin", stdin(text)),
        patch("builtins.open", mock_open(read_data=text)),
    )
    with ExitStack() as held:
        for mock in mocks:
            held.enter_context(mock)
        try:
            function()
        except SystemExit:
            return
