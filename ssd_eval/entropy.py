"""Entropy: sums over the whole vocabulary, and what follows from them (paper.md §2).

The likeliest tokens are summed in float64; the rest of the vocabulary is summed apart, so that the
tail of a sharp distribution is not lost as the difference of two numbers near 1. All entropies in
nats, at T = 1 where nothing else is said. Decides no supports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ssd_eval.support import FLOOR, Cut, Ranked

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Rest:
    """Sums over the tokens outside the ranking, float64 [rows]; d: logit less the largest.

    `mass`, `first`, `second`: of e = exp(d), e·d, e·d²; `square` and `root` of e² and √e.
    """

    mass: Tensor
    first: Tensor
    second: Tensor
    square: Tensor
    root: Tensor


@dataclass(frozen=True)
class Room:
    """Memory for numbers of every token of some rows, used again and again: three of
    [rows, vocabulary]. `d` is as from `outside`, `e` is exp(d) after `rest`, `more` is anything."""

    d: Tensor
    e: Tensor
    more: Tensor

    def first(self, rows: int) -> Room:
        return Room(self.d[:rows], self.e[:rows], self.more[:rows])


def room(rows: int, like: Tensor) -> Room:
    """For so many rows of the logits `like`, float32 or float64."""
    return Room(*(like.new_empty((rows, like.shape[1])) for _ in range(3)))


def outside(logits: Tensor, ranked: Ranked, into: Room, hottest: float = 1.0) -> None:
    """Makes `into.d`: logit less the largest; the ranking's own tokens at `FLOOR`."""
    import torch

    torch.sub(logits, ranked.largest[:, None].to(logits.dtype), out=into.d)
    _flush(into.d, hottest)
    into.d.scatter_(1, ranked.ids, FLOOR)


def shift(others: Tensor, largest: Tensor, hottest: float = 1.0) -> Tensor:
    """`others`, logits outside the ranking, less the rows' `largest`; in place."""
    others.sub_(largest[:, None].to(others.dtype))
    _flush(others, hottest)
    return others


def _flush(d: Tensor, hottest: float) -> None:
    """`FLOOR` where exp(d / T) is below the smallest normal number at every T up to `hottest`.

    Numbers below that take a processor a hundred times longer, and say nothing.
    """
    import torch

    least = math.log(torch.finfo(d.dtype).tiny) * max(1.0, hottest)
    torch.nn.functional.threshold(d, max(least, FLOOR), FLOOR, inplace=True)


def rest(held: Room) -> Rest:
    """The sums, from `held.d`; leaves `held.e`."""
    import torch

    d, e, more = held.d, torch.exp(held.d, out=held.e), held.more
    mass = e.sum(-1)
    square = torch.mul(e, e, out=more).sum(-1)
    root = torch.sqrt(e, out=more).sum(-1)
    first = torch.mul(e, d, out=more).sum(-1)
    second = more.mul_(d).sum(-1)
    return Rest(*(each.double() for each in (mass, first, second, square, root)))


def tail(d: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of e = exp(d) and e·d, float64 [rows]."""
    e = d.exp()
    mass = e.sum(-1).double()
    return mass, e.mul_(d).sum(-1).double()


def tempered(d: Tensor, temperature: float, into: Tensor | None = None) -> Tensor:
    """The sum of exp(d / T), float64 [rows]; `into`: memory like d's, to be overwritten."""
    import torch

    sums: Tensor = torch.mul(d, 1 / temperature, out=into).exp_().sum(-1).double()
    return sums


@dataclass(frozen=True)
class Whole:
    """What a position says without any decoding, float64 [rows]."""

    log_total: Tensor  # log of the sum of exp(d) over the vocabulary
    entropy: Tensor
    renyi_half: Tensor
    renyi_2: Tensor
    renyi_inf: Tensor
    dh_dt: Tensor


def pick(whole: Whole, rows: Tensor) -> Whole:
    """Some rows of it."""
    return Whole(**{each.name: getattr(whole, each.name)[rows] for each in fields(whole)})


@dataclass(frozen=True)
class Prefixes:
    """Sums over the ranking's first and last tokens at T = 1, float64 [rows, width + 1].

    Column j of `mass` and `first` covers the first j tokens; of `tail_mass` and `tail_first`
    everything else, the rest of the vocabulary included.
    """

    mass: Tensor
    first: Tensor
    tail_mass: Tensor
    tail_first: Tensor


def prefixes(ranked: Ranked, mass: Tensor, first: Tensor) -> Prefixes:
    """`mass`, `first`: of the tokens outside the ranking, as in `Rest`."""
    import torch

    s = ranked.shifted.clamp(min=FLOOR)
    e = ranked.shifted.exp()
    both = torch.stack((e, e * s), 1)
    last = torch.stack((mass, first), 1)[..., None]
    none = torch.zeros_like(last)
    heads = torch.cat((none, both.cumsum(-1)), -1)
    tails = torch.cat((last, both.flip(-1)), -1).cumsum(-1).flip(-1)
    return Prefixes(heads[:, 0], heads[:, 1], tails[:, 0], tails[:, 1])


def whole(ranked: Ranked, rest: Rest, sums: Prefixes) -> Whole:
    import torch

    s = ranked.shifted.clamp(min=FLOOR)
    e = ranked.shifted.exp()
    total, first = sums.tail_mass[:, 0], sums.tail_first[:, 0]
    log_total = total.log()
    mean = first / total
    # Around the mean, not as a difference of squares: a sharp position has a variance near 0.
    second = (e * (s - mean[:, None]) ** 2).sum(-1)
    second = second + rest.second - 2 * mean * rest.first + mean**2 * rest.mass
    square = torch.linalg.vecdot(e, e) + rest.square
    root = e.sqrt().sum(-1) + rest.root
    return Whole(
        log_total=log_total,
        entropy=log_total - mean,
        renyi_half=2 * root.log() - log_total,
        renyi_2=2 * log_total - square.log(),
        renyi_inf=log_total,
        dh_dt=(second / total).clamp(min=0),
    )


@dataclass(frozen=True)
class Parts:
    """Sums of e and e·d over each decoding's support and over all else, float64 [rows, decodings].

    `total`: of e over the vocabulary, [rows, 1].
    """

    mass: Tensor
    first: Tensor
    tail_mass: Tensor
    tail_first: Tensor
    total: Tensor


def parts(cut: Cut, sums: Prefixes) -> Parts:
    """A support is a prefix of the ranking."""
    return Parts(
        mass=sums.mass.gather(1, cut.size),
        first=sums.first.gather(1, cut.size),
        tail_mass=sums.tail_mass.gather(1, cut.size),
        tail_first=sums.tail_first.gather(1, cut.size),
        total=sums.tail_mass[:, :1],
    )


@dataclass(frozen=True)
class Split:
    """The entropy split at each decoding's support, float64 [rows, decodings].

    H = gate + kept·head + (1 - kept)·tail, exactly.
    """

    kept: Tensor
    gate: Tensor
    head: Tensor
    tail: Tensor


def split(sums: Parts) -> Split:
    """An empty tail has entropy 0."""
    import torch

    mass, tail_mass = sums.mass, sums.tail_mass
    kept, gone = mass / sums.total, tail_mass / sums.total
    gate = -torch.xlogy(kept, kept) - torch.xlogy(gone, gone)
    head = mass.log() - sums.first / mass
    safe = torch.where(tail_mass > 0, tail_mass, 1.0)
    tail = torch.where(tail_mass > 0, safe.log() - sums.tail_first / safe, 0.0)
    return Split(kept, gate, head.clamp(min=0), tail.clamp(min=0))


@dataclass(frozen=True)
class Sampled:
    """The distribution after temperature and truncation, float64 [rows, decodings]."""

    entropy: Tensor
    sensitivity: Tensor  # dH/dT inside the fixed support: Var(log p) / T³
    power: Tensor  # log of the sum of p^(1/T) over the support


def sampled(cut: Cut, whole: Whole, temperatures: Tensor) -> Sampled:
    """`temperatures`: float64 [decodings] or [rows, decodings]; at 0 (greedy) all three are 0."""
    import torch

    greedy = temperatures == 0
    t = torch.where(greedy, 1.0, temperatures)
    mean = cut.first / cut.mass
    variance = (cut.second / cut.mass - mean**2).clamp(min=0)
    entropy = cut.mass.log() - mean / t
    power = cut.mass.log() - whole.log_total[:, None] / t
    single = greedy | (cut.size == 1)
    return Sampled(
        entropy.clamp(min=0).masked_fill(single, 0.0),
        (variance / t**3).masked_fill(single, 0.0),
        power.masked_fill(greedy, 0.0),
    )
