"""What a sweep found: curves over the grid, choices of temperature, base against distilled.

`compare` makes a SweepResult from verdicts; `curve` does so for one checkpoint. Reads no run folder
and prints nothing. The rules are design.md's, "Main table" and "Statistics".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.base import Problem
from sandbox.base import Profile
from ssd_eval import metrics, stats
from ssd_eval.decoding import DecodingConfig
from ssd_eval.metrics import ProblemScore
from ssd_eval.records import Verdict
from ssd_eval.stats import Difference, Estimate

Verdicts = Mapping[DecodingConfig, Sequence[Verdict]]
Shares = Mapping[DecodingConfig, float]
FIXED = "fixed beforehand"
ONLY = "the only one tried"
NAIVE = "best of all, biased upwards"
UNFITTED = f"{NAIVE}: too few problems to cross-fit"
UNSCORED = "none: no problem has {k} samples everywhere"


@dataclass(frozen=True)
class Cell:
    """One checkpoint at one decoding config. `scores` has every problem, by id."""

    decoding: DecodingConfig
    scores: tuple[ProblemScore, ...]
    truncated_share: float | None  # of completions cut off by max_tokens; None: not known
    no_code_share: float | None
    infra_errors: int
    flaky: int
    pass_at: Mapping[int, Estimate]
    rules: Mapping[str, int] = field(default_factory=dict)  # completions by extraction rule

    def to_json(self) -> dict[str, Any]:
        return {
            "decoding": self.decoding.to_json(),
            "samples": sum(score.n for score in self.scores),
            "truncated_share": self.truncated_share,
            "no_code_share": self.no_code_share,
            "infra_errors": self.infra_errors,
            "flaky": self.flaky,
            "rules": dict(self.rules),
            **{f"pass@{k}": asdict(estimate) for k, estimate in self.pass_at.items()},
        }


@dataclass(frozen=True)
class Choice:
    """How a checkpoint's decoding was settled for one k, and each problem's pass@k under it.

    `decodings` has one config a fold where it was cross-fitted, else one. `scores` lacks problems
    with fewer than k samples in a cell that the choice looked at.
    """

    rule: str
    decodings: tuple[DecodingConfig, ...]
    scores: Mapping[str, float]

    @property
    def mean(self) -> float | None:
        return math.fsum(self.scores.values()) / len(self.scores) if self.scores else None

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "decodings": [config.to_json() for config in self.decodings],
            "mean": self.mean,
            "problems": len(self.scores),
        }


@dataclass(frozen=True)
class Best:
    """The best of a curve at one k: cross-fitted, and as the naive maximum over all problems."""

    fitted: Choice
    naive: Choice


@dataclass(frozen=True)
class Curve:
    """One checkpoint over the grid; cells by rising T."""

    label: str
    cells: tuple[Cell, ...]
    best: Mapping[int, Best]
    spreads: Mapping[int, stats.Spread] = field(default_factory=dict)

    def spread(self, k: int) -> float | None:
        """Highest minus lowest mean pass@k over the cells: how flat the curve is."""
        means = [mean for cell in self.cells if (mean := cell.pass_at[k].mean) is not None]
        return max(means) - min(means) if means else None

    def flatness(self, k: int) -> stats.Spread | None:
        """The spread with its interval, on the problems that have k samples in every cell."""
        return self.spreads.get(k)

    def to_json(self) -> dict[str, Any]:
        best = {
            f"pass@{k}": {
                "cross_fitted": each.fitted.to_json(),
                "naive": each.naive.to_json(),
                "spread": self.spread(k),
                "flatness": asdict(self.spreads[k]) if k in self.spreads else None,
            }
            for k, each in self.best.items()
        }
        return {
            "label": self.label,
            "cells": [cell.to_json() for cell in self.cells],
            "best": best,
        }


@dataclass(frozen=True)
class GroupDifference:
    """A cell of the main table: both means and their paired difference on the same problems."""

    group: str  # all, easy, medium, hard
    base: Estimate
    distilled: Estimate
    difference: Difference
    adjusted_p: float | None  # Holm, over all cells of the main table

    @property
    def verdict(self) -> stats.Verdict:
        if self.adjusted_p is None or self.adjusted_p >= stats.ALPHA:
            return "inconclusive"
        return self.difference.verdict

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True)
class Margin:
    """Distilled, at the main table's decoding, over the base's best temperature at one k.

    `fitted`: over the base's cross-fitted best. `strict`: over its naive maximum, which flatters
    the base. `naive`: maximum over maximum, the reading that flatters both; it has no interval.
    """

    fitted: Difference
    strict: Difference
    naive: float | None


@dataclass(frozen=True)
class Comparison:
    """The main table at one k. `dropped` problems have fewer than k samples on a side."""

    k: int
    base: Choice
    distilled: Choice
    groups: tuple[GroupDifference, ...]
    margin: Margin
    dropped: int

    def to_json(self) -> dict[str, Any]:
        return {
            "k": self.k,
            "base": self.base.to_json(),
            "distilled": self.distilled.to_json(),
            "groups": [group.to_json() for group in self.groups],
            "margin_over_best_base": asdict(self.margin),
            "dropped_problems": self.dropped,
        }


@dataclass(frozen=True)
class StageCost:
    """What a stage took, from its start to its end; grading's CPU too, of programs and sandbox.

    None stands where a number means nothing or was lost.
    """

    name: str
    count: int
    unit: str  # completions, examples, programs
    tokens: int | None
    seconds: float | None
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Cost:
    """`beside`: stages that ran within the time of others."""

    stages: tuple[StageCost, ...]
    beside: frozenset[str] = frozenset()

    @property
    def seconds(self) -> float:
        alone = (stage for stage in self.stages if stage.name not in self.beside)
        return math.fsum(stage.seconds or 0.0 for stage in alone)


@dataclass(frozen=True)
class Setup:
    """What the numbers hold for."""

    benchmark: str
    window: str
    problems: int
    samples: int  # per problem and decoding config
    seed: int
    tier: str  # of the sandbox
    profile: Profile = "faithful"  # whose rules decided


@dataclass(frozen=True)
class SweepResult:
    base: Curve
    distilled: Curve
    main: tuple[Comparison, ...]  # one for each k
    setup: Setup
    cost: Cost

    def to_json(self) -> dict[str, Any]:
        """Strict JSON values: no NaN, string keys."""
        return {
            "setup": asdict(self.setup),
            "main": [comparison.to_json() for comparison in self.main],
            "base": self.base.to_json(),
            "distilled": self.distilled.to_json(),
            "cost": {
                "stages": [asdict(stage) for stage in self.cost.stages],
                "seconds": self.cost.seconds,
            },
        }


def compare(
    problems: Mapping[str, Problem],
    base: Verdicts,
    distilled: Verdicts,
    *,
    base_truncated: Shares,
    distilled_truncated: Shares,
    ks: Sequence[int],
    setup: Setup,
    cost: Cost,
    base_fixed: DecodingConfig | None = None,
    distilled_fixed: DecodingConfig | None = None,
    seed: int = 0,
) -> SweepResult:
    """Both checkpoints' verdicts, by decoding config, to a SweepResult.

    `*_fixed` is the config that a preset prescribes; without one the checkpoint's best is
    cross-fitted for each k. The order of problems, configs and verdicts changes nothing. Raises
    ValueError for a fixed config without verdicts, and what `metrics.collect` raises.
    """
    left = curve(problems, base, "base", truncated=base_truncated, ks=ks, seed=seed)
    right = curve(problems, distilled, "+SSD", truncated=distilled_truncated, ks=ks, seed=seed)
    main = [
        _comparison(
            left, right, k, _chosen(left, base_fixed, k), _chosen(right, distilled_fixed, k), seed
        )
        for k in dict.fromkeys(ks)
    ]
    return SweepResult(left, right, _adjusted(main), setup, cost)


def curve(
    problems: Mapping[str, Problem],
    verdicts: Verdicts,
    label: str,
    *,
    truncated: Shares,
    ks: Sequence[int],
    seed: int = 0,
) -> Curve:
    """One checkpoint's verdicts, by decoding config, to a Curve. Raises ValueError without any."""
    if not verdicts:
        raise ValueError(f"{label}: no decoding config has verdicts")
    by_id = dict(sorted(problems.items()))
    configs = sorted(verdicts, key=lambda each: (each.temperature, each.top_k, each.top_p))
    cells = tuple(_cell(by_id, each, verdicts[each], truncated.get(each), ks) for each in configs)
    best = {k: _best(cells, k, seed) for k in ks}
    spreads = {k: found for k in ks if (found := _spread(cells, k, seed)) is not None}
    return Curve(label, cells, best, spreads)


def _cell(
    problems: Mapping[str, Problem],
    decoding: DecodingConfig,
    verdicts: Sequence[Verdict],
    truncated: float | None,
    ks: Sequence[int],
) -> Cell:
    scores = metrics.collect(verdicts, problems)
    return Cell(
        decoding=decoding,
        scores=scores,
        truncated_share=truncated,
        no_code_share=metrics.no_code_share(scores),
        infra_errors=metrics.infra_errors(scores),
        flaky=sum(verdict.flaky for verdict in verdicts),
        pass_at={k: _estimate(_at(scores, k), scores) for k in ks},
        rules=dict(Counter(verdict.rule for verdict in verdicts).most_common()),
    )


def _at(scores: Sequence[ProblemScore], k: int) -> dict[str, float]:
    return {s.problem_id: value for s in scores if (value := s.pass_at(k)) is not None}


def _estimate(values: Mapping[str, float], scores: Sequence[ProblemScore]) -> Estimate:
    return stats.mean_interval(list(values.values()), _clusters(values, scores))


def _clusters(values: Mapping[str, float], scores: Sequence[ProblemScore]) -> list[str]:
    """The cluster of each of `values`, in its order."""
    names = {score.problem_id: score.cluster for score in scores}
    return [names[problem] for problem in values]


def table(cells: Sequence[Cell], k: int) -> dict[str, list[float]]:
    """Each problem's pass@k in every cell; those that have k samples in all of them."""
    tables = [_at(cell.scores, k) for cell in cells]
    return {
        problem: [each[problem] for each in tables]
        for problem in tables[0]
        if all(problem in each for each in tables)
    }


def _best(cells: Sequence[Cell], k: int, seed: int) -> Best:
    configs = [cell.decoding for cell in cells]
    if len(cells) == 1:
        only = Choice(ONLY, tuple(configs), _at(cells[0].scores, k))
        return Best(only, only)
    rows = table(cells, k)
    if not rows:
        none = Choice(UNSCORED.format(k=k), (), {})
        return Best(none, none)
    fit = stats.cross_fitted_best(
        list(rows.values()),
        range(len(cells)),  # places instead of temperatures: configs may differ in k and p too
        _clusters(dict.fromkeys(rows, 0.0), cells[0].scores),
        seed=seed,
    )
    top = (configs[int(fit.naive_temperature)],)
    maximum = dict(zip(rows, fit.naive_scores, strict=True))
    naive = Choice(NAIVE, top, maximum)
    if fit.scores is None or fit.chosen is None:
        return Best(Choice(UNFITTED, top, maximum), naive)
    chosen = tuple(configs[int(place)] for place in fit.chosen)
    rule = f"cross-fitted over {len(chosen)} folds"
    return Best(Choice(rule, chosen, dict(zip(rows, fit.scores, strict=True))), naive)


def _spread(cells: Sequence[Cell], k: int, seed: int) -> stats.Spread | None:
    rows = table(cells, k)
    if not rows:
        return None
    clusters = _clusters(dict.fromkeys(rows, 0.0), cells[0].scores)
    return stats.spread(list(rows.values()), range(len(cells)), clusters, seed=seed)


def _chosen(curve: Curve, fixed: DecodingConfig | None, k: int) -> Choice:
    if fixed is None:
        return curve.best[k].fitted
    for cell in curve.cells:
        if cell.decoding == fixed:
            return Choice(FIXED, (fixed,), _at(cell.scores, k))
    raise ValueError(f"{curve.label}: no verdicts at {fixed}, the config to compare at")


def _comparison(
    base: Curve, distilled: Curve | None, k: int, left: Choice, right: Choice, seed: int
) -> Comparison:
    """`distilled` is None where the right side's scores are of one decoding only."""
    everything = base.cells[0].scores
    groups = tuple(
        _group(name, members, left, right, seed)
        for name, members in metrics.by_difficulty(everything).items()
    )
    best, top = base.best[k], distilled.best[k].naive if distilled else right
    margin = Margin(
        fitted=difference_of(everything, best.fitted, right, seed),
        strict=difference_of(everything, best.naive, right, seed),
        naive=difference_of(everything, best.naive, top, seed).mean,
    )
    return Comparison(k, left, right, groups, margin, len(everything) - groups[0].base.problems)


def against(
    run: Curve,
    scores: Sequence[ProblemScore],
    rule: str,
    *,
    ks: Sequence[int],
    fixed: DecodingConfig | None = None,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """A curve at its best (or `fixed`) decoding, and `scores` that came without a curve, paired.

    `rule` says where the scores are from. Holm runs over all cells, as in `compare`.
    """
    main = []
    for k in dict.fromkeys(ks):
        other = Choice(rule, (), _at(scores, k))
        main.append(_comparison(run, None, k, _chosen(run, fixed, k), other, seed))
    return _adjusted(main)


def _group(
    name: str, members: Sequence[ProblemScore], left: Choice, right: Choice, seed: int
) -> GroupDifference:
    base, distilled, clusters = _paired(members, left, right)
    return GroupDifference(
        group=name,
        base=stats.mean_interval(base, clusters),
        distilled=stats.mean_interval(distilled, clusters),
        difference=difference_of(members, left, right, seed),
        adjusted_p=None,
    )


def difference_of(
    members: Sequence[ProblemScore], left: Choice, right: Choice, seed: int
) -> Difference:
    """Right minus left, paired over the members that both can score."""
    return stats.paired_difference(*_paired(members, left, right), seed=seed)


def _paired(
    members: Sequence[ProblemScore], left: Choice, right: Choice
) -> tuple[list[float], list[float], list[str]]:
    """Both sides' scores, and the clusters, on the members that both can score."""
    rows = [
        (left.scores[m.problem_id], right.scores[m.problem_id], m.cluster)
        for m in members
        if m.problem_id in left.scores and m.problem_id in right.scores
    ]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _adjusted(main: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons with Holm's adjustment over all their groups that have a p-value."""
    tested = [
        (comparison.k, group.group, group.difference.p_value)
        for comparison in main
        for group in comparison.groups
        if group.difference.p_value is not None
    ]
    values = stats.holm([p_value for _, _, p_value in tested])
    found = {(k, name): value for (k, name, _), value in zip(tested, values, strict=True)}
    return tuple(
        replace(
            comparison,
            groups=tuple(
                replace(group, adjusted_p=found.get((comparison.k, group.group)))
                for group in comparison.groups
            ),
        )
        for comparison in main
    )
