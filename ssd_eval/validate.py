"""Proves a benchmark's grader: right programs pass, empty and cheating ones fail.

Uses the benchmark's own reference and planted wrong programs, and four that no grader may accept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import registry
from benchmarks.base import BenchmarkError, Chosen, Problem
from sandbox.base import Limits
from sandbox.pool import Pool
from ssd_eval.grade import check_gradable, grade_programs
from ssd_eval.interchange import Program

if TYPE_CHECKING:
    from rich.table import Table

    from ssd_eval.progress import Progress

ALWAYS_EQUAL = """
class Anything:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __repr__(self): return ''
class Solution:
    def __getattr__(self, name): return lambda *a, **k: Anything()
{entry} = Anything()
"""
PREFIX = "must fail: "


@dataclass(frozen=True)
class Kind:
    """One kind of program: how many ran, how many were judged as they must be, the first that
    was not."""

    name: str
    programs: int
    right: int
    first_wrong: str = ""

    @property
    def ok(self) -> bool:
        return self.right == self.programs


@dataclass(frozen=True)
class Proof:
    benchmark: str
    problems: int
    without_reference: int
    kinds: tuple[Kind, ...]
    window: str = ""

    @property
    def ok(self) -> bool:
        return all(kind.ok for kind in self.kinds)

    def to_json(self) -> dict[str, Any]:
        kinds = [vars(kind) | {"ok": kind.ok} for kind in self.kinds]
        return {
            "benchmark": self.benchmark,
            "window": self.window,
            "problems": self.problems,
            "without_reference": self.without_reference,
            "kinds": kinds,
            "ok": self.ok,
        }

    def table(self) -> Table:
        from rich.table import Table

        title = f"{self.benchmark} ({self.window}): {self.problems} problems"
        if self.without_reference:
            title += f", {self.without_reference} without a reference"
        table = Table("programs", "judged right", "first that was not", title=title)
        for kind in self.kinds:
            table.add_row(kind.name, f"{kind.right} of {kind.programs}", kind.first_wrong)
        return table


def validate(
    name: str,
    *,
    data_dir: str | None = None,
    tests: Chosen = "both",
    exclude_errata: bool = False,
    limit: int | None = None,
    workers: int | None = None,
    unsafe: bool | None = None,
    progress: Progress,
) -> Proof:
    """Grades every planted program. Raises BenchmarkError, SandboxError."""
    benchmark = registry.load(name, data_dir=data_dir, tests=tests, exclude_errata=exclude_errata)
    problems = benchmark.problems()[:limit]
    if not problems:
        raise BenchmarkError(f"benchmark {name!r} has no problems to validate")
    for problem in problems:
        check_gradable(problem)
    planted = [
        (kind, Program(problem.id, number, source, "given"))
        for problem in problems
        for number, (kind, source) in enumerate(_programs(problem))
    ]
    kinds = {(program.problem_id, program.sample): kind for kind, program in planted}
    counts: dict[str, list[Any]] = {kind: [0, 0, ""] for kind, _ in planted}
    by_id = {problem.id: problem for problem in problems}
    with (
        Pool(workers or os.cpu_count() or 1, Limits(), unsafe=bool(unsafe)) as pool,
        progress.stage("validate", len(planted)) as stage,
    ):
        for verdict in grade_programs((program for _, program in planted), by_id, pool):
            kind = kinds[verdict.key.problem_id, verdict.key.sample]
            right = verdict.passed != kind.startswith(PREFIX) and verdict.status != "infra_error"
            counts[kind][0] += 1
            counts[kind][1] += right
            if not right and not counts[kind][2]:
                counts[kind][2] = f"{verdict.key.problem_id}: {verdict.status} {verdict.detail}"
            stage.advance()
    without = sum(not problem.references for problem in problems)
    shown = tuple(Kind(k, *v) for k, v in counts.items())
    return Proof(name, len(problems), without, shown, benchmark.window)


def _programs(problem: Problem) -> Iterator[tuple[str, str]]:
    for source in problem.references:
        yield "references", source
    for source in problem.wrong:
        yield f"{PREFIX}planted wrong programs", source
    yield f"{PREFIX}nothing but a comment", "# nothing\n"
    yield f"{PREFIX}exits at once", "import sys\nsys.exit(0)\n"
    yield f"{PREFIX}kills its process at once", "import os\nos._exit(0)\n"
    entry = problem.entry_point or "answer"
    yield f"{PREFIX}object equal to anything", ALWAYS_EQUAL.replace("{entry}", entry)
