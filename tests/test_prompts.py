"""How a problem is put to a model."""

from __future__ import annotations

import pytest

from benchmarks.base import BenchmarkError, Problem
from benchmarks.prompts import messages, user_message

PLAIN = Problem(id="p", statement="Print the sum.", tests=())
STARTER = Problem(id="q", statement="Add.", tests=(), starter_code="class Solution:\n    pass\n")


def test_the_statement_is_the_message() -> None:
    assert user_message(PLAIN) == "Print the sum."


def test_starter_code_follows_on_the_next_line_untouched() -> None:
    assert user_message(STARTER) == "Add.\nclass Solution:\n    pass\n"


def test_the_system_message_comes_first() -> None:
    assert messages(PLAIN, system="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Print the sum."},
    ]


def test_no_system_message_is_not_an_empty_one() -> None:
    assert [m["role"] for m in messages(PLAIN)] == ["user"]
    assert [m["role"] for m in messages(PLAIN, system="")] == ["system", "user"]


def test_unknown_style_names_the_known() -> None:
    with pytest.raises(BenchmarkError, match=r"'chatty'.*simple"):
        messages(PLAIN, style="chatty")
