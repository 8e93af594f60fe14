"""Thinking outputs of 65,536 tokens: work that grows with the text, not with its square.

Work is counted, in token ids read. Where nothing can be counted (a regular expression's steps), the
quadratic way would take hours on the same input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.extract import EXTRACTORS, STOPS, extract
from ssd_eval.backends.base import Request
from ssd_eval.backends.batch import Batch
from ssd_eval.backends.chat import ChatTokenizer, reach
from ssd_eval.backends.hf import load
from ssd_eval.checkpoint import load_tokenizer
from ssd_eval.decoding import DecodingConfig
from ssd_eval.records import SampleKey
from ssd_eval.syntax import classify

LENGTH = 65_536


class Counting:
    """A tokenizer that counts the ids it is given to decode."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.eos_token_id = inner.eos_token_id
        self.read = 0
        self.encode = inner.encode

    def decode(self, ids: Sequence[int], **options: Any) -> Any:
        self.read += len(ids)
        return self.inner.decode(ids, **options)


def test_a_stop_is_looked_for_in_the_last_few_tokens_of_any_text() -> None:
    tokenizer = Counting(load_tokenizer("organism"))
    chat = ChatTokenizer(tokenizer, None)
    ids = chat.encode_text("x = 1\n" * 20_000)[:LENGTH]
    assert len(ids) == LENGTH
    assert not chat.stopped(ids, STOPS)
    assert chat.stopped((*ids, *chat.encode_text("\n\ndef")), STOPS)
    assert tokenizer.read <= 2 * reach(STOPS)


def test_stop_rules_cost_a_sample_the_same_at_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the decode loop hands over, token by token, and once more at the end."""
    read: list[int] = []
    plain = Batch.__init__

    def spied(batch: Batch, *args: Any, stopped: Any, **options: Any) -> None:
        def counted(ids: Sequence[int], stops: Sequence[str]) -> bool:
            read.append(len(ids))
            return bool(stopped(ids, stops))

        plain(batch, *args, stopped=counted, **options)

    monkeypatch.setattr(Batch, "__init__", spied)
    backend = load("organism", batch_size=8)
    backend._chat.end_ids = frozenset()
    key = SampleKey("c", "p", "d", 0)
    asked = Request(key, (5, 6), DecodingConfig(1.0), 300, 1, stops=("\nnever so",))
    [generation] = backend.generate([asked])
    assert len(generation.token_ids) == 300
    assert len(read) == 300
    assert max(read) == reach(asked.stops) < 30


@pytest.mark.parametrize(
    "text",
    [
        " " * 500_000 + "x```\n",  # white space that begins no fence
        "- " * 250_000 + "```python\n",
        "<think>" * 80_000,
        "```python\n" * 50_000,
        "`" * 500_000,
        "```" + "a" * 500_000,
    ],
    ids=["spaces", "markers", "thoughts", "fences", "ticks", "tag"],
)
def test_a_degenerate_answer_is_extracted_from_by_every_rule(text: str) -> None:
    for each in EXTRACTORS.values():
        assert each(text).rule


def test_the_program_behind_a_long_thought_is_found() -> None:
    thought = "So ```python\nx = 1\n``` may do. " * 20_000
    found = extract(f"<think>{thought}</think>\n```python\nprint(2)\n```")
    assert (found.code, found.rule) == ("print(2)", "python-fence")


def test_syntax_of_a_long_program_that_does_not_parse_reads_each_word_once() -> None:
    pieces = ["```python\n", "'''", *["for x in y "] * 60_000]
    assert len(classify(pieces)) == len(pieces)
