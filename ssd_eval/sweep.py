"""The main job: base and distilled checkpoints over a temperature grid, from prompts to tables.

Orders the stages and reads the folder back into a SweepResult. Parses nothing and prints nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks import registry
from benchmarks.base import Benchmark, Problem, identity
from sandbox.base import Executor, Limits
from ssd_eval import backends, examination, stages
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.examination import prompting
from ssd_eval.grade import check_gradable
from ssd_eval.sample import plan
from ssd_eval.store import RunStore
from ssd_eval.training_pool import pool

if TYPE_CHECKING:
    from ssd_eval.backends.base import Backend, Request
    from ssd_eval.config import RunConfig
    from ssd_eval.examination import Examined
    from ssd_eval.progress import Progress
    from ssd_eval.records import Completion, SampleKey, Verdict
    from ssd_eval.results import Cost, Curve, SweepResult

LIMITS = Limits()
SAMPLE_SSD, TRAIN = "sample for SSD", "train"


class Records(Protocol):
    """What a run folder holds, open for writing or only read."""

    @property
    def completions(self) -> Mapping[SampleKey, Completion]: ...
    @property
    def verdicts(self) -> Mapping[SampleKey, Verdict]: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...


class Drawn(Protocol):
    """A request, or the completion that answered it."""

    @property
    def key(self) -> SampleKey: ...
    @property
    def decoding(self) -> DecodingConfig: ...


class Scored(Protocol):
    """What a result is made from: a sweep in progress, or one read back from its folder."""

    @property
    def config(self) -> RunConfig: ...
    @property
    def store(self) -> Records: ...
    @property
    def benchmark(self) -> Benchmark: ...
    @property
    def problems(self) -> tuple[Problem, ...]: ...
    @property
    def by_id(self) -> Mapping[str, Problem]: ...
    @property
    def tier(self) -> str: ...


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
    def scored(self) -> dict[str, object]:
        """The problems that results hold for."""
        return identity(self.benchmark, self.problems)

    @property
    def by_id(self) -> Mapping[str, Problem]:
        return {problem.id: problem for problem in self.problems}

    @property
    def tier(self) -> str:
        return self.pool.tier


def evaluation_problems(config: RunConfig) -> tuple[Benchmark, tuple[Problem, ...]]:
    """The benchmark and the problems a run scores. Raises BenchmarkError, UsageError."""
    benchmark = registry.load(
        config.benchmark,
        data_dir=config.data_dir,
        tests=config.tests,
        exclude_errata=config.exclude_errata,
    )
    problems = benchmark.problems()[: config.limit]
    if not problems:
        raise UsageError(f"benchmark {config.benchmark!r} has no problems; choose another window")
    for problem in problems:
        check_gradable(problem)
    return benchmark, problems


def training_prompts(config: RunConfig, benchmark: Benchmark) -> tuple[Problem, ...]:
    """The prompts that SSD samples from; none of them is among the evaluation problems.

    Of a pool of the user's own `training_pool.checked` has seen to that. Raises BenchmarkError.
    """
    if config.prompts is None:
        return benchmark.prompts()[: config.prompts_limit]
    return pool(config).problems[: config.prompts_limit]


def run(job: Sweep) -> SweepResult:
    """Does what is left of the sweep, and gathers its result. Raises what the stages raise."""
    config = job.config
    with loaded(config, config.base) as base:
        _record_template(job)
        training = [] if config.distilled else training_requests(job, base)
        stages.draw(job.store, base, training, job.progress, SAMPLE_SSD)
        base_requests = _scored(job, base, "base", config.baseline())
    with loaded(config, config.distilled or _distilled(job, training)) as distilled:
        distilled_requests = _scored(job, distilled, "distilled", config.evaluation())
    if examination.wanted(config):
        _examined(job, training, {"base": base_requests, "distilled": distilled_requests})
    return gathered(job, training, base_requests, distilled_requests)


def score_base(job: Sweep) -> Curve:
    """One checkpoint over the grid (`ssd-eval eval`)."""
    from ssd_eval.results import curve

    with loaded(job.config, job.config.base) as backend:
        _record_template(job)
        requests = _scored(job, backend, "base", None)
    return curve(
        job.by_id,
        verdicts_of(job.store, requests),
        Path(job.config.base).name,
        truncated=truncated_shares(job.store, requests),
        ks=job.config.k,
        seed=job.config.seed,
    )


def examine(job: Sweep) -> Examined:
    """Positions of base and distilled (`ssd-eval positions`), after the stages that it needs.

    Samples only what `config.tokens` asks for; grades nothing.
    """
    config = job.config
    if not examination.wanted(config):
        raise UsageError(
            f"positions need the tokens of base, distilled, reference or a file and a checkpoint "
            f"to read, not --tokens {config.tokens} with --backend {config.backend}"
        )
    training: list[Request] = []
    requests: dict[str, list[Request]] = {}
    if config.distilled is None or config.tokens == "base":
        with loaded(config, config.base) as backend:
            _record_template(job)
            training = [] if config.distilled else training_requests(job, backend)
            stages.draw(job.store, backend, training, job.progress, SAMPLE_SSD)
            if config.tokens == "base":
                requests["base"] = _read(job, backend, "base")
    if config.tokens == "distilled":
        with loaded(config, config.distilled or _distilled(job, training)) as backend:
            requests["distilled"] = _read(job, backend, "distilled")
    return _examined(job, training, requests)


def _read(job: Sweep, backend: Backend, label: str) -> list[Request]:
    """The samples that positions are read over, drawn where they are missing."""
    config = job.config
    decoding, most = examination.token_decoding(config), config.position_samples
    requests = plan(
        job.problems,
        decoding,
        **prompting(config),
        samples=most,
        max_tokens=config.max_tokens,
        seed=config.seed,
        backend=backend,
    )
    stages.draw(job.store, backend, requests, job.progress, f"sample {label}")
    return requests


def _examined(
    job: Sweep, training: Sequence[Request], requests: Mapping[str, Sequence[Request]]
) -> Examined:
    config = job.config
    return examination.examine(
        config,
        job.store,
        job.problems,
        config.distilled or _distilled(job, training),
        requests.get(config.tokens, ()),
        job.progress,
    )


def sample_training(job: Sweep) -> dict[str, object]:
    """The completions that SSD trains on (`ssd-eval sample`); the first stage of `run`."""
    with loaded(job.config, job.config.base) as backend:
        _record_template(job)
        training = training_requests(job, backend)
        stages.draw(job.store, backend, training, job.progress, SAMPLE_SSD)
    return {
        "completions": len(training),
        "tokens": tokens_of(job.store, training),
        "decoding": str(job.config.generation()),
        "file": str(job.store.path("completions.jsonl")),
    }


def train_distilled(job: Sweep) -> dict[str, object]:
    """The distilled checkpoint (`ssd-eval train`); `run` continues from it."""
    with loaded(job.config, job.config.base) as backend:
        _record_template(job)
        training = training_requests(job, backend)
        stages.draw(job.store, backend, training, job.progress, SAMPLE_SSD)
    path = _distilled(job, training)
    return {"checkpoint": path, **job.store.manifest["training"]}


def _record_template(job: Sweep) -> None:
    """The chat template decides every prompt; the manifest says which one it was."""
    if job.config.backend not in backends.FOLDERS or "chat_template" in job.store.manifest:
        return
    from ssd_eval.checkpoint import chat_template_hash, load_tokenizer

    tokenizer = load_tokenizer(job.config.base)
    found = chat_template_hash(tokenizer) if getattr(tokenizer, "chat_template", None) else None
    job.store.update(chat_template=found)


@contextmanager
def loaded(config: RunConfig, name: str) -> Iterator[Backend]:
    backend = backends.load(config.backend, name, **config.engine())
    try:
        yield backend
    finally:
        backend.close()


def training_requests(
    job: Sweep, backend: Backend, decoding: DecodingConfig | None = None
) -> list[Request]:
    """Of the prompt pool at the run's training config, or at another one."""
    config = job.config
    return plan(
        training_prompts(config, job.benchmark),
        decoding or config.generation(),
        **prompting(config),
        samples=config.samples_per_prompt,
        max_tokens=config.max_tokens,
        seed=config.seed,
        backend=backend,
        whole=True,
    )


def _scored(
    job: Sweep, backend: Backend, label: str, fixed: DecodingConfig | None
) -> list[Request]:
    """Draws and grades the whole grid, and the fixed config where it is not on it."""
    config = job.config
    roles = {**job.store.manifest.get("scored", {}), label: backend.fingerprint}
    job.store.update(scored=roles)
    configs = config.grid()
    if fixed is not None and fixed not in configs:
        configs = (*configs, fixed)
    return scored(job, backend, label, configs, config.samples)


def scored(
    job: Sweep, backend: Backend, label: str, configs: Sequence[DecodingConfig], samples: int
) -> list[Request]:
    """Draws and grades so many samples of every problem at each config."""
    requests = plan(
        job.problems,
        configs,
        **prompting(job.config),
        samples=samples,
        max_tokens=job.config.max_tokens,
        seed=job.config.seed,
        backend=backend,
    )
    scoring = stages.Scoring(job.pool, job.by_id, LIMITS, job.config.extractor)
    stages.score(job.store, backend, requests, scoring, job.progress, label)
    return requests


def _distilled(job: Sweep, training: Sequence[Request]) -> str:
    """The path of the distilled checkpoint, trained where it is not there yet."""
    config = job.config
    report = stages.distil(
        job.store,
        config.base,
        training,
        config.recipe(),
        job.progress,
        TRAIN,
        drop_truncated=config.drop_truncated,
        drop_shortest=config.drop_shortest,
    )
    summary = {
        "fingerprint": report.fingerprint,
        "steps": report.steps,
        "examples": report.examples,
        "tokens_trained": report.tokens_trained,
    }
    job.store.update(training=summary)
    return str(report.path)


def gathered(
    job: Scored,
    training: Sequence[Drawn],
    base: Sequence[Drawn],
    distilled: Sequence[Drawn],
) -> SweepResult:
    """The result of what was drawn for training and for scoring, from the run's records."""
    from ssd_eval.results import Setup, compare

    config = job.config
    return compare(
        job.by_id,
        verdicts_of(job.store, base),
        verdicts_of(job.store, distilled),
        base_truncated=truncated_shares(job.store, base),
        distilled_truncated=truncated_shares(job.store, distilled),
        ks=config.k,
        setup=Setup(
            benchmark=job.benchmark.name,
            window=job.benchmark.window,
            problems=len(job.problems),
            samples=config.samples,
            seed=config.seed,
            tier=job.tier,
            profile=config.profile,
        ),
        cost=_cost(job.store, training, base, distilled),
        base_fixed=config.baseline(),
        distilled_fixed=config.evaluation(),
        seed=config.seed,
    )


def verdicts_of(store: Records, requests: Iterable[Drawn]) -> dict[DecodingConfig, list[Verdict]]:
    found: dict[DecodingConfig, list[Verdict]] = defaultdict(list)
    for request in requests:
        found[request.decoding].append(store.verdicts[request.key])
    return dict(found)


def truncated_shares(store: Records, requests: Iterable[Drawn]) -> dict[DecodingConfig, float]:
    """The share of completions that max_tokens cut off."""
    cut: dict[DecodingConfig, list[bool]] = defaultdict(list)
    for request in requests:
        cut[request.decoding].append(store.completions[request.key].finish == "length")
    return {decoding: sum(flags) / len(flags) for decoding, flags in cut.items()}


def tokens_of(store: Records, requests: Iterable[Drawn]) -> int:
    return sum(len(store.completions[request.key].token_ids) for request in requests)


def _cost(
    store: Records,
    training: Sequence[Drawn],
    base: Sequence[Drawn],
    distilled: Sequence[Drawn],
) -> Cost:
    """Counts are of the whole run; seconds add up over every process that worked on it."""
    from ssd_eval.results import Cost, StageCost

    seconds, cpu = (store.manifest.get(name, {}) for name in ("seconds", "cpu_seconds"))
    trained = store.manifest.get("training") if training else None
    rows: list[StageCost] = []
    beside = []
    if trained:
        rows = [
            StageCost(
                SAMPLE_SSD,
                len(training),
                "completions",
                tokens_of(store, training),
                seconds.get(SAMPLE_SSD),
            ),
            StageCost(
                TRAIN,
                trained["examples"],
                "examples",
                trained["tokens_trained"],
                seconds.get(TRAIN),
            ),
        ]
    for label, requests in (("base", base), ("distilled", distilled)):
        name, count = f"sample {label}", len(requests)
        tokens = tokens_of(store, requests)
        rows.append(StageCost(name, count, "completions", tokens, seconds.get(name)))
        beside.append(name)  # grading begins before and ends after it
        name = f"grade {label}"
        taken = seconds.get(name), cpu.get(name)
        rows.append(StageCost(name, count, "programs", None, *taken))
    return Cost(tuple(rows), frozenset(beside))
