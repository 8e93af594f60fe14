"""The rows of a batch: what a model keeps of each slot's tokens, and one forward pass over all.

`ModelRows` runs transformers' own modules and serves every model; `DecoderRows` runs `decoder`.
Draws nothing and knows no requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssd_eval.backends.decoder import Decoder
from ssd_eval.backends.slots import KeysValues, SlotCache
from ssd_eval.backends.tiers import Tiers


class Rows(Protocol):
    """Slots 0, 1, ... of one batch."""

    def place(self, slot: int, prompt: KeysValues, tokens: int) -> None:
        """Puts a prompt's first `tokens` tokens into an empty slot."""
        ...

    def clear(self, slot: int) -> None:
        """What the slot held is not needed any more."""
        ...

    def keep(self, slots: Sequence[int]) -> None:
        """Lets all slots but these go; they are numbered anew, in this order."""
        ...

    def logits(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor:
        """Next-token logits, [slots, vocabulary], after one token of each slot at its position.

        Those of empty slots mean nothing, but are finite.
        """
        ...


class ModelRows:
    """Empty slots are computed as rows of one token."""

    def __init__(self, model: Any, cache: SlotCache) -> None:
        self._model = model
        self._cache = cache
        self.place = cache.place
        self.keep = cache.keep

    def clear(self, slot: int) -> None:
        """`place` overwrites."""

    def logits(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor:
        device = self._cache.rows.device
        at = torch.from_numpy(positions).to(device, copy=True)
        self._cache.attend(at, int(positions.max()))
        out = self._model(
            input_ids=torch.from_numpy(tokens).to(device).unsqueeze(1),
            position_ids=at.unsqueeze(1),
            attention_mask=self._cache.masks(),
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: Tensor = out.logits[:, -1]
        return logits


class DecoderRows:
    """Empty slots cost no attention."""

    def __init__(self, decoder: Decoder, slots: int) -> None:
        self._decoder = decoder
        self._tiers = Tiers(decoder.shape, slots)
        self.place = self._tiers.place
        self.clear = self._tiers.clear
        self.keep = self._tiers.keep

    def logits(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor:
        return self._decoder(torch.from_numpy(tokens), torch.from_numpy(positions), self._tiers)
