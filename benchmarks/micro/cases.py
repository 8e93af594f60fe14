"""Chooses a family's tests: few inputs that tell every wrong version from the right one.

Draws candidate inputs from a seed, then takes the candidate that catches most mutants not yet
caught twice, until none is left that a candidate could catch. Writes no files, runs no programs.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from functools import cache

from benchmarks.base import TestCase
from benchmarks.micro.family import Family, Kind
from benchmarks.micro.mutants import DOMAIN, Solution, mutants

# Where filters and maps change their mind.
_EDGES = (
    -15,
    -10,
    -7,
    -6,
    -5,
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    15,
    20,
    30,
)
_CANDIDATES = 60
_CATCHES = 2  # each mutant is caught by so many tests, where so many candidates catch it
_FEWEST, _MOST = 6, 14
PUBLIC = 2


def candidates(rng: random.Random) -> list[tuple[int, ...]]:
    """The empty list, single edges, short mixed lists and long ones with repeats."""
    drawn: list[tuple[int, ...]] = [()]
    while len(drawn) < _CANDIDATES:
        length = rng.choice((1, 2, 3, 4, 6, 8, 10))
        values = [rng.choice(_EDGES) if rng.random() < 0.6 else rng.choice(DOMAIN)]
        while len(values) < length:
            fresh = rng.choice(_EDGES) if rng.random() < 0.6 else rng.choice(DOMAIN)
            values.append(rng.choice(values) if rng.random() < 0.2 else fresh)
        drawn.append(tuple(values))
    return drawn


@cache
def choose(family: Family, seed: int) -> tuple[tuple[int, ...], ...]:
    """The chosen inputs, the most telling first; the last one is empty."""
    pool = candidates(random.Random(f"{seed}/{family.name}"))
    caught = _caught_by(family, pool)
    empty = 0
    chosen: list[int] = []
    due = Counter(number for row in caught for number in row)
    due = Counter({number: min(_CATCHES, seen) for number, seen in due.items()})
    due.subtract(caught[empty])
    while len(chosen) < _MOST - 1 and (len(chosen) < _FEWEST - 1 or max(due.values()) > 0):
        left = {number for number, times in due.items() if times > 0}
        free = [i for i in range(len(pool)) if i != empty and i not in chosen]
        best = max(free, key=lambda i: len(caught[i] & left))
        chosen.append(best)
        due.subtract(caught[best])
    return tuple(pool[i] for i in [*chosen, empty])


def _caught_by(family: Family, pool: Sequence[tuple[int, ...]]) -> list[set[int]]:
    """For each candidate, the mutants whose result differs from the right one."""
    expected = [family.answer(values) for values in pool]
    caught: list[set[int]] = [set() for _ in pool]
    for number, mutant in enumerate(mutants(family)):
        for i, values in enumerate(pool):
            if _result(mutant, values) != (type(expected[i]), expected[i]):
                caught[i].add(number)
    return caught


def _result(solution: Solution, values: Sequence[int]) -> tuple[type, object] | None:
    """None where the mutant breaks, which a test catches too."""
    try:
        result = solution(values)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return type(result), result


def cases(family: Family, kind: Kind, seed: int) -> tuple[TestCase, ...]:
    """The tests of one problem; the first two are public."""
    return tuple(
        _case(family, kind, values, public=number < PUBLIC)
        for number, values in enumerate(choose(family, seed))
    )


def _case(family: Family, kind: Kind, values: Sequence[int], *, public: bool) -> TestCase:
    answer = family.answer(values)
    if kind == "functional":
        return TestCase(kind, json.dumps([list(values)]), json.dumps(answer), public)
    shown = answer if isinstance(answer, list) else [answer]
    return TestCase(
        kind, " ".join(map(str, values)) + "\n", " ".join(map(str, shown)) + "\n", public
    )
