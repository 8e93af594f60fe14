"""What the article claims (paper.md §4), measured on one run: orders the stages, gathers numbers.

A sweep first; then more samples of both checkpoints, a vote of the base's, a student of gibberish
and three students of equal training tokens. Everything is kept in the sweep's run folder and is
never done twice. Judges nothing: `findings` reads the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ssd_eval import arms, majority, metrics, results, stages, stats, sweep
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.reach import Reach, reach, usual
from ssd_eval.results import Choice, Curve, SweepResult

if TYPE_CHECKING:
    from benchmarks.base import Problem
    from ssd_eval.backends.base import Backend, Request
    from ssd_eval.stats import Difference, Estimate
    from ssd_eval.sweep import Sweep

LARGE_K = 64
STRESS = DecodingConfig(2.0, 0, 1.0)  # the paper's: T_train 2.0, no truncation
STRESSED = "gibberish"


@dataclass(frozen=True)
class Majority:
    """The base's maj@n, and the distilled pass@1 minus it, on the same problems."""

    n: int
    base: Estimate
    difference: Difference


@dataclass(frozen=True)
class Student:
    """A checkpoint trained on a set of samples, at its own cross-fitted best temperature.

    `seconds` are of sampling, grading and training, over every process that worked on it.
    """

    name: str
    examples: int
    tokens_sampled: int
    tokens_trained: int
    seconds: float | None
    pass_1: Estimate
    over_base: Difference
    over_any: Difference | None  # over `arms.ANY`, for the arms of the closed loop
    qualified: float | None = None  # share of the samples that the arm could choose from
    no_code: float | None = None  # share of its training samples without a program
    passed: float | None = None  # share of them that pass all tests


@dataclass(frozen=True)
class Measured:
    """`students`: SSD itself, then those of `arms`, then `STRESSED`; empty where none trained."""

    sweep: SweepResult
    decoding: DecodingConfig  # of the base's votes and its large k
    distilled_decoding: DecodingConfig
    majority: tuple[Majority, ...]
    reach: Reach
    students: tuple[Student, ...]

    def student(self, name: str) -> Student | None:
        return next((each for each in self.students if each.name == name), None)


def measure(job: Sweep, large_k: int = LARGE_K) -> Measured:
    """Does what is left, and gathers it. Raises what the stages raise, UsageError for large_k."""
    if job.config.k[0] != 1:
        raise UsageError("the claims are about pass@1; add 1 to --k")
    if large_k < max(job.config.k):
        raise UsageError(f"--large-k {large_k} is less than k {max(job.config.k)}; raise it")
    _check_votes(job)
    result = sweep.run(job)
    first = result.main[0]
    at, then = _usual(first.base), _usual(first.distilled)
    students, votes, before, after = _more_samples(job, result, at, then, large_k)
    return Measured(
        sweep=result,
        decoding=at,
        distilled_decoding=then,
        majority=_majority(votes, first.distilled.scores, before, job.config.seed),
        reach=reach(before, after, seed=job.config.seed),
        students=students,
    )


def _check_votes(job: Sweep) -> None:
    """Before anything is sampled: a vote needs something to run the programs on."""
    for problem in job.problems:
        majority.vote_tests(problem)


def _usual(choice: Choice) -> DecodingConfig:
    found = usual(choice)
    if found is None:
        raise UsageError("no problem has enough samples to choose a temperature by")
    return found


Scores = Sequence[metrics.ProblemScore]
Votes = Mapping[str, Sequence[majority.Vote]]


def _more_samples(
    job: Sweep, result: SweepResult, at: DecodingConfig, then: DecodingConfig, large_k: int
) -> tuple[tuple[Student, ...], Votes, Scores, Scores]:
    config = job.config
    with sweep.loaded(config, config.base) as base:
        large = sweep.scored(job, base, "base, large k", [at], large_k)
        training = [] if config.distilled else sweep.training_requests(job, base)
        gibberish = [] if config.distilled else _gibberish(job, base)
        if training:
            _judge_training(job, base, training, "SSD samples")
    votes = _votes(job, large)
    before = metrics.collect([job.store.verdicts[r.key] for r in large], job.by_id)
    with sweep.loaded(config, config.distilled or str(job.store.path(stages.DISTILLED))) as other:
        more = sweep.scored(job, other, "distilled, large k", [then], large_k)
    after = metrics.collect([job.store.verdicts[r.key] for r in more], job.by_id)
    students = _students(job, result, training, gibberish) if training else ()
    return students, votes, before, after


def _gibberish(job: Sweep, base: Backend) -> list[Request]:
    requests = sweep.training_requests(job, base, STRESS)
    _judge_training(job, base, requests, STRESSED)
    return requests


def _judge_training(job: Sweep, base: Backend, requests: Sequence[Request], label: str) -> None:
    """Grades training samples, and draws those that are missing."""
    prompts = {p.id: p for p in sweep.training_prompts(job.config, job.benchmark)}
    _pin(job, prompts)
    scoring = stages.Scoring(job.pool, prompts, sweep.LIMITS)
    stages.score(job.store, base, requests, scoring, job.progress, label)


def _pin(job: Sweep, prompts: Mapping[str, Problem]) -> None:
    """Verdicts on the prompts rest on their tests: changed ones must not be mixed."""
    held = dict(job.store.manifest.get("pinned", {}))
    for name, problem in prompts.items():
        key = f"prompt {name}"
        if held.setdefault(key, problem.digest()) != problem.digest():
            raise RunFolderError(
                f"the tests of prompt {name} changed since {job.store.folder} began; choose "
                "another --run-dir"
            )
    job.store.update(pinned=held)


def _votes(job: Sweep, requests: Sequence[Request]) -> Votes:
    seen = majority.observe(
        job.store,
        [request.key for request in requests],
        job.by_id,
        job.pool,
        sweep.LIMITS,
        job.progress,
        "run on public inputs",
    )
    votes: dict[str, list[majority.Vote]] = {problem.id: [] for problem in job.problems}
    for request in requests:
        verdict = job.store.verdicts[request.key]
        if verdict.status != "infra_error":
            vote = majority.Vote(seen[request.key].printed, verdict.passed)
            votes[request.key.problem_id].append(vote)
    return votes


def _majority(
    votes: Votes, distilled: Mapping[str, float], scores: Scores, seed: int
) -> tuple[Majority, ...]:
    most = max(map(len, votes.values()))
    rows = []
    for n in sorted({n for n in (1, 3, 5, 10, 20, 50) if n < most} | {most}):
        found = {name: majority.majority_score(each, n, seed=seed) for name, each in votes.items()}
        chosen = [
            s for s in scores if found[s.problem_id] is not None and s.problem_id in distilled
        ]
        voted = [found[s.problem_id] or 0.0 for s in chosen]
        clusters = [s.cluster for s in chosen]
        treated = [distilled[s.problem_id] for s in chosen]
        rows.append(
            Majority(
                n,
                stats.mean_interval(voted, clusters),
                stats.paired_difference(voted, treated, clusters, seed=seed),
            )
        )
    return tuple(rows)


def _students(
    job: Sweep, result: SweepResult, training: Sequence[Request], gibberish: Sequence[Request]
) -> tuple[Student, ...]:
    store, base = job.store, result.main[0].base
    first = result.main[0]
    everything = result.base.cells[0].scores
    found = [_ssd(job, result, training)]
    loop = arms.closed_loop(training, store.completions, store.verdicts)
    reference: Choice | None = None
    for arm in loop:
        curve, student = _student(job, arm.name, arm.requests, everything, base)
        choice = curve.best[job.config.k[0]].fitted
        over = None
        if reference is not None:
            over = results.difference_of(everything, reference, choice, job.config.seed)
        reference = reference or choice
        share = arm.sampled / max(1, sweep.tokens_of(store, training))
        found.append(
            replace(
                student,
                tokens_sampled=arm.sampled,
                seconds=_arm_seconds(job, arm.name, share),
                over_any=over,
                qualified=arm.of / len(training),
            )
        )
    _, stressed = _student(job, STRESSED, gibberish, everything, first.base)
    return (*found, stressed)


def _ssd(job: Sweep, result: SweepResult, training: Sequence[Request]) -> Student:
    group = result.main[0].groups[0]
    trained = job.store.manifest["training"]
    return Student(
        name="SSD",
        examples=trained["examples"],
        tokens_sampled=sweep.tokens_of(job.store, training),
        tokens_trained=trained["tokens_trained"],
        seconds=_seconds(job, sweep.SAMPLE_SSD, sweep.TRAIN),
        pass_1=group.distilled,
        over_base=group.difference,
        over_any=None,
        no_code=_share(job, training, "no_code"),
        passed=_share(job, training, "passed"),
    )


def _student(
    job: Sweep, name: str, requests: Sequence[Request], everything: Scores, base: Choice
) -> tuple[Curve, Student]:
    """Trains on the requests' completions and scores the grid."""
    config = job.config
    report = stages.distil(
        job.store,
        config.base,
        requests,
        config.recipe(),
        job.progress,
        f"train on {name}",
        folder=f"students/{name.replace(' ', '-')}",
    )
    with sweep.loaded(config, str(report.path)) as backend:
        # Not `name`: that is the stage which sampled its training set, and the student's cost.
        scored = sweep.scored(job, backend, f"student of {name}", config.grid(), config.samples)
    curve = results.curve(
        job.by_id,
        sweep.verdicts_of(job.store, scored),
        name,
        truncated=sweep.truncated_shares(job.store, scored),
        ks=config.k[:1],
        seed=config.seed,
    )
    choice = curve.best[config.k[0]].fitted
    members = [s for s in everything if s.problem_id in choice.scores]
    values = [choice.scores[s.problem_id] for s in members]
    return curve, Student(
        name=name,
        examples=report.examples,
        tokens_sampled=sweep.tokens_of(job.store, requests),
        tokens_trained=report.tokens_trained,
        seconds=_seconds(job, f"sample {name}", f"train on {name}"),
        pass_1=stats.mean_interval(values, [s.cluster for s in members]),
        over_base=results.difference_of(everything, base, choice, config.seed),
        over_any=None,
        no_code=_share(job, requests, "no_code"),
        passed=_share(job, requests, "passed"),
    )


def _arm_seconds(job: Sweep, name: str, share: float) -> float | None:
    """Of its share of the sampling, and of the grading where the arm looks at verdicts."""
    looks = () if name == arms.ANY else ("grade SSD samples",)
    before = _seconds(job, sweep.SAMPLE_SSD, *looks)
    training = _seconds(job, f"train on {name}")
    return None if before is None or training is None else share * before + training


def _seconds(job: Sweep, *names: str) -> float | None:
    spent = job.store.manifest.get("seconds", {})
    return sum(spent[name] for name in names) if all(name in spent for name in names) else None


def _share(job: Sweep, requests: Sequence[Request], status: str) -> float | None:
    """Of the graded ones, infra_errors apart."""
    verdicts = [job.store.verdicts[r.key] for r in requests if r.key in job.store.verdicts]
    own = [verdict for verdict in verdicts if verdict.status != "infra_error"]
    return sum(verdict.status == status for verdict in own) / len(own) if own else None
