"""Problems x decoding configs -> completions, through any backend.

Makes the keys and the random streams; keeps no files (`store`) and grades nothing (`grade`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TypedDict

from benchmarks.base import Problem
from benchmarks.extract import STOPS
from benchmarks.prompts import messages
from ssd_eval.backends.base import Backend, Generation, Request
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import BackendError, UsageError
from ssd_eval.records import Completion, SampleKey

STOP_RULES = ("end-token",)  # the checkpoint's end tokens; continued code also ends at STOPS


def prompt_hash(prompt_ids: Sequence[int]) -> str:
    """16 hex digits over the prompt's token ids: wording, template and tokenizer together."""
    return hashlib.sha256(",".join(map(str, prompt_ids)).encode()).hexdigest()[:16]


def decoding_digest(
    decoding: DecodingConfig,
    *,
    max_tokens: int,
    prompt: str,
    fingerprint: str,
    stop: Sequence[str] = STOP_RULES,
) -> str:
    """16 hex digits over all that shapes a completion besides seed, problem and sample index.

    `prompt` is a `prompt_hash`, `fingerprint` a checkpoint's. As every problem has its own prompt,
    every problem has its own digests; group completions by `Completion.decoding`, not by these.
    """
    covered = {
        **decoding.to_json(),
        "stop": list(stop),
        "max_tokens": max_tokens,
        "prompt": prompt,
        "checkpoint": fingerprint,
    }
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()[:16]


def stops(problem: Problem) -> tuple[str, ...]:
    """Where an answer that is scored may end beside end tokens: what follows is cut off anyway."""
    return STOPS if problem.continued else ()


def stream(seed: int, problem_id: str, digest: str, sample: int) -> int:
    """The 128-bit key of a sample's random numbers: no batch size, no order, no neighbour."""
    text = json.dumps([seed, problem_id, digest, sample])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


class Prompting(TypedDict):
    """How `plan` puts a problem to the model."""

    prompt_style: str
    system: str | None
    thinking: bool | None


def plan(
    problems: Iterable[Problem],
    decoding: DecodingConfig | Sequence[DecodingConfig],
    *,
    samples: int,
    max_tokens: int,
    seed: int,
    backend: Backend,
    prompt_style: str = "simple",
    system: str | None = None,
    thinking: bool | None = None,
    whole: bool = False,
) -> list[Request]:
    """One request per (problem, config, sample), a problem's requests side by side.

    Neighbours share a prompt, so a backend can prefill it once for all samples and temperatures.
    `whole`: answers that are trained on, which no stop rule may cut.
    Raises UsageError for counts below 1, and for a prompt that leaves the context no room (where
    the backend has a `context_length`), naming the problem.
    """
    if samples < 1:
        raise UsageError(f"samples {samples} is not positive; draw at least 1")
    if max_tokens < 1:
        raise UsageError(f"max tokens {max_tokens} is not positive; allow at least 1")
    configs = [decoding] if isinstance(decoding, DecodingConfig) else list(decoding)
    requests = []
    for problem in problems:
        chat = messages(problem, style=prompt_style, system=system)
        # Backends of before thinking modes are asked as they were.
        mode = {} if thinking is None else {"thinking": thinking}
        prompt = backend.encode(chat, **mode)
        _check_length(problem.id, len(prompt), backend)
        for config in configs:
            ends = () if whole else stops(problem)
            requests += _requests(
                problem.id, prompt, config, samples, max_tokens, seed, backend, ends
            )
    return requests


def sample(
    backend: Backend, requests: Iterable[Request], *, done: Container[SampleKey] = ()
) -> Iterator[Completion]:
    """Draws every request whose key is not in `done`; yields completions as they finish.

    Lazy on both sides: requests are pulled when the backend has room, and stopping the iteration
    stops the engine. Raises what the backend raises; BackendError when it loses or repeats one.
    """
    pending: dict[SampleKey, Request] = {}

    def pulled() -> Iterator[Request]:
        for request in requests:
            if request.key not in done:
                pending[request.key] = request
                yield request

    for generation in backend.generate(pulled()):
        request = pending.pop(generation.key, None)
        if request is None:
            raise BackendError(f"the backend answered {generation.key.text()} unasked or twice")
        yield _completion(backend, request, generation)
    if pending:
        first = next(iter(pending)).text()
        raise BackendError(f"the backend left {len(pending)} requests unanswered, first {first}")


def _requests(
    problem_id: str,
    prompt: tuple[int, ...],
    config: DecodingConfig,
    samples: int,
    max_tokens: int,
    seed: int,
    backend: Backend,
    ends: tuple[str, ...],
) -> list[Request]:
    digest = decoding_digest(
        config,
        max_tokens=max_tokens,
        prompt=prompt_hash(prompt),
        fingerprint=backend.fingerprint,
        stop=(*STOP_RULES, *ends),
    )
    return [
        Request(
            key=SampleKey(backend.fingerprint, problem_id, digest, index),
            prompt_ids=prompt,
            decoding=config,
            max_tokens=max_tokens,
            stream=stream(seed, problem_id, digest, index),
            stops=ends,
        )
        for index in range(samples)
    ]


def _check_length(problem_id: str, tokens: int, backend: Backend) -> None:
    # Optional for a backend: those that don't know their context refuse in `generate` instead.
    limit: int | None = getattr(backend, "context_length", None)
    if limit is not None and tokens >= limit:
        raise UsageError(
            f"the prompt of problem {problem_id} has {tokens} tokens and the context {limit}: "
            "no room to answer; leave the problem out or use a checkpoint with a longer context"
        )


def _completion(backend: Backend, request: Request, generation: Generation) -> Completion:
    return Completion(
        key=request.key,
        text=backend.decode(generation.token_ids),
        token_ids=generation.token_ids,
        finish=generation.finish,
        prompt_tokens=len(request.prompt_ids),
        decoding=request.decoding,
        effective_temperature=generation.effective_temperature,
    )
