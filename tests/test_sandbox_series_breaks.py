"""Series: what a second reviewer's attempts got through, each with the rule that closed it.

Every attempt passes in a series of the version before and fails alone, or sees an earlier test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sandbox import child
from sandbox.base import Job, Outcome, Test
from sandbox.memoryless import is_memoryless
from sandbox.pool import Pool
from sandbox.series import record, recorded
from sandbox.surroundings import Surroundings

# A name of the prelude that is left out, which a program may use since it binds it somewhere.
_MISSING = "def unused(): getrandbits = 1\n"
_INDEX = _MISSING + "class A:\n    def __index__(self): return [getrandbits, 1][1]\n"

# Each prints what it printed in a series once: (source, that).
ACTS_OTHERWISE = {
    "islice clears any error": (
        _INDEX + "try:\n    islice([1], A())\n    print(1)\nexcept ValueError:\n    print(2)\n",
        "2",
    ),
    "in bytes clears any error": (
        _INDEX + "try:\n    A() in b'abc'\n    print(1)\nexcept TypeError:\n    print(2)\n",
        "2",
    ),
    "comparing clears any error": (
        _MISSING + "class A:\n    @property\n    def __eq__(self):\n"
        "        return [getrandbits, lambda o: True][1]\nprint(1 if A() == 1 else 2)\n",
        "2",
    ),
    "iterating clears any error": (
        _MISSING + "class A:\n    @property\n    def __iter__(self):\n"
        "        return [getrandbits, lambda: iter([])][1]\n"
        "try:\n    list(A())\n    print(1)\nexcept TypeError:\n    print(2)\n",
        "2",
    ),
    "a class that reads what it binds": (
        _INDEX.replace("[getrandbits, 1][1]", "n")
        + "class B:\n    getrandbits = getrandbits\nn = 1\nprint(2)\n",
        "1",
    ),
    "mode of a buffer": (
        "import sys\nclass A:\n    @property\n    def keys(self):\n"
        "        return [sys.stdin.buffer.mode, lambda: []][1]\n"
        "try:\n    dict(A())\n    print(1)\nexcept TypeError:\n    print(2)\n",
        "2",
    ),
    "closed input": (
        "import sys\nsys.stdin.close()\ntry:\n    sys.stdin.readable()\n"
        "except ValueError as e:\n    print(e)\n",
        "I/O operation on closed file.",
    ),
    "type of a module": (
        "import math\ntry:\n    math()\nexcept TypeError as e:\n    print(str(e)[:9])\n",
        "'_Module'",
    ),
    "copy of a module": (
        "import math, copy\ntry:\n    copy.copy(math)\nexcept TypeError as e:\n    print(e)\n",
        "cannot pickle '_Module' object",
    ),
    "name of a function": ("import copy\nprint(str(copy.copy)[:15])\n", "<function _copy"),
    "name in an error": (
        "import copy\ntry:\n    copy.deepcopy()\nexcept TypeError as e:\n    print(str(e)[:11])\n",
        "_deepcopy()",
    ),
}

# `heapq.merge` yields from its last iterator, and so calls its `close` when it is collected.
CLOSED_LATER = (
    "import heapq\nn = input()\nclass It:\n    n = n\n    def __iter__(self): return self\n"
    "    def __next__(self): return 1\n    def close(self): print('prev', self.n)\n"
    "def main():\n    x = heapq.merge([], It())\n    next(x)\n    next(x)\n    y = [x]\n"
    "    y.append(y)\nz = [[] for _ in range(3000)]\nmain()\n"
)


# A base that is an instance has its class called, with the body's annotations: what `typing` made,
# and keeps for later runs.
ANNOTATED = (
    "n = input()\nclass M:\n    def __init__(self, *a):\n        if len(a) > 2:\n"
    "            for k in a[2]:\n                if 'annot' in k:\n"
    "                    x = a[2][k]['x']\n                    print('prev', x._name)\n"
    "                    x._name = n\nclass K(M()):\n    x: List[int]\n"
)


@pytest.fixture(scope="module")
def pools() -> Iterator[tuple[Pool, Pool]]:
    with Pool(1) as series, Pool(1, series=False) as single:
        yield series, single


def _outcomes(pools: tuple[Pool, Pool], source: str, tests: list[Test]) -> list[Outcome]:
    job = Job("0", source, tuple(tests), all_tests=True)
    return [next(pool.run([job])) for pool in pools]


@pytest.mark.parametrize("name", ACTS_OTHERWISE)
def test_a_series_judges_as_single_tests_do(name: str, pools: tuple[Pool, Pool]) -> None:
    source, once = ACTS_OTHERWISE[name]
    series, single = _outcomes(pools, source, [Test("stdin", "5\n", once + "\n")] * 3)
    assert single.tests_passed == 0
    assert (series.status, series.detail) == (single.status, single.detail)


@pytest.mark.parametrize("source", [CLOSED_LATER, ANNOTATED])
def test_no_test_sees_what_an_earlier_one_left(source: str, pools: tuple[Pool, Pool]) -> None:
    tests = [Test("stdin", f"{n}\n", f"prev {n - 1}\n") for n in range(1, 6)]
    series, single = _outcomes(pools, source, tests)
    assert series.tests_passed == single.tests_passed == 0


def test_a_program_may_name_its_own_what_the_prelude_names(pools: tuple[Pool, Pool]) -> None:
    """Such as a merge sort's function; and so it is fast."""
    source = (
        "def merge(a, b):\n    return sorted(a + b)\n"
        "def search(x):\n    return x\nmode = int(input())\n"
        "print(merge([mode], [0])[1] + search(1))\n"
    )
    surroundings = Surroundings(child.prepared()["stdin"].__dict__)
    assert {"merge", "search", "mode"} <= surroundings.left_out
    assert is_memoryless(source, surroundings)
    tests = [Test("stdin", f"{n}\n", f"{n + 1}\n") for n in range(6)]
    assert [each.status for each in _outcomes(pools, source, tests)] == ["passed"] * 2


def test_a_function_reads_the_same_standard_input(pools: tuple[Pool, Pool]) -> None:
    source = "import sys\ndef f(n):\n    return sys.stdin.read()\n"
    for read, passes in (("[1]", 2), ("", 0)):
        tests = (Test("functional", "[1]", json.dumps(read)),) * 2
        job = Job("0", source, tests, "f", all_tests=True)
        assert [next(pool.run([job])).tests_passed for pool in pools] == [passes] * 2


def test_a_lack_that_a_real_run_has_not_ends_the_process() -> None:
    """No error of it can be caught, by whatever clears errors."""
    surroundings = Surroundings(child.prepared()["stdin"].__dict__)
    for source in ("mode", "def f(): return mode\nf()", "class A: mode = mode"):
        code = compile(source, "program.py", "exec")
        if (pid := os.fork()) == 0:
            with suppress(BaseException):
                exec(code, surroundings.fresh("__main__", {"mode"}))
            os._exit(7)
        assert os.waitpid(pid, 0)[1] == 0, source


def test_classes_of_classes_stay_fast() -> None:
    surroundings = Surroundings(child.prepared()["stdin"].__dict__)
    source = (
        "class Shape:\n    n = 1\nclass Square(Shape):\n    pass\nclass Big(Square):\n    pass\n"
        "class Bad(ValueError):\n    pass\nclass Table(dict):\n    pass\n"
        "def area(s: Square) -> List[Big]:\n    return [s]\n"
    )
    assert is_memoryless(source, surroundings)


def test_no_more_answers_are_read_than_tests_were_asked() -> None:
    assert recorded(record(b"a") * 5, 3) == [b"a"] * 3
