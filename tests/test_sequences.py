"""Which ids are analysed: references after their prompt, chat or not; stored ids as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Problem
from benchmarks.prompts import messages
from ssd_eval import sequences
from ssd_eval.checkpoint import load_tokenizer
from ssd_eval.sample import Prompting

PROMPTING: Prompting = {"prompt_style": "simple", "system": None, "thinking": None}
PROBLEM = Problem("p", "Echo a line.", (), references=("print(input())",))


def decoded(tokenizer: Any, ids: tuple[int, ...]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def test_a_chat_checkpoints_prompt_goes_through_its_template(tiny_checkpoint: Path) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    found = decoded(tokenizer, sequences.encoded(tokenizer, PROBLEM, PROMPTING))
    assert "Echo a line." in found
    assert found.endswith("<assistant>")


def test_a_base_checkpoints_prompt_is_its_bare_text(tiny_checkpoint: Path) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    tokenizer.chat_template = None
    prompting: Prompting = {**PROMPTING, "system": "Be brief."}
    turns = messages(PROBLEM, "simple", "Be brief.")
    assert len(turns) == 2
    found = decoded(tokenizer, sequences.encoded(tokenizer, PROBLEM, prompting))
    assert found == "\n".join(each["content"] for each in turns)


def test_a_prompt_to_be_continued_passes_by_the_template(tiny_checkpoint: Path) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    text = Problem("p", "def f(x):\n", (), continued=True)
    found = decoded(tokenizer, sequences.encoded(tokenizer, text, PROMPTING))
    assert found == "def f(x):\n"


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_side_a_tokenizer_pads_does_not_matter(tiny_checkpoint: Path, side: str) -> None:
    plain, other = load_tokenizer(tiny_checkpoint), load_tokenizer(tiny_checkpoint)
    other.padding_side = side
    expected, found = (
        list(sequences.of_references([PROBLEM], each, 2, 1)) for each in (plain, other)
    )
    assert found == expected
