"""Attention for one new token a row on a CPU, with grouped heads.

torch's fused kernel is made for long queries: for one query token it spends most of its time on
set-up, and with a mask transformers first copies the keys and values once for each query head.
Here the query heads that share keys are the rows of one small matrix product. Everything else
(prefill, unusual arguments) goes to transformers' own sdpa function.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NAME = "ssd_eval_grouped"
PLAIN = {
    "cache_position",
    "dropout",
    "is_causal",
    "position_ids",
    "scaling",
    "sliding_window",  # already in the mask
    "use_cache",
}


def use_grouped_attention(model: Any) -> None:
    """Switches a CPU model that would use sdpa; leaves every other model as it is."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    config = model.config.get_text_config()
    if model.device.type != "cpu" or config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """`query`: [rows, heads, tokens, width]; `key`, `value`: [rows, key heads, length, width].

    Returns [rows, tokens, heads, width]. `attention_mask` is additive, [rows, 1, 1, length].
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    unusual = any(kwargs[name] is not None for name in kwargs.keys() - PLAIN)
    if unusual or query.shape[2] != 1 or attention_mask is None or not _additive(attention_mask):
        out: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **kwargs
        )
        return out
    rows, heads, _, width = query.shape
    shared = key.shape[1]
    scaling = kwargs.get("scaling") or width**-0.5
    keys, values = key.flatten(0, 1), value.flatten(0, 1)
    grouped = query.reshape(rows * shared, heads // shared, width)
    scores = torch.bmm(grouped, keys.transpose(1, 2)).mul_(scaling)
    scores.view(rows, heads, -1).add_(attention_mask[:, 0])
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    return torch.bmm(weights, values).view(rows, 1, heads, width), None


def _additive(mask: Tensor) -> bool:
    return mask.is_floating_point() and mask.shape[1] == 1
