"""A backend that replays texts: for tests, for plugins' tests, and for trying a pipeline dry.

Deterministic, no model, no torch. It obeys the protocol in full: lazy pulls, results out of order
on demand, `max_tokens`, a context length, a death half way. It draws no random numbers: what comes
back depends on the script alone.

    backend = FakeBackend({"sum": ["print(1)", "print(2)"]})     # sample i gets text i, cyclically
    backend = FakeBackend(lambda request: f"print({request.key.sample})")

Tokens are Unicode code points, so `decode(encode(...))` is exact for every text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from benchmarks.prompts import TEXT
from ssd_eval.backends.base import Generation, Request
from ssd_eval.decoding import effective_temperature
from ssd_eval.errors import BackendError, CheckpointError, UsageError

Script = Mapping[str, Sequence[str]] | Callable[[Request], str]


class FakeBackend:
    """Replays `script`: texts by problem id, or a function of the request.

    `name` stands for the checkpoint: fakes of different names or texts have different
    fingerprints (a function counts by `name` alone). `window` > 1 hands results back in reversed
    blocks of that many, as a busy engine might. `fail_after` results, BackendError.
    """

    def __init__(
        self,
        script: Script,
        *,
        name: str = "fake",
        context_length: int | None = None,
        window: int = 1,
        fail_after: int | None = None,
    ) -> None:
        if window < 1:
            raise UsageError(f"window {window} is not positive; use 1 for results in order")
        self._script = script
        self._name = name
        self.context_length = context_length
        self._window = window
        self._fail_after = fail_after

    @property
    def fingerprint(self) -> str:
        script = None if callable(self._script) else {k: list(v) for k, v in self._script.items()}
        text = json.dumps([self._name, script], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def encode(
        self, messages: list[dict[str, str]], thinking: bool | None = None
    ) -> tuple[int, ...]:
        if [each["role"] for each in messages] == [TEXT]:
            return tuple(map(ord, messages[0]["content"]))
        text = "".join(f"<{each['role']}>{each['content']}\n" for each in messages)
        if thinking is not None:
            text += "<thinking>" if thinking else "<no thinking>"
        return tuple(map(ord, text + "<assistant>"))

    def decode(self, token_ids: tuple[int, ...]) -> str:
        return "".join(map(chr, token_ids))

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        waiting = iter(requests)
        finished = 0
        while block := list(islice(waiting, self._window)):
            for request in reversed(block):
                if finished == self._fail_after:
                    raise BackendError(f"the fake backend died after {finished} results, as told")
                yield self._answer(request)
                finished += 1

    def close(self) -> None:
        pass

    def _answer(self, request: Request) -> Generation:
        limit = request.max_tokens
        if self.context_length is not None:
            limit = min(limit, self.context_length - len(request.prompt_ids))
            if limit < 1:
                raise UsageError(
                    f"the prompt of problem {request.key.problem_id} has "
                    f"{len(request.prompt_ids)} tokens, the context {self.context_length}"
                )
        tokens = tuple(map(ord, self._text(request)))
        return Generation(
            key=request.key,
            token_ids=tokens[:limit],
            finish="stop" if len(tokens) < limit else "length",
            effective_temperature=effective_temperature(request.decoding),
        )

    def _text(self, request: Request) -> str:
        if callable(self._script):
            return self._script(request)
        texts = self._script.get(request.key.problem_id)
        if not texts:
            known = ", ".join(list(self._script)[:5]) or "none"
            raise BackendError(
                f"the fake backend has no text for problem {request.key.problem_id}; "
                f"its script knows: {known}"
            )
        return texts[request.key.sample % len(texts)]


def load(checkpoint: str, **_: object) -> FakeBackend:
    """`checkpoint`: a JSON file {problem id: [text, ...]}; the other options are moot."""
    path = Path(checkpoint)
    fix = "the fake backend's checkpoint is a JSON file {problem id: [text, ...]}"
    try:
        script = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{checkpoint}: {error}; {fix}") from error
    texts = script.values() if isinstance(script, dict) else [None]
    if not all(
        isinstance(each, list) and each and all(isinstance(text, str) for text in each)
        for each in texts
    ):
        raise CheckpointError(f"{checkpoint} has another shape; {fix}")
    return FakeBackend(script, name=path.name)
