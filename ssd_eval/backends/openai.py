"""Sampling from a server that speaks OpenAI's completions API, such as `vllm serve`.

Prompts go as token ids, made here by the checkpoint's own tokenizer and template, so the server's
template does not matter; every sampling field is sent, because servers fill what is missing from
the model's generation_config. Starts no server.

Completions need token ids: a server that has no `return_token_ids` has its text encoded here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.chat import ChatBackend, ChatTokenizer
from ssd_eval.backends.lanes import run_lanes
from ssd_eval.backends.pulse import Pulse
from ssd_eval.backends.replica import decoding_fields
from ssd_eval.backends.schedule import LongestFirst
from ssd_eval.backends.vllm import MAX_TEMPERATURE
from ssd_eval.checkpoint import (
    description_hash,
    load_tokenizer,
    stated_ends,
    stated_vocabulary,
    tokenizer_folder,
)
from ssd_eval.decoding import effective_temperature
from ssd_eval.errors import BackendError, UsageError

IN_FLIGHT = 64  # requests at once; the server queues what it can't decode yet
TRIES = 4
WAIT = 0.5  # seconds before the second try, doubled for each further one
STOPS = 4  # strings that a server takes at most; a text that holds another is cut later
TIMEOUT = 3600.0  # seconds for one answer: thinking models write for long
PATIENCE = 0.1  # seconds for each request still in the air once another has failed
KEPT = "what was finished is kept: see to the server and repeat the command"


class OpenAIBackend(ChatBackend):
    """One server and the model it serves, behind the Backend protocol."""

    def __init__(
        self,
        client: Any,
        model: str,
        chat: ChatTokenizer,
        fingerprint: str,
        *,
        in_flight: int,
        vocabulary: int,
    ) -> None:
        self._client = client
        self._model = model
        super().__init__(chat, fingerprint)
        self._in_flight = in_flight
        self._vocabulary = vocabulary

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        schedule = LongestFirst(requests)
        pulse = Pulse(str(self._client.base_url.join("models")), self._in_flight, TRIES, KEPT)
        lanes = [_Lane(self, schedule, pulse) for _ in range(self._in_flight)]
        yield from run_lanes([*lanes, pulse], schedule, PATIENCE, pulse.stop)

    def close(self) -> None:
        self._client.close()

    def draw(self, request: Request) -> Generation:
        """One request's answer. Raises BackendError, UsageError."""
        answer = _post(self._client, "completions", self._body(request))
        try:
            [choice] = answer["choices"]
            tokens = self._tokens(choice)
            finish = choice["finish_reason"]
        except (KeyError, TypeError, ValueError) as error:
            raise BackendError(
                f"the server's answer has another shape ({type(error).__name__}: {error}); {KEPT}"
            ) from error
        if finish not in ("stop", "length") or len(tokens) > request.max_tokens:
            raise BackendError(
                f"the server ended a completion of problem {request.key.problem_id} with "
                f"{finish!r} after {len(tokens)} of {request.max_tokens} tokens; {KEPT}"
            )
        if finish == "stop" and tokens and tokens[-1] in self._chat.end_ids:
            tokens = tokens[:-1]
        return Generation(request.key, tokens, finish, effective_temperature(request.decoding))

    def _body(self, request: Request) -> dict[str, Any]:
        if request.decoding.temperature > MAX_TEMPERATURE:
            raise UsageError(
                f"servers take no temperature above {MAX_TEMPERATURE:g}, asked for "
                f"{request.decoding.temperature:g}; lower it or use --backend hf"
            )
        stops = {"stop": list(request.stops[:STOPS]), "include_stop_str_in_output": True}
        return {
            "model": self._model,
            "prompt": list(request.prompt_ids),
            "max_tokens": request.max_tokens,
            "seed": request.stream % 2**63,
            "n": 1,
            "stream": False,
            "add_special_tokens": False,
            "skip_special_tokens": True,
            "return_token_ids": True,
            "stop_token_ids": sorted(self._chat.end_ids),
            **decoding_fields(request.decoding),
            **(stops if request.stops else {}),
        }

    def _tokens(self, choice: dict[str, Any]) -> tuple[int, ...]:
        ids = choice.get("token_ids")
        if ids is None:
            return self._chat.encode_text(choice["text"])
        if not all(type(each) is int for each in ids):
            raise TypeError("token_ids are no integers")
        if ids and not 0 <= min(ids) <= max(ids) < self._vocabulary:
            raise ValueError(f"token ids outside the checkpoint's {self._vocabulary}")
        if not self._chat.end_ids.isdisjoint(ids[:-1]):
            raise ValueError("tokens behind an end token: stop_token_ids were ignored")
        return tuple(ids)


class _Lane:
    """One request at a time: as many lanes as requests are in flight."""

    def __init__(self, backend: OpenAIBackend, schedule: LongestFirst, pulse: Pulse) -> None:
        self._backend = backend
        self._schedule = schedule
        self._pulse = pulse

    def run(self, requests: Iterable[Request]) -> Iterator[Generation]:
        for request in requests:
            generation = self._backend.draw(request)
            self._schedule.finished(request, len(generation.token_ids))
            yield generation
        self._pulse.lane_ended()


def load(
    checkpoint: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    base_url: str | None = None,
) -> OpenAIBackend:
    """`checkpoint` gives tokenizer and template; the server at `base_url` holds the weights.

    `batch_size`: requests in flight. The server's model is the one whose name or root it is.
    The server chose device and dtype. Raises UsageError for a server that can't be reached or
    does not serve the model.
    """
    import httpx2 as httpx

    if base_url is None:
        raise UsageError("--backend openai needs the server: --base-url http://127.0.0.1:8000/v1")
    if (device, dtype) != ("auto", "auto"):
        raise UsageError("the server chose device and dtype; leave out --device and --dtype")
    client = httpx.Client(
        base_url=base_url.rstrip("/") + "/",
        timeout=httpx.Timeout(TIMEOUT, connect=10.0),
        limits=httpx.Limits(max_connections=None),
    )
    model = _served(client, checkpoint, base_url)
    path = tokenizer_folder(checkpoint)
    chat = ChatTokenizer(load_tokenizer(checkpoint), stated_ends(path))
    named = f"{description_hash(path)}\0{model}"
    digest = hashlib.sha256(named.encode()).hexdigest()[:16]
    return OpenAIBackend(
        client,
        model,
        chat,
        digest,
        in_flight=batch_size or IN_FLIGHT,
        vocabulary=stated_vocabulary(path),
    )


def _served(client: Any, checkpoint: str, base_url: str) -> str:
    """The server's name for the checkpoint."""
    import httpx2 as httpx

    try:
        answer = client.get("models")
        answer.raise_for_status()
        rows = answer.json()["data"]
        names = [str(row["id"]) for row in rows]
        roots = {str(row.get("root")): str(row["id"]) for row in rows}
    except httpx.HTTPError as error:
        raise UsageError(
            f"no server answers at {base_url} ({type(error).__name__}: {error}); start it, or "
            "correct --base-url (it ends in /v1)"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{base_url} lists no models; correct --base-url (ends in /v1)") from error
    # Never "the only one it has": base and distilled would be the same model unnoticed.
    for known in (checkpoint, roots.get(checkpoint), Path(checkpoint).name):
        if known in names:
            return str(known)
    raise UsageError(
        f"{base_url} does not serve {checkpoint!r}; it serves {', '.join(names) or 'nothing'}; "
        f"start it with --served-model-name {Path(checkpoint).name}"
    )


def _post(client: Any, path: str, body: dict[str, Any]) -> Any:
    """The answer's JSON; tries again where the server fails, aborts or drops the connection."""
    import httpx2 as httpx

    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(WAIT * 2 ** (attempt - 1))
        try:
            answer = client.post(path, json=body)
        except httpx.TransportError as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        if answer.status_code >= 500 or answer.status_code == 429:
            reason = f"status {answer.status_code}: {' '.join(answer.text.split())[:200]}"
            continue
        found = _read(answer)
        if not _aborted(found):
            return found
        reason = "it aborted the completion"
    raise BackendError(f"the server failed {TRIES} times ({reason.strip()}); {KEPT}")


def _aborted(answer: Any) -> bool:
    """What vLLM's server says, with status 200, of completions at work when it is told to end."""
    try:
        return any(choice["finish_reason"] == "abort" for choice in answer["choices"])
    except (KeyError, TypeError):
        return False  # another shape, which is refused by name


def _read(answer: Any) -> Any:
    if answer.status_code >= 400:
        raise UsageError(f"the server refuses a request: {_message(answer)}")
    try:
        return answer.json()
    except ValueError as error:
        raise BackendError(f"the server's answer is no JSON ({error}); {KEPT}") from error


def _message(answer: Any) -> str:
    try:
        error = answer.json()
        found = error.get("error", error)
        text = found.get("message", found) if isinstance(found, dict) else found
    except (ValueError, AttributeError):
        text = answer.text
    return " ".join(str(text).split())[:300]
