"""The verdicts of the paper's released scorer (apple/ml-ssd, `lcb_run`), inside a sandbox.

One process for all tests of a program, the program executed anew in each; no limit of time for one
test, no `exit`. Texts leave one by one and are compared outside, where the expected ones are. Runs
isolated; standard library only, but numpy and pandas for programs that mention them.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

from sandbox import harness
from sandbox.harness import Captured, Channel, Stdin

# Its imports in its order, for later ones win. It imports numpy and pandas for every program; here
# only where a program names them, since they bind `np` and `pd` and nothing else.
_IMPORTS = """\
from itertools import accumulate, chain, combinations, count, permutations, product
from itertools import groupby, islice, repeat
from copy import deepcopy
from string import ascii_lowercase
from math import floor, log2, log10, sqrt, comb, gcd, ceil, inf, isqrt
from collections import defaultdict, deque, Counter
from bisect import bisect, bisect_left, bisect_right, insort
from heapq import heappush, heappop, heapify, merge
from functools import reduce, cache, lru_cache
from random import randrange, shuffle
from operator import itemgetter, sub
from re import search as re_search
from os.path import commonprefix
from typing import List, Tuple, Dict, Set, Optional, Union, Any, Callable, Iterable, Iterator
from typing import Generator
import copy, string, math, collections, bisect, heapq, functools, random, itertools, operator, re
{third_party}from math import log, prod
from collections import OrderedDict
from itertools import zip_longest, cycle
from functools import partial
from operator import iand
import sys
"""
NUMPY = re.compile(r"\bnp\b|numpy")
PANDAS = re.compile(r"\bpd\b|pandas")


class IterableStdin(Stdin):
    def __iter__(self) -> Iterator[str]:
        return iter(self._stringio)

    def __next__(self) -> str:
        return next(self._stringio)


def imports(source: str) -> str:
    third_party = "import numpy as np\n" if NUMPY.search(source) else ""
    third_party += "import pandas as pd\n" if PANDAS.search(source) else ""
    return _IMPORTS.format(third_party=third_party)


def grade(channel: Channel, source: str, entry: str | None, inputs: Sequence[str]) -> None:
    """Tells each test's output, or its value as text, then DONE; or what failed."""
    harness.guard("exit", "quit")
    prelude = imports(source)
    program = f"{prelude}\n{source}"
    try:
        if entry is None:
            _read_and_print(channel, program, prelude, inputs)
        else:
            _called(channel, program, entry, inputs)
    except harness.NotCompiled as error:
        channel.fail("compile_error", str(error))
    except Exception as error:
        channel.fail("memory_limit" if type(error) is MemoryError else "runtime_error", error)
    channel.tell(harness.DONE)


def _read_and_print(channel: Channel, program: str, prelude: str, inputs: Sequence[str]) -> None:
    text = harness.wrapped(program, prelude)
    code = harness.compiled(text)
    for given in inputs:
        function = harness.attribute(harness.solution(code, text), "wrapped_function")
        if function is None:
            raise NameError("the program cannot be wrapped as the scorer does")
        with Captured() as captured:
            harness.call_with_input(function, given, IterableStdin)
        channel.tell(harness.TEXT, harness.encoded(captured.text))


def _called(channel: Channel, program: str, entry: str, inputs: Sequence[str]) -> None:
    code = harness.compiled(program)
    in_class = "class Solution:" in program or "class Solution(" in program
    for given in inputs:
        channel.tell(harness.TEXT, harness.encoded(_value(code, in_class, entry, given)))


def _value(code: CodeType, in_class: bool, entry: str, given: str) -> str:
    """The returned value's text. The scorer formats and pickles it too: what can't be, fails."""
    values = arguments(given)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    sys.stdout = io.StringIO()
    try:
        function = getattr(namespace["Solution"](), entry) if in_class else namespace[entry]
        value = function(*values)
        if isinstance(value, tuple):
            value = list(value)
        text = value if isinstance(value, str) else str(value)
    finally:
        sys.stdout = sys.__stdout__
    pickle.dumps((f"{value}", value))
    return text


def arguments(given: str) -> list[Any]:
    """As the scorer reads a functional test's input: not as JSON, line by line, with guesses.

    Where an `=` stands anywhere, it takes the whole for `name = value, name = value`.
    """
    if "=" in given:
        return [_assigned(part) for part in given.split(",")]
    lines = [line.strip() for line in given.split("\n")]
    return [_guessed(line) for line in lines if line]


def _assigned(part: str) -> Any:
    _, value = map(str.strip, part.split("="))
    number = _number(value)
    return value.strip('"') if number is None else number


def _guessed(line: str) -> Any:
    if line.startswith('"') and line.endswith('"'):
        return line.strip('"')
    if line.startswith("[") and line.endswith("]"):
        return json.loads(line)
    number = _number(line)
    return line if number is None else number


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
