"""The vocabulary of `micro`: filters, maps and reduces, each as words, as code and as a function.

One table, so that statement, program and expected output can't disagree. Composes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Filter:
    name: str
    phrase: str  # "take those that are <phrase>"
    code: str  # an expression over x
    keeps: Callable[[int], bool]
    aspect: str  # two filters of one aspect would contradict or repeat each other


@dataclass(frozen=True)
class Map:
    name: str
    phrase: str  # "<phrase>"; empty for the identity
    code: str
    apply: Callable[[int], int]


@dataclass(frozen=True)
class Reduce:
    name: str
    phrase: str  # "print the <phrase>"
    code: str  # an expression with {b}, the list's name
    apply: Callable[[list[int]], int | list[int]]


FILTERS = (
    Filter("even", "even", "x % 2 == 0", lambda x: x % 2 == 0, "parity"),
    Filter("odd", "odd", "x % 2 == 1", lambda x: x % 2 == 1, "parity"),
    Filter("positive", "positive", "x > 0", lambda x: x > 0, "size"),
    Filter("negative", "negative", "x < 0", lambda x: x < 0, "size"),
    Filter("by3", "multiples of 3", "x % 3 == 0", lambda x: x % 3 == 0, "divisor"),
    Filter("by5", "multiples of 5", "x % 5 == 0", lambda x: x % 5 == 0, "divisor"),
    Filter("big", "greater than 10", "x > 10", lambda x: x > 10, "size"),
    Filter("small", "less than 6", "x < 6", lambda x: x < 6, "size"),
    Filter("nonzero", "not zero", "x != 0", lambda x: x != 0, "size"),
)
IDENTITY = Map("same", "", "x", lambda x: x)
MAPS = (
    Map("square", "square each", "x * x", lambda x: x * x),
    Map("double", "double each", "x * 2", lambda x: x * 2),
    Map("negate", "negate each", "-x", lambda x: -x),
    Map("next", "add 1 to each", "x + 1", lambda x: x + 1),
    Map("minus3", "subtract 3 from each", "x - 3", lambda x: x - 3),
    Map("absolute", "make each absolute", "abs(x)", abs),
    Map("halve", "halve each, rounding down", "x // 2", lambda x: x // 2),
    Map("mod7", "take each modulo 7", "x % 7", lambda x: x % 7),
    Map("cube", "cube each", "x ** 3", lambda x: x**3),
)
REDUCES = (
    Reduce("sum", "sum", "sum({b})", sum),
    Reduce("largest", "largest or 0", "max({b}, default=0)", lambda b: max(b, default=0)),
    Reduce("smallest", "smallest or 0", "min({b}, default=0)", lambda b: min(b, default=0)),
    Reduce("count", "count", "len({b})", len),
    Reduce("distinct", "number of distinct values", "len(set({b}))", lambda b: len(set(b))),
    Reduce(
        "spread",
        "largest or 0 minus smallest or 0",
        "max({b}, default=0) - min({b}, default=0)",
        lambda b: max(b, default=0) - min(b, default=0),
    ),
    Reduce("sorted", "values in order", "sorted({b})", sorted),
)
