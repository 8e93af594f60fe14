"""Decoded: what each decoding keeps of a position and samples from, as fields of `positions`.

The ranking of a row's likeliest tokens decides most supports. Where it does not (see `support`),
`nucleus` sorts that row further. Makes no statistics without a decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ssd_eval import entropy, support
from ssd_eval.decoding import DecodingConfig, effective_temperature
from ssd_eval.nucleus import Asked, Kept, nuclei
from ssd_eval.passes import Read, floats
from ssd_eval.support import Outside, Ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDE_BYTES = 32 * 2**20  # float64 numbers as wide as the vocabulary held at once, about
WIDTH = 960  # values sorted first where the ranking does not do


@dataclass(frozen=True)
class Given:
    """One model at some rows: its logits, what the passes left, and what needs no decoding."""

    logits: Tensor
    read: Read
    sums: entropy.Prefixes
    whole: entropy.Whole


def fill(record: NDArray[Any], given: Given, decodings: Sequence[DecodingConfig]) -> None:
    """All fields of `record` that have one value a decoding."""
    vocabulary = given.logits.shape[1]
    width = support.columns(decodings, vocabulary)
    narrow = _narrowed(given.read.ranked, width, decodings, vocabulary)
    rest = given.read.tempered
    error = support.error(rest, vocabulary, floats(given.logits[:0]).dtype)
    cut = support.cut(narrow, decodings, vocabulary, Outside(rest, error))
    t = temperatures(decodings, rest)
    _store(record, np.s_[:], _fields(cut, entropy.parts(cut, given.sums), given.whole, t))
    whole = torch.tensor([support.keeps_all(each, vocabulary) for each in decodings])
    _keep_all(record, given, decodings, ~cut.sure & whole.to(rest.device))
    _widen(record, given, decodings, ~cut.sure & ~whole.to(rest.device), error)


def blocks(wanted: Tensor, vocabulary: int, cells: int) -> Iterator[Tensor]:
    """Indices of the wanted rows, few enough at once for `WIDE_BYTES`."""
    found = wanted.nonzero()[:, 0]
    step = max(1, WIDE_BYTES // (8 * 4 * (vocabulary + cells + 1)))
    for at in range(0, len(found), step):
        yield found[at : at + step]


def temperatures(decodings: Sequence[DecodingConfig], like: Tensor) -> Tensor:
    return torch.tensor([effective_temperature(each) for each in decodings]).to(like)


def _narrowed(
    ranked: Ranked, width: int, decodings: Sequence[DecodingConfig], vocabulary: int
) -> Ranked:
    """Fewer columns where top-k bounds every support."""
    if width >= ranked.width or any(support.unlimited(each, vocabulary) for each in decodings):
        return ranked
    return replace(
        ranked, ids=ranked.ids[:, :width], shifted=ranked.shifted[:, :width], complete=False
    )


def _fields(
    cut: support.Cut, parts: entropy.Parts, whole: entropy.Whole, temperatures: Tensor
) -> dict[str, Tensor]:
    split = entropy.split(parts)
    sampled = entropy.sampled(cut, whole, temperatures)
    return {
        "support": cut.size,
        **{name: getattr(split, name) for name in ("kept", "gate", "head", "tail")},
        "sampled": sampled.entropy,
        "sensitivity": sampled.sensitivity,
        "power": sampled.power,
    }


def _store(record: NDArray[Any], cells: Any, values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        record[name][cells] = value.numpy(force=True)


def _keep_all(
    record: NDArray[Any], given: Given, decodings: Sequence[DecodingConfig], pending: Tensor
) -> None:
    """The cells `pending` (bool [rows, decodings]) of decodings that keep the whole vocabulary."""
    vocabulary = given.logits.shape[1]
    columns = pending.any(0).nonzero()[:, 0]
    asked = [decodings[column] for column in columns.tolist()]
    for rows in blocks(pending.any(-1), vocabulary, len(asked) * vocabulary):
        ranked = support.unranked(given.logits[rows].double())
        none = torch.zeros(len(rows), len(asked)).to(ranked.shifted)
        cut = support.cut(ranked, asked, vocabulary, Outside(none, none))
        sums = entropy.prefixes(ranked, none[:, 0], none[:, 0])
        through = replace(cut, size=torch.full_like(cut.size, vocabulary))
        t, whole = temperatures(asked, none), entropy.pick(given.whole, rows)
        values = _fields(through, entropy.parts(through, sums), whole, t)
        cells = np.ix_(rows.numpy(force=True), columns.numpy(force=True))
        _store(record, cells, {**values, "support": cut.size})


def _widen(
    record: NDArray[Any],
    given: Given,
    decodings: Sequence[DecodingConfig],
    pending: Tensor,
    error: Tensor,
) -> None:
    """The cells `pending` (bool [rows, decodings]), each row with a ranking of its own.

    `error`: of `read.tempered`.
    """
    rows, columns = pending.nonzero(as_tuple=True)
    if not len(rows):
        return
    vocabulary, ranked = given.logits.shape[1], given.read.ranked.width
    asked: dict[int, list[Asked]] = {}
    each_cell = (each[rows, columns].tolist() for each in (given.read.tempered, error))
    for row, column, *outside in zip(rows.tolist(), columns.tolist(), *each_cell, strict=True):
        asked.setdefault(row, []).append(_asked(decodings[column], vocabulary, ranked, *outside))
    kept: list[Kept] = []
    for row, here in asked.items():
        width = max(WIDTH, ranked, *(2 * each.top_k for each in here))
        kept += nuclei(floats(given.logits[row]), here, width)
    t = temperatures(decodings, given.sums.mass)[columns, None]
    cells = rows.numpy(force=True), columns.numpy(force=True)
    for name, value in _of_cells(given, rows, t, kept).items():
        record[name][cells] = value[:, 0].numpy(force=True)


def _of_cells(
    given: Given, rows: Tensor, temperatures: Tensor, kept: Sequence[Kept]
) -> dict[str, Tensor]:
    """The fields of single cells, all [cells, 1]; `rows`: of `given`, [cells]."""
    total = given.sums.tail_mass[rows, :1]
    size = torch.tensor([[each.size] for each in kept], device=total.device)

    def column(name: str) -> Tensor:
        return torch.tensor([[getattr(each, name)] for each in kept]).to(total)

    mass, first, second = map(column, ("mass", "first", "second"))
    head, head_first, tail, tail_first = map(
        column, ("head_mass", "head_first", "tail_mass", "tail_first")
    )
    cut = support.Cut(size, mass, first, second, size > 0)
    parts = entropy.Parts(head, head_first, tail, tail_first, total)
    return _fields(cut, parts, entropy.pick(given.whole, rows), temperatures)


def _asked(
    decoding: DecodingConfig, vocabulary: int, ranked: int, rest: float, error: float
) -> Asked:
    top_k = decoding.top_k if support.limited(decoding, vocabulary) else 0
    t = effective_temperature(decoding)
    return Asked(t, top_k, decoding.top_p, ranked, rest, error)
