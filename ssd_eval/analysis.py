"""Analysis: two checkpoints read over the same stored tokens, into a folder of positions.

Each sequence goes once through both bodies; logits are made and measured a few positions at a time.
Memory depends on the longest sequence and the largest problem, not on the corpus. What the folder
holds already, for the same checkpoints and decodings, is not done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ssd_eval import positions, syntax
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import CheckpointError, RunFolderError, UsageError
from ssd_eval.measures import measure
from ssd_eval.organism.planted import planted
from ssd_eval.passes import NotFinite
from ssd_eval.positions import PLANTED, Header
from ssd_eval.sequences import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssd_eval.teacher import Teacher

TOGETHER = 1024  # positions of short sequences whose states are held at once
MEASURED = 160  # positions measured at once: fewer would be mostly calls, more mostly memory
PASS_TOKENS = 512  # of short sequences in one pass, padding included: alone they are mostly calls
REACH = 8  # tokens decoded together where a character spans several


@dataclass(frozen=True)
class Readers:
    """The two checkpoints, and the tokenizer that they share."""

    base: Teacher
    distilled: Teacher
    tokenizer: Any

    def __post_init__(self) -> None:
        if self.base.vocabulary != self.distilled.vocabulary:
            raise UsageError(
                f"{self.base.name} and {self.distilled.name} have different vocabularies "
                f"({self.base.vocabulary} and {self.distilled.vocabulary} logits); positions can "
                "only be compared between checkpoints that share one"
            )


def analyse(
    folder: Path,
    header: Header,
    readers: Readers,
    sequences: Iterable[Tokens],
    *,
    truth: bool = False,
    on_sequence: Callable[[int], None] | None = None,
) -> None:
    """Fills `folder`; a problem's sequences must stand together. `on_sequence` is told positions.

    `truth` marks the organism's planted places. Raises UsageError for sequences that don't fit a
    checkpoint, CheckpointError for logits that are not finite.
    """
    _start(folder, header)
    shards = 0
    waiting: list[tuple[int, list[Tokens]]] = []
    for index, (_, group) in enumerate(groupby(sequences, key=lambda each: each.problem)):
        wanted = list(group)
        shards = index + 1
        if _held(folder, index, wanted):
            _tell(on_sequence, wanted)
            continue
        waiting.append((index, wanted))
        if sum(len(each.answer_ids) for _, part in waiting for each in part) >= TOGETHER:
            _settle(folder, header, readers, waiting, truth, on_sequence)
            waiting = []
    _settle(folder, header, readers, waiting, truth, on_sequence)
    _drop_after(folder, shards)


def _settle(
    folder: Path,
    header: Header,
    readers: Readers,
    waiting: Sequence[tuple[int, list[Tokens]]],
    truth: bool,
    on_sequence: Callable[[int], None] | None,
) -> None:
    """Reads the waiting problems together and writes a shard for each."""
    every = [tokens for _, wanted in waiting for tokens in wanted]
    rows = (
        found
        for batch in _batches(every)
        for found in read(readers.base, readers.distilled, batch, header.decodings)
    )
    for index, wanted in waiting:
        done = [_described(readers, tokens, next(rows), truth) for tokens in wanted]
        positions.write_problem(folder, index, done)
        _tell(on_sequence, wanted)


def _batches(every: Sequence[Tokens]) -> Iterator[list[Tokens]]:
    """Sequences until there are `TOGETHER` positions: their states are held at once."""
    batch: list[Tokens] = []
    for tokens in every:
        batch.append(tokens)
        if sum(len(each.answer_ids) for each in batch) >= TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch


def _tell(on_sequence: Callable[[int], None] | None, done: Sequence[Tokens]) -> None:
    for tokens in done if on_sequence else ():
        on_sequence(len(tokens.answer_ids))  # type: ignore[misc]


def _start(folder: Path, header: Header) -> None:
    """Positions of other checkpoints, tokens or decodings are of no use."""
    try:
        same = positions.read_header(folder) == header
    except RunFolderError:
        same = False
    if not same:
        shutil.rmtree(folder, ignore_errors=True)
        positions.write_header(folder, header)


def _held(folder: Path, index: int, wanted: Sequence[Tokens]) -> bool:
    if not positions.shard(folder, index).exists():
        return False
    try:
        held = positions.read_problem(folder, index)
    except RunFolderError:
        return False
    return [
        (each.problem, each.sample, each.decoding, tuple(each.rows["token"].tolist()))
        for each in held
    ] == [(each.problem, each.sample, each.decoding, each.answer_ids) for each in wanted]


def _drop_after(folder: Path, count: int) -> None:
    for path in folder.glob("[0-9]*.npz"):
        if int(path.stem) >= count:
            path.unlink()


def _described(
    readers: Readers, tokens: Tokens, rows: NDArray[Any], truth: bool
) -> positions.Sequence:
    """The rows with what their texts tell."""
    pieces = texts(readers.tokenizer, tokens.answer_ids)
    rows["syntax"] = syntax.classify(pieces)
    if truth:
        rows["planted"] = _truth(pieces)
    return positions.Sequence(
        problem=tokens.problem,
        cluster=tokens.cluster,
        sample=tokens.sample,
        prompt="".join(texts(readers.tokenizer, tokens.prompt_ids)),
        prompt_tokens=len(tokens.prompt_ids),
        decoding=tokens.decoding,
        pieces=pieces,
        rows=rows,
    )


def check(readers: Readers, tokens: Tokens) -> None:
    """Before anything is read: raises UsageError where `analyse` would, naming the sequence."""
    try:
        for model in (readers.base, readers.distilled):
            model.check(tokens.ids)
    except UsageError as error:
        raise UsageError(f"sample {tokens.sample} of problem {tokens.problem}: {error}") from error


def read(
    base: Teacher, distilled: Teacher, many: Sequence[Tokens], decodings: Sequence[DecodingConfig]
) -> list[NDArray[Any]]:
    """The rows of each sequence, `syntax` and `planted` left 0. Raises as `analyse`."""
    states = [_states(model, many) for model in (base, distilled)]
    targets = torch.tensor([token for each in many for token in each.answer_ids])
    targets = targets.to(states[0].device)
    rows = np.zeros(len(targets), positions.row_dtype(len(decodings)))
    step = min(base.step(), MEASURED)
    for at in range(0, len(targets), step):
        chunk = slice(at, at + step)
        mine, theirs = base.logits(states[0][:, chunk]), distilled.logits(states[1][:, chunk])
        try:
            rows[chunk] = measure(mine, theirs, targets[chunk], decodings)
        except NotFinite as error:
            raise _not_finite((base, distilled)[error.model], many, at + error.row) from error
        del mine, theirs  # or they would stay while the next ones are made
    ends = np.cumsum([len(each.answer_ids) for each in many])
    return np.split(rows, ends[:-1])


def _states(model: Teacher, many: Sequence[Tokens]) -> Tensor:
    """What the model's head makes the answers' predictions from, [1, answer tokens, width]."""
    found: dict[int, Tensor] = {}
    for places in _passes([len(each.ids) for each in many]):
        # The last token predicts nothing here.
        states = model.read_many([many[place].ids[:-1] for place in places])
        for place, each in zip(places, states, strict=True):
            found[place] = each[:, len(many[place].prompt_ids) - 1 :]
    return torch.cat([found[place] for place in range(len(many))], dim=1)


def _passes(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of sequences that go through a model together: short ones of nearly equal length."""
    part: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if part and lengths[place] * (len(part) + 1) > PASS_TOKENS:
            yield part
            part = []
        part.append(place)
    if part:
        yield part


def _not_finite(model: Teacher, many: Sequence[Tokens], row: int) -> CheckpointError:
    for tokens in many:
        if row < len(tokens.answer_ids):
            break
        row -= len(tokens.answer_ids)
    position = len(tokens.prompt_ids) - 1 + row
    return CheckpointError(
        f"{model.name} gives logits that are not finite at token {position} of sample "
        f"{tokens.sample} of problem {tokens.problem}: {model.origin(tokens.ids, position)}; use "
        "--dtype float32 or restore the checkpoint"
    )


def texts(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token, so that they join to the text of all.

    Where a character spans several tokens, its last one has it and the others are empty.
    """
    decode: Callable[..., str] = tokenizer.decode
    plain = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    alone = {each: decode([each], **plain) for each in set(ids)}
    pieces = tuple(alone[each] for each in ids)
    if "".join(pieces) == decode(list(ids), **plain):
        return pieces
    return tuple(_grown(lambda part: decode(list(part), **plain), ids))


def _grown(decode: Callable[[Sequence[int]], str], ids: Sequence[int]) -> Iterator[str]:
    """What each token adds to the text of those before it, a window of them at a time."""
    start, shown = 0, ""
    for at in range(len(ids)):
        text = decode(ids[start : at + 1])
        if text.endswith("\ufffd") and at + 1 < len(ids) and at - start < 4 * REACH:
            yield ""
            continue
        yield text[len(shown) :]
        shown = text
        if at - start >= REACH:
            start, shown = at, decode(ids[at : at + 1])


def _truth(pieces: Sequence[str]) -> list[int]:
    """An index into PLANTED for each piece."""
    ends = np.cumsum([len(each) for each in pieces])
    found = [0] * len(pieces)
    for offset, name in planted("".join(pieces)):
        found[int(np.searchsorted(ends, offset, side="right"))] = PLANTED.index(name)
    return found
