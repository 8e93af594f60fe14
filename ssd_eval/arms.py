"""Training sets of a closed-loop comparison: all samples, those that ran, those that passed.

Every arm gets as many training tokens as the poorest has (paper.md §4, claim 6). Trains nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssd_eval.backends.base import Request
from ssd_eval.errors import SsdEvalError
from ssd_eval.records import Completion, SampleKey, Verdict

ANY, RAN, PASSED = "any sample", "samples that ran", "samples that passed"
ENDED = frozenset({"passed", "wrong_answer"})  # the program ended by itself, right or wrong


@dataclass(frozen=True)
class Arm:
    """`requests` are the qualified samples that fit the budget, `of` is how many qualified.

    `tokens` are trained in one pass, `sampled` were drawn until the last of them was found.
    """

    name: str
    requests: tuple[Request, ...]
    tokens: int
    sampled: int
    of: int


def closed_loop(
    requests: Sequence[Request],
    completions: Mapping[SampleKey, Completion],
    verdicts: Mapping[SampleKey, Verdict],
) -> tuple[Arm, ...]:
    """The three arms at equal training tokens, up to one completion's length.

    Samples are taken in an order that depends on nothing but their keys. An infra_error qualifies
    for `any sample` only. Raises SsdEvalError where an arm would be empty.
    """
    statuses = {ANY: None, RAN: ENDED, PASSED: frozenset({"passed"})}
    pools = {
        name: [r for r in requests if kept is None or verdicts[r.key].status in kept]
        for name, kept in statuses.items()
    }
    tokens = {name: sum(_tokens(completions[r.key]) for r in pool) for name, pool in pools.items()}
    poorest = min(tokens, key=lambda name: tokens[name])
    if not tokens[poorest]:
        raise SsdEvalError(
            f"none of {len(requests)} training samples {poorest.removeprefix('samples that ')}: "
            "sample more with --samples-per-prompt"
        )
    order = sorted(requests, key=lambda each: _shuffled(each.key))
    return tuple(
        _arm(name, order, {r.key for r in pool}, completions, tokens[poorest])
        for name, pool in pools.items()
    )


def _arm(
    name: str,
    order: Sequence[Request],
    qualified: set[SampleKey],
    completions: Mapping[SampleKey, Completion],
    budget: int,
) -> Arm:
    taken, spent, sampled = [], 0, 0
    for request in order:
        length = _tokens(completions[request.key])
        if spent + length > budget:
            break
        sampled += len(completions[request.key].token_ids)
        if request.key in qualified:
            taken.append(request)
            spent += length
    return Arm(name, tuple(taken), spent, sampled, len(qualified))


def _tokens(completion: Completion) -> int:
    """What training on it counts: its tokens, and the end token where it came."""
    return len(completion.token_ids) + (completion.finish == "stop")


def _shuffled(key: SampleKey) -> bytes:
    return hashlib.sha256(key.text().encode("utf-8", "surrogatepass")).digest()
