"""The stages of a run: draw completions, judge them, distil. Each skips what its folder holds.

A stage may be stopped anywhere and repeated; it then does the rest. Chooses no settings, makes no
tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.base import Problem
from sandbox.base import Executor, Limits
from ssd_eval.backends.base import Backend, Request
from ssd_eval.degenerate import screen
from ssd_eval.errors import SsdEvalError
from ssd_eval.grade import grade
from ssd_eval.progress import Progress
from ssd_eval.recipe import Recipe
from ssd_eval.records import Completion
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
        spent = dict(store.manifest.get("seconds", {}))
        spent[stage] = spent.get(stage, 0.0) + time.perf_counter() - started
        store.update(seconds=spent)


def draw(
    store: RunStore, backend: Backend, requests: Sequence[Request], progress: Progress, name: str
) -> None:
    """Samples every request that the store lacks."""
    missing = [request for request in requests if request.key not in store.completions]
    done = len(requests) - len(missing)
    if not missing:
        return
    tokens, started = 0, time.perf_counter()
    with timed(store, name), progress.stage(name, len(requests), done) as stage:
        for completion in sample(backend, missing):
            store.add_completion(completion)
            tokens += len(completion.token_ids)
            stage.advance(note=f"{tokens / (time.perf_counter() - started):,.0f} tok/s")


def judge(
    store: RunStore,
    requests: Sequence[Request],
    problems: Mapping[str, Problem],
    pool: Executor,
    limits: Limits,
    progress: Progress,
    name: str,
) -> None:
    """Grades every request's completion that has no verdict of the program's own yet."""
    graded = store.graded()
    missing = [store.completions[request.key] for request in requests if request.key not in graded]
    if not missing:
        return
    passed = seen = 0
    with (
        timed(store, name),
        progress.stage(name, len(requests), len(requests) - len(missing)) as stage,
    ):
        for verdict in grade(missing, problems, pool, limits=limits, profile=store.profile):
            store.add_verdict(verdict)
            seen += 1
            passed += verdict.passed
            stage.advance(note=f"{passed / seen:.0%} pass")
        _check_infrastructure(store, missing)


def _check_infrastructure(store: RunStore, graded: Sequence[Completion]) -> None:
    lost = sum(store.verdicts[each.key].status == "infra_error" for each in graded)
    if lost == len(graded):
        detail = store.verdicts[graded[0].key].detail
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
) -> TrainReport:
    """Screens the requests' completions and trains `base` on what is left (paper.md §1)."""
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
    out = store.path(DISTILLED)
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
