"""Does grading slow down, or grow, with the size of the tests?

    python perf/big_tests.py [--megabytes 50] [--samples 40] [--rounds 5]

Two problems of LiveCodeBench's schema, one with a private test of some bytes, one with a private
test of `--megabytes`; programs that answer without reading their input, so that what differs is
ours: keeping, sending and comparing. Rounds alternate; prints programs a second of both, their
ratio, and the peak memory of this process after each round of the large one. Each round unpacks the
tests anew, as another benchmark would: memory grows until 256 MiB of inputs are held, then no more.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.base import Problem
from benchmarks.jsonl import read
from sandbox.pool import Pool
from ssd_eval.grade import grade_programs
from ssd_eval.interchange import Program


def row(name: str, size: int) -> dict[str, str]:
    tests = [{"input": "7" * size + "\n", "output": "1\n", "testtype": "stdin"}]
    return {
        "question_id": name,
        "question_title": name,
        "question_content": "Print 1.",
        "platform": "atcoder",
        "contest_id": "c",
        "contest_date": "2025-02-08T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": "[]",
        "private_test_cases": json.dumps(tests),
        "metadata": "{}",
    }


def problems(folder: Path, megabytes: int) -> dict[str, Problem]:
    file = folder / "problems.jsonl"
    with file.open("w") as out:
        for name, size in (("small", 10), ("large", megabytes * 1_000_000)):
            out.write(json.dumps(row(name, size)) + "\n")
    return {each.id: each for each in read(file).problems()}


def rate(pool: Pool, known: dict[str, Problem], name: str, samples: int, first: int) -> float:
    """Programs a second; each is another one, so that none is answered from memory."""
    programs = [
        Program(name, number, f"print(1)  # {first + number}", "given") for number in range(samples)
    ]
    verdicts = grade_programs(programs, known, pool)
    assert next(verdicts).passed  # until here the problem's tests are unpacked, once
    begun = time.perf_counter()
    assert all(each.passed for each in verdicts)
    return (samples - 1) / (time.perf_counter() - begun)


def peak_mib() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) // 1024 if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Pool(2) as pool:
        known = problems(Path(folder), options.megabytes)
        rates: dict[str, list[float]] = {"small": [], "large": []}
        for number in range(options.rounds):
            for name, found in rates.items():
                found.append(rate(pool, known, name, options.samples, number * options.samples))
            print(f"round {number}: {rates['small'][-1]:.0f} and {rates['large'][-1]:.0f} programs "
                  f"a second; peak {peak_mib()} MiB")  # fmt: skip
    small, large = (statistics.median(rates[name]) for name in ("small", "large"))
    print(f"medians {small:.0f} and {large:.0f}; large / small {large / small:.2f}")


if __name__ == "__main__":
    main()
