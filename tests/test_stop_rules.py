"""Continued code ends at the stop rules: drawn no further, and the same program as if it were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.base import Problem, TestCase
from benchmarks.extract import STOPS, continuation
from benchmarks.micro import Micro
from ssd_eval.backends.base import Request
from ssd_eval.backends.chat import ChatTokenizer
from ssd_eval.backends.hf import load
from ssd_eval.checkpoint import load_tokenizer
from ssd_eval.decoding import DecodingConfig
from ssd_eval.records import Completion
from ssd_eval.sample import plan, sample
from ssd_eval.sequences import of_completions

HOT = DecodingConfig(1.3)
TESTS = (TestCase("assertion", "assert f() == 1", ""),)
CODE = Problem("code", "def f():\n", TESTS, continued=True)


@pytest.fixture(scope="module")
def backend() -> Any:
    return load("organism")


def drawn(backend: Any, stops: tuple[str, ...]) -> list[tuple[Request, Completion]]:
    asked = plan(Micro().problems()[:4], HOT, samples=6, max_tokens=60, seed=0, backend=backend)
    asked = [replace(each, stops=stops) for each in asked]
    found = {each.key: each for each in sample(backend, asked)}
    return [(each, found[each.key]) for each in asked]


def test_a_stop_ends_a_sample_and_changes_nothing_before_it(backend: Any) -> None:
    stops = ("\nprint", "max", "zzz")
    met = 0
    for (_, whole), (_, cut) in zip(drawn(backend, ()), drawn(backend, stops), strict=True):
        ends = [whole.text.find(stop) for stop in stops if stop in whole.text]
        if not ends:
            assert (cut.text, cut.finish) == (whole.text, whole.finish)
            continue
        met += 1
        assert cut.finish == "stop"
        assert whole.token_ids[: len(cut.token_ids)] == cut.token_ids
        assert whole.text[: min(ends)] == cut.text[: min(ends)]
        assert any(stop in cut.text for stop in stops)
        assert not any(stop in backend.decode(cut.token_ids[:-1]) for stop in stops)
    assert 5 < met < 24  # both cases are there


def test_no_stop_is_seen_that_is_not_in_the_text() -> None:
    chat = ChatTokenizer(load_tokenizer("organism"), None)
    text = "    return 1\n\ndef g():\n"
    ids = chat.encode_text(text)
    seen = [chat.stopped(ids[: n + 1], STOPS) for n in range(len(ids))]
    first = next(n for n in range(len(ids)) if "\ndef" in chat.decode(ids[: n + 1]))
    assert seen.index(True) == first
    assert not any(seen[:first])
    assert not chat.stopped(ids, ())


def test_code_is_asked_for_up_to_the_stop_rules_but_not_what_is_trained_on(backend: Any) -> None:
    settings: Any = {"samples": 1, "max_tokens": 5, "seed": 0, "backend": backend}
    [code] = plan([CODE], HOT, **settings)
    [chat] = plan([replace(CODE, continued=False)], HOT, **settings)
    [trained] = plan([CODE], HOT, whole=True, **settings)
    assert (code.stops, chat.stops, trained.stops) == (STOPS, (), ())
    assert code.key != trained.key


def test_a_sample_cut_by_a_rule_has_no_end_token(backend: Any) -> None:
    cut = next(pair for pair in drawn(backend, (" = ",)) if " = " in pair[1].text)
    end = next(iter(backend._chat.end_ids))
    problems = {each.id: each for each in Micro().problems()}
    [tokens] = of_completions([cut], problems, end)
    assert tokens.answer_ids == cut[1].token_ids
    [tokens] = of_completions([(replace(cut[0], stops=()), cut[1])], problems, end)
    assert tokens.answer_ids == (*cut[1].token_ids, end)


def test_the_cut_text_is_the_same_program() -> None:
    whole = "    return 1\n\ndef g():\n    return 2\nprint(3)\n"
    cut = whole[: whole.index("g():")]
    assert continuation("def f():\n", whole) == continuation("def f():\n", cut)
