"""Clustered means in a fixed memory: equal to those with every problem at hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd_eval.clustering import by_cluster
from ssd_eval.intervals import t_limits
from ssd_eval.moments import Moments, gather


def gathered(values: list[float], clusters: list[str], counts: list[int]) -> Moments:
    """One group, one quantity; a problem's positions all have its value."""
    problems = sorted(zip(clusters, values, counts, strict=True))
    rows = ((c, np.array([[v * n]]), np.array([n], np.int64)) for c, v, n in problems)
    return gather(rows, 1, 1)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3), st.sampled_from("abcde"), st.integers(0, 4)),
        max_size=40,
    ),
    st.sampled_from([0.0, 1e4]),
)
def test_estimates_are_those_of_all_problems_at_hand(
    problems: list[tuple[float, str, int]], away: float
) -> None:
    found = gathered(
        [v + away for v, *_ in problems], [c for _, c, _ in problems], [n for *_, n in problems]
    ).estimate(0, 0)
    there = [(v + away, c) for v, c, n in problems if n]
    data = by_cluster([v for v, _ in there], [c for _, c in there])
    assert (found.problems, found.clusters) == (data.problems, data.clusters)
    if not there:
        assert found.mean is None
        return
    assert found.mean == pytest.approx(data.mean, abs=1e-7)
    if data.se is None:
        assert found.low is None
        return
    assert found.se == pytest.approx(data.se, rel=1e-6, abs=1e-5)
    limits = t_limits(found.mean, found.se or 0.0, data.clusters)
    assert (found.low, found.high) == limits


def test_intervals_take_the_cluster_for_the_unit() -> None:
    values = [1.0, 1.0, 3.0, 3.0, 5.0, 5.0]
    clustered = gathered(values, list("aabbcc"), [1] * 6).estimate(0, 0)
    three = gathered(values[::2], list("abc"), [1] * 3).estimate(0, 0)
    assert (clustered.low, clustered.high) == pytest.approx((three.low, three.high))
    assert clustered.low == pytest.approx(3 - 4.302653 * 2 / 3**0.5, rel=1e-5)
    assert gathered(values, ["a"] * 6, [1] * 6).estimate(0, 0).low is None


def test_equal_problems_have_no_spread_however_far_from_zero() -> None:
    found = gathered([123456.789] * 9, list("aabbccdde"), [3] * 9).estimate(0, 0)
    assert (found.se, found.mean) == (0.0, pytest.approx(123456.789))


def test_what_is_held_does_not_grow_with_problems() -> None:
    sizes = {
        gathered([1.0, 2.0] * half, [f"c{i:04}" for i in range(2 * half)], [2] * 2 * half).nbytes
        for half in (1, 10, 1000)
    }
    assert len(sizes) == 1
