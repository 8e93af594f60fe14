"""Passes: all that is taken from two models' logits over the whole vocabulary, block by block.

A block is small enough to stay in the cache while several passes go over it; what is left of it
is a ranking of the likeliest tokens and a few sums. Makes no statistics: `measures` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ssd_eval import entropy, support
from ssd_eval.decoding import DecodingConfig, effective_temperature
from ssd_eval.positions import RANKS
from ssd_eval.support import FLOOR, Ranked

BLOCK_BYTES = 2 * 2**20  # of float32 logits


class NotFinite(ValueError):
    """NaN or +inf among the logits, or no finite one.

    `row`: the first such position; `model`: 0 for the base, 1 for the distilled one.
    """

    def __init__(self, row: int, model: int) -> None:
        super().__init__(f"logits of row {row} of model {model} are not finite")
        self.row, self.model = row, model


@dataclass(frozen=True)
class Read:
    """What full passes over one model's logits leave."""

    ranked: Ranked
    rest: entropy.Rest
    tempered: Tensor  # float64 [rows, decodings], 0 where top-k bites
    taken: Tensor  # float64 [rows]: the token's logit less the largest
    place: Tensor  # int64 [rows]: its rank


@dataclass(frozen=True)
class Shared:
    """The distilled model where the base says: its logits at the base's ranking, and the sum of
    exp(d)·logit with the base's d outside it."""

    logits: Tensor  # float64 [rows, width]
    rest: Tensor  # float64 [rows]


def read(
    base: Tensor, distilled: Tensor, tokens: Tensor, decodings: Sequence[DecodingConfig]
) -> tuple[list[Read], Shared]:
    """Both models' passes. Logits [rows, vocabulary], `tokens` int64 [rows]. Raises NotFinite."""
    vocabulary = base.shape[1]
    width = min(vocabulary, max(RANKS, support.columns(decodings, vocabulary)))
    step = max(1, BLOCK_BYTES // (4 * vocabulary))
    room = entropy.room(min(step, len(tokens)), floats(base[:0]))
    found: list[tuple[Read, Read, Shared]] = []
    for at in range(0, len(tokens), step):
        block = slice(at, at + step)
        x, y, ids = floats(base[block]), floats(distilled[block]), tokens[block, None]
        here = room.first(len(ids))
        mine = _read_one(x, ids, width, decodings, here)
        shared = _shared(here, y, mine.ranked)
        theirs = _read_one(y, ids, width, decodings, here)
        for model, each in enumerate((mine, theirs)):
            finite = each.ranked.largest.isfinite()
            if not bool(finite.all()):
                raise NotFinite(at + int(finite.int().argmin()), model)
        found.append((mine, theirs, shared))
    mine_all, theirs_all, shared = (_joined(each) for each in zip(*found, strict=True))
    return [mine_all, theirs_all], shared


def floats(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _read_one(
    logits: Tensor,
    tokens: Tensor,
    width: int,
    decodings: Sequence[DecodingConfig],
    room: entropy.Room,
) -> Read:
    """One block of one model; leaves exp(d) in the room. `tokens`: [rows, 1]."""
    vocabulary = logits.shape[1]
    ranked = support.rank(logits, width)
    entropy.outside(logits, ranked, room, max(each.temperature for each in decodings))
    rest = entropy.rest(room)
    taken = logits.gather(1, tokens)
    place = 1 + (ranked.shifted > taken.double() - ranked.largest[:, None]).sum(-1)
    far = place > width
    if bool(far.any()):  # counted as floats, which is faster, and exact
        above = torch.gt(logits, taken, out=room.more).sum(-1)
        place = torch.where(far, 1 + above.long(), place)
    taken = taken[:, 0].double() - ranked.largest
    return Read(ranked, rest, _tempered(room, rest, decodings, vocabulary), taken, place)


def _shared(room: entropy.Room, other: Tensor, ranked: Ranked) -> Shared:
    """`room.e` and `ranked`: the base's; `other`: the distilled model's logits."""
    across = torch.mul(room.e, other, out=room.more).sum(-1)
    if not bool(across.isfinite().all()):  # a logit of -inf, at whatever weight
        across = torch.linalg.vecdot(room.e, other.clamp(min=FLOOR))
    return Shared(other.gather(1, ranked.ids).double(), across.double())


def _tempered(
    room: entropy.Room, rest: entropy.Rest, decodings: Sequence[DecodingConfig], vocabulary: int
) -> Tensor:
    """What `support.cut` needs of the tokens outside; nothing for decodings that keep all."""
    wanted = {effective_temperature(each) for each in decodings if support.summed(each, vocabulary)}
    found = {2.0: rest.root, 1.0: rest.mass, 0.5: rest.square}
    for t in sorted(wanted - found.keys(), reverse=True):
        if t in found:
            continue
        found[t] = entropy.tempered(room.d, t, room.more)
        while (t := t / 2) in wanted - found.keys():  # exp(d / t) is the square of exp(d / 2t)
            found[t] = room.more.mul_(room.more).sum(-1).double()
    sums = torch.zeros(len(room.d), len(decodings), dtype=torch.float64, device=room.d.device)
    for place, each in enumerate(decodings):
        if support.summed(each, vocabulary):
            sums[:, place] = found[effective_temperature(each)]
    return sums


def _joined(parts: Sequence[Any]) -> Any:
    """Dataclasses of tensors, one below the other."""
    first = parts[0]
    if len(parts) == 1 or isinstance(first, bool):
        return first
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    names = [each.name for each in fields(first)]
    return type(first)(**{name: _joined([getattr(p, name) for p in parts]) for name in names})
