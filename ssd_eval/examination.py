"""Examination: the stage of a run that makes its positions, their tables and the picture.

Chooses whose tokens are read, loads both checkpoints as teachers, and leaves `positions/`,
`positions/figure6.json` and `plots/figure6.*` in the run's folder. Samples and trains nothing:
`sweep` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import Problem
from benchmarks.prompts import system_message
from ssd_eval.checkpoint import SHIPPED, end_token, fingerprint, load_tokenizer
from ssd_eval.errors import CheckpointError, UsageError
from ssd_eval.positions import Header

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ssd_eval.backends.base import Request
    from ssd_eval.config import RunConfig
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.figure6 import Sums
    from ssd_eval.locks import Judged
    from ssd_eval.progress import Progress
    from ssd_eval.sample import Prompting
    from ssd_eval.sequences import Tokens
    from ssd_eval.store import RunStore

STAGE = "positions"
SAMPLED = ("base", "distilled")  # whose tokens have to be sampled first
NO_TOKENS = "none"
ESTIMATES = "figure6.json"


@dataclass(frozen=True)
class Examined:
    """What the stage found; `pictures` are the files it drew."""

    sums: Sums
    judged: tuple[Judged, ...]
    pictures: tuple[Path, ...]
    folder: Path

    def to_json(self) -> dict[str, Any]:
        from ssd_eval.figure6 import report

        return {**report(self.sums), "planted": [each.to_json() for each in self.judged]}


def token_decoding(config: RunConfig) -> DecodingConfig:
    """The decoding whose samples are read: that of the grid nearest to T = 1."""
    return min(config.grid(), key=lambda each: (abs(each.temperature - 1), each.temperature))


def wanted(config: RunConfig) -> bool:
    """Whether `sweep` makes positions: only checkpoints of transformers can be read."""
    return config.tokens != NO_TOKENS and config.backend != "fake"


def examine(
    config: RunConfig,
    store: RunStore,
    problems: Sequence[Problem],
    distilled: str,
    requests: Iterable[Request],
    progress: Progress,
) -> Examined:
    """`distilled`: the checkpoint; `requests`: the finished samples to choose from, if any.

    Raises UsageError, CheckpointError, RunFolderError.
    """
    from ssd_eval import analysis, teacher
    from ssd_eval.sequences import check_tokenizers
    from ssd_eval.stages import timed

    if config.t_train == 0:
        raise UsageError("--t-train 0 trains on one token a position: no loss to split; raise it")
    names = (config.base, distilled)
    tokenizer, other = (load_tokenizer(name) for name in names)
    check_tokenizers(tokenizer, other, names)
    base, student = (teacher.load(name, dtype=config.dtype, device=config.device) for name in names)
    readers = analysis.Readers(base, student, tokenizer)
    requests = list(requests)

    def tokens() -> Iterator[Tokens]:  # made anew for each walk: never all held at once
        return _tokens(config, store, problems, requests, tokenizer)

    count = total = 0
    for each in tokens():
        analysis.check(readers, each)
        count, total = count + 1, total + len(each.answer_ids)
    folder = store.path("positions")
    with timed(store, STAGE), progress.stage(STAGE, total) as stage:
        analysis.analyse(
            folder,
            _header(config, readers),
            readers,
            tokens(),
            truth=_planted(config),
            on_sequence=stage.advance,
        )
    store.update(positions={"sequences": count, "tokens": total})
    return results(config, store)


def results(config: RunConfig, store: RunStore) -> Examined:
    """From positions that exist: estimates, the rules judged, the picture, a JSON file."""
    from ssd_eval import figure6, locks
    from ssd_eval.figure6_plot import figure6_plot

    folder = store.path("positions")
    rule = locks.fitted(config.rule, folder, threshold=config.threshold)
    others = [locks.fitted(name, folder) for name in locks.RULES if name != config.rule]
    sums = figure6.collect(folder, rule)
    judged = tuple(locks.judged(folder, [rule, *others]))
    found = Examined(sums, judged, figure6_plot(sums, store.path("plots")), folder)
    (folder / ESTIMATES).write_text(json.dumps(found.to_json(), allow_nan=False) + "\n")
    return found


def written(run: Path) -> dict[str, Any] | None:
    """What `results` left in the run's folder; None where the run has no positions."""
    try:
        return dict(json.loads((run / "positions" / ESTIMATES).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def summary(config: RunConfig, store: RunStore) -> RenderableType:
    """The one table that a sweep prints of them."""
    from rich.console import Group

    from ssd_eval import figure6, figure6_tables, locks

    folder = store.path("positions")
    rule = locks.fitted(config.rule, folder, threshold=config.threshold)
    return Group("", *figure6_tables.summary(figure6.collect(folder, rule)))


def _header(config: RunConfig, readers: Any) -> Header:
    return Header(
        base=config.base,
        base_fingerprint=readers.base.fingerprint,
        distilled=readers.distilled.name,
        distilled_fingerprint=readers.distilled.fingerprint,
        vocabulary=readers.base.vocabulary,
        tokens=config.tokens,
        training=config.generation(),
        evaluation=config.grid(),
    )


def _tokens(
    config: RunConfig,
    store: RunStore,
    problems: Sequence[Problem],
    requests: Iterable[Request],
    tokenizer: Any,
) -> Iterator[Tokens]:
    from ssd_eval.sequences import of_completions, of_file, of_references

    by_id: Mapping[str, Problem] = {problem.id: problem for problem in problems}
    if config.tokens in SAMPLED:
        chosen, most = token_decoding(config), config.position_samples
        picked = [r for r in requests if r.decoding == chosen and r.key.sample < most]
        pairs = ((request, store.completions[request.key]) for request in picked)
        return of_completions(pairs, by_id, end_token(tokenizer))
    if config.tokens == "reference":
        most, style = config.position_samples, prompting(config)
        return of_references(problems, tokenizer, end_token(tokenizer), most, style)
    return of_file(Path(config.tokens), by_id)


def prompting(config: RunConfig) -> Prompting:
    """How this run words its prompts."""
    return {
        "prompt_style": config.prompt,
        "system": system_message(config.prompt, config.system),
        "thinking": config.thinking,
    }


def _planted(config: RunConfig) -> bool:
    """Only of the organism is it known where its locks and forks are."""
    try:
        return config.benchmark == "micro" and fingerprint(config.base) == fingerprint(
            next(iter(SHIPPED))
        )
    except CheckpointError:
        return False
