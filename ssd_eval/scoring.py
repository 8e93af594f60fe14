"""Scores a generations file from anywhere: reads it, grades it, sums it up (`ssd-eval score`).

Samples nothing and keeps no run folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from benchmarks import registry
from benchmarks.base import Chosen, identity
from benchmarks.extract import Extractor
from sandbox.base import Limits, Profile
from sandbox.pool import Pool
from ssd_eval.errors import UsageError
from ssd_eval.extractors import ExtractorRow, compared, extractor_table
from ssd_eval.grade import grade_programs
from ssd_eval.interchange import read
from ssd_eval.metrics import collect, summary

if TYPE_CHECKING:
    from rich.console import Group

    from ssd_eval.progress import Progress
    from ssd_eval.records import Verdict


@dataclass(frozen=True)
class Scored:
    """Verdicts in the file's problem order, and `metrics.summary` over the problems in it."""

    verdicts: tuple[Verdict, ...]
    metrics: dict[str, dict[str, object]]
    profile: dict[str, object]
    benchmark: dict[str, object]  # `benchmarks.base.identity`, of all its problems
    extractors: tuple[ExtractorRow, ...] = ()  # where they were compared
    skipped: int = 0  # entries of problems that the benchmark lacks

    @property
    def rules(self) -> dict[str, int]:
        """How many programs each extraction rule found, the most frequent first."""
        return dict(Counter(verdict.rule for verdict in self.verdicts).most_common())

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "problem_id": verdict.key.problem_id,
                "sample": verdict.key.sample,
                "status": verdict.status,
                "detail": verdict.detail,
                "cpu_s": verdict.cpu_s,
                "tests_passed": verdict.tests_passed,
                "tests": verdict.tests,
            }
            for verdict in self.verdicts
        ]
        return {
            "verdicts": rows,
            "metrics": self.metrics,
            "sandbox": self.profile,
            "benchmark": self.benchmark,
            "rules": self.rules,
            "skipped": self.skipped,
            **({"extractors": [asdict(row) for row in self.extractors]} if self.extractors else {}),
        }


class _Rules(TypedDict):
    """What decides verdicts, alike for every extractor."""

    limits: Limits
    profile: Profile
    float_tolerance: float


def score_file(
    file: Path,
    *,
    benchmark: str,
    data_dir: str | None = None,
    tests: Chosen = "both",
    exclude_errata: bool = False,
    all_tests: bool = False,
    k: Sequence[int] = (1, 5),
    cpu_limit: float = 6.0,
    memory_limit: int = 1024,
    workers: int | None = None,
    unsafe: bool | None = None,
    profile: Profile = "faithful",
    float_tolerance: float = 0.0,
    extractor: Extractor = "ours",
    compare_extractors: bool = False,
    skip_others: bool = False,
    progress: Progress,
) -> Scored:
    """Grades every program of `file`. Problems without one are left out of the metrics.

    Raises BenchmarkError, UsageError (bad file, bad limits) and SandboxError.
    """
    import os

    _check(cpu_limit, memory_limit, all_tests, profile, float_tolerance)
    limits = Limits(cpu_s=cpu_limit, memory_mb=memory_limit)
    loaded = registry.load(benchmark, data_dir=data_dir, tests=tests, exclude_errata=exclude_errata)
    whole = loaded.problems()
    problems = {problem.id: problem for problem in whole}
    skipped: list[str] | None = [] if skip_others else None
    programs = read(file, problems, extractor, skipped)
    asked = {name: problems[name] for name in dict.fromkeys(p.problem_id for p in programs)}
    with (
        Pool(workers or os.cpu_count() or 1, limits, unsafe=bool(unsafe)) as pool,
        progress.stage("grade", len(programs)) as stage,
    ):
        rules = _Rules(limits=limits, profile=profile, float_tolerance=float_tolerance)
        verdicts = []
        for verdict in grade_programs(programs, asked, pool, all_tests=all_tests, **rules):
            verdicts.append(verdict)
            stage.advance()
        described = {
            **pool.describe(),
            "profile": profile,
            "float_tolerance": float_tolerance,
            "extractor": extractor,
        }
        others = compared(programs, asked, pool, **rules) if compare_extractors else ()
    place = {name: number for number, name in enumerate(asked)}
    verdicts.sort(key=lambda verdict: (place[verdict.key.problem_id], verdict.key.sample))
    metrics = summary(collect(verdicts, asked), k)
    of = identity(loaded, whole)
    return Scored(tuple(verdicts), metrics, described, of, others, len(skipped or ()))


def _check(
    cpu_limit: float, memory_limit: int, all_tests: bool, profile: Profile, float_tolerance: float
) -> None:
    if not (cpu_limit > 0 and memory_limit > 0):
        raise UsageError("--cpu-limit and --memory-limit must be positive")
    if all_tests and profile != "faithful":
        raise UsageError(
            f"--all-tests is for the faithful profile: {profile} stops at the first failing test"
        )
    if not 0 <= float_tolerance < 1:
        raise UsageError("--float-tolerance is a number of at least 0 and below 1, such as 1e-6")
    if float_tolerance and profile != "faithful":
        raise UsageError(
            f"--float-tolerance is for the faithful profile: {profile} has rules of its own"
        )


def score_table(scored: Scored) -> Group:
    """Counts and pass@k by difficulty; `–` where a problem has too few samples.

    Under it the profile, where it is not ours.
    """
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from ssd_eval.tables import profile_note

    rows = scored.metrics
    ks = [name for name in rows["all"] if name.startswith("pass@")]
    table = Table()
    table.add_column("")
    for name in ("problems", "samples", *ks, "no code", "infra errors"):
        table.add_column(name, justify="right")
    for group, row in rows.items():
        values = [_percent(row[k]) for k in ks]
        counts = [str(row["problems"]), str(row["samples"])]
        share = _percent(row["no_code_share"])
        table.add_row(group, *counts, *values, share, str(row["infra_errors"]))
    of = scored.benchmark
    title = f"score on {of['name']} ({of['window']}), {of['problems']} problems in all"
    rules = ", ".join(f"{rule} {count}" for rule, count in scored.rules.items())
    parts: list[RenderableType] = [
        Text(title, style="bold"),
        table,
        Text(f"extraction rules: {rules}"),
    ]
    if tolerance := scored.profile["float_tolerance"]:
        parts.append(Text(f"returned floats equal within {tolerance}, relative or absolute"))
    if scored.skipped:
        parts.append(Text(f"left out: {scored.skipped} entries of other problems"))
    if scored.extractors:
        parts += [Text(""), extractor_table(scored.extractors)]
    return Group(*parts, *profile_note(scored.verdicts[0].profile))


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else "–"
