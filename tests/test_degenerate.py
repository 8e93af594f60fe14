"""The degeneracy filter drops empty completions and one-line stubs, and counts what it drops."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssd_eval.decoding import DecodingConfig
from ssd_eval.degenerate import is_stub, screen
from ssd_eval.errors import UsageError
from ssd_eval.records import Completion, SampleKey


def completion(text: str, sample: int = 0, tokens: int = 5) -> Completion:
    return Completion(
        key=SampleKey("c", "p", "d", sample),
        text=text,
        token_ids=tuple(range(tokens)),
        finish="stop",
        prompt_tokens=3,
        decoding=DecodingConfig(1.0),
        effective_temperature=1.0,
    )


@pytest.mark.parametrize("text", ["pass", "x = 1", "123456789", "  pass\n", "\npass   \n\n"])
def test_one_short_line_is_a_stub(text: str) -> None:
    assert is_stub(text)


@pytest.mark.parametrize("text", ["1234567890", "a\nb", "print(input())", "i\n  \nj"])
def test_ten_characters_or_two_lines_are_no_stub(text: str) -> None:
    assert not is_stub(text)


def test_reasons_are_counted_and_order_is_kept() -> None:
    given = [completion(t, i) for i, t in enumerate(["a\nb", "", " \n", "pass", "print(input())"])]
    result = screen(given)
    assert [c.key.sample for c in result.kept] == [0, 4]
    assert result.dropped == {"empty": 2, "stub": 1}


def test_truncated_completions_stay_unless_asked() -> None:
    cut = replace(completion("print(input())"), finish="length")
    assert screen([cut]).kept == (cut,)
    assert screen([cut], drop_truncated=True).dropped == {"truncated": 1}


def test_the_shortest_tenth_is_of_what_is_left() -> None:
    rows = [completion("print(input())", i, tokens=20 - i) for i in range(20)]
    result = screen([*rows, *(completion("", 99 + i) for i in range(10))], drop_shortest=0.1)
    assert result.dropped == {"empty": 10, "shortest": 2}
    assert {c.key.sample for c in result.kept} == set(range(18))


@given(st.permutations(range(12)), st.floats(0, 0.99))
def test_what_is_kept_does_not_depend_on_order(order: list[int], fraction: float) -> None:
    rows = [completion("print(input())", i, tokens=i % 3) for i in range(12)]
    kept = screen(rows, drop_shortest=fraction).kept
    shuffled = screen([rows[i] for i in order], drop_shortest=fraction).kept
    assert sorted(c.key for c in kept) == sorted(c.key for c in shuffled)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="drop_shortest"):
        screen([], drop_shortest=fraction)
