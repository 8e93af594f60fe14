"""The canonical truncation against a slow reference, and its edges."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd_eval import decoding
from ssd_eval.decoding import (
    DecodingConfig,
    draws,
    effective_temperature,
    sample_token,
    support,
    truncate,
)
from ssd_eval.errors import BackendError, UsageError

INF = math.inf


def reference(logits: list[float], config: DecodingConfig) -> dict[int, float]:
    """paper.md §1 word by word, one token at a time: {token in the support: probability}."""
    if config.temperature == 0:
        return {max(range(len(logits)), key=lambda i: (logits[i], -i)): 1.0}
    temperature = max(config.temperature, 0.01)
    alive = [i for i, x in enumerate(logits) if x > -INF]
    if 0 < config.top_k < len(logits):
        floor = sorted(logits, reverse=True)[config.top_k - 1]
        alive = [i for i in alive if not logits[i] < floor]
    top = max(logits)
    weight = {i: math.exp((logits[i] - top) / temperature) for i in alive}
    total = math.fsum(weight.values())
    kept = sorted(alive, key=lambda i: (logits[i], i))  # stable, ascending: vLLM's order
    if config.top_p < 1:
        while len(kept) > 1:
            left = math.fsum(weight[i] for i in kept[1:]) / total
            if left < config.top_p - 1e-12:
                break
            kept = kept[1:]
    mass = math.fsum(weight[i] for i in kept)
    return {i: weight[i] / mass for i in kept}


def undecided(logits: list[float], config: DecodingConfig) -> bool:
    """True when some kept mass lies so near to p that rounding may decide either way."""
    whole = reference(logits, DecodingConfig(config.temperature, config.top_k))
    order = sorted(whole, key=lambda i: (logits[i], i), reverse=True)
    masses = np.cumsum([whole[i] for i in order])
    return bool(np.any(np.abs(np.abs(masses - config.top_p) - 1e-12) < 9e-13))


def probabilities(logits: list[float], config: DecodingConfig) -> dict[int, float]:
    out = truncate(torch.tensor(logits, dtype=torch.float32), config)
    return {i: math.exp(x) for i, x in enumerate(out.tolist()) if x > -INF}


# Few distinct values make ties common; wide ones make underflow and singletons common.
value = st.one_of(
    st.sampled_from([-INF, -3.0, 0.0, 0.5, 0.5, 1.0, 8.0]),
    st.floats(-40, 40, width=32),
)
rows = st.lists(value, min_size=1, max_size=24).filter(lambda row: max(row) > -INF)
configs = st.builds(
    DecodingConfig,
    temperature=st.sampled_from([0, 0.001, 0.01, 0.3, 0.7, 1.0, 1.6, 5.0, 1000.0]),
    top_k=st.sampled_from([0, 1, 2, 3, 5, 20, 24, 100]),
    top_p=st.one_of(
        st.sampled_from([1e-9, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 1.0]),
        st.floats(0.001, 1.0, exclude_min=True),
    ),
)


@settings(max_examples=600, deadline=None)
@given(rows, configs)
def test_truncation_equals_the_slow_reference(row: list[float], config: DecodingConfig) -> None:
    expected, found = reference(row, config), probabilities(row, config)
    if not undecided(row, config):
        assert found.keys() == expected.keys()
        for token, p in expected.items():
            assert found[token] == pytest.approx(p, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(rows, configs)
def test_support_is_never_empty_and_its_mass_is_one(
    row: list[float], config: DecodingConfig
) -> None:
    found = probabilities(row, config)
    assert found
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-12)
    assert all(row[token] > -INF for token in found)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_rows_bits_do_not_depend_on_its_neighbours(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 12))
    row = st.lists(value, min_size=width, max_size=width).filter(lambda r: max(r) > -INF)
    table = data.draw(st.lists(row, min_size=2, max_size=9))
    chosen = data.draw(st.lists(configs, min_size=len(table), max_size=len(table)))
    uniforms = torch.tensor(
        data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=9, max_size=9))
    ).double()[: len(table)]
    uniforms = uniforms.clamp(max=math.nextafter(1, 0))
    logits = torch.tensor(table)
    together = truncate(logits, chosen)
    tokens = sample_token(logits, chosen, uniforms)
    for i, config in enumerate(chosen):
        assert torch.equal(truncate(logits[i], config), together[i])
        alone = sample_token(logits[i : i + 1], config, uniforms[i : i + 1])
        assert alone.item() == tokens[i].item()


@pytest.mark.parametrize(
    "config",
    [
        DecodingConfig(1.3, 20, 0.8),
        DecodingConfig(1.3, 0, 0.8),
        DecodingConfig(30.0, 0, 0.9),  # a nucleus wider than the first guess
        DecodingConfig(1.0, 5000, 0.999),
        DecodingConfig(0.7),
    ],
    ids=str,
)
def test_large_vocabularies_agree_with_a_full_sort(config: DecodingConfig) -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 3, 20_000).astype(np.float32)
    logits[generator.integers(0, 20_000, 3000)] = logits[7]  # a tie that spans any first guess
    expected = _sorted_reference(logits.astype(np.float64), config)
    found = truncate(torch.from_numpy(logits), config).exp().numpy()
    assert np.array_equal(found > 0, expected > 0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def _sorted_reference(logits: np.ndarray, config: DecodingConfig) -> np.ndarray:
    """vLLM's own way: one stable ascending sort, thresholds, a cumulative sum."""
    order = np.argsort(logits, kind="stable")
    ranked = logits[order]
    if config.top_k:
        ranked = np.where(ranked < ranked[-config.top_k], -INF, ranked)
    p = np.exp((ranked - ranked.max()) / config.temperature)
    p /= p.sum()
    if config.top_p < 1:
        drop = np.cumsum(p) <= 1 - config.top_p
        drop[-1] = False
        p[drop] = 0
    out = np.zeros_like(p)
    out[order] = p / p.sum()
    return out


def test_a_tie_at_the_kth_value_stays() -> None:
    assert probabilities([1, 2, 2, 2, 0], DecodingConfig(1, 2)).keys() == {1, 2, 3}


def test_top_k_at_or_above_the_vocabulary_does_nothing() -> None:
    row = [0.3, -1.0, 2.0]
    for k in (3, 4, 10**6):
        assert probabilities(row, DecodingConfig(1, k)) == probabilities(row, DecodingConfig(1))


def test_among_equal_tokens_at_the_top_p_boundary_the_higher_ids_stay() -> None:
    assert probabilities([0, 0, 0, 0], DecodingConfig(1, 0, 0.5)).keys() == {2, 3}
    assert probabilities([0, 0, 0, 0], DecodingConfig(1, 2, 0.5)).keys() == {2, 3}
    assert probabilities([5, 0, 0, 5], DecodingConfig(1, 0, 0.4)).keys() == {3}


@pytest.mark.parametrize("size", [3, 10, 25, 100])
def test_exact_boundaries_are_not_decided_by_rounding(size: int) -> None:
    """In floats 0.07 * 100 > 7: without slack an eighth token would stay."""
    for kept in range(1, size):
        p = float(Fraction(kept, size))
        assert len(probabilities([0.0] * size, DecodingConfig(1, 0, p))) == kept


def test_a_tiny_top_p_keeps_one_token_at_any_temperature() -> None:
    for t in (0.001, 1.0, 1e6):
        assert probabilities([1, 3, 2], DecodingConfig(t, 0, 1e-12)) == {1: 1.0}


def test_a_huge_temperature_flattens_the_top_k_and_no_more() -> None:
    found = probabilities([9, -30, 3, 1], DecodingConfig(1e12, 3))
    assert found == pytest.approx({0: 1 / 3, 2: 1 / 3, 3: 1 / 3})


def test_temperatures_below_a_hundredth_are_served_as_a_hundredth() -> None:
    assert effective_temperature(DecodingConfig(0.001)) == 0.01
    assert effective_temperature(DecodingConfig(0)) == 0
    assert effective_temperature(DecodingConfig(0.5)) == 0.5
    row = [1.0, 1.001, 0.99]
    assert probabilities(row, DecodingConfig(0.001)) == probabilities(row, DecodingConfig(0.01))


def test_greedy_takes_the_lowest_id_among_equals_and_ignores_the_rest() -> None:
    logits = torch.tensor([[0.0, 4.0, 4.0], [2.0, 2.0, 2.0]])
    config = DecodingConfig(0, 2, 0.3)
    uniforms = torch.tensor([0.99, 0.99], dtype=torch.float64)
    assert sample_token(logits, config, uniforms).tolist() == [1, 0]
    assert support(logits, config).tolist() == [[False, True, False], [True, False, False]]


def test_one_token_is_always_chosen() -> None:
    for config in (DecodingConfig(0), DecodingConfig(1), DecodingConfig(2, 3, 0.5)):
        assert probabilities([-7.5], config) == {0: 1.0}


def test_minus_infinity_is_never_kept_nor_drawn() -> None:
    row = [-INF, 0.0, -INF]
    for config in (DecodingConfig(1), DecodingConfig(1, 2), DecodingConfig(1, 0, 0.99)):
        assert probabilities(row, config) == {1: 1.0}
        for u in (0.0, 0.5, math.nextafter(1, 0)):
            drawn = sample_token(torch.tensor([row]), config, torch.tensor([u]).double())
            assert drawn.item() == 1


@pytest.mark.parametrize("bad", [[math.nan, 0.0, 1.0], [INF, 0.0, 1.0], [-INF] * 3])
@pytest.mark.parametrize(
    "config",
    [DecodingConfig(0), DecodingConfig(1), DecodingConfig(1, 2, 0.9), DecodingConfig(1, 0, 0.9)],
    ids=str,
)
def test_logits_without_a_finite_maximum_are_an_error(
    bad: list[float], config: DecodingConfig
) -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], bad])
    with pytest.raises(BackendError, match="float32"):
        truncate(logits, config)
    with pytest.raises(BackendError, match="float32"):
        sample_token(logits, config, torch.tensor([0.5, 0.5], dtype=torch.float64))


@settings(max_examples=200, deadline=None)
@given(rows, configs)
def test_sampling_inverts_the_truncated_distribution(
    row: list[float], config: DecodingConfig
) -> None:
    """A fine grid of uniforms hits every token in proportion to its probability."""
    points = 400
    grid = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    logits = torch.tensor(row).expand(points, -1)
    counts = torch.bincount(sample_token(logits, config, grid), minlength=len(row)) / points
    exact = truncate(logits[0], config).exp()
    assert torch.all((counts - exact).abs() <= 1.01 / points)


def test_the_last_uniform_draws_a_kept_token() -> None:
    last = torch.tensor([math.nextafter(1, 0)], dtype=torch.float64)
    for config in (DecodingConfig(1), DecodingConfig(1, 3), DecodingConfig(1, 0, 0.9)):
        row = torch.tensor([[0.0, -2000.0, 1.0, -3000.0]])
        assert support(row[0], config)[sample_token(row, config, last).item()]
        assert row[0, sample_token(row, config, last)].item() > -10


def test_half_precision_logits_are_read_exactly() -> None:
    row = torch.tensor([0.0, 1.0, 1.0078125, -2.0], dtype=torch.bfloat16)
    config = DecodingConfig(0.8, 3, 0.9)
    assert torch.equal(truncate(row, config), truncate(row.float(), config))


def test_a_top_k_needs_no_sort_of_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    topk, sort = torch.Tensor.topk, torch.Tensor.sort

    def spy_topk(self: torch.Tensor, k: int) -> object:
        widths.append(k)
        return topk(self, k)

    def spy_sort(self: torch.Tensor, *args: object, **kwargs: object) -> object:
        widths.append(self.shape[-1])
        return sort(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "topk", spy_topk)
    monkeypatch.setattr(torch.Tensor, "sort", spy_sort)
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 50_000)))
    sample_token(logits, DecodingConfig(1, 20, 0.9), torch.tensor([0.1, 0.9]).double())
    assert widths
    assert max(widths) <= 21


def test_a_stream_of_uniforms_is_fixed_and_keyed_by_all_128_bits() -> None:
    assert draws(5).random(4).tolist() == draws(5).random(4).tolist()
    assert draws(5).random() != draws(5 + (1 << 64)).random()
    chunked = draws(2**128 - 1)
    pieces = [*chunked.random(3), *chunked.random(5)]
    assert pieces == draws(2**128 - 1).random(8).tolist()


def test_configs_round_trip_and_equal_settings_share_a_digest() -> None:
    config = DecodingConfig(1, 20, 0.8)
    assert DecodingConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert DecodingConfig(1.0, 20, 0.8).digest() == config.digest()
    others = [DecodingConfig(1.1, 20, 0.8), DecodingConfig(1, 21, 0.8), DecodingConfig(1, 20, 0.9)]
    assert len({config.digest(), *(each.digest() for each in others)}) == 4


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": INF},
        {"temperature": 1, "top_k": -1},
        {"temperature": 1, "top_k": 2.5},
        {"temperature": 1, "top_p": 0},
        {"temperature": 1, "top_p": 1.01},
        {"temperature": 1, "top_p": math.nan},
    ],
    ids=str,
)
def test_nonsense_is_refused_with_the_fix(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="use "):
        DecodingConfig(**bad)  # type: ignore[arg-type]


def test_a_config_for_each_row_or_one_for_all() -> None:
    with pytest.raises(ValueError, match="2 decoding configs for 3 rows"):
        truncate(torch.zeros(3, 4), [DecodingConfig(1), DecodingConfig(1)])


def test_importing_the_module_does_not_import_torch() -> None:
    code = f"import sys, {decoding.__name__}; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
