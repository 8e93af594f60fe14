"""`micro`: small compositional problems in LiveCodeBench's manner, made from a seed.

"Take the integers that are <filters>, <map> them, print the <reduce>": easy, medium and hard, read
from standard input or passed to a method. Families for SSD prompts and for evaluation are disjoint.
Measures nothing but our own pipeline and the organism.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from benchmarks.base import Problem
from benchmarks.micro.cases import cases
from benchmarks.micro.family import (
    ENTRY_POINT,
    KINDS,
    STARTER,
    Family,
    Kind,
    Split,
    families,
)
from benchmarks.micro.programs import RIGHT, WRONG, program

DIFFICULTIES = ("easy", "medium", "hard")
EVAL_FAMILIES = 16  # of each difficulty; each gives one problem of each kind
PROMPT_FAMILIES = 40


@dataclass(frozen=True)
class Micro:
    """The benchmark `micro`. The seed draws families, inputs and order; not the split."""

    seed: int = 0

    @property
    def name(self) -> str:
        return "micro"

    @property
    def description(self) -> str:
        return "compositional integer-list problems, generated; for the embedded default"

    @property
    def window(self) -> str:
        return f"seed-{self.seed}"

    def problems(self) -> tuple[Problem, ...]:
        """The evaluation problems, balanced over difficulties and kinds."""
        return _split(self.seed, "eval", EVAL_FAMILIES)

    def prompts(self) -> tuple[Problem, ...]:
        """The SSD prompt pool: no family of `problems` is in it."""
        return _split(self.seed, "prompts", PROMPT_FAMILIES)


@cache
def _split(seed: int, split: Split, families_each: int) -> tuple[Problem, ...]:
    """Difficulties take turns, so that any first n problems hold all of them."""
    rng = random.Random(f"{seed}/{split}")
    columns = [_draw(rng, split, difficulty, families_each) for difficulty in DIFFICULTIES]
    drawn = [family for rank in zip(*columns, strict=True) for family in rank]
    pairs = [(family, kind) for family in drawn for kind in KINDS]
    return tuple(
        _problem(f, kind, f"micro/{split}/{n:04}", seed) for n, (f, kind) in enumerate(pairs)
    )


def _draw(rng: random.Random, split: Split, difficulty: str, count: int) -> list[Family]:
    pool = [f for f in families() if f.split == split and f.difficulty == difficulty]
    return rng.sample(pool, count)


def _problem(family: Family, kind: Kind, problem_id: str, seed: int) -> Problem:
    functional = kind == "functional"
    return Problem(
        id=problem_id,
        title=family.name,
        statement=family.statement(kind),
        tests=cases(family, kind, seed),
        starter_code=STARTER if functional else "",
        entry_point=ENTRY_POINT if functional else None,
        difficulty=family.difficulty,
        platform="micro",
        family=family.name,
        references=tuple(program(family, kind, approach) for approach in RIGHT),
        wrong=tuple(program(family, kind, approach) for approach in WRONG),
    )
