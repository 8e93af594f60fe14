"""The profiles `official` and `ml-ssd`: small programs, and what each makes of them.

`perf/agreement.py` compares them with the checkers themselves, over thousands of programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sandbox.base import PROFILES, Job, Limits, Profile, Status, Test
from sandbox.pool import Pool

PASSED: Status = "passed"
WRONG: Status = "wrong_answer"
FAILED: Status = "runtime_error"
SYNTAX: Status = "compile_error"


class Row(NamedTuple):
    """A program that adds two integers, one on a line; its verdicts in the order of PROFILES."""

    name: str
    source: str
    verdicts: tuple[Status, Status, Status]


def reads(expression: str, imports: str = "import sys") -> str:
    return f"{imports}\na, b = map(int, {expression})\nprint(a + b)\n"


READING = (
    Row("input", reads("(input(), input())"), (PASSED, PASSED, PASSED)),
    Row("stdin-read", reads("sys.stdin.read().split()"), (PASSED, PASSED, PASSED)),
    Row("stdin-iterated", reads("[line for line in sys.stdin]"), (PASSED, FAILED, PASSED)),
    Row("buffer-read", reads("sys.stdin.buffer.read().split()"), (PASSED, PASSED, PASSED)),
    Row(
        "buffer-readline-twice",
        reads("(sys.stdin.buffer.readline(), sys.stdin.buffer.readline())"),
        (PASSED, WRONG, WRONG),
    ),
    Row(
        "input-then-read",
        "import sys\na = int(input())\nprint(a + int(sys.stdin.read()))\n",
        (PASSED, FAILED, FAILED),
    ),
    Row("open-0", reads("open(0).read().split()"), (PASSED, FAILED, PASSED)),
    Row("os-read", reads("os.read(0, 100).split()", "import os"), (PASSED, FAILED, FAILED)),
    Row("from-sys-import-stdin", reads("stdin", "from sys import stdin"), (PASSED, FAILED, FAILED)),
    Row(
        "readline-of-imported-stdin",
        reads("(stdin.readline(), stdin.readline())", "from sys import stdin"),
        (PASSED, PASSED, PASSED),
    ),
)
ADDS = "a, b = int(input()), int(input())\n"
ENDING = (
    Row("exit", ADDS + "print(a + b)\nexit()\n", (PASSED, PASSED, FAILED)),
    Row("quit", ADDS + "print(a + b)\nquit()\n", (PASSED, FAILED, FAILED)),
    Row("sys-exit", "import sys\n" + ADDS + "print(a + b)\nsys.exit()\n", (PASSED,) * 3),
    Row(
        "exit-code", "import sys\n" + ADDS + "print(a + b)\nsys.exit(3)\n", (FAILED, PASSED, PASSED)
    ),
    Row(
        "os-exit",
        f"import os\n{ADDS}print(a + b, flush=True)\nos._exit(0)\n",
        (PASSED, FAILED, FAILED),
    ),
)
WRAPPED = (
    Row(
        "global",
        "total = 0\ndef add(n):\n    global total\n    total += n\n"
        + ADDS
        + "add(a); add(b)\nprint(total)\n",
        (PASSED, FAILED, FAILED),
    ),
    Row(
        "main-guard",
        f"def main():\n    {ADDS.strip()}\n    print(a + b)\n"
        "if __name__ == '__main__':\n    main()\n",
        (PASSED, PASSED, PASSED),
    ),
    Row(
        "main-guard-not-last",
        f"if __name__ == '__main__':\n    {ADDS.strip()}\n    print(a + b)\nx = 1\n",
        (PASSED, WRONG, WRONG),
    ),
    Row(
        "class-named-Solution",
        f"class Solution:\n    pass\n{ADDS}print(a + b)\n",
        (PASSED, FAILED, FAILED),
    ),
    Row(
        "future-import",
        f"from __future__ import annotations\n{ADDS}print(a + b)\n",
        (PASSED, SYNTAX, SYNTAX),
    ),
    Row(
        "stdout-buffer",
        f"import sys\n{ADDS}sys.stdout.buffer.write(b'%d' % (a + b))\n",
        (PASSED, FAILED, FAILED),
    ),
    Row("star-imported-name", f"{ADDS}print(floor(a + b))\n", (PASSED, PASSED, PASSED)),
    Row("name-of-one-prelude", f"{ADDS}print(fsum([a, b]))\n", (PASSED, PASSED, FAILED)),
    Row("syntax-error", "print(1\n", (SYNTAX, SYNTAX, SYNTAX)),
    Row("nul-byte", "print(1)\0\n", (SYNTAX, SYNTAX, SYNTAX)),
    Row("lone-surrogate", "print('\ud800')\n", (SYNTAX, SYNTAX, SYNTAX)),
    Row("empty", "", (WRONG, SYNTAX, SYNTAX)),
    Row(
        "deep-recursion",
        "def f(n):\n    return n and 1 + f(n - 1)\n" + ADDS + "f(5000)\nprint(a + b)\n",
        (PASSED, PASSED, FAILED),
    ),
    Row(
        "alarm-swallowed",
        ADDS + "try:\n    while True: pass\nexcept BaseException: pass\nprint(a + b)\n",
        ("time_limit", WRONG, "time_limit"),
    ),
)
PROGRAMS = READING + ENDING + WRAPPED
SUMS = tuple(Test("stdin", f"{n}\n{n + 1}\n", f"{2 * n + 1}\n") for n in range(1, 4))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


def verdict(pool: Pool, job: Job) -> Status:
    (outcome,) = pool.run([job])
    return outcome.status


def cases(rows: tuple[Row, ...]) -> list[object]:
    """Each with each profile. What ml-ssd ends is its limit for all tests, which is never short."""
    ends = {(row.name, PROFILES[2]) for row in rows if row.verdicts[2] == "time_limit"}
    return [
        pytest.param(
            row,
            profile,
            id=f"{row.name}-{profile}",
            marks=[pytest.mark.slow] * ((row.name, profile) in ends),
        )
        for row in rows
        for profile in PROFILES
    ]


@pytest.mark.parametrize(("row", "profile"), cases(PROGRAMS))
def test_programs_that_print_get_each_profiles_verdict(
    pool: Pool, row: Row, profile: Profile
) -> None:
    job = Job(row.name, row.source, SUMS, profile=profile, limits=Limits(cpu_s=0.4))
    assert verdict(pool, job) == row.verdicts[PROFILES.index(profile)]


ADD = "def add(self, a, b):"
CALLED = (
    Row("method", f"class Solution:\n    {ADD} return a + b\n", (PASSED, PASSED, PASSED)),
    Row("function", "def add(a, b): return a + b\n", (PASSED, PASSED, PASSED)),
    Row(
        "memo-in-init",
        "class Solution:\n    def __init__(self): self.memo = {}\n"
        f"    {ADD}\n        self.memo.setdefault('sum', a + b)\n        return self.memo['sum']\n",
        (PASSED, WRONG, PASSED),
    ),
    Row(
        "count-in-module",
        "calls = []\ndef add(a, b):\n    calls.append(1)\n    return a + b + len(calls) - 1\n",
        (PASSED, WRONG, PASSED),
    ),
    Row("numpy-integer", "import numpy\ndef add(a, b): return numpy.int64(a + b)\n", (PASSED,) * 3),
    Row("float", "def add(a, b): return float(a + b)\n", (PASSED, PASSED, PASSED)),
    Row("text", "def add(a, b): return str(a + b)\n", (WRONG, WRONG, PASSED)),
    Row("exit", f"class Solution:\n    {ADD} exit()\n", (FAILED, FAILED, FAILED)),
    Row("error", "def add(a, b): return a / 0\n", (FAILED, FAILED, FAILED)),
    # The checker finds operator.add, which its own star imports brought.
    Row("name-of-the-prelude", "def sum2(a, b): return 0\n", (FAILED, PASSED, FAILED)),
    Row(
        "class-in-a-comment",
        "# class Solution\ndef add(a, b): return a + b\n",
        (PASSED, FAILED, PASSED),
    ),
    Row("syntax-error", "def add(a, b) return a\n", (SYNTAX, SYNTAX, SYNTAX)),
)
CALLS = tuple(Test("functional", f"[{n}, {n + 1}]", str(2 * n + 1)) for n in range(1, 4))


@pytest.mark.parametrize(("row", "profile"), cases(CALLED))
def test_functions_get_each_profiles_verdict(pool: Pool, row: Row, profile: Profile) -> None:
    job = Job(row.name, row.source, CALLS, "add", profile=profile)
    assert verdict(pool, job) == row.verdicts[PROFILES.index(profile)]


VALUES = (
    ("(1, 2)", "[1, 2]", (PASSED, PASSED, PASSED)),
    ("[(1, 2)]", "[[1, 2]]", (PASSED, WRONG, WRONG)),
    ("[1.0, 2.0]", "[1, 2]", (PASSED, PASSED, WRONG)),
    ("1", "true", (WRONG, PASSED, WRONG)),
    ("'1'", "1", (WRONG, WRONG, PASSED)),
    ("{1: 2}", '{"1": 2}', (PASSED, WRONG, WRONG)),
    ("None", "null", (PASSED, PASSED, PASSED)),
    ("float('nan')", "NaN", (WRONG, WRONG, PASSED)),
    ("deque([1])", "[1]", (WRONG, WRONG, WRONG)),
    ("defaultdict(int, a=1)", '{"a": 1}', (PASSED, PASSED, WRONG)),
)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("returned", "expected", "verdicts"), VALUES)
def test_values_equal_what_they_equal_there(
    pool: Pool, returned: str, expected: str, verdicts: tuple[Status, ...], profile: Profile
) -> None:
    source = f"def solve(_): return {returned}\n"
    job = Job("j", source, (Test("functional", "[0]", expected),), "solve", profile=profile)
    assert verdict(pool, job) == verdicts[PROFILES.index(profile)]


def test_official_calls_no_function_without_arguments(pool: Pool) -> None:
    test = Test("functional", "[]", "1")
    job = Job("j", "def solve(): return 1\n", (test,), "solve", profile="official")
    (outcome,) = pool.run([job])
    assert (outcome.status, outcome.detail[:15]) == (FAILED, "JSONDecodeError")
