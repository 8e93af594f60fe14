"""Logits handed out in parts are the model's own, for every kind of head and number format."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ssd_eval import teacher
from ssd_eval.errors import UsageError
from ssd_eval.teacher import Teacher

SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}


def llama(**changes: Any) -> Any:
    return LlamaForCausalLM(LlamaConfig(**{**SIZES, **changes}))


MODELS: dict[str, Callable[[], Any]] = {
    "tied": lambda: llama(tie_word_embeddings=True),
    "untied": lambda: llama(tie_word_embeddings=False),
    "soft-capped": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SIZES, final_logit_softcapping=3.0, sliding_window=16)
    ),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=90, n_positions=256, n_embd=32, n_layer=2, n_head=4)
    ),
}
IDS = [5, 80, 3, 3, 41, 7, 2, 60, 12, 11] * 12


def made(name: str, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    return MODELS[name]().to(dtype).eval()


@pytest.mark.parametrize("name", list(MODELS))
def test_logits_in_parts_are_the_models_own(name: str) -> None:
    model = made(name)
    with torch.inference_mode():
        expected = model(torch.tensor([IDS])).logits[0]
    read = Teacher(model, name)
    states = read.read(IDS)
    parts = torch.cat([read.logits(states[:, at : at + 7]) for at in range(0, len(IDS), 7)])
    torch.testing.assert_close(parts, expected, rtol=1e-5, atol=1e-5)
    with torch.inference_mode():  # and the model is left as it was
        torch.testing.assert_close(model(torch.tensor([IDS])).logits[0], expected)


@pytest.mark.parametrize("name", list(MODELS))
def test_sequences_that_share_a_pass_are_read_as_alone(name: str) -> None:
    read = Teacher(made(name), name)
    many = [IDS[:40], IDS[3:9], IDS[7:8], IDS[1:41]]
    found = read.read_many(many)
    assert [tuple(each.shape[:2]) for each in found] == [(1, 40), (1, 6), (1, 1), (1, 40)]
    for each, states in zip(many, found, strict=True):
        torch.testing.assert_close(states, read.read(each), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_the_models_own(dtype: torch.dtype) -> None:
    model = made("untied", dtype)
    with torch.inference_mode():
        expected = model(torch.tensor([IDS])).logits[0]
    read = Teacher(model, "half")
    found = read.logits(read.read(IDS))
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("rows", "small"), [("SMALL_ROWS", 48), ("NARROW_ROWS", 47)])
def test_long_sequences_pass_feed_forward_layers_in_parts(
    rows: str, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made("tied")
    with torch.inference_mode():
        expected = model(torch.tensor([IDS])).logits[0]
    seen: list[int] = []
    linear = model.model.layers[0].mlp.down_proj
    linear.register_forward_hook(lambda _module, given, _out: seen.append(given[0].shape[1]))
    monkeypatch.setattr(teacher, rows, 64)
    monkeypatch.setattr(teacher, "SMALL_WIDTH", small)
    read = Teacher(model, "narrow")
    found = read.logits(read.read(IDS))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert seen == [64, 56]
    assert "forward" not in vars(model.model.layers[0].mlp)
    many = [IDS[:40], IDS[3:43]]  # parts end inside a sequence
    for each, states in zip(many, read.read_many(many), strict=True):
        torch.testing.assert_close(states, read.read(each), rtol=1e-4, atol=1e-5)
    assert seen == [64, 56, 64, 16, 40, 40]


def test_sequence_beyond_the_context_or_the_vocabulary_is_refused_by_name() -> None:
    read = Teacher(made("tied"), "small")
    with pytest.raises(UsageError, match="257 tokens exceed the context of 256 of small"):
        read.read([1] * 257)
    with pytest.raises(UsageError, match="token id 90 is outside the vocabulary of 90 of small"):
        read.read([1, 90])
    with pytest.raises(UsageError, match="token id -1 "):
        read.read([-1])


def test_origin_of_nan_is_the_first_layer_that_gives_it() -> None:
    model = made("untied")
    layer = model.model.layers[1].self_attn
    layer.register_forward_hook(lambda _m, _g, out: (out[0] * math.nan, *out[1:]))
    assert "model.layers.1.self_attn is the first" in Teacher(model, "bad").origin(IDS, 4)


def test_weights_that_are_not_finite_are_named() -> None:
    model = made("untied")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = math.nan
    assert "model.layers.1.mlp.up_proj.weight" in Teacher(model, "bad").origin(IDS, 4)
