"""Our truncation beside vLLM's own sampler functions, without an engine (`make test-vllm`)."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from ssd_eval.decoding import DecodingConfig, effective_temperature, truncate

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]
BLOCK = 50  # rows at once
CONFIGS = [
    DecodingConfig(1.0, 20, 0.8),
    DecodingConfig(1.6, 20, 0.8),
    DecodingConfig(1.2, 0, 0.95),
    DecodingConfig(0.7, 50, 1.0),
    DecodingConfig(1.0),
    DecodingConfig(0.001, 0, 0.5),
    DecodingConfig(2.0, 1000, 0.999),
]


@pytest.mark.parametrize(("vocabulary", "rows"), [(735, 1000), (151_936, 100)])
@pytest.mark.parametrize("decoding", CONFIGS, ids=str)
def test_the_truncated_distribution_is_vllms(
    decoding: DecodingConfig, vocabulary: int, rows: int
) -> None:
    """To 1e-4 in float32, as vLLM computes. A row that differs must have its top-p boundary within
    1e-5 of a cumulative mass, and at most 1 % may.

    Many more rows have one that near (2 % at T = 1.2, p = 0.95, 735 tokens; all of them with
    151,936, where a token at the boundary is smaller than that) and do not differ.
    """
    apart = 0
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        seeded = torch.Generator().manual_seed(start)
        logits = torch.randn(count, vocabulary, generator=seeded) * 4
        differ = (truncate(logits, decoding).exp() - vllms(logits, decoding)).abs().amax(-1) > 1e-4
        whole = truncate(logits, DecodingConfig(decoding.temperature, decoding.top_k)).exp()
        masses = whole.sort(descending=True).values.cumsum(-1)
        near = ((masses - decoding.top_p).abs() < 1e-5).any(-1)
        assert not (differ & ~near).any()
        apart += int(differ.sum())
    print(f"{decoding}, {vocabulary} tokens: {apart} of {rows} set apart")
    assert apart <= rows // 100


def vllms(logits: torch.Tensor, decoding: DecodingConfig) -> torch.Tensor:
    """Probabilities by vLLM's functions, in the order in which its sampler calls them."""
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch
    from vllm.v1.sample.sampler import Sampler

    rows, vocabulary = logits.shape
    heat = torch.full((rows,), effective_temperature(decoding))
    scaled = Sampler.apply_temperature(logits.clone(), heat, all_random=True)
    k = torch.full((rows,), min(decoding.top_k or vocabulary, vocabulary))
    p = torch.full((rows,), decoding.top_p)
    return apply_top_k_top_p_pytorch(scaled, k, p).double().softmax(-1)


def test_greedy_is_the_first_of_equal_maxima_in_both() -> None:
    from vllm.v1.sample.sampler import Sampler

    logits = torch.zeros(8, 735)
    logits[:, [40, 41, 600]] = 3.0
    assert Sampler.greedy_sample(logits).tolist() == [40] * 8
    assert truncate(logits, DecodingConfig(0.0)).argmax(-1).tolist() == [40] * 8
