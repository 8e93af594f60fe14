"""Nucleus: what decodings keep of one row that no ranking at hand is wide enough for.

The row's largest values are sorted, without ids, a few times more of them at each step; a nucleus
is sought in their float64 sums, as `support.cut` does. Where the first pass's sum of the others is
not precise enough for its edge, the others are summed in float64. Ties need no order here: only
sizes and sums leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ssd_eval import entropy, support
from ssd_eval.decoding import MASS_SLACK
from ssd_eval.support import FLOOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDER = 4  # how many times more values each step sorts


@dataclass(frozen=True)
class Asked:
    """A decoding: `top_k` 0 where it does not bite, else `top_p` < 1.

    `rest`, `error`: for `top_k` 0, the sum of exp(s / T) after the row's first `after` tokens.
    """

    temperature: float
    top_k: int
    top_p: float
    after: int
    rest: float
    error: float


@dataclass(frozen=True)
class Kept:
    """As `support.Cut`: the first `size` tokens, and sums of w, w·s, w·s² over them.

    Then of e = exp(s) and e·s over them, and over everything else.
    """

    size: int
    mass: float
    first: float
    second: float
    head_mass: float
    head_first: float
    tail_mass: float
    tail_first: float


class Leading:
    """A row's largest values, sorted, and the others.

    `shifted`: float64, less the very largest; `e`: exp of it.
    """

    def __init__(self, row: Tensor) -> None:
        self._parts: NDArray[Any] = row.cpu().numpy().copy()
        self.others = len(self._parts)  # how many are not sorted yet: the first ones
        self.shifted = self.e = np.empty(0)

    def widen(self, width: int) -> None:
        """The `width` largest are sorted."""
        before, self.others = self.others, max(0, len(self._parts) - width)
        if self.others:
            self._parts[:before].partition(self.others)
        self._parts[self.others : before].sort()
        values = self._parts[self.others :][::-1].astype(np.float64)
        self.shifted = values - values[0]
        self.e = _exp(self.shifted)

    def tail(self) -> tuple[float, float]:
        """Sums of e and e·s over the others, in the row's own precision; they are lost by it."""
        d = torch.from_numpy(self._parts[None, : self.others])
        mass, first = entropy.tail(entropy.shift(d, self._largest()))
        return float(mass), float(first)

    def outside(self, temperature: float) -> tuple[float, float]:
        """Sum of exp(s / T) over the others, in float64, and how far off it can be."""
        d = torch.tensor(self._parts[None, : self.others], dtype=torch.float64)
        entropy.shift(d, self._largest(), temperature)
        found = entropy.tempered(d, temperature, d)
        return float(found), float(support.error(found, self.others, torch.float64))

    def _largest(self) -> Tensor:
        return torch.tensor([float(self._parts[-1])], dtype=torch.float64)


def nuclei(row: Tensor, asked: Sequence[Asked], width: int) -> list[Kept]:
    """`row`: logits [vocabulary], float32 or float64; `width`: how many are sorted first."""
    leading, sizes = Leading(row), dict[Asked, int]()
    while len(sizes) < len(asked):
        leading.widen(width)
        for each in asked:
            if each not in sizes and (size := _size(leading, each)):
                sizes[each] = size
        width *= WIDER
    tail = leading.tail()
    return [_kept(leading, each.temperature, sizes[each], tail) for each in asked]


def _size(leading: Leading, asked: Asked) -> int | None:
    """None where more have to be sorted."""
    weights = torch.from_numpy(leading.shifted / asked.temperature).exp_()
    cumulative = weights.cumsum_(0).numpy()
    return (_of_the_k if asked.top_k else _of_all)(leading, cumulative, asked)


def _kept(leading: Leading, temperature: float, size: int, tail: tuple[float, float]) -> Kept:
    """`tail`: of the others."""
    head, after = leading.shifted[:size], np.maximum(leading.shifted[size:], FLOOR)
    w, e, others = _exp(head / temperature), leading.e[:size], leading.e[size:]
    return Kept(
        size=size,
        mass=float(w.sum()),
        first=float(w @ head),
        second=float(w @ head**2),
        head_mass=float(e.sum()),
        head_first=float(e @ head),
        tail_mass=float(others.sum()) + tail[0],
        tail_first=float(others @ after) + tail[1],
    )


def _exp(values: Floats) -> Floats:
    """torch's is three times as fast as numpy's."""
    found: Floats = torch.from_numpy(values).exp().numpy()
    return found


def _of_the_k(leading: Leading, cumulative: Floats, asked: Asked) -> int | None:
    """With top-k, whose last place several tokens may share."""
    s = leading.shifted
    alive = int(((s >= s[asked.top_k - 1]) & (s > -np.inf)).sum())
    if alive == len(s) and leading.others:
        return None
    if asked.top_p == 1:
        return alive
    enough = (asked.top_p - MASS_SLACK) * cumulative[alive - 1]
    return min(alive, 1 + int(np.searchsorted(cumulative, enough)))


def _of_all(leading: Leading, cumulative: Floats, asked: Asked) -> int | None:
    """Without top-k."""
    share = asked.top_p - MASS_SLACK
    if not leading.others:
        return 1 + int(np.searchsorted(cumulative, share * cumulative[-1]))
    enough = share * (cumulative[asked.after - 1] + asked.rest)
    if cumulative[-1] < enough - asked.error:
        return None
    if size := _edge(cumulative, enough, asked.error):
        return size
    rest, error = leading.outside(asked.temperature)
    return _edge(cumulative, share * (cumulative[-1] + rest), error)


def _edge(cumulative: Floats, enough: float, error: float) -> int | None:
    """The size of the nucleus; None where it is wider than the ranking, or in doubt."""
    place = int(np.searchsorted(cumulative, enough))
    if place == len(cumulative) or cumulative[place] - enough <= error:
        return None
    if place and enough - cumulative[place - 1] <= error:
        return None
    return place + 1
