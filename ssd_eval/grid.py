"""T_train x T_eval (paper.md §1, its Figures 3 and 9-11): a student for every T_train.

Trains each T_train twice, with the run's training truncation and without any, scores every student
over the run's T_eval, and asks how far pass@1 follows T_eff = T_train T_eval. Everything is kept in
the run folder of `sweep` and is never done twice. Draws no pictures, makes no tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ssd_eval import results, stages, stats, sweep
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.quadratic import Quadratic, fitted
from ssd_eval.results import Cell, Choice, Curve, SweepResult

if TYPE_CHECKING:
    from ssd_eval.backends.base import Request
    from ssd_eval.stats import Difference
    from ssd_eval.sweep import Sweep

Place = tuple[float, float]  # T_train, T_eval
TRUNCATED, UNTRUNCATED = "truncated", "untruncated"


@dataclass(frozen=True)
class Family:
    """Students of one training truncation by T_train, over one T_eval grid.

    `fit`: of mean pass@k on T_eff over all cells. `best`: each problem at the cell that is best on
    the other folds, `chosen` that cell for each fold. `mean`: each problem's mean of all cells.
    """

    name: str
    top_k: int  # of the training samples
    top_p: float
    students: Mapping[float, Curve]
    fit: Quadratic
    best: Choice
    chosen: tuple[Place, ...]
    mean: Choice


@dataclass(frozen=True)
class Contrast:
    """Truncated minus untruncated training, paired by problem; p after Holm over the two."""

    name: str
    difference: Difference
    adjusted_p: float | None

    @property
    def verdict(self) -> stats.Verdict:
        if self.adjusted_p is None or self.adjusted_p >= stats.ALPHA:
            return "inconclusive"
        return self.difference.verdict


@dataclass(frozen=True)
class Grid:
    """`contrasts` are empty where there is one family only."""

    sweep: SweepResult
    k: int
    families: tuple[Family, ...]
    contrasts: tuple[Contrast, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "sweep": self.sweep.to_json(),
            "k": self.k,
            "families": [_family_json(each) for each in self.families],
            "contrasts": [{**asdict(c), "verdict": c.verdict} for c in self.contrasts],
        }


def measure(job: Sweep, t_trains: Sequence[float], *, untruncated: bool = True) -> Grid:
    """Does what is left of sweep and grid, and gathers it. Raises what the stages raise."""
    if job.config.distilled:
        raise UsageError("a grid trains its students; leave --distilled out")
    wanted = decodings(job, t_trains, untruncated)
    result = sweep.run(job)
    with sweep.loaded(job.config, job.config.base) as base:
        training = {each: sweep.training_requests(job, base, each) for each in wanted}
        for each, requests in training.items():
            stages.draw(job.store, base, requests, job.progress, f"sample for SSD at {each}")
    curves = {each: _curve(job, result, each, training[each]) for each in wanted}
    return gathered(result, curves, job.config.seed)


def decodings(
    job: Sweep, t_trains: Sequence[float], untruncated: bool
) -> tuple[DecodingConfig, ...]:
    """Every training decoding of the grid, checked before anything is sampled."""
    if not t_trains or len(set(t_trains)) != len(t_trains):
        raise UsageError("--t-train needs temperatures, each once: 0.5,1,1.5")
    if 0 in t_trains:
        raise UsageError("--t-train 0 is greedy, the same text each time; use more than 0")
    own = job.config.generation()
    cuts = dict.fromkeys([(own.top_k, own.top_p), *([(0, 1.0)] if untruncated else [])])
    return tuple(DecodingConfig(t, *cut) for cut in cuts for t in sorted(t_trains))


def gathered(result: SweepResult, curves: Mapping[DecodingConfig, Curve], seed: int) -> Grid:
    """The grid of students' curves by the decoding that their training was sampled at."""
    k = result.main[0].k
    cuts = dict.fromkeys((each.top_k, each.top_p) for each in curves)
    families = tuple(
        _family(
            cut, {d.temperature: c for d, c in curves.items() if (d.top_k, d.top_p) == cut}, k, seed
        )
        for cut in cuts
    )
    return Grid(result, k, families, _contrasts(result, families, seed))


def _curve(
    job: Sweep, result: SweepResult, decoding: DecodingConfig, requests: Sequence[Request]
) -> Curve:
    """The sweep's own student where it was trained so; else one more, in `students/`."""
    config, label = job.config, f"student ({decoding})"
    if decoding == config.generation():
        return result.distilled
    folder = f"students/T{decoding.temperature:g}-k{decoding.top_k}-p{decoding.top_p:g}"
    report = stages.distil(
        job.store, config.base, requests, config.recipe(), job.progress, f"train {label}",
        drop_truncated=config.drop_truncated, drop_shortest=config.drop_shortest, folder=folder,
    )  # fmt: skip
    with sweep.loaded(config, str(report.path)) as backend:
        scored = sweep.scored(job, backend, label, config.grid(), config.samples)
    return results.curve(
        job.by_id,
        sweep.verdicts_of(job.store, scored),
        label,
        truncated=sweep.truncated_shares(job.store, scored),
        ks=config.k,
        seed=config.seed,
    )


def _family(cut: tuple[int, float], curves: Mapping[float, Curve], k: int, seed: int) -> Family:
    students = {t: replace(curve, label=f"T_train {t:g}") for t, curve in sorted(curves.items())}
    cells = [(t, cell) for t, curve in students.items() for cell in curve.cells]
    scores = results.table([cell for _, cell in cells], k)
    points = [
        (t * cell.decoding.temperature, mean)
        for t, cell in cells
        if (mean := cell.pass_at[k].mean) is not None
    ]
    means = {problem: sum(row) / len(row) for problem, row in scores.items()}
    best, chosen = _best(cells, scores, seed)
    name = UNTRUNCATED if cut == (0, 1.0) else TRUNCATED
    return Family(
        name, *cut, students, fitted(points), best, chosen, Choice("mean of all cells", (), means)
    )


def _best(
    cells: Sequence[tuple[float, Cell]], scores: Mapping[str, Sequence[float]], seed: int
) -> tuple[Choice, tuple[Place, ...]]:
    """Each problem at the cell that is best on the other folds, and the cell of each fold."""
    if not scores:
        return Choice("none: no problem has enough samples in every cell", (), {}), ()
    clusters = {score.problem_id: score.cluster for score in cells[0][1].scores}
    fit = stats.cross_fitted_best(
        list(scores.values()), range(len(cells)), [clusters[name] for name in scores], seed=seed
    )
    places = fit.chosen or (fit.naive_temperature,)
    chosen = [cells[int(place)] for place in places]
    return (
        Choice(
            f"cross-fitted over {len(places)} folds" if fit.chosen else results.UNFITTED,
            tuple(cell.decoding for _, cell in chosen),
            dict(zip(scores, fit.scores or fit.naive_scores, strict=True)),
        ),
        tuple((t, cell.decoding.temperature) for t, cell in chosen),
    )


def _contrasts(result: SweepResult, families: Sequence[Family], seed: int) -> tuple[Contrast, ...]:
    if len(families) < 2:
        return ()
    kept, whole = families
    members = result.base.cells[0].scores
    found = [
        ("best cell, cross-fitted", results.difference_of(members, whole.best, kept.best, seed)),
        ("mean over all cells", results.difference_of(members, whole.mean, kept.mean, seed)),
    ]
    tested = [each for _, each in found if each.p_value is not None]
    adjusted = dict(
        zip(map(id, tested), stats.holm([d.p_value or 0.0 for d in tested]), strict=True)
    )
    return tuple(Contrast(name, each, adjusted.get(id(each))) for name, each in found)


def _family_json(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "top_k": family.top_k,
        "top_p": family.top_p,
        "students": {f"{t:g}": curve.to_json() for t, curve in family.students.items()},
        "fit": asdict(family.fit),
        "best": {**family.best.to_json(), "t_train_t_eval": family.chosen},
    }
