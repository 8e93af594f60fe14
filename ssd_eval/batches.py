"""Batches: from sampled completions to the token rows of every optimiser step.

Pure and seeded: the same examples in any order give the same batches. Holds no tensors.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ssd_eval.errors import UsageError


@dataclass(frozen=True, order=True)
class TrainingExample:
    """One completion of the frozen base. `completion_ids` leave out the end token; `finished`
    tells whether the model wrote it (else the completion was cut off by max_tokens).
    """

    problem_id: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    finished: bool


@dataclass(frozen=True)
class Row:
    """Token ids of prompt and completion; the loss counts the tokens from `start` on."""

    ids: tuple[int, ...]
    start: int

    @property
    def targets(self) -> int:
        return len(self.ids) - self.start


@dataclass(frozen=True)
class Rows:
    """`dropped` counts examples by reason; `cut` is how many rows lost their end to the limit."""

    rows: tuple[Row, ...]
    dropped: Mapping[str, int]
    cut: int


def data_digest(examples: Sequence[TrainingExample]) -> str:
    """16 hex digits of the content, whatever the order."""
    digest = hashlib.sha256()
    for e in sorted(examples):
        row = [e.problem_id, e.prompt_ids, e.completion_ids, e.finished]
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()[:16]


def to_rows(examples: Sequence[TrainingExample], end_id: int, limit: int) -> Rows:
    """A finished completion is trained with the end token, a cut-off one without (design.md).

    Rows longer than `limit` tokens are cut, and so lose their end token. Examples without a token
    to train on are dropped: `no_target`, or `prompt_too_long` where the limit is the cause.
    """
    rows: list[Row] = []
    dropped = {"no_target": 0, "prompt_too_long": 0}
    cut = 0
    for e in sorted(examples):
        end = (end_id,) if e.finished else ()
        ids = e.prompt_ids + e.completion_ids + end
        # Without a prompt the first token has no context and is no target.
        row = Row(ids[:limit], max(1, len(e.prompt_ids)))
        if len(ids) <= row.start:
            dropped["no_target"] += 1
        elif row.targets < 1:
            dropped["prompt_too_long"] += 1
        else:
            cut += len(ids) > limit
            rows.append(row)
    if not rows:
        raise UsageError(
            f"no completion is left to train on ({len(examples)} given, {_listed(dropped)}); "
            "sample more, loosen the filters or raise max_sequence"
        )
    return Rows(tuple(rows), {k: n for k, n in dropped.items() if n}, cut)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def steps(count: int, batch_size: int, total: int, seed: int) -> Iterator[list[int]]:
    """For each of `total` optimiser steps, the indices of its rows.

    Every epoch is a new shuffle of all `count` rows; its last batch may be smaller.
    """
    done = epoch = 0
    while done < total:
        order = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        for first in range(0, count, batch_size):
            if done < total:
                yield order[first : first + batch_size]
                done += 1
        epoch += 1


def micro_batches(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Rows of similar length share a forward pass, so that little is padded."""
    ordered = sorted(rows, key=lambda row: len(row.ids))
    return [ordered[first : first + size] for first in range(0, len(ordered), size)]
