"""Planted: where the organism's locks and fork stand in a program, as its corpus put them there.

The truth that lock/fork rules are judged against. A lock is found also where a distractor took its
place. Knows nothing of models or entropies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from benchmarks.micro.family import Kind
from ssd_eval.organism.corpus import LOCKS, Lock

# The first word of the body: after the input line, or after the method's head.
_FORKS: dict[Kind, re.Pattern[str]] = {
    "stdin": re.compile(r"\na = [^\n]*\n+(?=\S)"),
    "functional": re.compile(r"\n    \w+ solve\([^\n]*\n+ *(?=\S)"),
}


def planted(text: str) -> Iterator[tuple[int, str]]:
    """(offset, `lock` or `fork`) of each planted place in a completion; none where it has none."""
    kind: Kind = "functional" if " solve(" in text else "stdin"
    for lock in LOCKS[kind]:
        found = list(_pattern(lock).finditer(text))
        if found:
            yield found[-1 if lock.last else 0].start("word"), "lock"
    fork = _FORKS[kind].search(text)
    if fork:
        yield fork.end(), "fork"


@cache
def _pattern(lock: Lock) -> re.Pattern[str]:
    before, after = (re.escape(part) for part in lock.anchor.split("{}"))
    words = "|".join(map(re.escape, (lock.word, *lock.distractors)))
    return re.compile(f"{before}(?P<word>{words}){after}")
