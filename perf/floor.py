"""The floor: fork, exec(code), wait, with nothing isolated and no limits.

As small a process as can be: `python -I -S -B perf/floor.py`, with the names LiveCodeBench gives
programs, made once. Standard input is a memory file, output is captured in another and compared as
ours is. Speaks the words of `peers.py`; `workers` processes share the programs.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any, NoReturn

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from sandbox.child import PRELUDE
from sandbox.compare import compare_stdout, compare_value

Case = dict[str, Any]


def main() -> None:
    asked = json.load(sys.stdin)
    cases, workers = asked["cases"], asked["workers"]
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(PRELUDE, names)
    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    pids = [_worker(cases[first::workers], names) for first in range(workers)]
    wrong = sum(os.waitpid(pid, 0)[1] >> 8 for pid in pids)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "right": len(cases) - wrong}))


def _worker(cases: list[Case], names: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        wrong = sum(_grade(case, names) != (case["fails_at"] is None) for case in cases)
        os._exit(min(wrong, 255))
    return pid


def _grade(case: Case, names: dict[str, Any]) -> bool:
    code = compile(case["source"], "program.py", "exec")
    for given, expected in case["tests"]:
        output = _run(code, names, case["entry"], given)
        compare = compare_value if case["entry"] else compare_stdout
        if compare(output, expected) is not None:
            return False
    return True


def _run(code: Any, names: dict[str, Any], entry: str | None, given: str) -> bytes:
    stdin, stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
    os.write(stdin, given.encode())
    os.lseek(stdin, 0, os.SEEK_SET)
    pid = os.fork()
    if pid == 0:
        _be_the_program(code, names, entry, stdin, stdout)
    os.waitpid(pid, 0)
    output = os.pread(stdout, os.fstat(stdout).st_size, 0)
    os.close(stdin)
    os.close(stdout)
    return output


def _be_the_program(
    code: Any, names: dict[str, Any], entry: str | None, stdin: int, stdout: int
) -> NoReturn:
    try:
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        if entry is None:
            exec(code, names)
        else:
            arguments = json.load(sys.stdin)
            exec(code, names)
            sys.stdout.write(json.dumps(getattr(names["Solution"](), entry)(*arguments)))
        sys.stdout.flush()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
