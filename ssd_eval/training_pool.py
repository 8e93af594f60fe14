"""The prompts of `--prompts`: read, and compared with the problems that are scored.

Reading is `benchmarks.prompt_pool`'s, comparing `benchmarks.overlap`'s; samples nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from benchmarks.base import Benchmark
from benchmarks.overlap import overlap
from benchmarks.prompt_pool import PromptPool, read
from ssd_eval.errors import UsageError

if TYPE_CHECKING:
    from ssd_eval.config import RunConfig

_read = lru_cache(maxsize=1)(read)  # a run asks twice, and a pool may be large
NAMED = 3


def pool(config: RunConfig) -> PromptPool:
    """Raises BenchmarkError."""
    assert config.prompts is not None
    return _read(config.prompts, field=config.prompts_field, data_dir=config.data_dir)


def checked(config: RunConfig, benchmark: Benchmark) -> dict[str, object]:
    """What a manifest says of the pool: source, counts, digest, overlap. Empty without a pool.

    Compared with all problems of the benchmark, not only those of `--limit`. Raises UsageError
    where a scored problem is a prompt and that was not allowed; and BenchmarkError.
    """
    if config.prompts is None or config.distilled is not None:
        return {}
    found = pool(config)
    shared = overlap(found.problems, benchmark.problems())
    if shared.exact and not config.allow_overlap:
        more = ", ..." if len(shared.exact) > NAMED else ""
        raise UsageError(
            f"{config.prompts} holds {len(shared.exact)} of the problems that are scored "
            f"({', '.join(shared.exact[:NAMED])}{more}); remove them, or accept training on them "
            "with --allow-overlap"
        )
    return {**found.describe(), "overlap": shared.describe(), "said": shared.text()}
