"""What a sampling engine is: requests in, generations out, in any order.

A backend knows token ids, decoding configs and random streams. It knows no problems, prompts'
wording, run folders or verdicts: those belong to `sample` and `store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ssd_eval.decoding import DecodingConfig
from ssd_eval.records import FinishReason, SampleKey


@dataclass(frozen=True)
class Request:
    """One sample to draw. Equal `prompt_ids` may share a prefill.

    `stream` seeds the sample's own random numbers; it is derived from (seed, key) alone, so a
    result never depends on batch size or order. A backend may end a sample whose text holds one of
    `stops`, which is kept: what is before the first of them is the same either way.
    """

    key: SampleKey
    prompt_ids: tuple[int, ...]
    decoding: DecodingConfig
    max_tokens: int
    stream: int  # 128-bit
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generation:
    """`token_ids` without the end token."""

    key: SampleKey
    token_ids: tuple[int, ...]
    finish: FinishReason
    effective_temperature: float


class Backend(Protocol):
    """One checkpoint, loaded. Built by `ssd_eval.backends.load(name, checkpoint, ...)`."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the checkpoint's content (weights, config, tokenizer, template)."""
        ...

    def encode(
        self, messages: list[dict[str, str]], thinking: bool | None = None
    ) -> tuple[int, ...]:
        """Chat messages to prompt token ids, generation prompt included.

        A single message of the role `benchmarks.prompts.TEXT` is plain text to go on from: no chat
        template, and the special tokens with which the tokenizer begins a text. `thinking` turns a
        template's thinking mode on or off (`enable_thinking`); None leaves it to the template.
        """
        ...

    def decode(self, token_ids: tuple[int, ...]) -> str: ...

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Yields each generation as it finishes. Pulls requests lazily.

        Raises BackendError (what to lower, where it can be told), UsageError for a prompt longer
        than the context.
        """
        ...

    def close(self) -> None: ...
