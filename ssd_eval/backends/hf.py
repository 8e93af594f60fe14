"""Sampling with transformers on a CPU or GPU: ordinary models, our own decode loop.

`model.generate` pads every batch to its longest member and sorts whole vocabularies; here finished
rows are replaced at once (`batch`), a prompt is prefilled once for all its samples and
temperatures (`prefill`), and tokens are drawn by `ssd_eval.decoding` alone: of generation_config
only the end tokens count, none of its sampling fields.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ssd_eval.backends import forked
from ssd_eval.backends.alike import alike_from
from ssd_eval.backends.attention import use_grouped_attention
from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.batch import Batch
from ssd_eval.backends.chat import ChatBackend, ChatTokenizer
from ssd_eval.backends.decoder import decoder
from ssd_eval.backends.lanes import run_lanes
from ssd_eval.backends.prefill import Prefill
from ssd_eval.backends.rows import DecoderRows, ModelRows, Rows
from ssd_eval.backends.slots import SlotCache, attention_kinds
from ssd_eval.checkpoint import fingerprint, load_model, load_tokenizer
from ssd_eval.errors import BackendError, out_of_memory

BATCH_SIZE = 64  # measured: 128 is 6 % faster on the organism and has twice the tail
SMALL = 50_000_000  # parameters below which one core is best served by one thread
MAX_LANES = 2  # more were not measured
PREFILL_BYTES = 256 * 2**20
UNLIMITED = 2**31  # where config.json states no context length


class HFBackend(ChatBackend):
    """A transformers causal language model behind the Backend protocol.

    `batch_size` rows are decoded at once in each of `lanes` processes (threads where Linux is
    not); memory grows with both and with the longest sample.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        fingerprint: str,
        *,
        batch_size: int = BATCH_SIZE,
        lanes: int = 1,
    ) -> None:
        self._model = model
        ends = getattr(model.generation_config, "eos_token_id", None)
        super().__init__(ChatTokenizer(tokenizer, ends), fingerprint)
        self._batch_size = batch_size
        self._lanes = lanes
        self._config = model.config.get_text_config()
        self._kinds, self._window = attention_kinds(self._config)
        self._decoder = decoder(model)
        use_grouped_attention(model)
        self._prefill: Prefill | None = Prefill(model, PREFILL_BYTES)
        self._least = 0  # not tried yet

    @property
    def context_length(self) -> int:
        """Prompt and completion together, in tokens."""
        return int(getattr(self._config, "max_position_embeddings", None) or UNLIMITED)

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        with _memory_errors(self._batch_size):
            if self._lanes > 1 and forked.AVAILABLE:  # threads would wait for each other
                yield from forked.run_forked([self._batch] * self._lanes, requests)
            else:
                yield from run_lanes([self._batch() for _ in range(self._lanes)], requests)

    def close(self) -> None:
        """Frees the model; the backend is of no use afterwards."""
        self._model = self._prefill = self._decoder = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _batch(self) -> Batch:
        if self._model is None or self._prefill is None:
            raise BackendError("the hf backend is closed; load it again")
        if not self._least:  # here, since threads may differ from those that loaded the model
            joined = self._decoder.weights() if self._decoder else ()
            self._least = alike_from(self._model, joined)
        slots = max(self._batch_size, self._least)  # a smaller batch is filled up with idle rows
        return Batch(
            self._rows(slots),
            slots=slots,
            least=self._least,
            prefill=self._prefill,
            end_ids=self._chat.end_ids,
            stopped=self._chat.stopped,
            vocabulary=self._config.vocab_size,
            context_length=self.context_length,
        )

    def _rows(self, slots: int) -> Rows:
        if self._decoder is not None:
            return DecoderRows(self._decoder, slots)
        cache = SlotCache(
            layers=self._config.num_hidden_layers,
            slots=slots,
            layer_kinds=self._kinds,
            window=self._window,
            dtype=self._model.dtype,
            device=self._model.device,
        )
        return ModelRows(self._model, cache)


def load(
    checkpoint: str, *, device: str = "auto", dtype: str = "auto", batch_size: int | None = None
) -> HFBackend:
    """Loads a folder, a shipped name or a hub id. Raises CheckpointError with the fix."""
    tokenizer = load_tokenizer(checkpoint)
    model = load_model(checkpoint, dtype, device)
    return HFBackend(
        model,
        tokenizer,
        fingerprint(checkpoint),
        batch_size=batch_size or BATCH_SIZE,
        lanes=_lanes(model, batch_size),
    )


def _lanes(model: Any, batch_size: int | None) -> int:
    """A stated batch size is taken at its word: one lane."""
    if batch_size is not None or model.device.type != "cpu" or model.num_parameters() > SMALL:
        return 1
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(1)
    return min(MAX_LANES, len(cores))


@contextmanager
def _memory_errors(batch_size: int) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise BackendError(
            f"out of memory with {batch_size} rows decoded at once; lower --sampling-batch or "
            "--max-tokens and repeat the command: what was finished is kept"
        ) from error
