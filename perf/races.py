"""A program whose verdict is a race: how often LiveCodeBench's own checker passes it, and we do.

    python perf/races.py FOLDER CHECKOUT [--problem abc302_b] [--author o1-preview] [--times 30]

FOLDER: as for published_verdicts.py. CHECKOUT: LiveCodeBench at 28fef95, which needs numpy and
tqdm; its checker runs the program unprotected, so give it published programs only. The two take
turns, so that both have the same machine. Prints how often each passed; judges nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[0] = str(HERE.parent)
sys.path.append(str(HERE))

from peer_check import official  # noqa: E402
from published_verdicts import outputs  # noqa: E402

from benchmarks.base import Problem  # noqa: E402
from benchmarks.registry import load  # noqa: E402
from sandbox.pool import Pool  # noqa: E402
from ssd_eval.grade import grade_programs  # noqa: E402
from ssd_eval.interchange import Program  # noqa: E402

SECONDS = 6  # the checker's alarm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--problem", default="abc302_b")
    parser.add_argument("--author", default="o1-preview")
    parser.add_argument("--times", type=int, default=30)
    options = parser.parse_args()
    problems = load(str(options.folder / "lcb_dev.jsonl")).problems()
    problem = next(each for each in problems if each.id == options.problem)
    source = next(
        row["code"]
        for row in outputs(options.folder)
        if row["question_id"] == problem.id and row["author"].startswith(options.author)
    )
    sys.path.insert(0, str(options.checkout))
    passes, content = official(SECONDS), _content(problem)
    theirs, ours = [], []
    with Pool(1) as pool:
        for number in range(options.times):
            theirs.append(passes(content, source))
            ours.append(_ours(pool, problem, f"{source}\n# {number}"))
    print(f"{problem.id}: the checker passed it {sum(theirs)} times of {options.times}, "
          f"ours {sum(ours)}")  # fmt: skip


def _content(problem: Problem) -> dict[str, object]:
    tests = [{"input": test.input, "output": test.expected} for test in problem.tests]
    return {"tests": tests, "entry": problem.entry_point}


def _ours(pool: Pool, problem: Problem, source: str) -> bool:
    """Another comment each time, as the same program would be graded once."""
    program = Program(problem.id, 0, source, "given")
    return next(grade_programs([program], {problem.id: problem}, pool, profile="official")).passed


if __name__ == "__main__":
    main()
