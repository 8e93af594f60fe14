"""How a problem is put to a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.base import BenchmarkError, Problem, TestCase
from benchmarks.prompts import messages, system_message, user_message, wording

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


STDIN = Problem(id="s", statement="Print the sum.", tests=(TestCase("stdin", "1", "1"),))
FUNCTIONAL = Problem(
    id="f",
    statement="Add.",
    tests=(TestCase("functional", "[1]", "1"),),
    starter_code="class Solution:\n    def add(self, a: int) -> int:\n        ",
)


def asked(problem: Problem, style: str) -> str:
    return messages(problem, style)[-1]["content"]


def test_the_official_format_is_livecodebenchs_to_the_letter() -> None:
    assert asked(STDIN, "official") == (
        "### Question:\nPrint the sum.\n\n### Format: Read the inputs from stdin solve the problem "
        "and write the answer to stdout (do not directly test on the sample inputs). Enclose your "
        "code within delimiters as follows. Ensure that when the python program runs, it reads the "
        "inputs, runs the algorithm and writes output to STDOUT.\n```python\n# YOUR CODE HERE\n"
        "```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    assert asked(FUNCTIONAL, "official") == (
        "### Question:\nAdd.\n\n### Format: You will use the following starter code to write the "
        "solution to the problem and enclose your code within delimiters.\n```python\n"
        f"{FUNCTIONAL.starter_code}\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )


def test_the_papers_prompt_keeps_its_stray_quote_and_open_fence() -> None:
    assert asked(FUNCTIONAL, "paper").endswith(
        "Question: Add.\n\nYou will use the following starter code to write the solution to the "
        'problem and enclose your code within delimiters."\n```python\n'
        f"{FUNCTIONAL.starter_code}\n"
    )
    assert asked(STDIN, "paper").endswith("STDOUT.\n```python\n  # YOUR CODE HERE\n```")
    assert asked(STDIN, "paper").startswith("You will be given a question (problem specification)")


def test_a_prompt_without_tests_is_asked_for_by_its_starter_code(tmp_path: Path) -> None:
    template = tmp_path / "a.j2"
    template.write_text("{{ stdin }}")
    assert asked(PLAIN, "paper").endswith("STDOUT.\n```python\n  # YOUR CODE HERE\n```")
    assert asked(STARTER, "paper").endswith(f'"\n```python\n{STARTER.starter_code}\n')
    assert [asked(each, str(template)) for each in (PLAIN, STARTER)] == ["True", "False"]


@pytest.mark.parametrize(
    ("style", "wanted", "there"),
    [
        ("official", None, True),
        ("official", False, False),
        ("paper", None, False),
        ("paper", True, True),
        ("simple", None, False),
    ],
)
def test_the_system_message_is_the_styles_or_as_asked(
    style: str, wanted: bool | None, there: bool
) -> None:
    found = system_message(style, wanted)
    assert (found is not None) == there
    assert found is None or found.startswith("You are an expert Python programmer.")


def test_a_template_file_is_rendered_for_each_problem(tmp_path: Path) -> None:
    file = tmp_path / "mine.j2"
    file.write_text("{{ title }}: {{ statement }}{% if stdin %} Read stdin.{% else %}\n"
                    "{{ starter_code }}{% endif %}\n")  # fmt: skip
    assert asked(STDIN, str(file)) == ": Print the sum. Read stdin.\n"
    assert asked(FUNCTIONAL, str(file)) == f": Add.\n{FUNCTIONAL.starter_code}\n"
    before = wording(str(file), None)
    file.write_text("{{ statement }}")
    assert wording(str(file), None) != before


@pytest.mark.parametrize("text", ["{{ answer }}", "{% if %}", "{{ ''.__class__.__mro__[1] }}"])
def test_a_template_that_cannot_be_rendered_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.j2"
    file.write_text(text)
    with pytest.raises(BenchmarkError, match=r"the prompt template .*bad\.j2"):
        asked(STDIN, str(file))


def test_styles_and_system_messages_have_wordings_of_their_own() -> None:
    made = [wording(style, system) for style in ("simple", "official", "paper")
            for system in (None, "", "Be brief.")]  # fmt: skip
    assert len(set(made)) == 9
