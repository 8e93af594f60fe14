"""The verdicts of LiveCodeBench's own checker (`testing_util.py` at 28fef95), inside a sandbox.

One process for all tests of a program, with what that entails: one `Solution()`, one module, an
alarm that the program can catch. Outputs and values leave one by one; the comparison, and with it
the expected values, stay outside. Runs isolated; standard library only.
"""

from __future__ import annotations

import builtins
import faulthandler
import json
import signal
import site
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sandbox import harness
from sandbox.child import PRELUDE, RECURSION
from sandbox.harness import Captured, Channel, Stdin
from sandbox.typed import encoded

MOST_DIGITS = 50_000
IMPORTS = f"{PRELUDE}\nsys.setrecursionlimit({RECURSION})\n"


class TimeoutException(Exception):
    """Its name is what the checker looks for."""


def _ring(number: int, frame: object) -> None:
    print("timeout occured: alarm went off")
    raise TimeoutException


def fresh() -> None:
    """What the checker's process starts from, beyond a new interpreter's."""
    site.setquit()
    site.setcopyright()
    site.sethelper()
    sys.set_int_max_str_digits(MOST_DIGITS)


def grade(
    channel: Channel, source: str, entry: str | None, inputs: Sequence[str], seconds: float
) -> None:
    """Tells each test's output or value, then DONE; or what failed. Ends early as it does there."""
    fresh()
    signal.signal(signal.SIGALRM, _ring)
    harness.guard("quit", "help")
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        if entry is None:
            _read_and_print(channel, source, inputs, seconds)
        else:
            _called(channel, source, entry, inputs, seconds)
    except harness.NotCompiled as error:
        signal.alarm(0)
        channel.fail("compile_error", str(error))
    except Exception as error:
        signal.alarm(0)
        channel.fail(_status(error), error)
    signal.alarm(0)
    channel.tell(harness.DONE)


def _solution(source: str, seconds: float) -> Any:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return harness.solution(harness.compiled(source), source)
    finally:
        signal.alarm(0)


def _function(of: Any, name: str) -> Any:
    function = harness.attribute(of, name)
    if function is None:
        raise NameError(f"the program defines no {name} where the checker looks for it")
    return function


def _read_and_print(channel: Channel, source: str, inputs: Sequence[str], seconds: float) -> None:
    text = harness.wrapped(source, IMPORTS)
    function = _function(_solution(text, seconds), "wrapped_function")
    for given in inputs:
        with Captured() as captured:
            work = partial(harness.call_with_input, function, given, Stdin)
            _limited(channel, work, seconds)
        channel.tell(harness.STDOUT, harness.encoded(captured.text))


def _called(
    channel: Channel, source: str, entry: str, inputs: Sequence[str], seconds: float
) -> None:
    text = f"{IMPORTS}\n\n{source}"
    function = _function(_solution(text, seconds), entry)
    arguments = [[json.loads(line) for line in given.split("\n")] for given in inputs]
    for values in arguments:
        value = _limited(channel, partial(function, *values), seconds)
        if isinstance(value, tuple):
            value = list(value)
        channel.tell(harness.VALUE, encoded(value))


def _limited(channel: Channel, work: Callable[[], Any], seconds: float) -> Any:
    """Under the alarm. An error, even where the evaluator lets us go on, is the program's end."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.enable()
    try:
        result = work()
        signal.alarm(0)
        return result
    except Exception as error:
        signal.alarm(0)
        channel.fail(_status(error), error)
    finally:
        signal.alarm(0)
        faulthandler.disable()


def _status(error: Exception) -> str:
    if "timeoutexception" in repr(error).lower():
        return "time_limit"
    return "memory_limit" if isinstance(error, builtins.MemoryError) else "runtime_error"
