"""The supports of many decodings at once are the canonical truncation's, token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ssd_eval import decoding, entropy, support
from ssd_eval.decoding import DecodingConfig

CONFIGS = st.builds(
    DecodingConfig,
    temperature=st.sampled_from([0.0, 0.005, 0.1, 0.5, 0.9, 1.0, 1.6, 2.0, 5.0]),
    top_k=st.sampled_from([0, 1, 2, 3, 5, 11, 12, 20, 400]),
    top_p=st.sampled_from([1e-13, 0.1, 0.25, 0.5, 0.8, 0.95, 1.0]),
)
# Few distinct values, so that ties are everywhere; quarters are exact in every dtype.
VALUES = st.one_of(
    st.integers(-8, 8).map(lambda n: n / 4), st.just(-float("inf")), st.floats(-30, 30, width=16)
)


def cut(logits: Tensor, configs: Sequence[DecodingConfig], width: int) -> support.Cut:
    """As `teacher` does: the rest's sums by full passes over the vocabulary."""
    ranked = support.rank(logits, width)
    shifted = (logits - logits.amax(-1, keepdim=True)).clamp(min=support.FLOOR)
    shifted.scatter_(1, ranked.ids, support.FLOOR)
    sums = [
        (shifted / max(each.temperature, 0.01)).exp().sum(-1).double()
        if support.unlimited(each, logits.shape[1])
        else torch.zeros(len(logits), dtype=torch.float64)
        for each in configs
    ]
    rest = torch.stack(sums, 1)
    outside = support.Outside(rest, support.error(rest, logits.shape[1], logits.dtype))
    return support.cut(ranked, configs, logits.shape[1], outside)


def check(logits: Tensor, configs: Sequence[DecodingConfig], width: int) -> None:
    found = cut(logits, configs, width)
    ids = support.rank(logits, width).ids
    for place, config in enumerate(configs):
        expected = decoding.support(logits, config)
        for row in range(len(logits)):
            if not found.sure[row, place]:
                assert width < logits.shape[1]
                continue
            assert int(found.size[row, place]) == int(expected[row].sum()), config
            if config.temperature > 0:  # greedy's token among equals is not the ranking's first
                kept = torch.zeros(logits.shape[1], dtype=torch.bool)
                kept[ids[row, : int(found.size[row, place])]] = True
                assert torch.equal(kept, expected[row]), config


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(VALUES, min_size=12, max_size=12), min_size=1, max_size=3),
    st.lists(CONFIGS, min_size=1, max_size=4),
    st.sampled_from([1, 3, 6, 12]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_sure_cuts_are_the_canonical_ones(
    rows: list[list[float]], configs: list[DecodingConfig], width: int, dtype: torch.dtype
) -> None:
    logits = torch.tensor(rows, dtype=dtype)
    logits[:, 5] = logits[:, 5].clamp(min=-4)  # a row of nothing but -inf is no distribution
    width = min(12, max(width, support.columns(configs, 12)))
    check(logits, configs, width)


@pytest.mark.parametrize("spread", [0.5, 3.0, 8.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_wide_vocabulary_is_cut_like_the_reference(spread: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    logits = (torch.randn(24, 3000) * spread).to(dtype).float()  # bf16: many ties
    configs = [
        DecodingConfig(t, k, p) for t in (0.3, 1.0, 2.0) for k, p in ((20, 0.8), (0, 0.8), (0, 1))
    ]
    for width in (21, 64, 1000, 3000):
        check(logits, configs, width)


def test_complete_rankings_are_always_sure() -> None:
    logits = torch.randint(-2, 3, (16, 40)).double()
    configs = [DecodingConfig(1.3, k, p) for k in (0, 1, 7, 39) for p in (0.3, 1.0)]
    assert bool(cut(logits, configs, 40).sure.all())


def test_ties_that_leave_the_ranking_are_not_sure() -> None:
    logits = torch.zeros(1, 100)
    found = cut(logits, [DecodingConfig(1, 5, 1), DecodingConfig(1, 0, 0.5)], 50)
    assert not bool(found.sure.any())


def test_a_float32_sum_near_the_threshold_is_not_sure() -> None:
    """Eight equal tokens hold half the mass but for rounding, p = 1/2: does a ninth stay?"""
    logits = torch.linspace(1, -1, 2000)[None].clone()  # no ties at the ranking's end
    logits[0, 8:] += math.log(8) - logits[0, 8:].logsumexp(0)
    logits[0, :8] = 0.0
    assert not bool(cut(logits, [DecodingConfig(1, 0, 0.5)], 64).sure.any())
    logits[0, 0] += 0.001
    assert bool(cut(logits, [DecodingConfig(1, 0, 0.5)], 64).sure.all())


def test_mass_that_equals_p_but_for_rounding_is_enough() -> None:
    """Of n equal tokens j hold exactly j/n, which times n rounds to more than j."""
    pairs = [(j, n) for n in range(3, 400) for j in range(1, n) if j / n * n > j]
    assert pairs
    for j, n in pairs[:20]:
        found = cut(torch.zeros(1, n), [DecodingConfig(1.0, 0, j / n)], n)
        assert int(found.size[0, 0]) == j


def test_sums_are_those_of_the_kept_tokens() -> None:
    torch.manual_seed(2)
    logits = torch.randn(5, 200, dtype=torch.float64) * 3
    config = DecodingConfig(1.7, 20, 0.9)
    found = cut(logits, [config], 30)
    s = logits - logits.amax(-1, keepdim=True)
    w = (s / 1.7).exp() * decoding.support(logits, config)
    for power, sums in enumerate((found.mass, found.first, found.second)):
        torch.testing.assert_close(sums[:, 0], (w * s**power).sum(-1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0, 6.0, 25.0])
@pytest.mark.parametrize("temperature", [0.4, 0.9, 1.3, 2.6])
def test_sums_of_either_precision_are_as_near_as_is_said(spread: float, temperature: float) -> None:
    """Taken as `passes` takes them: as the square of the sum's terms at twice the temperature."""
    torch.manual_seed(int(10 * spread))
    logits = torch.randn(8, 50_000) * spread
    wide = logits.double()
    exact = ((wide - wide.amax(-1, keepdim=True)) / temperature).exp().sum(-1)
    for dtype in (torch.float32, torch.float64):
        d = logits.to(dtype) - logits.amax(-1, keepdim=True).to(dtype)
        room = torch.empty_like(d)
        once = entropy.tempered(d, temperature, room)
        entropy.tempered(d, 2 * temperature, room)
        squared = room.mul_(room).sum(-1).double()
        for found in (once, squared):
            gap = (found - exact).abs() / support.error(exact, 50_000, dtype)
            assert float(gap.max()) < (0.5 if dtype == torch.float32 else 1)
