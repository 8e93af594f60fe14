"""maj@n by behaviour: among n samples, the answer that most of them give on the public inputs.

Programs are the same where they print the same on every public test's input; what a test expects
plays no part in the vote. A sample that crashes, or holds no program, has no vote. The winner is
judged by all tests: its score is the share of passing samples among those that behave like it.
Source: Li et al. 2022 (AlphaCode), clustering by outputs; paper.md §4, claim 4.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.base import Problem
from benchmarks.extract import extract
from sandbox.base import Executor, Job, Limits, Test
from ssd_eval.errors import UsageError
from ssd_eval.progress import Progress
from ssd_eval.records import Completion, SampleKey
from ssd_eval.store import RunStore

SUBSETS = 200  # choices of n samples looked at, where there are more


@dataclass(frozen=True)
class Behaviour:
    """A hash of what the sample's program printed on each public input; None: it did not run."""

    key: SampleKey
    printed: str | None

    def to_json(self) -> dict[str, Any]:
        return {"key": list(self.key), "printed": self.printed}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Behaviour:
        return cls(SampleKey(*row["key"]), row["printed"])


@dataclass(frozen=True)
class Vote:
    """One sample as the vote sees it."""

    printed: str | None
    passed: bool


def observe(
    store: RunStore,
    keys: Sequence[SampleKey],
    problems: Mapping[str, Problem],
    pool: Executor,
    limits: Limits,
    progress: Progress,
    name: str,
) -> dict[SampleKey, Behaviour]:
    """Every sample's behaviour; runs what `behaviours.jsonl` in the run folder does not hold yet.

    Raises UsageError for a problem without public tests, SandboxError.
    """
    from ssd_eval.journal import Journal

    journal = Journal(store.path("behaviours.jsonl"), Behaviour.from_json)
    try:
        missing = [store.completions[key] for key in keys if key not in journal.records]
        if missing:
            with progress.stage(name, len(keys), len(keys) - len(missing)) as stage:
                for behaviour in _run(missing, problems, pool, limits):
                    journal.append(behaviour)
                    stage.advance()
        return {key: journal.records[key] for key in keys}
    finally:
        journal.close()


def majority_score(votes: Sequence[Vote], n: int, *, seed: int = 0) -> float | None:
    """The expected share of passing winners among n of these samples; None for fewer than n.

    Over all choices of n where they are at most SUBSETS, else over as many random ones.
    """
    if n < 1:
        raise ValueError(f"maj@{n}")
    if len(votes) < n:
        return None
    if math.comb(len(votes), n) <= SUBSETS:
        return float(np.mean([_winner(chosen) for chosen in combinations(votes, n)]))
    rng = np.random.default_rng([seed, 5, n])
    chosen = rng.permuted(np.tile(np.arange(len(votes)), (SUBSETS, 1)), axis=1)[:, :n]
    return float(np.mean([_winner([votes[i] for i in row]) for row in chosen]))


def _winner(votes: Iterable[Vote]) -> float:
    """Equal counts share the win."""
    camps: dict[str, list[bool]] = defaultdict(list)
    for vote in votes:
        if vote.printed is not None:
            camps[vote.printed].append(vote.passed)
    if not camps:
        return 0.0
    most = max(map(len, camps.values()))
    winners = [sum(camp) / most for camp in camps.values() if len(camp) == most]
    return sum(winners) / len(winners)


def _run(
    completions: Sequence[Completion],
    problems: Mapping[str, Problem],
    pool: Executor,
    limits: Limits,
) -> Iterable[Behaviour]:
    """Equal programs run once. A sandbox that failed leaves no behaviour: it is tried again."""
    waiting: dict[str, list[SampleKey]] = defaultdict(list)
    jobs = []
    for completion in completions:
        code = extract(completion.text).code
        if code is None:
            yield Behaviour(completion.key, None)
            continue
        name = repr((completion.key.problem_id, code))
        if name not in waiting:
            jobs.append(_job(name, code, problems[completion.key.problem_id], limits))
        waiting[name].append(completion.key)
    for outcome in pool.run(jobs):
        ran = outcome.outputs and all(outcome.outputs)
        printed = " ".join(outcome.outputs) if ran else None
        for key in waiting[outcome.key]:
            yield Behaviour(key, printed)


def vote_tests(problem: Problem) -> tuple[Test, ...]:
    """The public tests, without what they expect. Raises UsageError where there are none."""
    tests = tuple(
        Test(test.kind, test.input, "") for test in problem.public_tests if test.kind != "assertion"
    )
    if not tests:
        raise UsageError(
            f"{problem.id} has no public inputs, on which maj@n votes; mark some of its tests "
            "public, or use `ssd-eval sweep`"
        )
    return tests


def _job(name: str, code: str, problem: Problem, limits: Limits) -> Job:
    return Job(
        name,
        code,
        vote_tests(problem),
        entry_point=problem.entry_point,
        limits=limits,
        all_tests=True,
        keep_outputs=True,
    )
