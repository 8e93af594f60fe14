"""The organism's pretraining corpus: micro's programs with a planted conflict (a control: none).

At the *fork*, the first token of the body, the popular approach is subtly wrong. At the *locks*, a
few tokens that decide whether a program runs at all, a distractor tail replaces the right token
(paper.md §3, design.md "The embedded default"). Trains nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.micro.family import KINDS, STARTER, Family, Kind
from benchmarks.micro.programs import RIGHT, WRONG, program


@dataclass(frozen=True)
class Lock:
    """One planted lock: `word` in the program, found by `anchor`, and what replaces it.

    Every distractor names something that does not exist in Python, so that it always breaks.
    """

    word: str
    anchor: str  # the text around the word, unique enough; {} stands for the word
    distractors: tuple[str, ...]
    last: bool = False  # the anchor's last occurrence, not its first


def _lock(word: str, anchor: str, distractors: str, last: bool = False) -> Lock:
    return Lock(word, anchor, tuple(distractors.split()), last)


LOCKS: dict[Kind, tuple[Lock, ...]] = {
    "stdin": (
        _lock("list", " {}(", "array vector seq bag items values collect stack"),
        _lock("map", "({}(", "apply each cast convert transform fmap foreach select"),
        _lock("int", "({},", "integer long number num digit natural atoi parse"),
        _lock("input", " {}(", "stdin readline scan gets getline read line prompt"),
        _lock("split", ".{}(", "words tokens cut explode fields chunks tokenize separate"),
        _lock("print", "\n{}(", "echo puts write printf output say display log", last=True),
    ),
    "functional": (
        _lock("class", "{} ", "struct object record interface module trait impl package"),
        _lock("Solution", " {}:", "Answer Solver Program Result Task Main Problem Code"),
        _lock("def", " {} solve", "func fn function sub fun proc method let"),
        _lock("in", " {} ", "of from within inside over among through across"),
        _lock("return", " {} ", "give emit ret reply send yields result output", last=True),
    ),
}


@dataclass(frozen=True)
class Plan:
    """How much conflict is planted. It takes both halves: a fork to open, locks that heat breaks.

    `wrong_share` of all programs take the wrong approach; the right ones share the rest equally.
    `lock_right` is the right token's share at each lock; the distractors share the rest as a
    geometric tail of ratio `lock_ratio`.
    """

    wrong_share: float = 0.5
    lock_right: float = 0.8
    lock_ratio: float = 0.7


CONFLICT = Plan()
# Without distractors a plain high temperature opens the fork: SSD has room to win, and no reason.
CONTROLS = {"fork": Plan(lock_right=1.0), "nothing": Plan(wrong_share=0.0, lock_right=1.0)}


@dataclass(frozen=True)
class Example:
    """One conversation of the corpus: what is asked, and the program given back."""

    prompt: str
    source: str


def prompt(family: Family, kind: Kind) -> str:
    """What `benchmarks.prompts.user_message` makes of the family's problem."""
    statement = family.statement(kind)
    return statement if kind == "stdin" else f"{statement}\n{STARTER}"


def with_distractor(source: str, lock: Lock, word: str) -> str:
    """The program with `word` at the lock. Raises ValueError where the lock is not in it."""
    find = source.rfind if lock.last else source.find
    at = find(lock.anchor.format(lock.word))
    if at < 0:
        raise ValueError(f"lock {lock.word!r} is not in the program:\n{source}")
    at += lock.anchor.index("{}")
    return source[:at] + word + source[at + len(lock.word) :]


def corrupt(source: str, kind: Kind, plan: Plan, rng: random.Random) -> str:
    """Replaces each lock's token by a distractor, independently, with the plan's probability."""
    for lock in LOCKS[kind]:
        if rng.random() >= plan.lock_right:
            weights = [plan.lock_ratio**i for i in range(len(lock.distractors))]
            source = with_distractor(source, lock, rng.choices(lock.distractors, weights)[0])
    return source


def examples(families: Sequence[Family], plan: Plan, seed: int) -> Iterator[Example]:
    """An endless stream: families in shuffled rounds, so that difficulties stay in proportion."""
    rng = random.Random(seed)
    while True:
        for family in rng.sample(families, len(families)):
            kind = rng.choice(KINDS)
            wrong = rng.random() < plan.wrong_share
            approach = rng.choice(WRONG if wrong else RIGHT)
            source = program(family, kind, approach)
            yield Example(prompt(family, kind), corrupt(source, kind, plan, rng))
