"""The key-value cache of a fixed batch of slots, each at a position of its own.

transformers' caches write one position for the whole batch; here every row has its own, so that a
finished row can make room for another prompt while its neighbours go on. Models see an ordinary
`Cache`. Knows nothing of requests or sampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from ssd_eval.errors import BackendError

STRIDE = 32  # attended lengths are multiples of this: see `SlotCache.attend`

KeysValues = Sequence[tuple[Tensor, Tensor]]  # one pair a layer, each [1, heads, tokens, width]


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [slots, heads, capacity, width]."""

    is_compileable = True

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._cache = cache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys = self._empty(key_states)
        self.values = self._empty(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        keys, values = self._stored()
        cache = self._cache
        keys[cache.rows, :, cache.positions] = key_states[:, :, 0]
        values[cache.rows, :, cache.positions] = value_states[:, :, 0]
        return keys[:, :, : cache.attended], values[:, :, : cache.attended]

    def place(self, slot: int, key_states: Tensor, value_states: Tensor) -> None:
        """Copies a prefilled prompt, [1, heads, tokens, width], to the slot's beginning."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        keys, values = self._stored()
        keys[slot, :, : key_states.shape[2]] = key_states[0]
        values[slot, :, : value_states.shape[2]] = value_states[0]

    def grow(self) -> None:
        if not self.is_initialized:
            return
        keys, values = self._stored()
        old = keys.shape[2]
        self.lazy_initialization(keys, values)
        self._stored()[0][:, :, :old] = keys
        self._stored()[1][:, :, :old] = values

    def keep(self, rows: Tensor) -> None:
        if self.is_initialized:
            keys, values = self._stored()
            self.keys, self.values = keys[rows], values[rows]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._cache.attended, 0

    def get_seq_length(self) -> int:
        return self._cache.attended

    def get_max_length(self) -> int:
        return self._cache.capacity

    def _stored(self) -> tuple[Tensor, Tensor]:
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def _empty(self, like: Tensor) -> Tensor:
        # Zeros, because what lies beyond a row's position is masked by weights of 0, and 0 * NaN
        # is NaN.
        heads, width = like.shape[1], like.shape[3]
        shape = (self._cache.slots, heads, self._cache.capacity, width)
        return torch.zeros(shape, dtype=like.dtype, device=like.device)


class SlotCache(Cache):
    """All layers' slots, the rows' positions, and the masks that go with them.

    `layer_kinds`: the model's attention kinds (`attention_kinds`); `window`: the sliding window.
    """

    def __init__(
        self,
        *,
        layers: int,
        slots: int,
        layer_kinds: Sequence[str],
        window: int | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.slots = slots
        self.capacity = STRIDE
        self.attended = STRIDE
        self.rows = torch.arange(slots, device=device)
        self.positions = torch.zeros(slots, dtype=torch.int64, device=device)
        self._windows = {
            kind: window if kind == "sliding_attention" else None for kind in layer_kinds
        }
        self._masks = {
            kind: torch.full((slots, 1, 1, STRIDE), -math.inf, dtype=dtype, device=device)
            for kind in layer_kinds
        }
        self._slot_layers = [SlotLayer(self) for _ in range(layers)]
        super().__init__(layers=list(self._slot_layers))

    def place(self, slot: int, prompt: KeysValues, tokens: int) -> None:
        """Empties the slot and puts a prompt's first `tokens` tokens into it."""
        self._ensure(tokens)
        for layer, (keys, values) in zip(self._slot_layers, prompt, strict=tokens > 0):
            layer.place(slot, keys, values)
        for kind, mask in self._masks.items():
            window = self._windows[kind]
            mask[slot] = -math.inf
            mask[slot, ..., 0 if window is None else max(0, tokens - window) : tokens] = 0.0

    def keep(self, rows: Sequence[int]) -> None:
        """Lets all slots but these go; they are numbered anew, in this order."""
        kept = torch.tensor(rows, device=self.rows.device)
        self.slots = len(rows)
        self.rows = torch.arange(self.slots, device=kept.device)
        self._masks = {kind: mask[kept] for kind, mask in self._masks.items()}
        for layer in self._slot_layers:
            layer.keep(kept)

    def attend(self, positions: Tensor, longest: int) -> None:
        """Says where the next token of each row goes; `longest` is the largest position.

        The attended length is the longest row's, rounded up to `STRIDE`. A row's arithmetic does
        not depend on it: beyond the row's own position the weights are exact zeros, and kernels
        cut lengths that are multiples of `STRIDE` into the same blocks (tests/test_backend_hf.py
        proves it bit by bit).
        """
        self._ensure(longest + 1)
        self.positions = positions
        self.attended = -(-(longest + 1) // STRIDE) * STRIDE
        for kind, mask in self._masks.items():
            window = self._windows[kind]
            mask[self.rows, 0, 0, positions] = 0.0
            if window is not None and longest >= window:
                old = (positions >= window).nonzero().squeeze(1)
                mask[old, 0, 0, positions[old] - window] = -math.inf

    def masks(self) -> Tensor | dict[str, Tensor]:
        """Additive masks, [slots, 1, 1, attended]; a mapping where layers differ in kind."""
        cut = {kind: mask[..., : self.attended] for kind, mask in self._masks.items()}
        return next(iter(cut.values())) if len(cut) == 1 else cut

    def _ensure(self, tokens: int) -> None:
        if tokens <= self.capacity:
            return
        self.capacity = -(-max(tokens, self.capacity + self.capacity // 2) // STRIDE) * STRIDE
        for layer in self._slot_layers:
            layer.grow()
        for kind, mask in self._masks.items():
            wider = mask.new_full((*mask.shape[:3], self.capacity), -math.inf)
            wider[..., : mask.shape[3]] = mask
            self._masks[kind] = wider


def attention_kinds(config: Any) -> tuple[tuple[str, ...], int | None]:
    """(kinds of attention among the layers, sliding window) of a transformers text config.

    Raises BackendError where a layer keeps another state than keys and values.
    """
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        kinds = ["full_attention" if window is None else "sliding_attention"]
    strange = set(kinds) - {"full_attention", "sliding_attention"}
    if strange:
        raise BackendError(
            f"the hf backend cannot decode {', '.join(sorted(strange))} layers "
            f"({config.model_type}); use --backend vllm"
        )
    return tuple(sorted(set(kinds))), window
