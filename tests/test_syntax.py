"""Where a token stands in a Python program."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssd_eval.positions import SYNTAX
from ssd_eval.syntax import classify

PROGRAM = """import os.path as p, sys
class Cut(list):
    @property
    async def solve(self, ab, *, c=1):  # all of it
        été, x = ab[0], "é # no" + f"{c}"
        for i in range(-3):
            lambda y: y
        return not été
"""


def classes(text: str) -> list[tuple[str, str]]:
    """Words and single signs as pieces, white space apart."""
    pieces = re.findall(r"\w+|\n *| +|\W", text)
    found = classify(pieces)
    return [(piece, SYNTAX[code]) for piece, code in zip(pieces, found, strict=True)]


def test_parts_of_a_program() -> None:
    found = classes(f"Here it is:\n```python\n{PROGRAM}```\nDone.")
    expected = {
        "Here": "prose",
        "Done": "prose",
        "python": "prose",
        "import": "keyword",
        "sys": "definition",
        "p": "definition",
        "Cut": "definition",
        "solve": "definition",
        "self": "definition",
        "list": "name",
        "range": "name",
        "all": "comment",
        "no": "literal",
        "1": "literal",
        "3": "literal",
        "-": "operator",
        "=": "operator",
        "[": "bracket",
        "not": "keyword",
        "\n        ": "indentation",
    }
    for piece, name in expected.items():
        assert (piece, name) in found, piece
    assert [name for piece, name in found if piece == "été"] == ["definition", "name"]
    assert [name for piece, name in found if piece == "y"] == ["definition", "name"]


def test_a_piece_belongs_to_its_first_visible_character() -> None:
    pieces = ["```python\n", "a", " =", " (", "b)", "\n\n", "  \n", "```"]
    names = [SYNTAX[code] for code in classify(pieces)]
    assert names[1:6] == ["definition", "operator", "bracket", "name", "indentation"]
    assert names[0] == names[7] == "prose"


@pytest.mark.parametrize("end", ["x = (1, 'abc", "def f(:\n  return a", "if x:\n   y\n  z = 1"])
def test_broken_program_is_classified_to_its_end(end: str) -> None:
    found = classes(f"```python\nfor q in w:\n    print(q)\n{end}\n```")
    assert ("for", "keyword") in found
    assert ("q", "definition") in found
    assert ("print", "name") in found
    assert all(name != "prose" for _, name in found[5:-4])


def test_bare_code_is_a_program_and_prose_is_not() -> None:
    assert ("x", "definition") in classes("x = 1\n")
    assert {name for _, name in classes("Take the first one, then stop.")} == {"prose"}


@given(st.lists(st.text(max_size=6), max_size=12), st.booleans())
def test_any_text_gets_one_class_a_piece(pieces: list[str], fenced: bool) -> None:
    pieces = ["```python\n", *pieces, "\n```"] if fenced else pieces
    found = classify(pieces)
    assert len(found) == len(pieces)
    assert all(0 <= code < len(SYNTAX) for code in found)


def test_a_lone_carriage_return_ends_a_line_as_it_does_for_python() -> None:
    pieces = ["```python\n", "x = 1\r", "def f(a):\r", "    return a\r", "y = f(x)\n", "```"]
    assert len(classify(pieces)) == len(pieces)
