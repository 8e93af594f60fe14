"""The stages of a run: draw completions, judge them, distil. Each skips what its folder holds.

A stage may be stopped anywhere and repeated; it then does the rest. Chooses no settings, makes no
tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.base import Problem
from benchmarks.extract import Extractor
from sandbox.base import Executor, Limits
from ssd_eval.backends.base import Backend, Request
from ssd_eval.degenerate import screen
from ssd_eval.errors import SsdEvalError
from ssd_eval.grade import Ledger
from ssd_eval.overlap import Grading
from ssd_eval.progress import Progress, Stage
from ssd_eval.recipe import Recipe
from ssd_eval.records import Completion, SampleKey, Verdict
from ssd_eval.sample import sample
from ssd_eval.store import RunStore

if TYPE_CHECKING:
    from ssd_eval.train import StepReport, TrainReport

DISTILLED = "distilled"  # the trained checkpoint's folder within the run


@contextmanager
def timed(store: RunStore, stage: str) -> Iterator[None]:
    """Adds the block's seconds to the manifest, also when it is left early."""
    started = time.perf_counter()
    try:
        yield
    finally:
        _spend(store, "seconds", stage, time.perf_counter() - started)


def _spend(store: RunStore, field: str, stage: str, seconds: float) -> None:
    spent = dict(store.manifest.get(field, {}))
    spent[stage] = spent.get(stage, 0.0) + seconds
    store.update(**{field: spent})


def draw(
    store: RunStore,
    backend: Backend,
    requests: Sequence[Request],
    progress: Progress,
    name: str,
    then: Callable[[Completion], None] = lambda completion: None,
) -> None:
    """Samples every request that the store lacks; `then` gets each completion once it is kept."""
    missing = [request for request in requests if request.key not in store.completions]
    done = len(requests) - len(missing)
    if not missing:
        return
    tokens, started = 0, time.perf_counter()
    with timed(store, name), progress.stage(name, len(requests), done) as stage:
        for completion in sample(backend, missing):
            store.add_completion(completion)
            then(completion)
            tokens += len(completion.token_ids)
            stage.advance(note=f"{tokens / (time.perf_counter() - started):,.0f} tok/s")


@dataclass(frozen=True)
class Scoring:
    """What grades, and by what rules."""

    pool: Executor
    problems: Mapping[str, Problem]
    limits: Limits
    extractor: Extractor = "ours"


def score(
    store: RunStore,
    backend: Backend,
    requests: Sequence[Request],
    scoring: Scoring,
    progress: Progress,
    label: str,
) -> None:
    """Samples what the store lacks, and meanwhile grades what has no verdict of the program's own.

    A completion goes to the sandbox once it is written, a verdict into the store once it is there.
    """
    graded = store.graded()
    ungraded = [request.key for request in requests if request.key not in graded]
    with _grading(store, len(requests), len(ungraded), scoring, progress, label) as grading:
        wanted = set(ungraded)
        for key in ungraded:
            if key in store.completions:
                grading.add(store.completions[key])

        def then(completion: Completion) -> None:
            if completion.key in wanted:  # of a damaged folder a verdict alone may be left
                grading.add(completion)

        draw(store, backend, requests, progress, f"sample {label}", then)
        grading.finish()
    _check_infrastructure(store, ungraded)


@contextmanager
def _grading(
    store: RunStore, count: int, missing: int, scoring: Scoring, progress: Progress, label: str
) -> Iterator[Grading]:
    """Writes down the CPU seconds too, also when it is left early. No bar where nothing is left."""
    name = f"grade {label}"
    ledger = Ledger(
        scoring.problems, scoring.limits, profile=store.profile, extractor=scoring.extractor
    )
    if not missing:
        with Grading(ledger, scoring.pool, store.add_verdict) as grading:
            yield grading
        return
    before = scoring.pool.cpu_seconds()
    with timed(store, name), progress.stage(name, count, count - missing) as stage:
        try:
            with Grading(ledger, scoring.pool, _keeper(store, stage)) as grading:
                yield grading
        finally:
            _spend(store, "cpu_seconds", name, scoring.pool.cpu_seconds() - before)


def _keeper(store: RunStore, stage: Stage) -> Callable[[Verdict], None]:
    passed = seen = 0

    def keep(verdict: Verdict) -> None:
        nonlocal passed, seen
        store.add_verdict(verdict)
        seen += 1
        passed += verdict.passed
        stage.advance(note=f"{passed / seen:.0%} pass")

    return keep


def _check_infrastructure(store: RunStore, graded: Sequence[SampleKey]) -> None:
    lost = sum(store.verdicts[key].status == "infra_error" for key in graded)
    if lost and lost == len(graded):
        detail = store.verdicts[graded[0]].detail
        raise SsdEvalError(
            f"the sandbox failed on all {lost} programs ({detail}); run `ssd-eval doctor`, then "
            "repeat the command: the completions are kept"
        )


def distil(
    store: RunStore,
    base: str,
    requests: Sequence[Request],
    recipe: Recipe,
    progress: Progress,
    name: str,
    *,
    drop_truncated: bool = False,
    drop_shortest: float = 0.0,
    folder: str = DISTILLED,
) -> TrainReport:
    """Screens the requests' completions and trains `base` on what is left (paper.md §1).

    The checkpoint is left in `folder` within the run.
    """
    from ssd_eval.train import TrainingExample, train

    prompts = {request.key: request.prompt_ids for request in requests}
    screened = screen(
        [store.completions[request.key] for request in requests],
        drop_truncated=drop_truncated,
        drop_shortest=drop_shortest,
    )
    examples = [
        TrainingExample(
            problem_id=each.key.problem_id,
            prompt_ids=prompts[each.key],
            completion_ids=each.token_ids,
            finished=each.finish == "stop",
        )
        for each in screened.kept
    ]
    out = store.path(folder)
    steps = recipe.steps(len(examples))
    if (out / "ssd.json").exists():
        return train(base, examples, recipe, out, dropped=screened.dropped)
    with timed(store, name), progress.stage(name, steps) as stage:
        shown = 0

        def on_step(report: StepReport) -> None:
            nonlocal shown
            note = f"loss {report.loss:.3f}, {report.tokens_per_s:,.0f} tok/s"
            stage.advance(report.step - shown, note)
            shown = report.step

        return train(base, examples, recipe, out, on_step=on_step, dropped=screened.dropped)
