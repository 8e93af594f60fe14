"""pass@k to large k of two checkpoints: where the curves cross, and who solves what alone.

At large k pass@k asks whether a checkpoint can solve a problem at all (paper.md §4, claim 5).
Samples nothing; takes `metrics.ProblemScore`s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssd_eval import stats
from ssd_eval.metrics import ProblemScore, paired_scores
from ssd_eval.stats import Difference, Estimate

if TYPE_CHECKING:
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.results import Choice, SweepResult


@dataclass(frozen=True)
class Step:
    """Both checkpoints at one k, on the problems that have k samples on both sides."""

    k: int
    base: Estimate
    distilled: Estimate
    difference: Difference


@dataclass(frozen=True)
class Reach:
    """`crossing`: the first k of the steps from which the base is at least level, up to the last.

    `only_*`: problems that one checkpoint solved at least once and the other never.
    """

    steps: tuple[Step, ...]
    crossing: int | None
    only_base: tuple[str, ...]
    only_distilled: tuple[str, ...]


def reach(
    base: Sequence[ProblemScore], distilled: Sequence[ProblemScore], *, seed: int = 0
) -> Reach:
    """Steps at k = 1, 2, 5, 10, 20, 50, ... and the largest k that some problem has on both sides.

    Problems are paired by id. Raises ValueError without any problem that both sampled.
    """
    sampled = {score.problem_id: score.n for score in distilled}
    largest = max((min(s.n, sampled.get(s.problem_id, 0)) for s in base), default=0)
    if largest < 1:
        raise ValueError("no problem was sampled from both checkpoints")
    steps = tuple(_step(base, distilled, k, seed) for k in _ks(largest))
    solved = {score.problem_id for score in distilled if score.c}
    before = {score.problem_id for score in base if score.c}
    both = [score.problem_id for score in base if score.n and sampled.get(score.problem_id)]
    return Reach(
        steps,
        _crossing(steps),
        only_base=tuple(name for name in both if name in before - solved),
        only_distilled=tuple(name for name in both if name in solved - before),
    )


def usual(choice: Choice) -> DecodingConfig | None:
    """The config that most folds chose; of equals the coolest. None where nothing was scored."""
    counts = Counter(choice.decodings)
    return min(counts, key=lambda each: (-counts[each], each.temperature), default=None)


def of_sweep(result: SweepResult) -> tuple[Reach, tuple[str, str]] | None:
    """Both checkpoints at their usual decoding of the first k, and those decodings."""
    first = result.main[0]
    at = usual(first.base), usual(first.distilled)
    cells = [
        next((cell for cell in curve.cells if cell.decoding == decoding), None)
        for curve, decoding in zip((result.base, result.distilled), at, strict=True)
    ]
    if cells[0] is None or cells[1] is None:
        return None
    found = reach(cells[0].scores, cells[1].scores, seed=result.setup.seed)
    return found, (str(at[0]), str(at[1]))


def _ks(largest: int) -> list[int]:
    scale = [head * 10**power for power in range(7) for head in (1, 2, 5)]
    return sorted({k for k in scale if k < largest} | {largest})


def _step(
    base: Sequence[ProblemScore], distilled: Sequence[ProblemScore], k: int, seed: int
) -> Step:
    pairs = paired_scores(base, distilled, k)
    difference = stats.paired_difference(pairs.base, pairs.distilled, pairs.clusters, seed=seed)
    left, right = (
        stats.mean_interval(side, pairs.clusters) for side in (pairs.base, pairs.distilled)
    )
    return Step(k, left, right, difference)


def _crossing(steps: Sequence[Step]) -> int | None:
    """None where the distilled checkpoint leads at the last k, or never led."""
    behind = [step.k for step in steps if (step.base.mean or 0) < (step.distilled.mean or 0)]
    after = [step.k for step in steps if not behind or step.k > behind[-1]]
    return after[0] if behind and after else None
