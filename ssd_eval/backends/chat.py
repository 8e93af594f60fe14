"""Messages to token ids and back, alike for every engine: chat template, end tokens, text.

Loads nothing (`checkpoint`) and samples nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from benchmarks.prompts import TEXT
from ssd_eval.checkpoint import chat_template, thinking_mode
from ssd_eval.errors import CheckpointError

MARGIN = 8  # tokens before a stop: the first piece of a text is decoded otherwise than within one


def reach(stops: Sequence[str]) -> int:
    """How many of the last tokens can hold a stop: each holds a byte of it at least."""
    return max(len(stop.encode()) for stop in stops) + MARGIN


class ChatTokenizer:
    """A checkpoint's tokenizer, and the end tokens that its files name.

    `stated_ends`: `eos_token_id` of generation_config.json, one id, several or None.
    """

    def __init__(self, tokenizer: Any, stated_ends: int | list[int] | None) -> None:
        self._tokenizer = tokenizer
        listed = stated_ends if isinstance(stated_ends, list) else [stated_ends]
        named = [*listed, tokenizer.eos_token_id]
        self.end_ids = frozenset(int(each) for each in named if each is not None)

    def encode(
        self, messages: list[dict[str, str]], thinking: bool | None = None
    ) -> tuple[int, ...]:
        """Prompt token ids, generation prompt included. Raises CheckpointError.

        A single message of role TEXT is continued as it is, without a template.
        """
        if [each["role"] for each in messages] == [TEXT]:
            return tuple(self._tokenizer.encode(messages[0]["content"]))
        mode = thinking_mode(chat_template(self._tokenizer), thinking)
        try:
            text = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False, **mode
            )
        except TemplateError as error:
            roles = ", ".join(each["role"] for each in messages)
            raise CheckpointError(
                f"the checkpoint's chat template refuses messages from {roles} ({error}); "
                "leave out the system message or use another template"
            ) from error
        return self.encode_text(text)

    def encode_text(self, text: str) -> tuple[int, ...]:
        """No template, no special tokens added."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def stopped(self, token_ids: Sequence[int], stops: Sequence[str]) -> bool:
        """Whether the text holds one of `stops`, to which its last token belongs.

        Asked at every token, so only the last `reach(stops)` ids are read, and no more are needed.
        """
        if not stops:
            return False
        tail = self.decode(tuple(token_ids[-reach(stops) :]))
        return any(stop in tail for stop in stops)

    def decode(self, token_ids: tuple[int, ...]) -> str:
        text: str = self._tokenizer.decode(
            token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


class ChatBackend:
    """What every engine with a checkpoint's tokenizer answers alike."""

    def __init__(self, chat: ChatTokenizer, fingerprint: str) -> None:
        self._chat = chat
        self._fingerprint = fingerprint

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def encode(
        self, messages: list[dict[str, str]], thinking: bool | None = None
    ) -> tuple[int, ...]:
        return self._chat.encode(messages, thinking)

    def decode(self, token_ids: tuple[int, ...]) -> str:
        return self._chat.decode(token_ids)
