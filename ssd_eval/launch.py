"""Opens what a run needs, in the right order, and leaves its folder consistent however it ends.

The sandbox starts before torch is imported, so that its processes are small and hold no answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import prompts
from benchmarks.base import identity
from sandbox.pool import Pool
from ssd_eval import checkpoint, environment, training_pool
from ssd_eval.backends import FOLDERS
from ssd_eval.errors import UsageError
from ssd_eval.store import RunStore
from ssd_eval.sweep import LIMITS, Sweep, evaluation_problems

if TYPE_CHECKING:
    from ssd_eval.config import RunConfig
    from ssd_eval.progress import Progress

RUNS = Path("runs")


def default_folder(config: RunConfig) -> Path:
    name = Path(config.base).name if config.base else "run"
    scored = Path(config.benchmark).name.removesuffix(".jsonl").replace(":", "-")
    return RUNS / f"{name}-{scored}-{config.digest()}"


@contextmanager
def opened(
    config: RunConfig, folder: Path, *, argv: Sequence[str], progress: Progress, workers: int
) -> Iterator[Sweep]:
    """A sweep ready to work on. Its folder says interrupted, unless the block ends normally."""
    benchmark, problems = evaluation_problems(config)
    pool_of_prompts = training_pool.checked(config, benchmark)
    if pool_of_prompts:
        progress.note(f"SSD prompts: {pool_of_prompts['prompts']}; {pool_of_prompts['said']}")
    fingerprints = _fingerprints(config)
    wording = prompts.wording(config.prompt, prompts.system_message(config.prompt, config.system))
    with (
        Pool(workers, LIMITS, unsafe=config.unsafe) as pool,
        RunStore.open(
            folder,
            digest=config.digest(),
            profile=config.profile,
            pinned={
                **_executor(pool),
                "the wording of prompts": wording,
                **({"the SSD prompts": str(pool_of_prompts["digest"])} if pool_of_prompts else {}),
                **{f"problem {each.id}": each.digest() for each in problems},
            },
            manifest={
                "config": config.to_json(),
                "argv": list(argv),
                "environment": environment.describe(),
                "checkpoints": fingerprints,
                "benchmark": identity(benchmark, problems),
                "prompts": {"style": config.prompt, "wording": wording},
                "training_prompts": pool_of_prompts or None,
                "sandbox": {**pool.describe(), "profile": config.profile},
            },
        ) as store,
    ):
        try:
            yield Sweep(config, store, pool, benchmark, problems, progress)
        except BaseException:
            store.interrupt()
            raise
        store.finish()


def _executor(pool: Pool) -> dict[str, str]:
    """What verdicts rest on beside the tests: a run is not continued where it differs."""
    described = pool.describe()
    return {
        "the sandbox's tier": str(described["tier"]),
        "the sandbox's Python": str(described["python"]),
        "the set of modules that programs may import": json.dumps(described["modules"]),
    }


def _fingerprints(config: RunConfig) -> dict[str, object]:
    if config.backend not in FOLDERS:
        return {}
    if config.distilled and checkpoint.resolve(config.distilled) == checkpoint.resolve(config.base):
        raise UsageError(
            "--distilled is the same checkpoint as --base; give another, or leave it out"
        )
    names = {"base": config.base, "distilled": config.distilled}
    return {
        role: {"name": name, "fingerprint": checkpoint.fingerprint(name)}
        for role, name in names.items()
        if name
    }
