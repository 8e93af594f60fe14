"""Series: several tests in one process, where no test can see another's effects."""

from __future__ import annotations

import pytest

from sandbox import child
from sandbox.base import Job, Limits, Outcome, Test
from sandbox.memoryless import is_memoryless
from sandbox.pool import Pool
from sandbox.series import record, recorded
from sandbox.surroundings import CALLED, Surroundings, _refuses_marks


@pytest.fixture(scope="module")
def surroundings() -> Surroundings:
    return Surroundings(child.prepared()["stdin"].__dict__)


@pytest.fixture(scope="module")
def pools() -> object:
    with Pool(1) as series, Pool(1, series=False) as single:
        yield series, single


def _job(source: str, tests: list[tuple[str, str]], entry: str | None = None) -> Job:
    kind = "functional" if entry else "stdin"
    return Job("0", source, tuple(Test(kind, *test) for test in tests), entry, all_tests=True)


def _verdict(outcome: Outcome) -> tuple[object, ...]:
    return outcome.status, outcome.detail, outcome.failed_test, outcome.tests_passed


# Honest programs of the usual shapes: these have to be fast.
MEMORYLESS = {
    "reads": "n = int(input())\nprint(n + 1)\n",
    "reads all": "import sys\ndata = sys.stdin.read().split()\nprint(int(data[0]) + 1)\n",
    "bytes": "import sys\ninput = sys.stdin.buffer.readline\nprint(int(input()) + 1)\n",
    "until the end": (
        "try:\n    while True:\n        print(int(input()) + 1)\nexcept EOFError:\n    pass\n"
    ),
    "late guard": (
        "import os, math\ndef main():\n    print(int(input()) + 1)\n"
        "if __name__ == '__main__':\n    main()\n"
    ),
    "a class": (
        "from collections import deque, defaultdict, Counter\n"
        "class Node:\n    def __init__(self, x):\n        self.x = x\n        self.next = None\n"
        "n = Node(int(input()))\nn.next = Node(1)\nc = Counter([n.x])\nd = defaultdict(int)\n"
        "d[c.most_common(1)[0][0]] += n.next.x\nprint(n.x + d[n.x])\n"
    ),
    "memo": (
        "from functools import lru_cache\nimport sys\nsys.setrecursionlimit(10**6)\n"
        "@lru_cache(None)\ndef f(n):\n    return 1 if n == 0 else f(n - 1) + 1\n"
        "print(f(int(input())))\n"
    ),
    "format": "print('{} {}'.format(int(input()) + 1, '').strip())\n",
    "deepcopy": "import copy\nn = copy.deepcopy([int(input())])\nprint(n[0] + 1)\n",
    "leaves": "import sys\nprint(int(input()) + 1)\nsys.exit(0)\n",
}

# Each keeps something from run to run where it can, or would act otherwise in a series.
MARKS = {
    "default": (
        "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)\nprint(f(int(input())))\n"
    ),
    "class attribute": "class A:\n    n = 0\nA.n += 1\nint(input())\nprint(A.n)\n",
    "function attribute": (
        "def f(): pass\nint(input())\nf.n = 1 if not f.__dict__ else 2\nprint(f.n)\n"
    ),
    "module attribute": (
        "import math\nint(input())\n"
        "try:\n    math.seen += 1\nexcept Exception:\n    math.seen = 1\nprint(math.seen)\n"
    ),
    "module": "import math\nint(input())\nmath.seen = 1\nprint(math.seen)\n",
    "held module": "import math\ndef f(m):\n    m.seen = 1\nf(math)\nint(input())\nprint(1)\n",
    "Counter": (
        "from collections import Counter\nC = Counter\nint(input())\n"
        "C.seen = getattr(C, 'seen', 0) + 1\nprint(C.seen)\n"
    ),
    "typing": "int(input())\nL = List[int]\nL.n = 1\nprint(L.n)\n",
    "annotation": (
        "class K:\n    def __hash__(self): return 1\n    def __eq__(self, o): return True\n"
        "    def __call__(self): pass\nk = K()\ndef f(x: List[k]): pass\nint(input())\nprint(1)\n"
    ),
    "wraps": (
        "from functools import wraps\nu = wraps(print).func\nint(input())\n"
        "u.n = getattr(u, 'n', 0) + 1\nprint(u.n)\n"
    ),
    "cache info": (
        "from functools import lru_cache\nf = lru_cache(None)(lambda: 0)\n"
        "d = f.cache_info()._field_defaults\nd['n'] = d.get('n', 0) + 1\nint(input())\n"
        "print(d['n'])\n"
    ),
    "memo of its own": (
        "from copy import deepcopy\nclass M(dict):\n    def get(self, k, d=None):\n"
        "        d.append(1)\n        self.n = len(d)\n        return d\nm = M()\n"
        "deepcopy([0], m)\nint(input())\nprint(m.n)\n"
    ),
    "frame": (
        "def g():\n    yield\nx = g()\nint(input())\nprint(x.gi_frame.f_back is None and 1 or 1)\n"
    ),
    "format": "def g():\n    yield\nint(input())\nprint(len('{0.gi_frame}'.format(g())) and 1)\n",
    "format by name": (
        "f = 'x{0.gi_frame}'.format\nint(input())\nprint(len(f((i for i in []))) and 1)\n"
    ),
    "globals": "globals().setdefault('s', []).append(1)\nint(input())\nprint(len(s))\n",
    "builtins": (
        "import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\nint(input())\nprint(n)\n"
    ),
    "sys.modules": (
        "import sys\nsys.modules['n'] = n = sys.modules.get('n', 0) + 1\nint(input())\nprint(n)\n"
    ),
    "random": "import random\nint(input())\nprint(random.seed(random.random()) or 1)\n",
    "stream attribute": (
        "import sys\nsys.stderr.n = 1\nsys.stdout.n = 1\nint(input())\nprint(sys.stderr.n)\n"
    ),
    "other stream": (
        "import sys, io\nsys.stdout = io.StringIO()\nint(input())\nsys.__stdout__.write('1\\n')\n"
    ),
    "exception": (
        "try:\n    [][1]\nexcept IndexError as e:\n    e.n = 1\n    n = e.n\n"
        "int(input())\nprint(n)\n"
    ),
    "file": "open('n', 'a').write('x')\nint(input())\nprint(len(open('n').read()))\n",
    "recursion limit": (
        "import sys\nn = sys.getrecursionlimit()\nsys.setrecursionlimit(n + 1)\nint(input())\n"
        "print(n == 50000 and 1)\n"
    ),
    "catches what is missing": (
        "try:\n    n = len(choices)\nexcept Exception:\n    n = 1\nint(input())\nprint(n and 1)\n"
    ),
    "finally": (
        "def f():\n    try:\n        return getrandbits\n    finally:\n        return 1\n"
        "int(input())\nprint(f())\n"
    ),
    "class body": (
        "class A(dict):\n    def __getattr__(self, n): return 1\nint(input())\nprint(A().x)\n"
    ),
    "subclasses": (
        "n = len([c for c in dict.__subclasses__() if c.__name__ == 'Mine'])\n"
        "class Mine(dict): pass\nint(input())\nprint(n + 1)\n"
    ),
    "star": "from os import *\nint(input())\nprint(1)\n",
    "partial": (
        "from functools import partial\np = partial(int)\np.n = 1\nint(input())\nprint(p.n)\n"
    ),
}
TESTS = [(f"{n}\n", "1\n") for n in range(6)]

# Found by a reviewer's attempts: each prints the input of the run before, where it can.
SEES_THE_LAST = {
    "close of a stream": "n = input()\nstderr.close = lambda n=n: print('prev', n)\n",
    "close of a buffer": "n = input()\nstderr.buffer.close = lambda n=n: print('prev', n)\n",
    "close of what is yielded from": (
        "n = input()\nclass It:\n    n = n\n    def __iter__(self): return self\n"
        "    def __next__(self): return 1\n    def close(self): print('prev', self.n)\n"
        "def g(): yield from It()\n"
        "def main():\n    x = g()\n    next(x)\n    y = [x]\n    y.append(y)\n"
        "z = [[] for _ in range(3000)]\nmain()\n"
    ),
    "decorated class in an annotation": (
        "n = input()\nclass M:\n    def __hash__(self): return 1\n"
        "    def __eq__(self, o, n=n):\n        o.seen = n\n        return True\n"
        "    def __call__(self): pass\ndef deco(c): return M()\n@deco\nclass K: pass\n"
        "def f(x: List[K]): pass\nif hasattr(K, 'seen'): print('prev', K.seen)\n"
    ).replace("if hasattr(K, 'seen'): ", ""),
    "class made by an instance": (
        "n = input()\nclass M:\n    def __init__(self, *_): pass\n"
        "    def __hash__(self): return 1\n    def __eq__(self, o, n=n):\n"
        "        o.seen = n\n        return True\n    def __call__(self): pass\n"
        "class K(M()): pass\ndef f(x: List[K]): pass\nprint('prev', K.seen)\n"
    ),
    "class named as a module": (
        "n = input()\nclass M:\n    def __hash__(self): return 1\n"
        "    def __eq__(self, o, n=n):\n        o.seen = n\n        return True\n"
        "    def __call__(self): pass\nclass math:\n    K = M()\n"
        "def f(x: List[math.K]): pass\nprint('prev', math.K.seen)\n"
    ),
}

# Each would pass in a series where it fails alone, or the other way round: (source, expected).
ACTS_OTHERWISE = {
    "interned": (
        "x = ''.join(['fo', 'oqq'])\nfrom collections import namedtuple\nt = namedtuple('T', [x])\n"
        "print(1 if t._fields[0] is x else 2)\n",
        "2",
    ),
    "handler by another name": (
        "import sys\nValueError = Exception\ntry:\n    sys.version\n    print(2)\n"
        "except ValueError:\n    print(1)\n",
        "1",
    ),
    "exit with a float": ("print(1)\nexit(0.0)\n", "1"),
    "exit with what equals 0": (
        "print(1)\nclass A:\n    def __eq__(self, o): return True\nexit(A())\n",
        "1",
    ),
    "read1": ("import sys\nprint(len(sys.stdin.buffer.read1()))\n", "20000"),
    "lines, then bytes": (
        "import sys\nsys.stdin.buffer.readline()\ninput()\nprint(len(sys.stdin.buffer.read()))\n",
        "11806",
    ),
    "writable": ("import sys\nprint(sys.stdin.writable())\n", "True"),
    "write to the input": (
        "import sys\ntry:\n    sys.stdin.write('x')\n    print(1)\nexcept ValueError:\n"
        "    print(2)\n",
        "1",
    ),
    "copy of a stream": (
        "import sys\ntry:\n    copy.copy(sys.stdin.buffer)\n    print(1)\n"
        "except TypeError:\n    print(2)\n",
        "1",
    ),
    "name of a stream": ("import sys\nprint(sys.stdin)\n", "x"),
    "flush": ("import sys\nsys.stdout.buffer.flush = lambda: None\nprint(1)\n", "1"),
    "too much to stderr": ("import sys\nsys.stderr.write('x' * (70 << 20))\nprint(1)\n", "1"),
    "one function": ("import heapq\nprint(nlargest is heapq.nlargest)\n", "False"),
    "patched module": (
        "import heapq\nheapq.heapify = lambda x: exit(3)\n"
        "print(heapq.nlargest(1, [1, 2], key=abs)[0])\n",
        "2",
    ),
    "text of a module": ("import math\nprint(str(math)[:7])\n", "<module"),
    "property": (
        "import sys\nclass A:\n    @property\n    def keys(self): return sys.version\n"
        "try:\n    dict(A())\n    print(1)\nexcept TypeError:\n    print(2)\n",
        "2",
    ),
    "star": ("Template = 1\nfrom string import *\nprint(Template)\n", "1"),
    "star of sys": ("path = 1\nfrom sys import *\nprint(path)\n", "1"),
    "deepcopy": (
        "try:\n    deepcopy([1], None, [])\n    print(1)\nexcept TypeError:\n    print(2)\n",
        "2",
    ),
    "depth": (
        "import sys\nsys.setrecursionlimit(1000)\ndef f(n): return n and f(n - 1)\n"
        "for n in range(970, 1000):\n    print(n, f(n))\n",
        "970 0",
    ),
}


@pytest.mark.parametrize("name", MEMORYLESS)
def test_usual_programs_are_known_to_keep_nothing(name: str, surroundings: Surroundings) -> None:
    assert is_memoryless(MEMORYLESS[name], surroundings)


@pytest.mark.parametrize("name", MEMORYLESS)
def test_usual_programs_pass_in_a_series(name: str, pools: tuple[Pool, Pool]) -> None:
    job = _job(MEMORYLESS[name], [(f"{n}\n", f"{n + 1}\n") for n in range(6)])
    outcomes = [next(pool.run([job])) for pool in pools]
    assert [outcome.status for outcome in outcomes] == ["passed", "passed"]


@pytest.mark.parametrize("name", MARKS)
def test_no_test_sees_a_mark_that_another_made(name: str, pools: tuple[Pool, Pool]) -> None:
    job = _job(MARKS[name], TESTS)
    series, single = [_verdict(next(pool.run([job]))) for pool in pools]
    assert series == single


@pytest.mark.parametrize("name", SEES_THE_LAST)
def test_no_test_sees_the_input_of_the_last(name: str, pools: tuple[Pool, Pool]) -> None:
    tests = [(f"{n}\n", f"prev {n - 1}\n") for n in range(1, 6)]
    job = _job(SEES_THE_LAST[name], [("0\n", ""), *tests])
    series, single = [next(pool.run([job])) for pool in pools]
    assert (series.status, series.tests_passed) == (single.status, single.tests_passed)
    assert series.tests_passed <= 1


@pytest.mark.parametrize("name", ACTS_OTHERWISE)
def test_a_series_judges_as_single_tests_do(name: str, pools: tuple[Pool, Pool]) -> None:
    source, expected = ACTS_OTHERWISE[name]
    job = _job(source, [("x" * 4000 + "\n" + "y" * 15_998 + "\n", expected)] * 3)
    series, single = [next(pool.run([job])) for pool in pools]
    assert (series.status, series.tests_passed) == (single.status, single.tests_passed)


def test_an_imported_function_is_the_one_that_was_there(pools: tuple[Pool, Pool]) -> None:
    job = _job("from heapq import nlargest\n", [("[1, [1, 2]]", "[2]")] * 3, "nlargest")
    assert [next(pool.run([job])).status for pool in pools] == ["runtime_error"] * 2


def test_a_functional_test_that_prints_too_much_is_an_output_limit(
    pools: tuple[Pool, Pool],
) -> None:
    source = "def f(n):\n    print('x' * (70 << 20))\n    return n\n"
    job = _job(source, [("[1]", "1")] * 2, "f")
    assert [next(pool.run([job])).status for pool in pools] == ["output_limit"] * 2


def test_nothing_that_a_run_may_hold_can_be_marked(surroundings: Surroundings) -> None:
    """Except Python functions, of which each run has copies, and what it may not hold."""
    apart = CALLED | set(surroundings.modules["typing"]) | set(surroundings.modules)
    values = {**surroundings.names, **surroundings.builtins}
    for names in surroundings.modules.values():
        values |= names
    marked = [
        name
        for name, value in values.items()
        if name not in apart and type(value) is not type(_job) and not _refuses_marks(value)
    ]
    assert marked == []


def test_each_run_has_names_modules_and_functions_of_its_own(surroundings: Surroundings) -> None:
    used = {"math", "heapq", "nlargest", "print", "lru_cache", "sys"}
    one, other = (surroundings.fresh("__main__", used) for _ in range(2))
    assert one is not other
    assert one["__builtins__"] is not other["__builtins__"]
    assert one["__builtins__"]["print"] is print
    for name in ("math", "heapq", "nlargest", "lru_cache", "sys"):
        assert one[name] is not other[name]
    assert one["heapq"].nlargest is not other["heapq"].nlargest


def test_a_run_has_only_the_names_that_it_uses(surroundings: Surroundings) -> None:
    names = surroundings.fresh("__main__", {"print"})
    assert set(names) == {"stdin", "stdout", "stderr", "__name__", "__builtins__", "print"}
    assert set(names["__builtins__"]) == {"print", "__build_class__", "__import__"}


def test_a_failure_comes_from_a_process_of_its_own(pools: tuple[Pool, Pool]) -> None:
    """With the error's text, which a series does not keep."""
    source = "n = int(input())\nprint(1 // (n - 3) * 0 + n)\n"
    outcome = next(pools[0].run([_job(source, [(f"{n}\n", f"{n}\n") for n in range(6)])]))
    assert (outcome.status, outcome.failed_test) == ("runtime_error", 3)
    assert "ZeroDivisionError" in outcome.detail
    assert outcome.tests_passed == 5


def test_a_slow_test_is_tried_again_with_all_its_time(pools: tuple[Pool, Pool]) -> None:
    source = "n = int(input())\ns = 0\nfor i in range(n * 4000000):\n    s += 1\nprint(n)\n"
    tests = [(f"{n}\n", f"{n}\n") for n in (0, 0, 2, 0)]
    outcome = next(pools[0].run([_job(source, tests)]))
    assert outcome.status == "passed"


def test_a_loop_without_end_is_a_time_limit_in_a_series_too() -> None:
    source = "n = int(input())\nwhile n == 2:\n    pass\nprint(n)\n"
    tests = tuple(Test("stdin", f"{n}\n", f"{n}\n") for n in range(4))
    with Pool(1) as pool:
        outcome = next(pool.run([Job("0", source, tests, limits=Limits(cpu_s=1))]))
    assert (outcome.status, outcome.failed_test, outcome.tests_passed) == ("time_limit", 2, 2)


def test_memory_of_a_test_does_not_count_for_the_next(pools: tuple[Pool, Pool]) -> None:
    """Functions and their globals hold each other: only clearing lets them go."""
    source = "def f():\n    return x\nx = [0] * (10**7 // 4)\nprint(int(input()) + len(f()) * 0)\n"
    job = _job(source, [(f"{n}\n", f"{n}\n") for n in range(8)])
    series, single = (next(pool.run([job])) for pool in pools)
    assert series.status == single.status == "passed"
    assert series.memory_mb < 2 * single.memory_mb


def test_functional_tests_in_a_series_equal_single_ones(pools: tuple[Pool, Pool]) -> None:
    source = (
        "class Solution:\n    memo = {}\n    def f(self, n: List[int]) -> Optional[int]:\n"
        "        self.memo[len(self.memo)] = n\n        return len(self.memo) if n[0] < 4 else n\n"
    )
    job = _job(source, [(f"[[{n}]]", "1") for n in range(6)], "f")
    series, single = [_verdict(next(pool.run([job]))) for pool in pools]
    assert series == single
    assert series[3] == 4


def test_a_pool_says_whether_it_runs_series() -> None:
    with Pool(1, series=False) as pool:
        assert pool.describe()["series"] is False


@pytest.mark.parametrize("cut", range(1, 9))
def test_half_a_record_is_none(cut: int) -> None:
    whole = record(b"abc") + record(b"defgh")
    assert recorded(whole, 9) == [b"abc", b"defgh"]
    assert recorded(whole[:-cut], 9) == [b"abc"]
    assert recorded(b"\xff" * 20, 9) == []
