"""Prompts run through the model once, and kept while memory allows.

A prompt is prefilled alone, so its keys and values depend on nothing else. All but its last token
go in: that one is the first token which the decode step reads.
"""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

PromptCache = list[tuple[Tensor, Tensor]]  # one (keys, values) a layer, [1, heads, tokens, width]


class Prefill:
    """Least-recently-used prompts, at most `max_bytes` of them (always the latest)."""

    def __init__(self, model: Any, max_bytes: int) -> None:
        self._model = model
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[int, ...], PromptCache] = OrderedDict()
        # A long prompt's logits over the whole vocabulary would dwarf its keys and values.
        lean = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._options = {"logits_to_keep": 1} if lean else {}
        self._lock = threading.Lock()  # lanes share one store
        self.computed = 0  # prompts that went through the model

    def __call__(self, prompt_ids: tuple[int, ...]) -> PromptCache:
        """Keys and values of all tokens but the last; nothing for a prompt of one token."""
        if len(prompt_ids) < 2:
            return []
        with self._lock:
            found = self._kept.pop(prompt_ids, None)
            if found is None:
                found = self._run(prompt_ids)
                self._bytes += _size(found)
            self._kept[prompt_ids] = found
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
            return found

    @torch.inference_mode()
    def _run(self, prompt_ids: tuple[int, ...]) -> PromptCache:
        ids = torch.tensor([prompt_ids[:-1]], device=self._model.device)
        cache = DynamicCache()
        self._model(
            input_ids=ids,
            position_ids=torch.arange(ids.shape[1], device=ids.device).unsqueeze(0),
            past_key_values=cache,
            use_cache=True,
            **self._options,
        )
        self.computed += 1
        layers: Any = cache.layers
        return [(layer.keys, layer.values) for layer in layers]


def _size(prompt: PromptCache) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in prompt)
