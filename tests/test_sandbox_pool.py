"""The pool itself: statuses, order, laziness, lost workers, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import sandbox.pool
from sandbox.base import Job, Limits, Outcome, SandboxError, Test, Tier
from sandbox.pool import Pool

LIMITS = Limits(cpu_s=0.5, memory_mb=256)
ADD = Job("add", "a, b = map(int, input().split())\nprint(a + b)", (Test("stdin", "1 2", "3"),))


def job(source: str, *tests: Test, key: str = "j", limits: Limits = LIMITS) -> Job:
    return Job(key, source, tests or (Test("stdin", "", "1"),), entry_point="f", limits=limits)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(1) as opened:
        yield opened


def one(pool: Pool, source: str, *tests: Test) -> Outcome:
    [outcome] = pool.run([job(source, *tests)])
    return outcome


STATUSES = {
    "print(1)": "passed",
    "print(2)": "wrong_answer",
    "1 / 0": "runtime_error",
    "print(1); raise SystemExit(3)": "runtime_error",
    "while True: pass": "time_limit",
    "x = bytearray(2 << 30)": "memory_limit",
    "while True: print('x' * 100000)": "output_limit",
    "def f(:": "compile_error",
    "import ctypes; ctypes.string_at(0)": "runtime_error",
}


@pytest.mark.parametrize("source", STATUSES)
def test_status(pool: Pool, source: str) -> None:
    outcome = one(pool, source)
    assert outcome.status == STATUSES[source], outcome
    assert (outcome.detail == "") == (outcome.status == "passed")
    assert outcome.failed_test == (None if outcome.status in ("passed", "compile_error") else 0)


def test_resident_memory_over_the_limit_is_no_pass(pool: Pool) -> None:
    # Below the address space (there is room for stacks), above what may be used.
    outcome = one(pool, "x = bytearray(400 << 20)\nprint(1)")
    assert outcome.status == "memory_limit"
    assert outcome.memory_mb > 300


def test_memory_is_the_programs_own(pool: Pool) -> None:
    ballast = bytearray(200 << 20)  # the evaluator's, which a process started from it inherits
    with Pool(1) as opened:
        small, large = one(opened, "print(1)"), one(opened, "x = bytearray(100 << 20)\nprint(1)")
    assert len(ballast)
    assert small.memory_mb < 10
    assert 95 < large.memory_mb < 115


def test_cpu_limit_is_exact_to_a_fraction_of_a_second(pool: Pool) -> None:
    outcome = one(pool, "while True: pass")
    assert 0.45 < outcome.cpu_s < 0.75


def test_sleeping_ends_at_the_wall_limit(pool: Pool) -> None:
    started = time.monotonic()
    outcome = one(pool, "import time\ntime.sleep(60)")
    assert outcome.status == "time_limit"
    assert LIMITS.wall_s <= time.monotonic() - started < LIMITS.wall_s + 2


def test_both_kinds_in_one_job(pool: Pool) -> None:
    source = "def f(x): return (x, [x])\nif __name__ == '__main__': print(input())"
    tests = (Test("functional", "[1]", "[1, [1]]"), Test("stdin", "5", "5"))
    assert one(pool, source, *tests).tests_passed == 2


def test_method_of_solution_or_plain_function(pool: Pool) -> None:
    test = Test("functional", '[2, "é"]', '["é", 2]')
    for source in (
        "class Solution:\n    def f(self, a: int, b: List[str]): return [b, a]",
        "def f(a, b): return [b, a]",
    ):
        assert one(pool, source, test).status == "passed"
    missing = one(pool, "class Other: pass", test)
    assert missing.status == "runtime_error"
    assert "Solution.f" in missing.detail


@pytest.mark.parametrize(
    ("returned", "expected", "status"),
    [
        ("{1, 2}", "[1, 2]", "wrong_answer"),
        ("deque([1])", "[1]", "wrong_answer"),
        ("{1: (2, 3)}", '{"1": [2, 3]}', "passed"),
        ("float('inf')", "1", "wrong_answer"),
        ("'\\ud800'", '"x"', "wrong_answer"),
    ],
)
def test_returned_value(pool: Pool, returned: str, expected: str, status: str) -> None:
    outcome = one(pool, f"def f(): return {returned}", Test("functional", "[]", expected))
    assert outcome.status == status, outcome


def test_value_that_holds_itself_is_wrong(pool: Pool) -> None:
    source = "def f():\n    x = []\n    x.append(x)\n    return x"
    assert one(pool, source, Test("functional", "[]", "[]")).status == "wrong_answer"


def test_program_is_compiled_without_our_future_imports(pool: Pool) -> None:
    assert one(pool, "def f(x: Missing): pass").status == "runtime_error"


@pytest.mark.parametrize(
    "source",
    [
        "stdout.write('1')",  # by `from sys import *`
        "import atexit\natexit.register(print, 1)",
        "import sys\nsys.setrecursionlimit(10**6)\n@lru_cache(None)\n"
        "def f(n): return n and f(n - 1)\n"
        "f(50000 if sys.version_info < (3, 12) else 500)\nprint(1)",  # later ones count C frames
        "import asyncio\nasync def main(): print(1)\nasyncio.run(main())",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(16) as e: print(max(e.map(int, '01')))",
        "import sys, os\nprint(int(not any('root' in str(v) or 'home' in str(v)"
        " for v in [sys.path, sys.argv, sys.orig_argv, sys.executable, sys.prefix, os.__file__])))",
    ],
)
def test_honest_program(pool: Pool, source: str) -> None:
    outcome = one(pool, source)
    assert outcome.status == "passed", outcome


def test_verdicts_hang_on_no_random_seed() -> None:
    source = "import random\nprint(list({'a', 'b', 'c', 'd', 'e'}), random.random())"
    details = set()
    for _ in range(2):
        with Pool(1) as opened:
            details |= {one(opened, source).detail for _ in range(2)}
    assert len(details) == 1


def test_detail_is_one_printable_line(pool: Pool) -> None:
    outcome = one(pool, "raise ValueError('a\\x1b[31m\\nb\\x07')")
    assert outcome.status == "runtime_error"
    assert outcome.detail.isprintable()
    assert len(one(pool, "raise ValueError('x' * 10000)").detail) <= 300


def test_output_right_in_a_test_of_its_own_input(pool: Pool) -> None:
    tests = tuple(Test("stdin", f"{n} {n}\n", f"{2 * n}\n") for n in range(10))
    [outcome] = pool.run([replace(ADD, tests=tests)])
    assert (outcome.tests_passed, outcome.tests) == (10, 10)


def test_job_without_tests_passes_nothing(pool: Pool) -> None:
    [outcome] = pool.run([replace(ADD, tests=())])
    assert outcome.status == "infra_error"


def test_keys_come_back(pool: Pool) -> None:
    outcomes = list(pool.run(replace(ADD, key=str(n)) for n in range(5)))
    assert sorted(outcome.key for outcome in outcomes) == list("01234")


def test_jobs_are_pulled_as_workers_fall_free() -> None:
    pulled = []

    def jobs() -> Iterator[Job]:
        for n in range(20):
            pulled.append(n)
            yield replace(ADD, key=str(n))

    with Pool(2) as opened:
        run = opened.run(jobs())
        next(run)
        assert len(pulled) <= 4
        assert len(list(run)) == 19


def test_error_of_the_callers_iterable_leaves_the_pool_usable(pool: Pool) -> None:
    def jobs() -> Iterator[Job]:
        yield ADD
        raise KeyError("the caller's")

    with pytest.raises(KeyError):
        list(pool.run(jobs()))
    assert [outcome.status for outcome in pool.run([ADD])] == ["passed"]


def test_run_that_is_given_up_leaves_the_pool_usable() -> None:
    with Pool(1) as opened:
        run = opened.run(replace(ADD, key=str(n)) for n in range(9))
        next(run)
        run.close()
        assert [outcome.key for outcome in opened.run([ADD])] == ["add"]


def _zygotes(pool: Pool) -> list[int]:
    return [worker._zygote.process.pid for worker in pool._workers if worker._zygote]


def _kill_soon(pool: Pool, times: int) -> threading.Thread:
    def kill() -> None:
        killed: set[int] = set()
        while len(killed) < times:
            time.sleep(0.3)
            for pid in set(_zygotes(pool)) - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


SLEEP = "import time\ntime.sleep(0.8)\nprint(1)"


def test_worker_that_dies_costs_one_retry() -> None:
    with Pool(1) as opened:
        thread = _kill_soon(opened, 1)
        assert one(opened, SLEEP).status == "passed"
        thread.join()


def test_job_whose_worker_dies_twice_is_an_infra_error() -> None:
    with Pool(1) as opened:
        thread = _kill_soon(opened, 2)
        outcome = one(opened, SLEEP)
        thread.join()
        assert outcome.status == "infra_error"
        assert "twice" in outcome.detail
        assert one(opened, "print(1)").status == "passed"


class _Busy:
    """A Trial that times out, for lack of a core, the first time."""

    runs = 0
    second = "passed"

    def __init__(self, sock: object, job: Job, *_: object, **__: object) -> None:
        self.job = job
        self.was_busy = True

    def run(self) -> Outcome:
        type(self).runs += 1
        first = type(self).runs == 1
        return Outcome(self.job.key, "time_limit" if first else type(self).second)  # type: ignore[arg-type]


@pytest.mark.parametrize("second", ["passed", "wrong_answer", "time_limit"])
def test_time_limit_without_a_whole_core_is_tried_again_alone(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    monkeypatch.setattr(sandbox.pool, "Trial", type("Busy", (_Busy,), {"second": second}))
    outcome = one(pool, "")
    assert outcome.status == second
    assert outcome.flaky == (second != "time_limit")


def test_alone_means_no_neighbour() -> None:
    gate = sandbox.pool._Alone()
    inside: list[str] = []
    wrong: list[list[str]] = []

    def work(kind: str) -> None:
        for _ in range(30):
            with gate.alone() if kind == "alone" else gate.beside_others():
                inside.append(kind)
                time.sleep(0.0005)
                if "alone" in inside and len(inside) > 1:
                    wrong.append(list(inside))
                inside.remove(kind)

    threads = [threading.Thread(target=work, args=(k,)) for k in ("b", "b", "alone", "b", "alone")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if _state(pid) not in ("", "Z")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _descendants(pid: int) -> list[int]:
    children = [
        int(each)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for each in task.read_text().split()
    ]
    return [*children, *(each for child in children for each in _descendants(child))]


def _is_fork(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and b"os.fork()" in command.read_bytes()


EVALUATOR = """
import sys
from sandbox.base import Job, Limits, Test
from sandbox.pool import Pool
with Pool(2) as pool:
    print("ready", flush=True)
    source = "import time\\nprint(1, flush=True)\\ntime.sleep(60)"
    list(pool.run(Job(str(n), source, (Test("stdin", "", "1"),)) for n in range(2)))
"""


# Its copies of the sockets stay open when the evaluator dies, so that no end of file tells of it.
FORKS = "import os, time\nif os.fork() == 0:\n    time.sleep(8)\n    os._exit(0)\n"


@pytest.mark.parametrize(
    ("sent", "forks"), [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGINT, False)]
)
def test_nothing_outlives_the_evaluator(sent: signal.Signals, forks: bool) -> None:
    program = EVALUATOR.replace("    source", textwrap.indent(FORKS, "    ") + "    source", forks)
    evaluator = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert evaluator.stdout
    assert evaluator.stdout.readline() == b"ready\n"
    pids: list[int] = []
    while len(pids) < 6:  # two zygotes, two candidates, two tests
        time.sleep(0.1)
        pids = [pid for pid in _descendants(evaluator.pid) if not (forks and _is_fork(pid))]
    evaluator.send_signal(sent)
    evaluator.wait(20)  # on a machine that others use
    end = time.monotonic() + 1
    while _alive(pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert _alive(pids) == []


def test_close_ends_a_running_program_at_once() -> None:
    others = set(_descendants(os.getpid()))
    with Pool(1) as opened:
        failed: list[BaseException] = []

        def use() -> None:
            try:
                one(opened, "import time\ntime.sleep(60)")
            except SandboxError as error:
                failed.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        time.sleep(0.3)
        pids = [pid for pid in _descendants(os.getpid()) if pid not in others]
        started = time.monotonic()
        opened.close()
        thread.join(5)
        assert time.monotonic() - started < 1.5
    assert len(pids) == 3  # zygote, candidate, test
    assert failed
    assert _alive(pids) == []


def test_closed_pool_says_so() -> None:
    opened = Pool(1)
    opened.close()
    opened.close()
    with pytest.raises(SandboxError, match="closed"):
        list(opened.run([ADD]))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SandboxError, match="workers"):
        Pool(0)
    with pytest.raises(SandboxError, match="--unsafe"):
        Pool(1, tier="C")
    with pytest.raises(SandboxError, match="A, B or C"):
        Pool(1, tier="D")  # type: ignore[arg-type]


def test_profile_names_what_decides(pool: Pool) -> None:
    profile = pool.describe()
    assert profile["tier"] == pool.tier
    assert profile["python"] == sys.version.split()[0]
    assert profile["limits"] == {**vars(Limits())}


@pytest.mark.parametrize("tier", ["A", "B"])
def test_a_machine_out_of_memory_loses_a_program_before_the_evaluator(tier: Tier) -> None:
    with Pool(1, tier=tier) as opened:
        (zygote,) = (worker._zygote for worker in opened._workers)
        assert zygote is not None
        adjusted = Path(f"/proc/{zygote.process.pid}/oom_score_adj").read_text()
    assert int(adjusted) > int(Path("/proc/self/oom_score_adj").read_text())
