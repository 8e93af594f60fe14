"""Locks and forks: rules that tell them apart, decided once, from the base model alone.

- `nucleus` (default; independent of the recipe): the smallest set that holds 0.8 of the base's mass
  at T = 1 has at most two tokens at a lock, three or more at a fork.
- `support`: the same cut on the support at the training decoding.
- `entropy-quantile`: the fifth of all positions with the highest entropy are forks.
- `threshold`: positions above an entropy in nats are forks.

Reads positions; runs no models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ssd_eval import positions
from ssd_eval.config import ForkRule
from ssd_eval.errors import UsageError
from ssd_eval.positions import PLANTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

RULES: tuple[str, ...] = get_args(ForkRule)
MASS = 0.8
MOST = 2  # tokens of a lock
SHARE = 0.2  # of positions that entropy-quantile calls forks
THRESHOLD = math.log(2)


@dataclass(frozen=True)
class Rule:
    """A named rule; `cut`: the entropy above which the last two find forks."""

    name: str
    cut: float | None = None

    def __str__(self) -> str:
        if self.name == "nucleus":
            return f"nucleus: a lock has at most {MOST} tokens in {MASS} of the base's mass, T = 1"
        if self.name == "support":
            return f"support: a lock keeps at most {MOST} tokens at the training decoding"
        if self.name == "entropy-quantile":
            return f"entropy-quantile: the top {SHARE:.0%}, base entropy above {self.cut:.3g} nats"
        return f"threshold: forks have a base entropy above {self.cut:.3g} nats"

    def forks(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """True at forks, False at locks."""
        base = rows["base"]
        if self.name == "nucleus":
            return np.asarray(base["beyond"][:, MOST - 1] > np.float32(1 - MASS))
        if self.name == "support":
            return np.asarray(base["support"][:, 0] > MOST)
        return np.asarray(base["entropy"] > np.float32(self.cut or 0.0))


def fitted(name: str, folder: Path, *, threshold: float | None = None) -> Rule:
    """The rule for a folder of positions. Raises UsageError for an unknown one."""
    if name not in RULES:
        raise UsageError(f"unknown lock/fork rule {name!r}; known: {', '.join(RULES)}")
    if threshold is not None and name != "threshold":
        raise UsageError("--threshold belongs to --rule threshold; leave it out or name that rule")
    if name == "threshold":
        return Rule(name, THRESHOLD if threshold is None else threshold)
    if name == "entropy-quantile":
        return Rule(name, _quantile(folder))
    return Rule(name)


@dataclass(frozen=True)
class Judged:
    """A rule against the planted truth. Counts of positions: planted locks and forks, and others.

    `called` of them the rule calls forks.
    """

    rule: Rule
    locks: int
    locks_called: int
    forks: int
    forks_called: int
    others: int
    others_called: int

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": str(self.rule),
            "locks": self.locks,
            "forks": self.forks,
            "lock_recall": self.lock_recall,
            "lock_precision": self.lock_precision,
            "fork_recall": self.fork_recall,
            "fork_precision": self.fork_precision,
        }

    @property
    def fork_recall(self) -> float:
        return self.forks_called / self.forks

    @property
    def lock_recall(self) -> float:
        return 1 - self.locks_called / self.locks

    @property
    def fork_precision(self) -> float | None:
        """Of all positions it calls forks, how many are planted ones; None where it calls none."""
        called = self.forks_called + self.locks_called + self.others_called
        return self.forks_called / called if called else None

    @property
    def lock_precision(self) -> float | None:
        """Of the planted positions it calls locks, how many are: elsewhere nothing is planted."""
        called = self.locks - self.locks_called + self.forks - self.forks_called
        return (self.locks - self.locks_called) / called if called else None


def judged(folder: Path, rules: Iterable[Rule]) -> list[Judged]:
    """Every rule against `planted`; empty where no position is marked."""
    rules = list(rules)
    counts = np.zeros((len(rules), len(PLANTED), 2), np.int64)
    for each in positions.read(folder):
        planted = each.rows["planted"].astype(np.int64)
        for place, rule in enumerate(rules):
            called = rule.forks(each.rows).astype(np.int64)
            counts[place] += np.bincount(2 * planted + called, minlength=6).reshape(3, 2)
    if not counts[:, 1:].sum(axis=2).all() or not rules:
        return []
    return [
        Judged(
            rule,
            *(
                int(number)
                for kind in (PLANTED.index("lock"), PLANTED.index("fork"), PLANTED.index("none"))
                for number in (found[kind].sum(), found[kind, 1])
            ),
        )
        for rule, found in zip(rules, counts, strict=True)
    ]


def _quantile(folder: Path) -> float:
    """The entropy that `SHARE` of all positions exceed, exactly, in memory of one problem.

    The bits of numbers >= 0 order like the numbers: two passes find them half by half.
    """
    high = np.zeros(2**16, np.int64)
    for bits in _entropy_bits(folder):
        high += np.bincount(bits >> 16, minlength=2**16)
    wanted = math.ceil((1 - SHARE) * int(high.sum()))
    top, before = _place(high, wanted)
    low = np.zeros(2**16, np.int64)
    for bits in _entropy_bits(folder):
        low += np.bincount(bits[bits >> 16 == top] & 0xFFFF, minlength=2**16)
    bottom, _ = _place(low, wanted - before)
    return float(np.array([top << 16 | bottom], np.uint32).view(np.float32)[0])


def _place(counts: NDArray[np.int64], wanted: int) -> tuple[int, int]:
    """The bin of the `wanted`-th smallest, from 1, and how many lie in the bins before it."""
    sums = np.cumsum(counts)
    place = min(int(np.searchsorted(sums, max(1, wanted))), len(counts) - 1)
    return place, int(sums[place] - counts[place])


def _entropy_bits(folder: Path) -> Iterable[NDArray[Any]]:
    for each in positions.read(folder):
        entropy = np.maximum(each.rows["base"]["entropy"], 0) + np.float32(0)  # no -0
        yield entropy.astype(np.float32).view(np.uint32).astype(np.int64)
