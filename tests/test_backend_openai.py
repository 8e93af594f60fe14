"""The openai backend against a server in this process: what is sent, and every way it can fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ssd_eval import backends
from ssd_eval.backends import openai, pulse
from ssd_eval.backends.base import Request
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import BackendError, UsageError
from ssd_eval.records import SampleKey

Answer = tuple[int, bytes]
USUAL = DecodingConfig(0.7, 20, 0.8)


class Server:
    """`answers`: what each POST gets; the last one repeats. None drops the connection."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any], int], Answer | None] = lambda body, _: right(body)
        self.models: bytes = json.dumps({"data": [{"id": "served", "root": "organism"}]}).encode()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply((200, owner.models))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.bodies.append(body)
                found = owner.answer(body, len(owner.bodies))
                if found is None:
                    self.connection.close()
                else:
                    self.reply(found)

            def reply(self, answer: Answer) -> None:
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def right(body: dict[str, Any], **changed: object) -> Answer:
    ends = body["stop_token_ids"]
    choice = {"text": "", "token_ids": [40, 41, ends[0]], "finish_reason": "stop", **changed}
    return 200, json.dumps({"choices": [choice]}).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(openai, "WAIT", 0.01)
    started = Server()
    yield started
    started.http.shutdown()


def loaded(server: Server, **options: Any) -> openai.OpenAIBackend:
    found = backends.load("openai", "organism", base_url=server.url, **options)
    assert isinstance(found, openai.OpenAIBackend)
    return found


def request(sample: int = 0, decoding: DecodingConfig = USUAL) -> Request:
    return Request(SampleKey("c", "p", "d", sample), (5, 6), decoding, 9, 2**100 + sample)


def test_every_sampling_field_is_sent(server: Server) -> None:
    [generation] = loaded(server).generate([request()])
    assert generation.token_ids == (40, 41)
    [body] = server.bodies
    assert (body["model"], body["prompt"]) == ("served", [5, 6])
    sent = {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.0, "repetition_penalty": 1.0}
    assert {name: body[name] for name in sent} == sent
    assert 0 <= body["seed"] < 2**63


def test_stop_strings_are_sent_and_kept_four_at_most(server: Server) -> None:
    stops = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
    list(loaded(server).generate([replace(request(), stops=stops), request()]))
    bodies = {"stop" in body: body for body in server.bodies}
    assert bodies[True]["stop"] == list(stops[:4])
    assert bodies[True]["include_stop_str_in_output"] is True
    assert "include_stop_str_in_output" not in bodies[False]


def test_every_request_comes_back_once(server: Server) -> None:
    asked = [request(i) for i in range(200)]
    back = [each.key for each in loaded(server, batch_size=8).generate(asked)]
    assert sorted(back, key=str) == sorted((each.key for each in asked), key=str)


def test_text_is_encoded_where_no_token_ids_come_back(server: Server) -> None:
    server.answer = lambda body, _: right(body, token_ids=None, text="print(1)")
    backend = loaded(server)
    [generation] = backend.generate([request()])
    assert backend.decode(generation.token_ids) == "print(1)"


ABORTED = 200, b'{"choices": [{"text": "", "token_ids": [40], "finish_reason": "abort"}]}'


@pytest.mark.parametrize("failure", [(500, b"oops"), (429, b"slow down"), ABORTED, None])
def test_a_server_that_stumbles_is_asked_again(server: Server, failure: Answer | None) -> None:
    server.answer = lambda body, n: right(body) if n > 2 else failure
    assert len(list(loaded(server).generate([request()]))) == 1


BAD: dict[str, tuple[Callable[[dict[str, Any]], Answer | None], str]] = {
    "down": (lambda body: (500, b"engine\ndead"), r"failed 4 times \(status 500: engine dead\)"),
    "dropped": (lambda body: None, r"failed 4 times"),
    "no JSON": (lambda body: (200, b"<html>"), "no JSON"),
    "truncated": (lambda body: (200, right(body)[1][:-9]), "no JSON"),
    "other shape": (lambda body: (200, b'{"choices": []}'), "another shape"),
    "ids are texts": (lambda body: right(body, token_ids=["a"]), "no integers"),
    "another vocabulary": (lambda body: right(body, token_ids=[5, 735]), "outside .* 735"),
    "negative": (lambda body: right(body, token_ids=[-1]), "outside"),
    "went on": (
        lambda body: right(body, token_ids=[5, body["stop_token_ids"][0], 6]),
        "behind an end token",
    ),
    "two texts": (lambda body: (200, b'{"choices": [{}, {}]}'), "another shape"),
    "no object": (lambda body: (200, b"[]"), "another shape"),
    "null": (lambda body: (200, b"null"), "another shape"),
    "too many": (lambda body: right(body, token_ids=[1] * 10), "10 of 9 tokens"),
    "aborted": (
        lambda body: right(body, finish_reason="abort"),
        r"failed 4 times \(it aborted the completion\)",
    ),
    "filtered": (lambda body: right(body, finish_reason="content_filter"), "'content_filter'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_one_line_and_keeps_what_was_finished(server: Server, name: str) -> None:
    bad, says = BAD[name]
    server.answer = lambda body, n: right(body) if n == 1 else bad(body)
    drawing = loaded(server, batch_size=1).generate([request(0), request(1)])
    assert next(drawing).token_ids == (40, 41)
    with pytest.raises(BackendError, match=says) as caught:
        next(drawing)
    assert "what was finished is kept" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_answer_that_never_comes_does_not_hold_up_the_end(server: Server) -> None:
    """As vLLM's server leaves its connections when its engine was ended."""
    released = threading.Event()

    def answer(body: dict[str, Any], number: int) -> Answer:
        if number == 1:
            released.wait(60)
        return 500, b"engine dead"

    server.answer = answer
    began = time.monotonic()
    with pytest.raises(BackendError, match="failed 4 times"):
        list(loaded(server, batch_size=2).generate([request(0), request(1)]))
    took = time.monotonic() - began
    released.set()
    assert took < 30


def test_a_server_that_closed_its_port_and_answers_nothing_is_noticed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As vLLM's server does that was told to end while completions were at work."""
    monkeypatch.setattr(pulse, "EVERY", 0.05)
    released = threading.Event()

    def answer(body: dict[str, Any], number: int) -> Answer:
        if number == 2:
            server.http.shutdown()
            server.http.socket.close()
        released.wait(60)
        return right(body)

    server.answer = answer
    with pytest.raises(BackendError, match=r"failed 4 times \(ConnectError.*is kept") as caught:
        list(loaded(server, batch_size=2).generate([request(0), request(1)]))
    assert not released.is_set()
    released.set()
    assert "\n" not in str(caught.value)


def test_a_refusal_gives_the_servers_reason(server: Server) -> None:
    server.answer = lambda *_: (400, b'{"error": {"message": "context is 10\\ntokens"}}')
    with pytest.raises(UsageError, match="refuses a request: context is 10 tokens"):
        list(loaded(server).generate([request()]))


def test_no_temperature_above_two_is_sent(server: Server) -> None:
    with pytest.raises(UsageError, match=r"no temperature above 2, asked for 2\.5"):
        list(loaded(server).generate([request(decoding=DecodingConfig(2.5))]))
    assert not server.bodies


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (b'{"data": [{"id": "a"}, {"id": "b"}]}', "does not serve 'organism'; it serves a, b"),
        (b'{"data": [{"id": "a", "root": "b"}]}', "does not serve 'organism'; it serves a"),
        (b'{"data": []}', "it serves nothing"),
        (b"[]", "lists no models"),
        (b"<html>", "lists no models"),
    ],
)
def test_a_server_of_other_models_is_refused(server: Server, models: bytes, says: str) -> None:
    server.models = models
    with pytest.raises(UsageError, match=says):
        loaded(server)


def test_a_missing_server_is_named_with_the_fix() -> None:
    with pytest.raises(UsageError, match="needs the server: --base-url"):
        backends.load("openai", "organism")
    with pytest.raises(UsageError, match=r"no server answers at http://127\.0\.0\.1:9/v1"):
        backends.load("openai", "organism", base_url="http://127.0.0.1:9/v1")


def test_the_fingerprint_tells_served_models_apart(server: Server) -> None:
    first = loaded(server).fingerprint
    assert loaded(server).fingerprint == first
    server.models = b'{"data": [{"id": "another", "root": "organism"}]}'
    assert loaded(server).fingerprint != first
