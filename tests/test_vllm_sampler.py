"""Our truncation beside vLLM's own sampler functions, without an engine (`make test-vllm`)."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from ssd_eval.decoding import DecodingConfig, effective_temperature, truncate

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]
CONFIGS = [
    DecodingConfig(1.0, 20, 0.8),
    DecodingConfig(1.6, 20, 0.8),
    DecodingConfig(1.2, 0, 0.95),
    DecodingConfig(0.7, 50, 1.0),
    DecodingConfig(1.0),
    DecodingConfig(0.001, 0, 0.5),
    DecodingConfig(2.0, 1000, 0.999),
]


@pytest.mark.parametrize("vocabulary", [735, 151_936])
@pytest.mark.parametrize("decoding", CONFIGS, ids=str)
def test_the_truncated_distribution_is_vllms(decoding: DecodingConfig, vocabulary: int) -> None:
    """To 1e-4 in float32, as vLLM computes; rows are set apart where a token of more than 9e-5
    ends within 1e-5 of top-p.
    """
    import torch
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch
    from vllm.v1.sample.sampler import Sampler

    rows = 64
    logits = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(1)) * 4
    ours = truncate(logits, decoding).exp()
    heat = torch.full((rows,), effective_temperature(decoding))
    scaled = Sampler.apply_temperature(logits.clone(), heat, all_random=True)
    k = torch.full((rows,), min(decoding.top_k or vocabulary, vocabulary))
    p = torch.full((rows,), decoding.top_p)
    theirs = apply_top_k_top_p_pytorch(scaled, k, p).double().softmax(-1)
    whole = truncate(logits, DecodingConfig(decoding.temperature, decoding.top_k)).exp()
    masses = whole.sort(descending=True).values
    close = (masses.cumsum(-1) - decoding.top_p).abs() < 1e-5
    apart = (close & (masses > 9e-5)).any(-1) & (decoding.top_p < 1)
    assert apart.sum() <= 6  # of 64: at p = 0.95 without top-k the boundary tokens are that small
    assert (ours - theirs)[~apart].abs().max() < 1e-4


def test_greedy_is_the_first_of_equal_maxima_in_both() -> None:
    import torch
    from vllm.v1.sample.sampler import Sampler

    logits = torch.zeros(8, 735)
    logits[:, [40, 41, 600]] = 3.0
    assert Sampler.greedy_sample(logits).tolist() == [40] * 8
    assert truncate(logits, DecodingConfig(0.0)).argmax(-1).tolist() == [40] * 8
