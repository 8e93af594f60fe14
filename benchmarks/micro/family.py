"""A family: one composition of filters, a map and a reduce, and which side of the split it is on.

Says what is asked and computes the right answer. Writes no programs and chooses no tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from benchmarks.base import Difficulty
from benchmarks.micro.operations import FILTERS, IDENTITY, MAPS, REDUCES, Filter, Map, Reduce

Kind = Literal["stdin", "functional"]
Split = Literal["prompts", "eval"]
KINDS: tuple[Kind, ...] = ("stdin", "functional")
STARTER = "class Solution:\n    def solve(self, a):"
ENTRY_POINT = "solve"
# One family in so many is kept for evaluation; easy ones are few.
HELD_OUT: dict[Difficulty, int] = {"easy": 3, "medium": 4, "hard": 4}


@dataclass(frozen=True)
class Family:
    """`easy`: filter, reduce. `medium`: filter, map, reduce. `hard`: two filters, map, reduce."""

    filters: tuple[Filter, ...]
    map: Map
    reduce: Reduce

    @property
    def name(self) -> str:
        return "-".join([*(f.name for f in self.filters), self.map.name, self.reduce.name])

    @property
    def difficulty(self) -> Difficulty:
        if len(self.filters) == 2:
            return "hard"
        return "easy" if self.map is IDENTITY else "medium"

    @property
    def split(self) -> Split:
        """Fixed by the name alone, so that no seed can move a family across."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return "eval" if digest[0] % HELD_OUT[self.difficulty] == 0 else "prompts"

    @property
    def condition(self) -> str:
        return " and ".join(f.code for f in self.filters)

    def answer(self, values: Sequence[int]) -> int | list[int]:
        kept = [x for x in values if all(f.keeps(x) for f in self.filters)]
        return self.reduce.apply([self.map.apply(x) for x in kept])

    def statement(self, kind: Kind) -> str:
        source = (
            "Read integers from one line." if kind == "stdin" else "Given a list of integers a."
        )
        steps = ["Take those that are " + " and ".join(f.phrase for f in self.filters)]
        steps += [self.map.phrase] if self.map.phrase else []
        verb = "print" if kind == "stdin" else "return"
        return f"{source} {', '.join(steps)}, {verb} the {self.reduce.phrase}."


def families() -> tuple[Family, ...]:
    """All compositions, easy first, in a fixed order."""
    easy = [Family((f,), IDENTITY, r) for f in FILTERS for r in REDUCES]
    medium = [Family((f,), m, r) for f in FILTERS for m in MAPS for r in REDUCES]
    pairs = [(f, g) for f, g in combinations(FILTERS, 2) if f.aspect != g.aspect]
    hard = [Family(pair, m, r) for pair in pairs for m in MAPS for r in REDUCES]
    return (*easy, *medium, *hard)
