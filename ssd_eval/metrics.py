"""Scores of problems from verdicts: pass@k, counts by status, groups by difficulty.

An `infra_error` is ours, never the program's: it is no sample, and is counted apart. Intervals and
tests over these scores are in `stats`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.base import Difficulty, Problem
from sandbox.base import Status
from ssd_eval.errors import UsageError
from ssd_eval.records import Verdict

DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard")


@dataclass(frozen=True)
class ProblemScore:
    """One problem under one checkpoint and decoding config. `n` leaves infra_errors out."""

    problem_id: str
    difficulty: Difficulty | None
    cluster: str  # problems that share it are not independent
    n: int
    c: int
    infra_errors: int
    statuses: Mapping[Status, int]  # infra_error is not among them

    def pass_at(self, k: int) -> float | None:
        return pass_at_k(self.n, self.c, k)


@dataclass(frozen=True)
class PairedScores:
    """Two checkpoints' scores on the problems that both can score, aligned."""

    problem_ids: tuple[str, ...]
    base: tuple[float, ...]
    distilled: tuple[float, ...]
    clusters: tuple[str, ...]
    dropped: int  # problems that only one of them, or neither, can score


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Unbiased pass@k of one problem, 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, eq. 1).

    None where n < k: the estimator does not exist there. Raises ValueError unless 0 <= c <= n and
    k >= 1.
    """
    if k < 1 or not 0 <= c <= n:
        raise ValueError(f"pass@k needs k >= 1 and 0 <= c <= n, not n={n}, c={c}, k={k}")
    if n < k:
        return None
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def cluster(problem: Problem) -> str:
    """What shares a cause of success: the family, or else the contest, or else the problem."""
    if problem.family is not None:
        return f"family:{problem.family}"
    if problem.contest_id:
        return f"contest:{problem.platform or ''}:{problem.contest_id}"
    return f"problem:{problem.id}"


def collect(
    verdicts: Iterable[Verdict], problems: Mapping[str, Problem]
) -> tuple[ProblemScore, ...]:
    """One score for each of `problems`, in their order; n = 0 where no verdict came.

    The verdicts are those of one checkpoint under one decoding config. Raises UsageError for a
    verdict on another problem, or a second one on the same sample.
    """
    counts: dict[str, Counter[Status]] = {problem_id: Counter() for problem_id in problems}
    seen = set()
    for verdict in verdicts:
        if verdict.key.problem_id not in counts:
            raise UsageError(
                f"a verdict on problem {verdict.key.problem_id!r}, which the benchmark lacks; "
                "score it with the benchmark it was sampled from"
            )
        if verdict.key in seen:
            raise UsageError(f"two verdicts on the sample {verdict.key.text()}; keep one")
        seen.add(verdict.key)
        counts[verdict.key.problem_id][verdict.status] += 1
    return tuple(_score(problems[problem_id], counts[problem_id]) for problem_id in problems)


def pass_scores(scores: Iterable[ProblemScore], k: int) -> tuple[float, ...]:
    """pass@k of the problems that have at least k samples; the others are absent."""
    return tuple(value for score in scores if (value := score.pass_at(k)) is not None)


def paired_scores(
    base: Iterable[ProblemScore], distilled: Iterable[ProblemScore], k: int
) -> PairedScores:
    """pass@k of both on the problems where both have at least k samples, in `base`'s order."""
    left = {score.problem_id: score for score in base}
    right = {score.problem_id: score.pass_at(k) for score in distilled}
    rows = [
        (name, a, b, score.cluster)
        for name, score in left.items()
        if (a := score.pass_at(k)) is not None and (b := right.get(name)) is not None
    ]
    return PairedScores(
        problem_ids=tuple(row[0] for row in rows),
        base=tuple(row[1] for row in rows),
        distilled=tuple(row[2] for row in rows),
        clusters=tuple(row[3] for row in rows),
        dropped=len(left.keys() | right.keys()) - len(rows),
    )


def by_difficulty(scores: Sequence[ProblemScore]) -> dict[str, tuple[ProblemScore, ...]]:
    """`all`, then easy, medium and hard where there are any; all holds the unlabelled too."""
    groups = {"all": tuple(scores)}
    for difficulty in DIFFICULTIES:
        members = tuple(score for score in scores if score.difficulty == difficulty)
        if members:
            groups[difficulty] = members
    return groups


def status_counts(scores: Sequence[ProblemScore]) -> dict[str, int]:
    """Samples by status, the most frequent first; infra_error last, where there are any."""
    counts: Counter[str] = Counter()
    for score in scores:
        counts.update(score.statuses)
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    infra = infra_errors(scores)
    return {**ordered, "infra_error": infra} if infra else ordered


def infra_errors(scores: Iterable[ProblemScore]) -> int:
    return sum(score.infra_errors for score in scores)


def no_code_share(scores: Sequence[ProblemScore]) -> float | None:
    """Share of samples in which no program was found; None without samples."""
    samples = sum(score.n for score in scores)
    if samples == 0:
        return None
    return sum(score.statuses.get("no_code", 0) for score in scores) / samples


def summary(scores: Sequence[ProblemScore], ks: Sequence[int]) -> dict[str, dict[str, object]]:
    """For each group of `by_difficulty`: counts, and for each k the mean pass@k (JSON values).

    `pass@k` is None where no problem has k samples; `scored@k` is how many problems have.
    """
    return {name: _summary(members, ks) for name, members in by_difficulty(scores).items()}


def _summary(scores: Sequence[ProblemScore], ks: Sequence[int]) -> dict[str, object]:
    row: dict[str, object] = {
        "problems": len(scores),
        "samples": sum(score.n for score in scores),
        "infra_errors": infra_errors(scores),
        "no_code_share": no_code_share(scores),
        "statuses": status_counts(scores),
    }
    for k in ks:
        values = pass_scores(scores, k)
        row[f"pass@{k}"] = math.fsum(values) / len(values) if values else None
        row[f"scored@{k}"] = len(values)
    return row


def _score(problem: Problem, counts: Counter[Status]) -> ProblemScore:
    infra = counts.pop("infra_error", 0)
    return ProblemScore(
        problem_id=problem.id,
        difficulty=problem.difficulty,
        cluster=cluster(problem),
        n=counts.total(),
        c=counts["passed"],
        infra_errors=infra,
        statuses={status: count for status, count in counts.items() if count},
    )
