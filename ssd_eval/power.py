"""Planning: what a comparison of so many problems and samples could see, before it is run.

The model: problem i passes at rates b_i before and a_i after, both Beta with given means and the
same correlation rho of two samples of a problem; b_i and a_i correlate by `agreement`. A paired
difference then has variance (Var[a - b] + (E[b(1-b)] + E[a(1-a)]) / n) over problems, and power is
that of a two-sided paired t test at 5 % (Miller 2024, arXiv 2411.00640, §5; noncentral t).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ssd_eval.clustering import TIE
from ssd_eval.errors import UsageError
from ssd_eval.paired import ALPHA, POWER, SIGNIFICANT
from ssd_eval.sheets import Column, Sheet, Value

if TYPE_CHECKING:
    from ssd_eval.sheets import Cell

EFFECTS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.15)


@dataclass(frozen=True)
class Plan:
    """`tests`: comparisons that Holm corrects for; the first of them needs 5 % / tests."""

    problems: int
    samples: int
    base: float
    spread: float = 0.5  # rho: 0 all problems alike, 1 each passes always or never
    agreement: float = 0.9
    tests: int = 1

    def __post_init__(self) -> None:
        """Raises UsageError."""
        if self.problems < SIGNIFICANT:
            raise UsageError(
                f"--problems {self.problems}: no effect could be significant with fewer than "
                f"{SIGNIFICANT}; use more"
            )
        if self.samples < 1 or self.tests < 1:
            raise UsageError("--samples and --tests must be 1 or more")
        if not 0 < self.base < 1:
            raise UsageError(f"--base {self.base:g} is no pass@1 between 0 and 1; use 0.42, say")
        if not 0 <= self.spread < 1 or not 0 <= self.agreement <= 1:
            raise UsageError("--spread must be in [0, 1) and --agreement in [0, 1]")


@dataclass(frozen=True)
class Power:
    """`mde`: the smallest gain seen with 80 % power; None where even the largest is not."""

    plan: Plan
    curve: tuple[tuple[float, float], ...]  # (gain, power)
    mde: float | None
    largest: float  # gain that the base leaves room for

    def to_json(self) -> dict[str, Any]:
        curve = [{"gain": gain, "power": power} for gain, power in self.curve]
        return {"plan": asdict(self.plan), "curve": curve, "mde": self.mde, "largest": self.largest}


def power_curve(plan: Plan, effects: Sequence[float] = EFFECTS) -> Power:
    """At the effects that the base leaves room for. Raises UsageError for impossible plans."""
    largest = 1 - plan.base
    curve = tuple((gain, power(plan, gain)) for gain in effects if 0 < gain < largest - TIE)
    return Power(plan, curve, _detectable(plan, largest), largest)


def power(plan: Plan, gain: float) -> float:
    """Probability of p < 5 % / tests with the right sign."""
    from scipy.special import nctdtr, stdtrit

    freedom = plan.problems - 1
    error = math.sqrt(variance(plan, gain) / plan.problems)
    if error == 0:
        return 1.0 if gain else 0.0
    cut = float(stdtrit(freedom, 1 - ALPHA / plan.tests / 2))
    return 1 - float(nctdtr(freedom, gain / error, cut))


def variance(plan: Plan, gain: float) -> float:
    """Of one problem's difference of pass shares."""
    spreads = [p * (1 - p) for p in (plan.base, plan.base + gain)]
    within = sum(spreads) * (1 - plan.spread) / plan.samples
    before, after = (math.sqrt(plan.spread * each) for each in spreads)
    return within + max(0.0, before**2 + after**2 - 2 * plan.agreement * before * after)


def _detectable(plan: Plan, largest: float) -> float | None:
    from scipy.optimize import brentq

    top = largest * (1 - 1e-9)
    if power(plan, top) < POWER:
        return None
    return float(brentq(lambda gain: power(plan, gain) - POWER, 1e-9, top))


def power_sheet(found: Power) -> Sheet:
    plan = found.plan
    rows: list[tuple[Cell, ...]] = [
        (f"{100 * gain:+g} pp", Value(chance, "share")) for gain, chance in found.curve
    ]
    wider = [(_detects(plan, problems=times * plan.problems), times) for times in (2, 4)]
    more = [(_detects(plan, samples=times * plan.samples), times) for times in (2, 4)]
    notes = [
        f"smallest gain seen with 80 % power: {_points(found.mde, found.largest)}",
        *(f"{times} x the problems: {_points(mde, found.largest)}" for mde, times in wider),
        *(f"{times} x the samples: {_points(mde, found.largest)}" for mde, times in more),
        f"assumed: correlation of two samples of a problem {plan.spread:g} (--spread), of a "
        f"problem's rates before and after {plan.agreement:g} (--agreement), {plan.tests} "
        f"{'test' if plan.tests == 1 else 'tests'} (--tests); independent problems",
    ]
    title = (
        f"power of a paired test: {plan.problems} problems, {plan.samples} samples each, base "
        f"pass@1 {100 * plan.base:g} %"
    )
    return Sheet(
        "power", title, (Column("true gain"), Column("power, %")), tuple(rows), tuple(notes)
    )


def _detects(plan: Plan, **changed: int) -> float | None:
    wider = replace(plan, **changed)
    return _detectable(wider, 1 - plan.base)


def _points(mde: float | None, largest: float) -> str:
    return f"none up to {100 * largest:.0f} pp" if mde is None else f"{100 * mde:.1f} pp"
