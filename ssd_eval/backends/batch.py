"""Continuous batching: a fixed number of slots, refilled as soon as a sample is finished.

One step = one forward pass over all slots + one draw for each. What a row computes depends on its
own prompt, config and stream only; idle slots are dummy rows, and go once no request is left that
could fill them. Knows no tokenizer and no problems' wording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.chat import reach
from ssd_eval.backends.prefill import Prefill
from ssd_eval.backends.rows import Rows
from ssd_eval.decoding import (
    Arrangement,
    DecodingConfig,
    arrange,
    draws,
    effective_temperature,
    sample_token,
)
from ssd_eval.errors import UsageError

IDLE = DecodingConfig(0)
BLOCK = 256  # uniforms drawn ahead for a row
ROOM = 64  # first guess of how many tokens a row will hold


class Batch:
    """`slots` rows decoded together, `least` where few are left. Good for one `run`."""

    def __init__(
        self,
        rows: Rows,
        *,
        slots: int,
        least: int,
        prefill: Prefill,
        end_ids: frozenset[int],
        stopped: Callable[[Sequence[int], Sequence[str]], bool],
        vocabulary: int,
        context_length: int,
    ) -> None:
        self._kept = rows
        self._least = least
        self._prefill = prefill
        self._context_length = context_length
        self._vocabulary = vocabulary
        self._ends = np.zeros(vocabulary, dtype=bool)
        self._ends[[each for each in end_ids if each < vocabulary]] = True
        self._stopped = stopped

        self._requests: list[Request | None] = [None] * slots
        self._streams: list[np.random.Generator | None] = [None] * slots
        self._configs = [IDLE] * slots
        self._arrangement: Arrangement | None = None
        self._rows = np.arange(slots)
        self._next = np.zeros(slots, dtype=np.int64)  # the token that each row reads next
        self._position = np.zeros(slots, dtype=np.int64)  # and where it goes
        self._count = np.zeros(slots, dtype=np.int64)  # tokens drawn so far
        self._limit = np.zeros(slots, dtype=np.int64)  # 0: idle
        self._watched = np.zeros(slots, dtype=bool)  # rows that have stops
        self._uniforms = np.zeros((slots, BLOCK))
        self._drawn = np.zeros((slots, ROOM), dtype=np.int64)

    def run(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Every request's generation, in the order in which they finish."""
        waiting = iter(requests)
        free = list(reversed(self._rows.tolist()))
        more = True
        while True:
            while more and free:
                request = next(waiting, None)
                if more := request is not None:
                    self._start(free.pop(), request)
            if not self._limit.any():
                return
            if not more:
                self._shrink()
            for slot in self._step():
                yield self._finish(slot)
                free.append(slot)

    def _shrink(self) -> None:
        """Lets idle slots go, `least` at a time: nothing will fill them again."""
        busy = np.flatnonzero(self._limit)
        wanted = max(self._least, -(-len(busy) // self._least) * self._least)
        if wanted >= len(self._rows):
            return
        idle = np.flatnonzero(self._limit == 0)
        kept = np.concatenate([busy, idle])[:wanted]
        with torch.inference_mode():
            self._kept.keep(kept.tolist())
        self._requests = [self._requests[slot] for slot in kept]
        self._streams = [self._streams[slot] for slot in kept]
        self._configs = [self._configs[slot] for slot in kept]
        self._arrangement = None
        self._rows = np.arange(wanted)
        self._next, self._position = self._next[kept], self._position[kept]
        self._count, self._limit = self._count[kept], self._limit[kept]
        self._watched = self._watched[kept]
        self._uniforms, self._drawn = self._uniforms[kept], self._drawn[kept]

    def _start(self, slot: int, request: Request) -> None:
        tokens = len(request.prompt_ids)
        limit = min(request.max_tokens, self._context_length - tokens)
        _check(request, tokens, limit, self._context_length, self._vocabulary)
        with torch.inference_mode():
            self._kept.place(slot, self._prefill(request.prompt_ids), tokens - 1)
        self._requests[slot] = request
        self._streams[slot] = draws(request.stream)
        self._configs[slot] = request.decoding
        self._arrangement = None
        self._next[slot] = request.prompt_ids[-1]
        self._position[slot] = tokens - 1
        self._count[slot] = 0
        self._limit[slot] = limit
        self._watched[slot] = bool(request.stops)

    @torch.inference_mode()
    def _step(self) -> list[int]:
        """Draws one token for every row; the slots that finished with it."""
        logits = self._kept.logits(self._next, self._position)
        if self._arrangement is None:
            self._arrangement = arrange(
                self._configs,
                rows=len(self._configs),
                vocabulary=logits.shape[1],
                device=logits.device,
            )
        uniforms = torch.from_numpy(self._next_uniforms()).to(logits.device)
        tokens = sample_token(logits, self._arrangement, uniforms).cpu().numpy()
        return self._take(tokens)

    def _next_uniforms(self) -> NDArray[np.float64]:
        at = self._count % BLOCK
        for slot in np.flatnonzero((at == 0) & (self._limit > 0)):
            stream = self._streams[slot]
            assert stream is not None
            self._uniforms[slot] = stream.random(BLOCK)
        return self._uniforms[self._rows, at]

    def _take(self, tokens: NDArray[np.int64]) -> list[int]:
        busy = self._limit > 0
        if self._count.max() >= self._drawn.shape[1]:
            self._drawn = np.concatenate([self._drawn, np.zeros_like(self._drawn)], axis=1)
        self._drawn[self._rows, self._count] = tokens
        self._count += busy
        self._next[busy] = tokens[busy]
        self._position += busy
        finished = busy & (self._ends[tokens] | (self._count == self._limit))
        for slot in np.flatnonzero(self._watched & ~finished).tolist():
            finished[slot] = self._holds_stop(slot)
        slots: list[int] = np.flatnonzero(finished).tolist()
        return slots

    def _holds_stop(self, slot: int) -> bool:
        request = self._requests[slot]
        assert request is not None
        count = self._count[slot]
        first = max(0, count - reach(request.stops))  # the whole, at every token, were O(n^2)
        return self._stopped(self._drawn[slot, first:count].tolist(), request.stops)

    def _finish(self, slot: int) -> Generation:
        request, count = self._requests[slot], int(self._count[slot])
        assert request is not None
        tokens = self._drawn[slot, :count]
        ended = bool(self._ends[tokens[-1]])
        stopped = ended or (bool(request.stops) and self._holds_stop(slot))
        with torch.inference_mode():
            self._kept.clear(slot)
        self._requests[slot] = self._streams[slot] = None
        self._configs[slot] = IDLE
        self._arrangement = None
        self._limit[slot] = self._count[slot] = self._position[slot] = 0
        self._watched[slot] = False
        return Generation(
            key=request.key,
            token_ids=tuple(tokens[: count - ended].tolist()),
            finish="stop" if stopped else "length",
            effective_temperature=effective_temperature(request.decoding),
        )


def _check(request: Request, tokens: int, limit: int, context: int, vocabulary: int) -> None:
    name = request.key.problem_id
    if limit < 1:
        raise UsageError(
            f"the prompt of problem {name} has {tokens} tokens and the context {context}: no room "
            "to answer; leave the problem out or use a checkpoint with a longer context"
        )
    if tokens == 0:
        raise UsageError(f"the prompt of problem {name} is empty; give it at least one token")
    if not 0 <= min(request.prompt_ids) <= max(request.prompt_ids) < vocabulary:
        raise UsageError(
            f"the prompt of problem {name} holds token ids outside the model's vocabulary of "
            f"{vocabulary}; the tokenizer belongs to another checkpoint"
        )
