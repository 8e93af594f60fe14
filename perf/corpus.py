"""Programs and tests to measure a sandbox with: trivial ones, all overhead, and realistic ones.

Half read standard input, half are called. 7 of 10 are right; the others fail at a test that differs
from program to program. Every program's text is its own, so that nothing can be answered twice.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import json
import random
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

TESTS = 20


@dataclass(frozen=True)
class Case:
    """A program, its tests as (input, expected) texts, and the index of the first that fails."""

    source: str
    entry: str | None
    tests: tuple[tuple[str, str], ...]
    fails_at: int | None

    @property
    def runs(self) -> int:
        """Tests that a checker runs which stops at the first failure."""
        return len(self.tests) if self.fails_at is None else self.fails_at + 1


def trivial(count: int) -> list[Case]:
    return [_trivial(number) for number in range(count)]


def realistic(count: int) -> list[Case]:
    return [_realistic(number) for number in range(count)]


def echoing(size: int, count: int) -> list[Case]:
    """Programs that read `size` bytes and print how many, one test each."""
    text = ("x" * 79 + "\n") * (size // 80 + 1)
    source = "import sys\nprint(len(sys.stdin.buffer.read()))\n"
    test = (text[:size], str(size))
    return [Case(f"# {number}\n{source}", None, (test,) * 4, None) for number in range(count)]


def _case(number: int, source: str, entry: str | None, tests: list[tuple[str, str]]) -> Case:
    """Wrong where the expected value is one that no program gives."""
    fails_at = number * 7 % TESTS if number % 10 in (2, 5, 8) else None
    if fails_at is not None:
        tests[fails_at] = (tests[fails_at][0], "-12345")
    return Case(f"# {number}\n{source}", entry, tuple(tests), fails_at)


def _trivial(number: int) -> Case:
    if number % 2:
        source = f"n = int(input())\nprint(n + {number})\n"
        return _case(number, source, None, [(f"{n}\n", f"{n + number}\n") for n in range(TESTS)])
    source = f"class Solution:\n    def f(self, n):\n        return n + {number}\n"
    return _case(number, source, "f", [(f"[{n}]", str(n + number)) for n in range(TESTS)])


def _realistic(number: int) -> Case:
    which = number % len(_PROGRAMS)
    source, entry = _PROGRAMS[which]
    return _case(number, source, entry, [_test(which, test) for test in range(TESTS)])


_INVERSIONS = """\
import sys
def main():
    n, *a = map(int, sys.stdin.read().split())
    tree, total = [0] * (n + 1), 0
    for seen, x in enumerate(a):
        i = x
        while i:
            total -= tree[i]
            i -= i & -i
        total += seen
        i = x
        while i <= n:
            tree[i] += 1
            i += i & -i
    print(total)
main()
"""
_GRID = """\
from collections import deque
h, w = map(int, input().split())
grid = [input() for _ in range(h)]
far = [[-1] * w for _ in range(h)]
far[0][0] = 0
queue = deque([(0, 0)])
while queue:
    y, x = queue.popleft()
    for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
        if 0 <= v < h and 0 <= u < w and grid[v][u] == "." and far[v][u] < 0:
            far[v][u] = far[y][x] + 1
            queue.append((v, u))
print(max(map(max, far)))
"""
_DISTANCE = """\
class Solution:
    def distance(self, a: str, b: str) -> int:
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            last, row[0] = row[0], i
            for j, y in enumerate(b, 1):
                last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
        return row[-1]
"""
_RISING = """\
class Solution:
    def rising(self, nums: List[int]) -> int:
        ends = []
        for x in nums:
            at = bisect.bisect_left(ends, x)
            ends[at:at + 1] = [x]
        return len(ends)
"""


_PROGRAMS = (
    (_INVERSIONS, None),
    (_GRID, None),
    (_DISTANCE, "distance"),
    (_RISING, "rising"),
)


def _input(which: int, test: int) -> tuple[str, list[object]]:
    """Text to read, or arguments: 5 to 20 ms of work."""
    rng = random.Random(test)
    if which == 0:
        return f"1500 {' '.join(map(str, rng.sample(range(1, 1501), 1500)))}\n", []
    if which == 1:
        rows = ["".join("." if rng.random() < 0.8 else "#" for _ in range(60)) for _ in range(60)]
        return "\n".join(["60 60", "." + rows[0][1:], *rows[1:]]) + "\n", []
    if which == 2:
        return "", ["".join(rng.choices("abcd", k=90)) for _ in range(2)]
    return "", [[rng.randrange(10**6) for _ in range(4000)]]


@cache
def _test(which: int, test: int) -> tuple[str, str]:
    """The expected text comes from running the program here: it is ours."""
    text, arguments = _input(which, test)
    source, entry = _PROGRAMS[which]
    names: dict[str, Any] = {"bisect": bisect, "List": list}
    stdout = io.StringIO()
    with patch.object(sys, "stdin", io.StringIO(text)), contextlib.redirect_stdout(stdout):
        exec(source, names)
    if entry is None:
        return text, stdout.getvalue()
    return json.dumps(arguments), json.dumps(getattr(names["Solution"](), entry)(*arguments))
