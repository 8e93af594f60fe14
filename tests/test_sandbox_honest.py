"""Honest programs that other harnesses fail, and the habits of contest code: all of them pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from sandbox.base import Job, Limits, Outcome, Test
from sandbox.pool import Pool
from sandbox.tiers import probe

LIMITS = Limits(cpu_s=2.0, memory_mb=256, output_mb=8, box_mb=4)
AVAILABLE = {offer.tier: offer for offer in probe()}
SUM = "print(int(input()) + int(input()))"


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    offer = AVAILABLE[request.param]
    if not offer.available:
        pytest.skip(f"tier {offer.tier}: {offer.reason}")
    with Pool(1, LIMITS, tier=request.param) as opened:
        yield opened


def run(
    pool: Pool, source: str, data: str = "2\n3\n", expected: str = "5\n", limits: Limits = LIMITS
) -> Outcome:
    [outcome] = pool.run([Job("j", source, (Test("stdin", data, expected),), limits=limits)])
    return outcome


READING = {
    "two buffer.readline": "import sys\na = sys.stdin.buffer.readline()\n"
    "b = sys.stdin.buffer.readline()\nprint(int(a) + int(b))",
    "buffer.read": "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
    "for line in stdin": "import sys\nprint(sum(int(line) for line in sys.stdin))",
    "for line in buffer": "import sys\nprint(sum(map(int, sys.stdin.buffer)))",
    "readlines": "import sys\nprint(sum(map(int, sys.stdin.readlines())))",
    "input = readline": "import sys\ninput = sys.stdin.readline\n" + SUM,
    "input, then read": "import sys\na = int(input())\nprint(a + int(sys.stdin.read()))",
    "input, then lines": "import sys\na = int(input())\nfor x in sys.stdin: print(a + int(x))",
    "iter(input, ...)": "print(sum(map(int, iter(input, '3'))) + 3)",
    "until EOFError": "t = 0\ntry:\n    while True: t += int(input())\nexcept EOFError: print(t)",
    "open(0)": "print(sum(map(int, open(0).read().split())))",
    "open(0) as lines": "a, b = open(0)\nprint(int(a) + int(b))",
    "os.read": "import os\nprint(sum(map(int, os.read(0, 10**7).split())))",
    "os.read by size": "import os\nprint(sum(map(int, os.read(0, os.fstat(0).st_size).split())))",
    "BytesIO over os.read": "import os, io\n"
    "input = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\n" + SUM,
    "mmap": "import mmap\n"
    "print(sum(map(int, mmap.mmap(0, 0, access=mmap.ACCESS_READ).read().split())))",
    "/dev/stdin": "print(sum(map(int, open('/dev/stdin').read().split())))",
    "fileinput": "import fileinput\nprint(sum(map(int, fileinput.input())))",
    "csv": "import csv, sys\nprint(sum(int(row[0]) for row in csv.reader(sys.stdin)))",
    "stdin rewrapped": "import io, sys\n"
    "sys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8')\n" + SUM,
    "stdin replaced": "import io, sys\nsys.stdin = io.StringIO(sys.stdin.read())\n" + SUM,
    "seek back": "import sys\nsys.stdin.read()\nsys.stdin.seek(0)\n" + SUM,
    "in a class": "import sys\nclass Reader:\n    def __init__(self): self.f = sys.stdin\n"
    "    def __iter__(self): return map(int, self.f)\nprint(sum(Reader()))",
}
WRITING = {
    "stdout.write": "import sys\nsys.stdout.write(str(int(input()) + int(input())))",
    "buffer.write": "import sys\nsys.stdout.buffer.write(b'%d' % (int(input()) + int(input())))",
    "os.write": "import os\nos.write(1, b'%d' % (int(input()) + int(input())))",
    "stdout collected": "import io, sys\nreal, sys.stdout = sys.stdout, io.StringIO()\n"
    + SUM
    + "\nreal.write(sys.stdout.getvalue())",
    "a writer of its own": "import os\nout = os.fdopen(1, 'w')\n"
    "out.write(str(int(input()) + int(input())))",
    "stdout replaced by open(1)": "import sys\nsys.stdout = open(1, 'w')\n" + SUM,
    "stdout rewrapped": "import io, sys\n"
    "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, write_through=False)\n" + SUM,
    "print rebound": "import sys\nprint = lambda x: sys.stdout.write(f'{x}\\n')\n" + SUM,
    "no line end": "print(int(input()) + int(input()), end='')",
    "at exit": "import atexit\natexit.register(lambda: " + SUM + ")",
    "in __del__": "class A:\n    def __del__(self): " + SUM + "\na = A()\ndel a",
    "stderr beside": "import sys\nprint('debug', file=sys.stderr)\n" + SUM,
    "warnings beside": "import warnings\nwarnings.warn('careful')\n" + SUM,
    "a file of its own": "open('out.txt', 'w').write(str(int(input()) + int(input())))\n"
    "print(open('out.txt').read())",
    "a temporary file": "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n"
    "    f.write(str(int(input()) + int(input())))\n    f.seek(0)\n    print(f.read())",
}
ENDING = {
    "quit()": SUM + "\nquit()",
    "exit()": SUM + "\nexit()",
    "exit(0)": SUM + "\nexit(0)",
    "sys.exit() in main": "import sys\ndef main():\n    " + SUM + "\n    sys.exit()\nmain()",
    "raise SystemExit": SUM + "\nraise SystemExit",
    "sys.exit(None) below": "import sys\ndef f(n):\n    if not n: sys.exit()\n    f(n - 1)\n"
    + SUM
    + "\nf(50)",
    "os._exit after flush": "import os, sys\n" + SUM + "\nsys.stdout.flush()\nos._exit(0)",
    "thread not joined": "import threading\nthreading.Thread(target=lambda: " + SUM + ").start()",
    "daemon joined": "import threading\nt = threading.Thread(target=lambda: "
    + SUM
    + ", daemon=True)\nt.start()\nt.join()",
    "executor": "from concurrent.futures import ThreadPoolExecutor as T\nwith T(4) as t:\n"
    "    print(sum(t.map(int, [input(), input()])))",
    "asyncio": "import asyncio\nasync def main():\n    await asyncio.sleep(0.01)\n    "
    + SUM
    + "\nasyncio.run(main())",
    "alarm": "import signal\nsignal.alarm(5)\n" + SUM + "\nsignal.alarm(0)",
}
MODULE = {
    "global": "total = 0\ndef add(n):\n    global total\n    total += n\n"
    "add(int(input()))\nadd(int(input()))\nprint(total)",
    "global at module level": "global total\ntotal = int(input())\nprint(total + int(input()))",
    "late main guard": "def main():\n    "
    + SUM
    + "\nif __name__ == '__main__':\n    main()\nx = 1",
    "guard in a function": "def go():\n    if __name__ == '__main__': " + SUM + "\ngo()",
    "import __main__": "import __main__\nx = 5\n[input(), input()]\nprint(__main__.x)",
    "dataclass": "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\n"
    "print((P(int(input()) + int(input()))).x)",
    "pickled class": "import pickle\nclass P: pass\np = P()\np.x = int(input()) + int(input())\n"
    "print(pickle.loads(pickle.dumps(p)).x)",
    "future import": "from __future__ import annotations\nx: Unknown = 1\n" + SUM,
    "comprehension scope": "n = int(input())\nprint(sum(n for _ in [0]) + int(input()))",
    "names as the prelude's": "string = input()\nre = input()\nprint(int(string) + int(re))",
    "List unimported": "def f(x: List[int]) -> Optional[int]: return sum(x)\n"
    "print(f([int(input()), int(input())]))",
    "modules unimported": "q = deque([int(input()), int(input())])\nheapq.heapify(h := list(q))\n"
    "print(int(math.fsum(h)) if Counter(h) else bisect_left(h, 1))",
    "pow of three": "print(pow(2, int(input()), 7) + int(input()) - 2)",
    "memo": "@lru_cache(None)\ndef f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nf(900)\n"
    + SUM,
    "locals written": "exec('def f(): return int(input())')\nprint(f() + eval('f()'))",
    "unused hash seed": "print(len({input(), input()}) + 3)",
    "big integers": "import sys\nsys.set_int_max_str_digits(0)\nint(str(10**5000))\n" + SUM,
    "collector off": "import gc\ngc.disable()\ngc.freeze()\n" + SUM,
    "own limits": "import resource\nresource.getrlimit(resource.RLIMIT_STACK)\n" + SUM,
    "stack limit lifted": "import resource as r\n"
    "r.setrlimit(r.RLIMIT_STACK, (r.RLIM_INFINITY, r.RLIM_INFINITY))\n" + SUM,
    "clock": "import time\nt = time.perf_counter()\ntime.sleep(0.01)\n" + SUM,
    "decimals": "from decimal import *\ngetcontext().prec = 50\n"
    "print(int(Decimal(input()) + Decimal(input())))",
}
DEPTH = {
    "recursion 10^5": "import sys\nsys.setrecursionlimit(10**6)\n"
    "def f(n): return n and 1 + f(n - 1)\nf(10**5)\n" + SUM,
    "recursion 10^5 in a thread": "import sys, threading\nsys.setrecursionlimit(10**6)\n"
    "threading.stack_size(128 << 20)\ndef f(n): return n and 1 + f(n - 1)\n"
    "def main():\n    f(10**5)\n    " + SUM + "\nthreading.Thread(target=main).start()",
    "recursion through C": "import sys\nsys.setrecursionlimit(10**6)\n@lru_cache(None)\n"
    "def f(n): return n and 1 + f(n - 1)\nf(30000)\n" + SUM,
    "recursion through C in a thread": "import sys, threading\nsys.setrecursionlimit(10**6)\n"
    "threading.stack_size(128 << 20)\n@lru_cache(None)\ndef f(n): return n and 1 + f(n - 1)\n"
    "def main():\n    f(30000)\n    " + SUM + "\nthreading.Thread(target=main).start()",
    "recursion without a word": "def f(n): return n and 1 + f(n - 1)\nf(40000)\n" + SUM,
    "RecursionError caught": "import sys\nsys.setrecursionlimit(1000)\ndef f(): f()\ntry: f()\n"
    "except RecursionError: " + SUM,
}
PROGRAMS = READING | WRITING | ENDING | MODULE | DEPTH


@pytest.mark.parametrize("name", PROGRAMS)
def test_honest_program_passes(pool: Pool, name: str) -> None:
    assert run(pool, PROGRAMS[name]).status == "passed", run(pool, PROGRAMS[name])


@pytest.mark.parametrize("program", ["buffer.read", "for line in buffer", "open(0)", "os.read"])
def test_windows_line_ends_do_not_matter(pool: Pool, program: str) -> None:
    assert run(pool, PROGRAMS[program], "2\r\n3\r\n").status == "passed"


def test_input_may_be_empty(pool: Pool) -> None:
    assert run(pool, "import sys\nprint(len(sys.stdin.read()))", "", "0").status == "passed"


def test_text_beyond_ascii_goes_in_and_out(pool: Pool) -> None:
    assert run(pool, "print(input()[::-1])", "añ漢😀\n", "😀漢ña\n").status == "passed"


def test_input_of_20_mb(pool: Pool) -> None:
    data = "\n".join(["7" * 99] * 200_000)
    limits = Limits(cpu_s=5, memory_mb=256)
    source = "import sys\nprint(sum(len(line) for line in sys.stdin.buffer))"
    assert run(pool, source, data, "19999999", limits).status == "passed"


def test_output_of_5_mb(pool: Pool) -> None:
    source = "for n in range(50_000): print(str(n) * 21)"
    expected = "".join(f"{str(n) * 21}\n" for n in range(50_000))
    assert len(expected) > 5_000_000
    assert run(pool, source, "", expected).status == "passed"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("numpy", "import numpy as np\nprint(int(np.array([input(), input()], dtype=int).sum()))"),
        ("numpy", "import sys\nfrom numpy import *\nprint(loadtxt(sys.stdin).sum().astype(int))"),
        ("pandas", "import pandas, sys\nprint(pandas.read_csv(sys.stdin, header=None).sum()[0])"),
        ("sortedcontainers", "from sortedcontainers import SortedList as S\n"
         "print(sum(S([int(input()), int(input())])))"),
        ("scipy", "from scipy.special import comb\nprint(int(comb(5, 1)))"),
        ("networkx", "import networkx as nx\nprint(nx.path_graph(6).number_of_edges())"),
    ],
)  # fmt: skip
def test_allowed_module_works_where_installed(pool: Pool, module: str, source: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    outcome = run(pool, source, limits=Limits(cpu_s=5))
    assert outcome.status == "passed", outcome


FUNCTIONS = {
    "method": ("class Solution:\n    def solve(self, a, b): return a + b", [2, 3], 5),
    "plain function": ("def solve(a, b): return a + b", [2, 3], 5),
    "unimported annotations": (
        "class Solution:\n    def solve(self, a: List[int]) -> Optional[int]: return sum(a)",
        [[2, 3]], 5,
    ),
    "memo in __init__": (
        "class Solution:\n    def __init__(self): self.memo = {}\n    def solve(self, n):\n"
        "        if n < 2: return n\n        if n not in self.memo:\n"
        "            self.memo[n] = self.solve(n - 1) + self.solve(n - 2)\n"
        "        return self.memo[n]",
        [5], 5,
    ),
    "cached method": (
        "class Solution:\n    @cache\n    def solve(self, n): return n and 1 + self.solve(n - 1)",
        [9000], 9000,
    ),
    "static method": ("class Solution:\n    @staticmethod\n    def solve(a): return a", [5], 5),
    "inherited": ("class A:\n    def solve(self, a): return a\nclass Solution(A): pass", [5], 5),
    "helper below": ("def solve(a): return helper(a)\ndef helper(a): return a", [5], 5),
    "prints beside": ("def solve(a):\n    print('debug', a)\n    return a", [5], 5),
    "tuples": ("def solve(a): return (a, [(a,)], {'k': (1,)})", [5], [5, [[5]], {"k": [1]}]),
    "counter": ("def solve(a): return Counter(a)", ["aab"], {"a": 2, "b": 1}),
    "defaultdict": ("def solve(a):\n    d = defaultdict(list)\n    d[a] += [a]\n    return d",
                    ["x"], {"x": ["x"]}),
    "integer keys": ("def solve(a): return {a: True, None: 1}", [5], {"5": True, "null": 1}),
    "a whole float": ("def solve(a): return a / 2", [10], 5),
    "text with surrogates": ("def solve(a): return a", ["\ud800é😀"], "\ud800é😀"),
    "an integer of 3000 digits": ("def solve(a): return a * a // a", [10**3000], 10**3000),
    "named tuple": ("P = namedtuple('P', 'x y')\ndef solve(a): return P(a, 1)", [5], [5, 1]),
    "integer enumeration": ("from enum import IntEnum\nclass E(IntEnum): A = 5\n"
                            "def solve(a): return E.A", [5], 5),
    "deep result": ("def solve(n):\n    x = []\n    for _ in range(n): x = [x]\n    return x[0]",
                    [1], []),
    "recursion": ("def solve(n): return n and 1 + solve(n - 1)", [40000], 40000),
    "arguments kept": ("def solve(a):\n    a.append(1)\n    return a", [[5]], [5, 1]),
    "main guard beside": ("def solve(a): return a\nif __name__ == '__main__': solve(input())",
                          [5], 5),
}  # fmt: skip


def call(pool: Pool, source: str, arguments: list[object], value: object) -> Outcome:
    test = Test("functional", json.dumps(arguments), json.dumps(value))
    [outcome] = pool.run([Job("j", source, (test,), entry_point="solve", limits=LIMITS)])
    return outcome


@pytest.mark.parametrize("name", FUNCTIONS)
def test_honest_function_passes(pool: Pool, name: str) -> None:
    source, arguments, value = FUNCTIONS[name]
    outcome = call(pool, source, arguments, value)
    assert outcome.status == "passed", outcome


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        ("np.int64(5)", 5), ("np.float64(0.5)", 0.5), ("np.bool_(True)", True),
        ("np.arange(3)", [0, 1, 2]), ("[np.int32(1), (np.ones(2),)]", [1, [[1, 1]]]),
    ],
)  # fmt: skip
def test_numpy_values_count_by_value(pool: Pool, returned: str, value: object) -> None:
    pytest.importorskip("numpy")
    outcome = call(pool, f"import numpy as np\ndef solve(): return {returned}", [], value)
    assert outcome.status == "passed", outcome


def test_an_integer_of_20000_digits_is_compared_whole(pool: Pool) -> None:
    digits = "7" * 20_000
    source = "def solve(): return 7 * (10**20000 - 1) // 9"
    for wanted, status in ((digits, "passed"), (digits[:-1] + "8", "wrong_answer")):
        test = Test("functional", "[]", wanted)
        [outcome] = pool.run([Job("j", source, (test,), entry_point="solve", limits=LIMITS)])
        assert outcome.status == status, outcome


def test_state_of_one_test_is_not_another_tests(pool: Pool) -> None:
    source = (
        "seen = []\nclass Solution:\n    def __init__(self, memo={}): self.memo = memo\n"
        "    def solve(self, x):\n        seen.append(x)\n        self.memo[x] = 1\n"
        "        return len(seen) + len(self.memo)"
    )
    tests = tuple(Test("functional", f"[{n}]", "2") for n in range(3))
    [outcome] = pool.run([Job("j", source, tests, entry_point="solve", limits=LIMITS)])
    assert (outcome.status, outcome.tests_passed) == ("passed", 3), outcome
