"""The order in which a whole sweep's requests go to an engine: the longest expected first.

A long completion started last leaves the device idle while it ends; so what is likely to be long
starts early. How long a prompt's completions are is learnt from those that have finished, of which
one for each prompt goes first. Order never changes what is drawn (each request has its own stream).
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ssd_eval.backends.base import Request

Prompt = tuple[int, ...]


@dataclass
class _Group:
    """The requests of one prompt that wait, and the lengths of those that came back."""

    waiting: deque[Request] = field(default_factory=deque)
    finished: int = 0
    tokens: int = 0


class LongestFirst:
    """An iterator over `requests`, for any number of threads. Pulls them all at once.

    Takes one request of each prompt, longest prompts first; then whatever prompt has the longest
    mean completion so far, as `finished` told it. A prompt of which nothing is known yet counts
    as the mean of all.
    """

    def __init__(self, requests: Iterable[Request]) -> None:
        self._groups: dict[Prompt, _Group] = {}
        for request in requests:
            self._groups.setdefault(request.prompt_ids, _Group()).waiting.append(request)
        self._lock = threading.Lock()
        self._first = deque(sorted(self._groups, key=len, reverse=True))
        self._heap: list[tuple[float, int, Prompt]] = []
        self._finished = self._tokens = self._pushed = 0
        self._unknown = set(self._groups)

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        with self._lock:
            if self._first:
                return self._groups[self._first.popleft()].waiting.popleft()
            prompt = self._longest()
            if prompt is None:
                raise StopIteration
            return self._groups[prompt].waiting.popleft()

    def finished(self, request: Request, tokens: int) -> None:
        """A request came back with so many tokens."""
        with self._lock:
            group = self._groups[request.prompt_ids]
            group.finished += 1
            group.tokens += tokens
            self._finished += 1
            self._tokens += tokens
            self._unknown.discard(request.prompt_ids)
            self._push(request.prompt_ids)

    def _longest(self) -> Prompt | None:
        """The prompt to go on with. Entries of the heap that a later mean replaced are dropped."""
        while self._heap:
            expected, _, prompt = self._heap[0]
            group = self._groups[prompt]
            if group.waiting and -expected == group.tokens / group.finished:
                break
            heapq.heappop(self._heap)
        known = -self._heap[0][0] if self._heap else -1.0
        mean = self._tokens / self._finished if self._finished else 0.0
        unknown = self._any_unknown() if mean >= known else None
        return unknown or (self._heap[0][2] if self._heap else self._any_unknown())

    def _any_unknown(self) -> Prompt | None:
        while self._unknown:
            prompt = next(iter(self._unknown))
            if self._groups[prompt].waiting:
                return prompt
            self._unknown.discard(prompt)
        return None

    def _push(self, prompt: Prompt) -> None:
        group = self._groups[prompt]
        if group.waiting:
            self._pushed += 1  # keeps the order of equals, and prompts out of the comparison
            heapq.heappush(self._heap, (-group.tokens / group.finished, self._pushed, prompt))
