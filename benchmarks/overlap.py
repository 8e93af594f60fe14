"""Whether prompts for training hold problems that are scored: exactly, or by shared 13-grams.

Exact: the same statement but for white space and case. 13-grams (Brown et al. 2020, appendix C):
runs of 13 words, in lower case, without punctuation; a problem's share is how many of its distinct
13-grams stand in some prompt. Shared boilerplate counts too, so a share is a hint and no proof.
Compares statements only, never tests or solutions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.base import Problem

WORDS = 13
_WORD = re.compile(r"\w+")
_MOST_NAMED = 20


@dataclass(frozen=True)
class Overlap:
    """`exact`: ids of scored problems that are prompts. `shares`: id to share of 13-grams, > 0."""

    problems: int
    exact: tuple[str, ...]
    shares: tuple[tuple[str, float], ...]  # the largest first

    def describe(self) -> dict[str, object]:
        return {
            "problems": self.problems,
            "exact": list(self.exact),
            "sharing_13_grams": len(self.shares),
            "half_shared": sum(share >= 0.5 for _, share in self.shares),
            "largest_shares": dict(self.shares[:_MOST_NAMED]),
        }

    def text(self) -> str:
        """One line."""
        half = sum(share >= 0.5 for _, share in self.shares)
        line = (
            f"{len(self.exact)} of {self.problems} scored problems are prompts word for word; "
            f"{len(self.shares)} share a 13-gram with some prompt, {half} at least half of theirs"
        )
        if self.shares:
            name, share = self.shares[0]
            line += f" (most: {name}, {share:.0%})"
        return line


def overlap(prompts: Iterable[Problem], problems: Sequence[Problem]) -> Overlap:
    """Memory grows with the scored problems, not with the prompts."""
    exact = {_plain(problem.statement): problem.id for problem in problems}
    grams = {problem.id: _grams(problem.statement) for problem in problems}
    wanted = set().union(*grams.values()) if grams else set()
    same: set[str] = set()
    seen: set[str] = set()
    for prompt in prompts:
        found = exact.get(_plain(prompt.statement))
        if found is not None:
            same.add(found)
        seen |= _grams(prompt.statement) & wanted
    shares = {name: len(own & seen) / len(own) for name, own in grams.items() if own}
    ranked = sorted(((n, s) for n, s in shares.items() if s), key=lambda pair: (-pair[1], pair[0]))
    doubles = {problem.id for problem in problems if exact[_plain(problem.statement)] in same}
    return Overlap(len(problems), tuple(p.id for p in problems if p.id in doubles), tuple(ranked))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _grams(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)}
