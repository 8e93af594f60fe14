"""Runs the real checker of another project over programs, one verdict a line. Not our code's judge.

    python peer_check.py official|ml-ssd CHECKOUT SECONDS PROBLEMS PROGRAMS ANSWERS

Started by `agreement.py` as another user, in a folder of its own and with limits, because these
checkers guard poorly. PROBLEMS and PROGRAMS are JSON lines that `agreement_pairs` makes.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Problem = dict[str, Any]
Check = Callable[[Problem, str], bool]


def official(seconds: int) -> Check:
    from lcb_runner.evaluation.compute_code_generation_metrics import (
        evaluate_generations_by_problem,
    )

    def passes(problem: Problem, source: str) -> bool:
        tests = problem["tests"]
        content = {
            "inputs": [test["input"] for test in tests],
            "outputs": [test["output"] for test in tests],
            "fn_name": problem["entry"],
        }
        sample = {"input_output": json.dumps(content)}
        results, _ = evaluate_generations_by_problem(([source], sample, False, seconds))
        return all(result > 0 for result in results[0])

    return passes


def ml_ssd(seconds: int) -> Check:
    import pandas  # noqa: F401  (its prelude does, in every process: here once, before the forks)
    from evaluation.livecodebench_utils import lcb_run

    def passes(problem: Problem, source: str) -> bool:
        tests = [test for test in problem["tests"] if not test["public"]] or problem["tests"]
        row = {"test": tests, "metadata": {"func_name": problem["entry"]}, "entry_point": ""}
        results = lcb_run(row, source, seconds, tests[0]["testtype"] == "functional")
        return all(result[0] for result in results)

    return passes


def _lines(path: str) -> Iterator[Any]:
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


def main() -> None:
    profile, checkout, seconds, problems_file, programs_file, answers = sys.argv[1:]
    sys.path.insert(0, checkout)
    sys.argv[1:] = []  # programs may read them
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    passes = {"official": official, "ml-ssd": ml_ssd}[profile](int(seconds))
    problems = {problem["id"]: problem for problem in _lines(problems_file)}
    for program in list(_lines(programs_file)):
        verdict = passes(problems[program["problem"]], program["source"])
        with Path(answers).open("a") as file:  # closed while programs run, which may write anywhere
            file.write(json.dumps([program["id"], verdict]) + "\n")


if __name__ == "__main__":
    main()
