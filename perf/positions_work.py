"""What `positions.py` compares: two models of a shape, sequences, and three ways over them.

Bare: both models with nothing but `model(ids).logits`. Ours: `analysis.read`. Naive: every field
with full float32 logits, softmax and sort (`naive_positions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import naive_positions

SHAPES: dict[str, dict[str, int]] = {
    "organism": {},
    "smollm": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "qwen": {
        "vocab_size": 151_936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
}
TEMPERATURES = (0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 1.8, 2.0)
T_TRAIN, TOP_K, TOP_P = 0.9, 20, 0.8
SPREAD = 6.0  # of random logits
MODELS = ("base", "distilled")


def decodings(top_k: int) -> list[Any]:
    from ssd_eval.decoding import DecodingConfig

    return [DecodingConfig(t, top_k, TOP_P) for t in (T_TRAIN, *TEMPERATURES)]


def teachers(shape: str) -> tuple[Any, Any]:
    """Two models of one shape whose logits differ a little."""
    import torch

    from ssd_eval import teacher

    if shape == "organism":
        pair = [teacher.load("organism") for _ in range(2)]
    else:
        pair = [teacher.Teacher(_random(shape), shape) for _ in range(2)]
        for each in pair:
            _spread(each)
    with torch.no_grad():
        weight = pair[1].model.get_output_embeddings().weight
        weight.add_(torch.randn_like(weight), alpha=float(weight.std()) * 0.1)
    return pair[0], pair[1]


def _random(shape: str) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    made = (Qwen2ForCausalLM, Qwen2Config) if shape == "qwen" else (LlamaForCausalLM, LlamaConfig)
    config = made[1](**SHAPES[shape], max_position_embeddings=8192, tie_word_embeddings=True)
    return made[0](config).train(False)


def _spread(each: Any) -> None:
    import torch

    with torch.no_grad():
        found = each.logits(each.read(list(range(100, 140)))).std()
        # The final norm's gain scales logits and leaves tied embeddings alone.
        each._body.norm.weight.mul_(SPREAD / float(found))


def sequences(shape: str, tokens: int) -> list[Any]:
    """The organism's are micro's references, as many as give so many tokens; else one, random."""
    from ssd_eval.sequences import of_references

    if shape != "organism":
        return [random_sequence(SHAPES[shape]["vocab_size"], tokens)]
    from benchmarks import registry
    from ssd_eval.checkpoint import end_token, load_tokenizer

    tokenizer = load_tokenizer("organism")
    found: list[Any] = []
    for each in of_references(
        registry.load("micro").problems(), tokenizer, end_token(tokenizer), 10
    ):
        if sum(len(one.answer_ids) for one in found) >= tokens:
            break
        found.append(each)
    return found


def random_sequence(vocabulary: int, tokens: int) -> Any:
    import torch

    from ssd_eval.sequences import Tokens

    ids = torch.randint(0, vocabulary, (tokens + 1,)).tolist()
    return Tokens("p", "p", 0, (ids[0],), tuple(ids[1:]))


def bare(pair: Sequence[Any], texts: Sequence[Any]) -> None:
    import torch

    with torch.inference_mode():
        for each in texts:
            for one in pair:
                one.model(input_ids=torch.tensor([each.ids[:-1]]), use_cache=False).logits  # noqa: B018


def ours(pair: Sequence[Any], texts: Sequence[Any], top_k: int) -> list[Any]:
    from ssd_eval import analysis

    return [
        rows
        for batch in analysis._batches(texts)
        for rows in analysis.read(pair[0], pair[1], batch, decodings(top_k))
    ]


def naive(pair: Sequence[Any], texts: Sequence[Any], top_k: int, shared: bool) -> None:
    for each in texts:
        naive_positions.sequence(pair, each, decodings(top_k), shared)
