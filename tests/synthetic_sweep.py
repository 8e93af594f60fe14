"""Made-up verdicts and the sweep they give, for the tests of results, tables and plots."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.base import Difficulty, Problem
from sandbox.base import Status
from ssd_eval.decoding import DecodingConfig
from ssd_eval.records import SampleKey, Verdict
from ssd_eval.results import Cost, Setup, StageCost, SweepResult, Verdicts, compare

TEMPERATURES = (0.5, 0.9, 1.3)
LEVELS: tuple[Difficulty, ...] = ("easy", "medium", "hard")
COST = Cost(
    (
        StageCost("sample for SSD", 1_200, "completions", 81_234, 20.5),
        StageCost("train", 1_180, "examples", 160_000, 101.0),
        StageCost("grade base", 900, "programs", None, None),
    )
)
Rate = Callable[[Problem, float], float]  # (problem, temperature) -> chance that a sample passes


def configs(temperatures: Sequence[float] = TEMPERATURES) -> tuple[DecodingConfig, ...]:
    return tuple(DecodingConfig(t, 20, 0.8) for t in temperatures)


def make_problems(
    count: int = 30, levels: Sequence[Difficulty | None] = LEVELS, families: int | None = None
) -> dict[str, Problem]:
    return {
        f"p{index:03}": Problem(
            f"p{index:03}",
            "?",
            (),
            difficulty=levels[index % len(levels)],
            family=None if families is None else f"f{index % families}",
        )
        for index in range(count)
    }


def verdicts(
    problem: str, config: DecodingConfig, statuses: Sequence[Status], flaky: bool = False
) -> list[Verdict]:
    return [
        Verdict(SampleKey("c", problem, config.digest(), i), status, "", "", 0.1, 0, 1, flaky=flaky)
        for i, status in enumerate(statuses)
    ]


def draw(
    problems: Mapping[str, Problem],
    rate: Rate,
    *,
    seed: int,
    samples: int = 6,
    grid: Sequence[DecodingConfig] | None = None,
    failure: Status = "wrong_answer",
) -> dict[DecodingConfig, list[Verdict]]:
    """Independent samples that pass at `rate`."""
    rng = np.random.default_rng(seed)
    found: dict[DecodingConfig, list[Verdict]] = {}
    for config in grid or configs():
        found[config] = []
        for problem in problems.values():
            passed = rng.random(samples) < rate(problem, config.temperature)
            statuses: list[Status] = ["passed" if each else failure for each in passed]
            found[config] += verdicts(problem.id, config, statuses)
    return found


def outcome(
    problems: Mapping[str, Problem],
    base: Verdicts,
    distilled: Verdicts,
    *,
    ks: Sequence[int] = (1, 5),
    truncated: float = 0.0,
    tier: str = "A",
    benchmark: str = "made-up",
    base_fixed: DecodingConfig | None = None,
    distilled_fixed: DecodingConfig | None = None,
) -> SweepResult:
    setup = Setup(benchmark, "eval", len(problems), 6, 0, tier)
    return compare(
        problems,
        base,
        distilled,
        base_truncated=dict.fromkeys(base, truncated),
        distilled_truncated=dict.fromkeys(distilled, truncated),
        ks=ks,
        setup=setup,
        cost=COST,
        base_fixed=base_fixed,
        distilled_fixed=distilled_fixed,
    )


def peak(best: float, height: float) -> Rate:
    """A curve that peaks at temperature `best` and is lower for harder problems."""
    ease = {"easy": 0.15, "medium": 0.0, "hard": -0.1, None: 0.0}

    def rate(problem: Problem, temperature: float) -> float:
        value = height - abs(temperature - best) + ease[problem.difficulty]
        return min(1.0, max(0.0, value))

    return rate


@functools.cache
def usual(count: int = 48, **settings: object) -> SweepResult:
    """A base that peaks at 0.9 and a distilled checkpoint that is better and peaks at 1.3."""
    problems = make_problems(count)
    base = draw(problems, peak(0.9, 0.35), seed=1)
    distilled = draw(problems, peak(1.3, 0.65), seed=2)
    return outcome(problems, base, distilled, **settings)  # type: ignore[arg-type]
