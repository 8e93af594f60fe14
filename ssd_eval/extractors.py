"""What each extractor's rules make of the same answers: programs, passes, and where they differ.

Grades every distinct program once. Answers that came as code have nothing to extract, and are left
out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.base import Problem
from benchmarks.extract import EXTRACTORS, Extractor, program
from sandbox.base import Executor, Limits, Profile
from ssd_eval.errors import UsageError
from ssd_eval.grade import Cache, grade_programs
from ssd_eval.interchange import Program

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class ExtractorRow:
    """Counts of answers. `gained` pass here and not by our rules, `lost` the other way round."""

    extractor: Extractor
    answers: int
    programs: int
    passed: int
    gained: int
    lost: int
    rules: Mapping[str, int]


def compared(
    answers: Sequence[Program],
    problems: Mapping[str, Problem],
    executor: Executor,
    *,
    limits: Limits,
    profile: Profile = "faithful",
    float_tolerance: float = 0.0,
) -> tuple[ExtractorRow, ...]:
    """One row an extractor, ours first. Raises UsageError where no answer is a text."""
    texts = [(each, each.text) for each in answers if each.text is not None]
    if not texts:
        raise UsageError(
            "the file holds programs, no answers that one could be extracted from; give texts "
            "(text, output or output_list) to compare extractors"
        )
    cache: Cache = {}
    rows: list[ExtractorRow] = []
    ours: dict[tuple[str, int], bool] = {}
    for name in EXTRACTORS:
        found = [_extracted(each, text, problems[each.problem_id], name) for each, text in texts]
        graded = grade_programs(
            found,
            problems,
            executor,
            limits=limits,
            profile=profile,
            float_tolerance=float_tolerance,
            cache=cache,
        )
        passed = {(v.key.problem_id, v.key.sample): v.passed for v in graded}
        ours = ours or passed
        rows.append(
            ExtractorRow(
                name,
                answers=len(found),
                programs=sum(each.code is not None for each in found),
                passed=sum(passed.values()),
                gained=sum(passed[key] and not ours[key] for key in passed),
                lost=sum(ours[key] and not passed[key] for key in passed),
                rules=dict(Counter(each.rule for each in found).most_common()),
            )
        )
    return tuple(rows)


def _extracted(answer: Program, text: str, problem: Problem, name: Extractor) -> Program:
    found = program(text, problem, name)
    return Program(answer.problem_id, answer.sample, found.code, found.rule)


def extractor_table(rows: Sequence[ExtractorRow]) -> Table:
    """Beside each extractor's counts, the answers that pass by its rules or by ours alone."""
    from rich.table import Table

    table = Table(title=f"the same {rows[0].answers} answers by each extractor")
    for name in ("extractor", "programs", "passed", "passes here only", "by ours only"):
        table.add_column(name, justify="left" if name == "extractor" else "right")
    for row in rows:
        counts = (row.programs, row.passed, row.gained, row.lost)
        table.add_row(row.extractor, *map(str, counts))
    return table
