"""Limits for independent yes/no scores whose coverage stays between 93 and 97 % where it can.

A count is coarse: mid-P limits of 21 to 150 problems cover up to 97.7 % at some rates and 92.8 % at
others. Here the counts that a rate admits are chosen for all rates together: as near to 95 % as the
worst rate allows, rising with the rate. Where fewer than ten passes or failures are expected, the
rates keep the counts that the limits given admit. For one sample a problem and no shared clusters;
`intervals` does the rest. Computed once for each number of problems.

Source: acceptance regions inverted, as Blyth & Still 1983; the path is ours, docs/statistics.md.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LEVEL, EDGE = 0.95, 9.9  # expected passes, and failures, from which both sides are held
LEAST, MOST = 20, 400  # problems; beyond, single counts no longer matter
NEAR = 3  # counts by which a region's ends may leave the given ones
POWER = 8  # of a rate's distance from 95 %: the largest ones decide

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Limits = tuple[tuple[float, float], ...]  # of 0, 1, ... passes


@functools.cache
def held_limits(problems: int, given: Callable[[int, int], tuple[float, float]]) -> Limits | None:
    """Limits of every count; None for sizes that this is not for.

    `given(passes, problems)` are the limits to start from, which must mirror: those of c passes are
    those of problems - c, taken from 1.
    """
    if not LEAST < problems <= MOST:
        return None
    rates = _rates(problems)
    start = np.array([given(passes, problems) for passes in range(problems + 1)])
    first, last = _regions(rates, start)
    first, last = _path(rates, problems, first, last)
    return tuple(_limits(rates, first, last, start, passes) for passes in range(problems + 1))


def _rates(problems: int) -> Floats:
    """From just below ten expected passes to one half, so that steps of the count are alike."""
    least, most = (math.asin(math.sqrt(rate)) for rate in (EDGE / problems, 0.5))
    return np.asarray(np.sin(np.linspace(least, most, max(400, 4 * problems))) ** 2)


def _regions(rates: Floats, limits: Floats) -> tuple[Ints, Ints]:
    """The first and last count whose limits hold each rate."""
    inside = (limits[:, 0] <= rates[:, None]) & (rates[:, None] <= limits[:, 1])
    return inside.argmax(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)


def _path(rates: Floats, problems: int, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Both ends near the given ones, never falling, by the least sum of powered distances."""
    from scipy.special import bdtr

    shifts = np.array([(a, b) for a in range(-NEAR, NEAR + 1) for b in range(-NEAR, NEAR + 1)])
    low, high = first[:, None] + shifts[:, 0], last[:, None] + shifts[:, 1]
    share = bdtr(high.clip(0), problems, rates[:, None]) - np.where(
        low > 0, bdtr((low - 1).clip(0), problems, rates[:, None]), 0.0
    )
    cost = (100 * np.abs(share - LEVEL)) ** POWER
    cost[(low < 0) | (low > high)] = np.inf
    cost[0, ((shifts < 0).any(axis=1))] = np.inf  # below it the given counts stand: none returns
    cost[-1, low[-1] + high[-1] != problems] = np.inf  # the other half is the mirror of this one
    total, back = cost[0], []
    for at in range(1, len(rates)):
        rising = (low[at - 1][:, None] <= low[at]) & (high[at - 1][:, None] <= high[at])
        steps = np.where(rising, total[:, None], np.inf)
        back.append(steps.argmin(axis=0))
        total = steps.min(axis=0) + cost[at]
    chosen = [int(total.argmin())]
    for each in reversed(back):
        chosen.append(int(each[chosen[-1]]))
    places = np.arange(len(rates)), np.array(chosen[::-1])
    return low[places], high[places]


def _limits(
    rates: Floats, first: Ints, last: Ints, start: Floats, passes: int
) -> tuple[float, float]:
    """The lowest and highest rate that admits so many passes: over the path, its mirror, and where
    `start` stands."""
    edge, problems = float(rates[0]), len(start) - 1
    below, above = _admitting(rates, first, last, passes)
    mirrored = [1 - end for end in _admitting(rates, first, last, problems - passes)]
    low, high = (float(end) for end in start[passes])
    lows, highs = [below, mirrored[1]], [above, mirrored[0]]
    if low < edge:
        lows.append(low)
        highs.append(min(high, edge))
    if high > 1 - edge:
        lows.append(max(low, 1 - edge))
        highs.append(high)
    return float(np.nanmin(lows)), float(np.nanmax(highs))


def _admitting(rates: Floats, first: Ints, last: Ints, passes: int) -> tuple[float, float]:
    """Half a step beyond the first and the last rate whose counts hold this one; NaN for none."""
    inside = np.flatnonzero((first <= passes) & (passes <= last))
    if not inside.size:
        return math.nan, math.nan
    ends = max(inside[0] - 1, 0), min(inside[-1] + 1, len(rates) - 1)
    return float(rates[[ends[0], inside[0]]].mean()), float(rates[[inside[-1], ends[1]]].mean())
