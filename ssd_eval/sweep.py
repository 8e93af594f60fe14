"""The main job: base and distilled checkpoints over a temperature grid, from prompts to tables.

Orders the stages and reads the folder back into a SweepResult. Parses nothing and prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import registry
from benchmarks.base import Benchmark, Problem
from sandbox.base import Executor, Limits
from ssd_eval import backends, stages
from ssd_eval.errors import UsageError
from ssd_eval.grade import check_gradable
from ssd_eval.sample import plan
from ssd_eval.store import RunStore

if TYPE_CHECKING:
    from ssd_eval.backends.base import Backend, Request
    from ssd_eval.config import RunConfig
    from ssd_eval.progress import Progress
    from ssd_eval.results import SweepResult

LIMITS = Limits()


@dataclass(frozen=True)
class Sweep:
    """One sweep in progress: its settings, its folder and what it works with."""

    config: RunConfig
    store: RunStore
    pool: Executor
    benchmark: Benchmark
    problems: tuple[Problem, ...]
    progress: Progress

    @property
    def by_id(self) -> Mapping[str, Problem]:
        return {problem.id: problem for problem in self.problems}


def evaluation_problems(config: RunConfig) -> tuple[Benchmark, tuple[Problem, ...]]:
    """The benchmark and the problems a run scores. Raises BenchmarkError, UsageError."""
    benchmark = registry.load(config.benchmark, data_dir=config.data_dir)
    problems = benchmark.problems()[: config.limit]
    if not problems:
        raise UsageError(f"benchmark {config.benchmark!r} has no problems; choose another window")
    for problem in problems:
        check_gradable(problem)
    return benchmark, problems


def training_prompts(config: RunConfig, benchmark: Benchmark) -> tuple[Problem, ...]:
    """The prompts that SSD samples from; none of them is among the evaluation problems."""
    return benchmark.prompts()[: config.prompts_limit]


def run(job: Sweep) -> SweepResult:
    """Does what is left of the sweep, and gathers its result. Raises what the stages raise."""
    config = job.config
    base = _load(config, config.base)
    try:
        base_requests = _evaluation(job, base)
        training = None if config.distilled else _training(job, base)
        if training is not None:
            stages.draw(job.store, base, training, job.progress, "sample for SSD")
        _score(job, base, base_requests, "base")
    finally:
        base.close()
    distilled = config.distilled or _distil(job, training or [])
    student = _load(config, distilled)
    try:
        distilled_requests = _evaluation(job, student)
        _score(job, student, distilled_requests, "distilled")
    finally:
        student.close()
    return gather(job, base_requests, distilled_requests, training or [])


def _load(config: RunConfig, name: str) -> Backend:
    return backends.load(
        config.backend,
        name,
        device=config.device,
        dtype=config.dtype,
        batch_size=config.sampling_batch,
    )


def _evaluation(job: Sweep, backend: Backend) -> list[Request]:
    config = job.config
    return plan(
        job.problems,
        config.grid(),
        samples=config.samples,
        max_tokens=config.max_tokens,
        seed=config.seed,
        backend=backend,
    )


def _training(job: Sweep, backend: Backend) -> list[Request]:
    config = job.config
    return plan(
        training_prompts(config, job.benchmark),
        config.generation(),
        samples=config.samples_per_prompt,
        max_tokens=config.max_tokens,
        seed=config.seed,
        backend=backend,
    )


def _score(job: Sweep, backend: Backend, requests: Sequence[Request], label: str) -> None:
    stages.draw(job.store, backend, requests, job.progress, f"sample {label}")
    stages.judge(job.store, requests, job.by_id, job.pool, LIMITS, job.progress, f"grade {label}")


def _distil(job: Sweep, requests: Sequence[Request]) -> str:
    config = job.config
    report = stages.distil(
        job.store,
        config.base,
        requests,
        config.recipe(),
        job.progress,
        "train",
        drop_truncated=config.drop_truncated,
        drop_shortest=config.drop_shortest,
    )
    job.store.update(
        distilled={"path": str(report.path), "fingerprint": report.fingerprint},
        training={
            "steps": report.steps,
            "examples": report.examples,
            "tokens_trained": report.tokens_trained,
        },
    )
    return str(report.path)
