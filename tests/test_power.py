"""Planning: power of a comparison before it is run."""

from __future__ import annotations

import numpy as np
import pytest

from ssd_eval.errors import UsageError
from ssd_eval.power import Plan, power, power_curve, power_sheet
from ssd_eval.signflip import sign_flip_ps

PLAN = Plan(problems=131, samples=10, base=0.42)


def rates(plan: Plan, gain: float, rng: np.random.Generator, runs: int) -> np.ndarray:
    """Before and after [2, runs, problems], by a Gaussian copula between two Betas."""
    from scipy.stats import beta, norm

    agreement = plan.agreement
    first, other = rng.normal(size=(2, runs, plan.problems))
    second = agreement * first + np.sqrt(1 - agreement**2) * other
    size = 1 / plan.spread - 1
    means = (plan.base, plan.base + gain)
    return np.stack(
        [
            beta.ppf(norm.cdf(z), mean * size, (1 - mean) * size)
            for z, mean in zip((first, second), means, strict=True)
        ]
    )


@pytest.mark.parametrize(("gain", "agreement"), [(0.05, 0.0), (0.05, 0.5), (0.08, 0.5)])
def test_predicted_power_is_what_the_permutation_test_has(gain: float, agreement: float) -> None:
    plan = Plan(problems=60, samples=5, base=0.4, agreement=agreement)
    rng = np.random.default_rng(1)
    passes = rng.binomial(plan.samples, rates(plan, gain, rng, 500)) / plan.samples
    p_values = sign_flip_ps(passes[1] - passes[0], resamples=999)
    found = np.mean((p_values < 0.05) & (passes[1].mean(1) > passes[0].mean(1)))
    assert found == pytest.approx(power(plan, gain), abs=0.07)


def test_power_grows_with_gain_problems_samples_and_agreement() -> None:
    curve = [chance for _, chance in power_curve(PLAN).curve]
    assert curve == sorted(curve)
    assert 0.02 < power(PLAN, 0.0) < 0.03  # half of 5 %: the right sign only
    more = Plan(262, 10, 0.42), Plan(131, 20, 0.42), Plan(131, 10, 0.42, agreement=1.0)
    assert all(power(each, 0.03) > power(PLAN, 0.03) for each in more)
    assert power(Plan(131, 10, 0.42, tests=8), 0.03) < power(PLAN, 0.03)


def test_the_detectable_gain_has_eighty_percent_power() -> None:
    found = power_curve(PLAN)
    assert found.mde is not None
    assert power(PLAN, found.mde) == pytest.approx(0.8)


def test_a_base_near_the_top_has_room_for_no_gain_that_could_be_seen() -> None:
    found = power_curve(Plan(20, 1, 0.97))
    assert found.mde is None
    assert all(gain < 0.03 for gain, _ in found.curve)
    assert "none up to 3 pp" in power_sheet(found).notes[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"problems": 5},
        {"samples": 0},
        {"base": 0.0},
        {"base": 1.0},
        {"base": float("nan")},
        {"spread": 1.0},
        {"agreement": 1.5},
        {"tests": 0},
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Plan(**{"problems": 30, "samples": 5, "base": 0.5, **wrong})  # type: ignore[arg-type]
