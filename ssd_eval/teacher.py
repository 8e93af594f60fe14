"""Teacher: a checkpoint read over given tokens, its logits handed out a few positions at a time.

The tokens go through the model's body once; its head then runs on as many positions as fit in
`HEAD_BYTES`, so that a long sequence's logits over a large vocabulary never exist at once. The head
is the model's own forward with its body's answer put in, whatever it does to logits (scaling,
soft-capping). Computes no statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from ssd_eval.checkpoint import fingerprint, load_model
from ssd_eval.errors import CheckpointError, UsageError

HEAD_BYTES = 24 * 2**20  # of float32 logits
MIN_POSITIONS = 64  # fewer would read the head's weights from memory more often than needed
NARROW_ROWS = 512  # tokens that pass a feed-forward layer at once: its activations are the widest
SMALL_ROWS = 256  # of a layer at most this wide: parts this small cost 3 % of a pass's time, which
SMALL_WIDTH = 1024  # a small vocabulary leaves to spare


class Teacher:
    """A causal language model of transformers. `name` is used in messages."""

    def __init__(self, model: Any, name: str, fingerprint: str = "") -> None:
        self.model, self.name, self.fingerprint = model, name, fingerprint
        self.config = model.config.get_text_config()
        self._body: nn.Module = model.get_decoder()
        self._answer: Callable[..., Any] = BaseModelOutputWithPast
        if self._body is model:
            raise CheckpointError(
                f"{name} is no decoder with a language-model head ({type(model).__name__}); give a "
                "causal language model"
            )
        # Logits a position; may exceed the tokenizer's size (padded embeddings).
        self.vocabulary = int(model.get_output_embeddings().weight.shape[0])

    @property
    def context_length(self) -> int | None:
        limit = getattr(self.config, "max_position_embeddings", None)
        return int(limit) if limit else None

    def step(self) -> int:
        """Positions whose logits are made at once."""
        return max(MIN_POSITIONS, HEAD_BYTES // (4 * self.vocabulary))

    def read(self, token_ids: Sequence[int]) -> Tensor:
        """The body's states [1, tokens, width]; state i predicts token i + 1.

        Raises UsageError for tokens that don't fit the context or the vocabulary.
        """
        return self.read_many([token_ids])[0]

    @torch.inference_mode()
    def read_many(self, many: Sequence[Sequence[int]]) -> list[Tensor]:
        """The states of each, in order, from one pass of the body. Raises as `read`.

        The shorter ones are padded on the right, without a mask: in a causal model nothing that
        comes after a token changes its state.
        """
        for each in many:
            self.check(each)
        longest = max(len(each) for each in many)
        padded = [[*each, *[0] * (longest - len(each))] for each in many]
        ids = torch.tensor(padded, device=self.model.device)
        with _narrow(self._body, ids.numel()):
            out = self._body(input_ids=ids, use_cache=False)
        self._answer = type(out)
        states: Tensor = out.last_hidden_state
        return [states[place : place + 1, : len(each)] for place, each in enumerate(many)]

    def check(self, token_ids: Sequence[int]) -> None:
        """Raises UsageError where `read` would."""
        limit = self.context_length
        if limit is not None and len(token_ids) > limit:
            raise UsageError(
                f"{len(token_ids)} tokens exceed the context of {limit} of {self.name}; leave the "
                "sequence out or use a checkpoint with a longer context"
            )
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) < self.vocabulary:
            odd = next(each for each in token_ids if not 0 <= each < self.vocabulary)
            raise UsageError(
                f"token id {odd} is outside the vocabulary of {self.vocabulary} of {self.name}; "
                "give sequences made with its tokenizer"
            )

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """[positions, vocabulary] of some of the states, [1, positions, width]."""
        ids = torch.zeros(states.shape[:2], dtype=torch.int64, device=states.device)
        # Of the type that this body gives: forwards read fields of their own from it.
        answer = self._answer(last_hidden_state=states)
        with _replaced(self._body, lambda *_, **__: answer):
            out: Tensor = self.model(input_ids=ids, use_cache=False).logits
        return out[0]

    @torch.inference_mode()
    def origin(self, token_ids: Sequence[int], position: int) -> str:
        """The first part whose answer is not finite at `position` or before it, in words."""
        for name, weight in self.model.named_parameters():
            if not bool(weight.isfinite().all()):
                return f"the weights {name} are not finite"
        found: list[str] = []

        def watch(name: str, out: Any) -> None:
            first = out[0] if isinstance(out, tuple) else out
            if found or not isinstance(first, Tensor) or first.ndim != 3:
                return
            if not bool(first[:, : position + 1].isfinite().all()):
                found.append(name)

        hooks = [
            module.register_forward_hook(lambda _module, _given, out, name=name: watch(name, out))
            for name, module in self.model.named_modules()
        ]
        try:
            self.model(
                input_ids=torch.tensor([token_ids[: position + 1]], device=self.model.device)
            )
        finally:
            for hook in hooks:
                hook.remove()
        return f"{found[0]} is the first part to give it" if found else "its origin is not known"


def load(name: str, *, dtype: str = "auto", device: str = "auto") -> Teacher:
    """Raises CheckpointError."""
    return Teacher(load_model(name, dtype, device), name, fingerprint(name))


@contextmanager
def _replaced(module: nn.Module, forward: Any) -> Iterator[None]:
    """The instance's `forward`, for a while."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


@contextmanager
def _narrow(body: nn.Module, tokens: int) -> Iterator[None]:
    """Feed-forward layers take a long sequence in parts: they treat every token alone."""
    with ExitStack() as replaced:
        for each in body.modules():
            last = getattr(each, "down_proj", None)
            if not isinstance(last, nn.Linear):
                continue
            rows = NARROW_ROWS if last.in_features > SMALL_WIDTH else SMALL_ROWS
            if tokens > rows:
                replaced.enter_context(_replaced(each, _in_parts(each.forward, rows)))
        yield


def _in_parts(forward: Callable[..., Any], size: int) -> Callable[..., Any]:
    def narrow(states: Tensor, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or states.ndim != 3:
            return forward(states, *args, **kwargs)
        rows = states.flatten(0, 1)[None]
        first = forward(rows[:, :size])
        out = first.new_empty((*states.shape[:2], first.shape[2]))
        into = out.view(1, -1, first.shape[2])
        into[:, :size] = first
        for at in range(size, rows.shape[1], size):
            part = slice(at, at + size)
            into[:, part] = forward(rows[:, part])
        return out

    return narrow
