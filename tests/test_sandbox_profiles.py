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
    Row("lone-surrogate", "print('\ud800')\n", (SYNTAX, FAILED, FAILED)),
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


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("row", PROGRAMS, ids=lambda row: row.name)
def test_programs_that_print_get_each_profiles_verdict(
    pool: Pool, row: Row, profile: Profile
) -> None:
    job = Job(row.name, row.source, SUMS, profile=profile, limits=Limits(cpu_s=0.5))
    assert verdict(pool, job) == row.verdicts[PROFILES.index(profile)]
