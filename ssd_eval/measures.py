"""Measures: two models' logits at the same positions -> the rows of `positions`.

One ranking of each row's likeliest tokens serves all decodings (see `decoded`); the rest of the
vocabulary is summed in the logits' own precision. float64 logits make every sum float64: the
reference path. Runs no models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ssd_eval import decoded, entropy, loss, passes, support
from ssd_eval.decoded import Given, blocks, temperatures
from ssd_eval.decoding import DecodingConfig, effective_temperature
from ssd_eval.passes import Read, Shared, floats
from ssd_eval.positions import MODELS, RANKS, TOP, row_dtype
from ssd_eval.support import Ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    ranked, sums = read.ranked, entropy.prefixes(read.ranked, read.rest.mass, read.rest.first)
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
    decoded.fill(record, Given(logits, read, sums, whole), decodings)
    return whole


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
    for block in blocks(inside, 0, width * (len(decodings) + 8)):
        pair = (mine[block], shared.logits[block, :width])
        _lose(rows, block, pair, size[block], offsets, decodings)
    for block in blocks(~inside, vocabulary, vocabulary * (len(decodings) + 8)):
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
    evaluated = temperatures(decodings[1:], base)
    rows["teff"][place] = loss.composition(target, base, distilled, evaluated).numpy(force=True)
