"""What runs inside a test's process: the program itself, and the little that surrounds it.

Standard library only. Isolation is in place before anything here is called; whatever happens after
that is the program's doing, so nothing here is trusted: only bytes leave.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import json
import os
import random
import re
import sys
import traceback
from itertools import takewhile
from types import CodeType, ModuleType
from typing import Any, NoReturn

FILE = "program.py"
MEMORY_EXIT = 111  # a MemoryError that nobody caught; a program may exit so too: its own loss
# LiveCodeBench's star imports in its order: later ones win, and builtins win over those before.
_STARS = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools "
    "operator io sys json builtins typing"
)
_MODULES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools "
    "operator io sys json"
)
# Imported ahead of a program's tests where its text has the name: each would cost every test its
# milliseconds, and every fork the memory that it maps.
_AHEAD = (
    "time cmath decimal fractions array queue enum types dataclasses abc numbers contextlib "
    "threading struct textwrap calendar hashlib zlib pprint traceback"
)
_AHEAD_PATTERN = re.compile(rf"\b(?:{_AHEAD.replace(' ', '|')})\b".encode())
_LAST = "__file__"  # what comes later in a program's namespace is the program's own
PRELUDE = "\n".join(
    [f"from {name} import *" for name in _STARS.split()]
    + [f"import {name}" for name in _MODULES.split()]
)
RECURSION = 50_000


def prepared() -> dict[str, ModuleType]:
    """By kind of test, the module a program runs as, with the names LiveCodeBench gives it.

    Made before the forks, each of which has its own copy: to fill it there costs a tenth of a test.
    """
    names: dict[str, Any] = {}
    for name in ("exit", "quit"):  # what `site`, which we leave out, would add
        setattr(builtins, name, sys.exit)
    exec(PRELUDE, names)
    modules = {"stdin": ModuleType("__main__"), "functional": ModuleType("program")}
    for module in modules.values():
        module.__dict__.update(names, __file__=FILE, __builtins__=builtins)
    return modules


def import_ahead(source: bytes) -> None:
    for name in set(_AHEAD_PATTERN.findall(source)):
        __import__(name.decode())


def fresh_interpreter() -> None:
    """What a fork inherited and a new process would not have; one random stream for all runs."""
    sys.setrecursionlimit(RECURSION)
    random.seed(0)
    os.environ.clear()


def entered(module: ModuleType) -> dict[str, Any]:
    """What a program then finds itself to be; its globals. The standard streams are open."""
    sys.modules[module.__name__] = module
    # `from sys import *` took the zygote's.
    module.__dict__.update(stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)
    return module.__dict__


def run_stdin(code: CodeType, namespace: dict[str, Any]) -> NoReturn:
    """The program as `__main__` of this process."""
    finish(lambda: exec(code, namespace), code, namespace)


def run_functional(
    code: CodeType, namespace: dict[str, Any], entry: str, arguments: str, result: int
) -> NoReturn:
    """Calls the program's method or function; its value goes to the descriptor `result` as JSON."""

    def call() -> None:
        text = called(code, namespace, entry, arguments)
        while text:
            text = text[os.write(result, text) :]

    finish(call, code, namespace)


def called(code: CodeType, namespace: dict[str, Any], entry: str, arguments: str) -> bytes:
    """The value as JSON, or "!" and why it has no such form."""
    loads, dumps = json.loads, json.dumps  # as they are before the program runs
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    values = loads(arguments)
    sys.set_int_max_str_digits(limit)
    given = namespace.get(entry)
    exec(code, namespace)
    value = _callable(namespace, given, entry)(*values)
    sys.set_int_max_str_digits(0)
    try:
        return dumps(plain(value)).encode()
    except (TypeError, RecursionError) as error:
        return b"!" + str(error).encode("utf-8", "replace")  # no JSON: a wrong answer
    finally:
        sys.set_int_max_str_digits(limit)


def _callable(namespace: dict[str, Any], given: object, entry: str) -> Any:
    """What the program itself defines; `given` is what the prelude's star imports had there."""
    solution = namespace.get("Solution")
    if solution is not None and hasattr(solution, entry):
        return getattr(solution(), entry)
    if entry in namespace and namespace[entry] is not given:
        return namespace[entry]
    raise NameError(f"the program defines neither Solution.{entry} nor {entry}")


def plain(value: Any, depth: int = 0) -> Any:
    """Exact built-in types as JSON can hold them; numpy scalars and arrays by their values.

    TypeError for all else: an object of the program's own never decides how it is compared.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if depth > 2000:
        raise TypeError("the result is nested too deeply")
    if kind in (list, tuple):
        return [plain(each, depth + 1) for each in value]
    if kind is dict:
        return {_key(key): plain(each, depth + 1) for key, each in value.items()}
    if kind.__module__ == "numpy" and kind.__name__ in ("ndarray", *_SCALARS):
        return plain(value.tolist(), depth + 1)
    for base in kind.__mro__:
        if base in (int, float, str, list, tuple, dict):
            return _by_value(value, base, depth)
    raise TypeError(f"the result holds a {kind.__name__}, which JSON has no form for")


_SCALARS = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "bool", "bool_", "str_"),
)


def _by_value(value: Any, base: type, depth: int) -> Any:
    """A subclass counts as its base type holds it, whatever methods it overrides."""
    if base in (list, tuple):
        return [plain(each, depth + 1) for each in base.__iter__(value)]
    if base is dict:
        items = list(dict.items(value))
        return {_key(key): plain(each, depth + 1) for key, each in items}
    if base is str:
        return str.__str__(value)
    return int.__int__(value) if base is int else float.__float__(value)


def _key(key: Any) -> str:
    kind = type(key)
    if kind is str:
        return str(key)
    if key is None or kind in (bool, int, float):
        return json.dumps(key)
    raise TypeError(f"the result has a key of type {kind.__name__}")


def finish(work: Any, program: CodeType, namespace: dict[str, Any]) -> NoReturn:
    """Runs `work`, ends the process as Python would: flushed, threads joined, right exit code."""
    try:
        code = attempt(work)
        _wait_for_threads()
        atexit._run_exitfuncs()
    except BaseException:
        code = 1
    code = _flushed(code)
    _let_go(program, namespace)
    os._exit(_flushed(code))


def attempt(work: Any) -> int:
    try:
        work()
    except SystemExit as leaving:
        return _exit_code(leaving.code)
    except MemoryError:
        return MEMORY_EXIT
    except BaseException as error:
        _explain(error)
        return 1
    return 0


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    os.write(2, str(code).encode("utf-8", "replace")[:2000] + b"\n")
    return 1


def _explain(error: BaseException) -> None:
    """The error on standard error, without the frames of this file."""
    own = error.__traceback__
    while own is not None and own.tb_frame.f_code.co_filename != FILE:
        own = own.tb_next
    lines = traceback.format_exception(type(error), error, own, limit=-6)
    os.write(2, "".join(lines).encode("utf-8", "replace")[-4000:])


def _wait_for_threads() -> None:
    shutdown = getattr(sys.modules.get("threading"), "_shutdown", None)
    if shutdown is not None:
        shutdown()


def _let_go(program: CodeType, namespace: dict[str, Any]) -> None:
    """Drops what the program still holds, as Python does on its way out: writers that it made for
    itself flush when they go. The prelude's names stay: to touch them costs a third of a test."""
    with contextlib.suppress(BaseException):  # destructors of the program's own
        own = list(takewhile(lambda name: name is not _LAST, reversed(namespace)))
        # What it names may have another value than the prelude's.
        for name in (*mentioned(program), *reversed(own)):
            namespace.pop(name, None)


def mentioned(program: CodeType) -> set[str]:
    """Every global, attribute and import that the code or a function in it names."""
    names = set(program.co_names)
    for each in program.co_consts:
        if isinstance(each, CodeType):
            names |= mentioned(each)
    return names


def _flushed(code: int) -> int:
    # A program may have put another stream in place of the first one and left that unflushed.
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError):
            code = code or 120  # as Python ends when it can't flush
        except BaseException:
            code = code or 1
    return code
