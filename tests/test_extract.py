"""The program in a model's answer."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.extract import Extraction, extract

CODE = "n = int(input())\nprint(n)"
PYTHON, ANY, UNCLOSED = "python-fence", "any-fence", "unclosed-fence"


def fenced(code: str, tag: str = "python", ticks: str = "```") -> str:
    return f"{ticks}{tag}\n{code}\n{ticks}"


@pytest.mark.parametrize(
    "tag", ["python", "Python", "python3", "py", "py3", "python3.11", " python"]
)
def test_python_tags_are_known(tag: str) -> None:
    assert extract(f"Sure!\n{fenced(CODE, tag)}\nDone.") == Extraction(CODE, PYTHON)


@pytest.mark.parametrize("tag", ["python title='a.py'", "python {.numberLines}", "{.python}"])
def test_a_tag_may_carry_attributes(tag: str) -> None:
    assert extract(fenced(CODE, tag)).rule == PYTHON


@pytest.mark.parametrize("tag", ["pypy", "pytb", "pycon", "cpp", "text", ""])
def test_other_tags_are_not_python(tag: str) -> None:
    assert extract(fenced(CODE, tag)) == Extraction(CODE, ANY)


def test_last_complete_python_fence_wins_over_all_others() -> None:
    text = "\n".join([fenced("old"), fenced(CODE), fenced("5 3", "text"), "```python\ncut off"])
    assert extract(text) == Extraction(CODE, PYTHON)


def test_last_complete_fence_wins_where_none_is_python() -> None:
    text = "\n".join([fenced("old", ""), fenced(CODE, ""), "```\ncut off"])
    assert extract(text) == Extraction(CODE, ANY)


def test_an_unclosed_fence_is_the_last_resort() -> None:
    assert extract(f"Here:\n```python\n{CODE}") == Extraction(CODE, UNCLOSED)
    assert extract(f"Here:\n```\n{CODE}") == Extraction(CODE, UNCLOSED)


@pytest.mark.parametrize("text", ["", "print(1)", "Use `x`.", "```", "```python", "```print(1)```"])
def test_text_without_a_block_has_no_program(text: str) -> None:
    assert extract(text) == Extraction(None, "none")


def test_blank_blocks_are_absent() -> None:
    assert extract(fenced(CODE) + "\n" + fenced("  \n")) == Extraction(CODE, PYTHON)
    assert extract(fenced("")) == Extraction(None, "none")


def test_only_the_part_after_thinking_counts() -> None:
    draft = f"<think>\nmaybe\n{fenced('draft')}\n</think>\n"
    assert extract(draft) == Extraction(None, "none")
    assert extract(draft + fenced(CODE)) == Extraction(CODE, PYTHON)
    # Qwen3-Thinking's template opens the thought itself, so that only the end is in the text.
    assert extract(draft.removeprefix("<think>") + fenced(CODE)).code == CODE


def test_a_thought_that_never_ends_has_no_program() -> None:
    assert extract(f" <think>\n{fenced('draft')}") == Extraction(None, "unfinished-thinking")


def test_a_fence_inside_a_docstring_is_content() -> None:
    code = 'def f():\n    """\n    Example:\n    ```python\n    f()\n    ```\n    """\n    return 1'
    assert extract(fenced(code)) == Extraction(code, PYTHON)


def test_a_longer_fence_holds_shorter_ones() -> None:
    code = 'text = """\n```\n"""'
    assert extract(fenced(code, ticks="````")) == Extraction(code, PYTHON)


def test_a_tagged_fence_inside_an_open_block_starts_anew() -> None:
    assert extract(f"```python\nabandoned\n{fenced(CODE)}") == Extraction(CODE, PYTHON)
    assert extract(fenced(fenced(CODE), "markdown")).code == CODE


def test_code_may_end_on_the_line_of_the_closing_fence() -> None:
    assert extract(f"```python\n{CODE}```\nbye") == Extraction(CODE, PYTHON)


def test_a_string_of_backticks_does_not_close() -> None:
    code = 'fence = "```"\nother = "```python"'
    assert extract(fenced(code)) == Extraction(code, PYTHON)


def test_prose_may_precede_an_opening_python_fence() -> None:
    assert extract(f"The answer: ```python\n{CODE}\n```") == Extraction(CODE, PYTHON)
    assert extract(f"Put it between ``` and so on\n{CODE}\n") == Extraction(None, "none")


@pytest.mark.parametrize("marker", ["   ", "1. ", "- "])
def test_the_indent_of_a_list_item_comes_off(marker: str) -> None:
    block = textwrap.indent(fenced(CODE + "\nif n:\n  print(2)"), " " * len(marker))
    text = marker + block[len(marker) :]
    assert extract(text) == Extraction(CODE + "\nif n:\n  print(2)", PYTHON)


def test_code_left_of_its_fence_keeps_its_indents() -> None:
    assert extract("1. ```python\nif x:\n  y()\n```").code == "if x:\n  y()"


def test_windows_line_ends_do_not_hide_fences() -> None:
    found = extract(fenced(CODE).replace("\n", "\r\n"))
    assert found.rule == PYTHON
    assert found.code is not None
    assert found.code.split() == CODE.split()


def test_line_separators_inside_code_do_not_split_it() -> None:
    code = "s = '\u2028\x0c```'"
    assert extract(fenced(code)) == Extraction(code, PYTHON)


@given(st.text(alphabet="`ab \n\r~<>/think python1.-\u2028", max_size=200))
def test_any_text_gives_a_known_rule(text: str) -> None:
    found = extract(text)
    assert (found.code is None) == (found.rule in {"none", "unfinished-thinking"})
    assert found.code is None or found.code.strip()


@given(st.text(max_size=200).filter(lambda code: "`" not in code and code.strip()))
def test_every_fenced_program_comes_back_whole(code: str) -> None:
    if "</think>" not in code:
        assert extract(f"Text.\n{fenced(code)}\nMore.") == Extraction(code, PYTHON)
