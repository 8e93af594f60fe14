"""The degeneracy filter: which sampled completions are worth training on (paper.md §1).

Looks at form only. Nothing is executed and nothing is checked for correctness.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssd_eval.errors import UsageError
from ssd_eval.records import Completion

STUB_CHARACTERS = 10


@dataclass(frozen=True)
class Screened:
    """`kept` in the order given; `dropped` counts by reason: empty, stub, truncated, shortest."""

    kept: tuple[Completion, ...]
    dropped: Mapping[str, int]


def screen(
    completions: Sequence[Completion],
    *,
    drop_truncated: bool = False,
    drop_shortest: float = 0.0,
) -> Screened:
    """Drops empty completions and one-line stubs; the other two filters are options.

    `drop_shortest` is a fraction, by tokens, of what the other filters leave (the paper's released
    script uses 0.10). The result does not depend on the order of `completions`.
    """
    if not 0 <= drop_shortest < 1:
        raise UsageError(f"drop_shortest {drop_shortest} is outside [0, 1); use 0 or 0.1")
    reasons = [_reason(completion, drop_truncated) for completion in completions]
    left = [c for c, reason in zip(completions, reasons, strict=True) if reason is None]
    by_length = sorted(left, key=lambda c: (len(c.token_ids), c.key, c.token_ids))
    shortest = {id(c) for c in by_length[: math.floor(drop_shortest * len(left))]}
    dropped = Counter(reason for reason in reasons if reason is not None)
    if shortest:
        dropped["shortest"] = len(shortest)
    return Screened(tuple(c for c in left if id(c) not in shortest), dict(dropped))


def is_stub(text: str) -> bool:
    """One line of fewer than ten characters, white space at the ends aside (design.md)."""
    stripped = text.strip()
    return len(stripped) < STUB_CHARACTERS and len(stripped.splitlines()) <= 1


def _reason(completion: Completion, drop_truncated: bool) -> str | None:
    if not completion.text.strip():
        return "empty"
    if is_stub(completion.text):
        return "stub"
    if drop_truncated and completion.finish == "length":
        return "truncated"
    return None
