"""Measures: two models' logits at the same positions -> the rows of `positions`.

One ranking of each row's likeliest tokens serves all decodings; the rest of the vocabulary is
summed in the logits' own precision. Decodings whose support that leaves open (see `support`) are
repeated for their rows alone, in float64 and as wide as it takes. float64 logits make every sum
float64: the reference path. Runs no models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ssd_eval import entropy, loss, passes, support
from ssd_eval.decoding import DecodingConfig, effective_temperature
from ssd_eval.passes import Read, Shared, floats
from ssd_eval.positions import MODELS, RANKS, TOP, row_dtype
from ssd_eval.support import Ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDE_BYTES = 32 * 2**20  # float64 numbers of the wide repetition held at once, about
WIDER = 16  # how much wider each repetition ranks


def measure(
    base: Tensor, distilled: Tensor, tokens: Tensor, decodings: Sequence[DecodingConfig]
) -> NDArray[Any]:
    """Rows of `row_dtype`; `syntax` and `planted` stay 0.

    `base`, `distilled`: [rows, vocabulary] of any floating dtype; `tokens`: int64 [rows];
    `decodings`: the training one first, its temperature above 0. Raises NotFinite.
    """
    rows = np.zeros(len(tokens), row_dtype(len(decodings)))
    rows["token"] = tokens.cpu().numpy()
    reads, shared = passes.read(base, distilled, tokens, decodings)
    wholes = [
        _fill(rows[name], logits, read, decodings)
        for name, logits, read in zip(MODELS, (base, distilled), reads, strict=True)
    ]
    rows["kl"] = _divergence(reads, wholes, shared).numpy(force=True)
    mine, theirs = (
        read.ranked.largest + whole.log_total for read, whole in zip(reads, wholes, strict=True)
    )
    _compare(rows, (base, distilled), reads[0].ranked, shared, (mine, theirs), decodings)
    return rows


def _fill(
    record: NDArray[Any], logits: Tensor, read: Read, decodings: Sequence[DecodingConfig]
) -> entropy.Whole:
    """One model's fields, all but the loss."""
    ranked, sums = read.ranked, entropy.prefixes(read.ranked, read.rest)
    whole = entropy.whole(ranked, read.rest, sums)
    for name in ("entropy", "renyi_half", "renyi_2", "renyi_inf", "dh_dt"):
        record[name] = getattr(whole, name).numpy(force=True)
    record["rank"] = read.place.numpy(force=True)
    record["logprob"] = (read.taken - whole.log_total).numpy(force=True)
    mass = sums.mass / sums.tail_mass[:, :1]
    record["top1"] = mass[:, 1].numpy(force=True)
    record["top20"] = mass[:, min(20, ranked.width)].numpy(force=True)
    beyond = (sums.tail_mass / sums.tail_mass[:, :1])[:, 1 : RANKS + 1].numpy(force=True)
    record["beyond"][:, : beyond.shape[1]] = beyond
    top = min(TOP, ranked.width)
    record["top_ids"], record["top_logprob"] = -1, -np.inf
    record["top_ids"][:, :top] = ranked.ids[:, :top].numpy(force=True)
    likeliest = ranked.shifted[:, :top] - whole.log_total[:, None]
    record["top_logprob"][:, :top] = likeliest.numpy(force=True)
    vocabulary = logits.shape[1]
    narrow = _narrowed(ranked, support.columns(decodings, vocabulary), decodings, vocabulary)
    cut = support.cut(
        narrow, decodings, vocabulary, read.tempered, support.DOUBT[str(floats(logits[:0]).dtype)]
    )
    _store(record, np.s_[:], np.s_[:], _measured(cut, sums, whole, decodings))
    _widen(record, logits, whole, decodings, ~cut.sure)
    return whole


def _narrowed(
    ranked: Ranked, width: int, decodings: Sequence[DecodingConfig], vocabulary: int
) -> Ranked:
    """Fewer columns where top-k bounds every support."""
    if width >= ranked.width or any(support.unlimited(each, vocabulary) for each in decodings):
        return ranked
    return replace(
        ranked, ids=ranked.ids[:, :width], shifted=ranked.shifted[:, :width], complete=False
    )


def _measured(
    cut: support.Cut,
    sums: entropy.Prefixes,
    whole: entropy.Whole,
    decodings: Sequence[DecodingConfig],
) -> dict[str, Tensor]:
    temperatures = _temperatures(decodings, cut.mass)
    split = entropy.split(cut, sums)
    sampled = entropy.sampled(cut, whole, temperatures)
    return {
        "support": cut.size,
        **{name: getattr(split, name) for name in ("kept", "gate", "head", "tail")},
        "sampled": sampled.entropy,
        "sensitivity": sampled.sensitivity,
        "power": sampled.power,
    }


def _temperatures(decodings: Sequence[DecodingConfig], like: Tensor) -> Tensor:
    return torch.tensor([effective_temperature(each) for each in decodings]).to(like)


def _store(record: NDArray[Any], rows: Any, columns: Any, values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        record[name][rows, columns] = value.numpy(force=True)


def _widen(
    record: NDArray[Any],
    logits: Tensor,
    whole: entropy.Whole,
    decodings: Sequence[DecodingConfig],
    pending: Tensor,
) -> None:
    """Repeats what is `pending` (bool [rows, decodings]) in float64 until every cut is sure."""
    vocabulary = logits.shape[1]
    everything = [support.keeps_all(each, vocabulary) for each in decodings]
    for chosen in (everything, [not each for each in everything]):
        columns = [place for place, each in enumerate(chosen) if each]
        width = support.columns(decodings, vocabulary)
        while bool(pending[:, columns].any()):
            width = min(vocabulary, max(width, RANKS) * WIDER)
            width = vocabulary if chosen is everything else width
            for rows in _blocks(pending[:, columns].any(-1), vocabulary, len(columns) * width):
                here = [c for c in columns if bool(pending[rows, c].any())]
                parts = [decodings[c] for c in here]
                values, sure = _wide(logits[rows].double(), entropy.pick(whole, rows), parts, width)
                _settle(record, values, rows, here, pending[rows][:, here] & sure)
                pending[rows[:, None], torch.tensor(here, device=rows.device)] &= ~sure


def _wide(
    logits: Tensor, whole: entropy.Whole, decodings: Sequence[DecodingConfig], width: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The fields of `_measured`, and where they are sure. `logits`: float64."""
    vocabulary = logits.shape[1]
    everything = support.keeps_all(decodings[0], vocabulary)
    ranked = support.unranked(logits) if everything else support.rank(logits, width)
    room = entropy.room(len(logits), logits)
    entropy.outside(logits, ranked, room, max(each.temperature for each in decodings))
    sums = entropy.prefixes(ranked, entropy.rest(room))
    tempered = passes.tempered(room, decodings, vocabulary)
    cut = support.cut(ranked, decodings, vocabulary, tempered, support.DOUBT["torch.float64"])
    if not everything:
        return _measured(cut, sums, whole, decodings), cut.sure
    through = replace(cut, size=torch.full_like(cut.size, vocabulary))
    values = _measured(through, sums, whole, decodings)
    return {**values, "support": cut.size}, cut.sure


def _blocks(wanted: Tensor, vocabulary: int, cells: int) -> Iterator[Tensor]:
    """Indices of the wanted rows, few enough at once for `WIDE_BYTES`."""
    found = wanted.nonzero()[:, 0]
    step = max(1, WIDE_BYTES // (8 * 4 * (vocabulary + cells + 1)))
    for at in range(0, len(found), step):
        yield found[at : at + step]


def _settle(
    record: NDArray[Any], values: dict[str, Tensor], rows: Tensor, columns: list[int], where: Tensor
) -> None:
    """Writes the cells that `where` is true at, bool [rows, columns]."""
    row, column = where.nonzero(as_tuple=True)
    into = (rows[row].numpy(force=True), np.array(columns)[column.numpy(force=True)])
    for name, value in values.items():
        record[name][into] = value[row, column].numpy(force=True)


def _divergence(reads: Sequence[Read], wholes: Sequence[entropy.Whole], shared: Shared) -> Tensor:
    """KL(base ‖ distilled) over the whole vocabulary, float64 [rows]."""
    mine, theirs = reads
    log_total = wholes[0].log_total
    base = mine.ranked.shifted - log_total[:, None]
    offset = theirs.ranked.largest + wholes[1].log_total
    ratio = base - (shared.logits - offset[:, None])
    p = base.exp()
    head = torch.where(p > 0, p * ratio, 0.0).sum(-1)
    tail = mine.rest.first - shared.rest + mine.rest.mass * (offset - log_total)
    return (head + tail / log_total.exp()).clamp(min=0)


def _compare(
    rows: NDArray[Any],
    logits: tuple[Tensor, Tensor],
    ranked: Ranked,
    shared: Shared,
    offsets: tuple[Tensor, Tensor],
    decodings: Sequence[DecodingConfig],
) -> None:
    """The loss of both models on the base's training support, and the composition.

    `offsets`: what each model's logits are less by to be log-probabilities, float64 [rows].
    """
    size = torch.from_numpy(rows["base"]["support"][:, 0].astype(np.int64)).to(ranked.ids.device)
    base, vocabulary = logits[0], logits[0].shape[1]
    inside = support.holds(ranked, size)
    width = int(size[inside].max()) if bool(inside.any()) else 0
    mine = ranked.shifted[:, :width] + ranked.largest[:, None]
    for block in _blocks(inside, 0, width * (len(decodings) + 8)):
        pair = (mine[block], shared.logits[block, :width])
        _lose(rows, block, pair, size[block], offsets, decodings)
    for block in _blocks(~inside, vocabulary, vocabulary * (len(decodings) + 8)):
        if support.keeps_all(decodings[0], vocabulary):
            found = support.unranked(floats(base[block]))
            size[block] = vocabulary
        else:
            found = _holding(floats(base[block]), size[block])
        theirs = floats(logits[1][block]).gather(1, found.ids).double()
        pair = (found.shifted + found.largest[:, None], theirs)
        _lose(rows, block, pair, size[block], offsets, decodings)


def _holding(logits: Tensor, size: Tensor) -> Ranked:
    """A ranking wide enough that its first `size` tokens are certain, ties included."""
    vocabulary = logits.shape[1]
    found = support.rank(logits, min(vocabulary, int(size.max()) + 1))
    if bool(support.holds(found, size).all()):
        return found
    return support.rank(logits, vocabulary)


def _lose(
    rows: NDArray[Any],
    block: Tensor,
    pair: tuple[Tensor, Tensor],
    size: Tensor,
    offsets: tuple[Tensor, Tensor],
    decodings: Sequence[DecodingConfig],
) -> None:
    """`pair`: both models' logits of the base's likeliest tokens, float64 [block, width]."""
    base, distilled = (x - o[block, None] for x, o in zip(pair, offsets, strict=True))
    place = block.numpy(force=True)
    inside = (torch.arange(base.shape[1], device=size.device) < size[:, None]) & base.isfinite()
    target = loss.target(base, inside, effective_temperature(decodings[0]))
    rows["constant"][place] = target.constant.numpy(force=True)
    for name, logp in zip(MODELS, (base, distilled), strict=True):
        terms = loss.terms(target, logp)
        for each in fields(terms):
            rows[name][each.name][place] = getattr(terms, each.name).numpy(force=True)
    temperatures = _temperatures(decodings[1:], base)
    rows["teff"][place] = loss.composition(target, base, distilled, temperatures).numpy(force=True)
