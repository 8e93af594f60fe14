"""The public fake backend and finding backends by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ssd_eval import backends
from ssd_eval.backends.base import Request
from ssd_eval.backends.fake import FakeBackend, load
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import BackendError, CheckpointError, UsageError
from ssd_eval.records import SampleKey


def request(sample: int = 0, problem: str = "p", max_tokens: int = 100) -> Request:
    key = SampleKey("fp", problem, "digest", sample)
    return Request(key, (1, 2, 3), DecodingConfig(0.005), max_tokens, stream=sample)


def test_texts_are_replayed_by_sample_index_and_wrap_around() -> None:
    backend = FakeBackend({"p": ["one", "two"]})
    texts = [backend.decode(g.token_ids) for g in backend.generate(request(i) for i in range(3))]
    assert texts == ["one", "two", "one"]


def test_a_function_sees_the_whole_request() -> None:
    backend = FakeBackend(lambda r: f"{r.key.problem_id}{r.key.sample}@{r.decoding.temperature}")
    (generation,) = backend.generate([request(4)])
    assert backend.decode(generation.token_ids) == "p4@0.005"
    assert generation.effective_temperature == 0.01


def test_max_tokens_cuts_and_says_so() -> None:
    backend = FakeBackend({"p": ["abcde"]})
    finishes = {n: next(backend.generate([request(max_tokens=n)])) for n in (4, 5, 6)}
    assert {n: (len(g.token_ids), g.finish) for n, g in finishes.items()} == {
        4: (4, "length"),
        5: (5, "length"),
        6: (5, "stop"),
    }


def test_every_text_survives_encode_and_decode() -> None:
    backend = FakeBackend({"p": ["x"]})
    text = "if a < b:\n\t# ünï 🙂\n"
    assert text in backend.decode(backend.encode([{"role": "user", "content": text}]))


def test_a_window_reorders_within_blocks_and_pulls_no_further() -> None:
    pulled: list[int] = []

    def requests() -> Iterator[Request]:
        for i in range(6):
            pulled.append(i)
            yield request(i)

    results = FakeBackend({"p": ["x"]}, window=3).generate(requests())
    assert next(results).key.sample == 2
    assert pulled == [0, 1, 2]
    assert [g.key.sample for g in results] == [1, 0, 5, 4, 3]


def test_it_dies_when_told() -> None:
    results = FakeBackend({"p": ["x"]}, fail_after=2).generate(request(i) for i in range(5))
    assert [next(results).key.sample, next(results).key.sample] == [0, 1]
    with pytest.raises(BackendError, match="died after 2"):
        next(results)


def test_fingerprints_tell_names_and_texts_apart() -> None:
    prints = {
        FakeBackend({"p": ["x"]}).fingerprint,
        FakeBackend({"p": ["y"]}).fingerprint,
        FakeBackend({"p": ["x"]}, name="distilled").fingerprint,
        FakeBackend(lambda r: "x").fingerprint,
    }
    assert len(prints) == 4
    assert FakeBackend({"p": ["x"]}).fingerprint in prints


def test_an_unknown_problem_lists_what_the_script_knows() -> None:
    with pytest.raises(BackendError, match=r"no text for problem p.*a, b"):
        next(FakeBackend({"a": ["x"], "b": ["y"]}).generate([request()]))


def test_a_prompt_longer_than_the_context_names_the_problem() -> None:
    with pytest.raises(UsageError, match="problem p has 3 tokens"):
        next(FakeBackend({"p": ["x"]}, context_length=3).generate([request()]))


def test_a_script_file_loads_by_name(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"p": ["print(1)"]}))
    backend = backends.load("fake", str(script))
    assert [backend.decode(g.token_ids) for g in backend.generate([request()])] == ["print(1)"]
    backend.close()


@pytest.mark.parametrize("content", [None, "{", "[]", '{"p": []}', '{"p": "text"}', '{"p": [1]}'])
def test_a_bad_script_file_says_its_shape(tmp_path: Path, content: str | None) -> None:
    script = tmp_path / "script.json"
    if content is not None:
        script.write_text(content)
    with pytest.raises(CheckpointError, match=r"JSON file \{problem id") as caught:
        load(str(script))
    assert "\n" not in str(caught.value)


def test_an_unknown_backend_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown backend 'hg'; known: hf, vllm, openai, fake"):
        backends.load("hg", "x")


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="batch size 0"):
        backends.load("fake", "x", batch_size=0)


def test_plugins_come_after_the_built_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = EntryPoint("mine", "test_backend_fake:plugin", backends.GROUP)
    shadow = EntryPoint("fake", "no_such_module:load", backends.GROUP)
    monkeypatch.setattr(backends, "_plugins", lambda: [mine, shadow])
    assert backends.known() == ("hf", "vllm", "openai", "fake", "mine")
    loaded = backends.load("mine", "some-checkpoint", batch_size=3)
    assert loaded.fingerprint == FakeBackend({}, name="some-checkpoint/3").fingerprint


def plugin(checkpoint: str, *, device: str, dtype: str, batch_size: int | None) -> FakeBackend:
    return FakeBackend({}, name=f"{checkpoint}/{batch_size}")


def test_a_plugin_that_does_not_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "no_such_module:load", backends.GROUP)
    monkeypatch.setattr(backends, "_plugins", lambda: [broken])
    with pytest.raises(UsageError, match=r"'broken'.*no_such_module"):
        backends.load("broken", "x")
