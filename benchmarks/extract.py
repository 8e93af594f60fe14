"""The program in a model's answer: fenced code blocks, by rules that are recorded.

The rules, first match wins (their names are `Extraction.rule`):

- `unfinished-thinking`: the text opens with `<think>` and never closes it. No program.
- `python-fence`: the last complete block tagged python, python3, py, ...
- `any-fence`: the last complete block with another tag or none.
- `unclosed-fence`: a last block that never closes (an answer cut off by max_tokens).
- `none`: no program.

Only the part after the last `</think>` counts. Blank blocks count as absent. Fences are Markdown's
backtick fences (CommonMark §4.5), with what models do beside it: a tagged fence inside an open
block starts anew, an opening fence may follow prose if its tag is Python, and a closing fence may
end a line of code. `~~~` fences, and code outside fences, are not looked for; nothing is parsed,
repaired or run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.base import Problem

# Where a base model's answer ends (Chen et al. 2021, §2.1): the function is over by then.
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
FENCE = re.compile(r"(?P<before>[^`]*)(?P<ticks>`{3,})(?P<tag>[^`]*)")
ML_SSD = re.compile(r"```[a-zA-Z]*\n(.*?)```", re.DOTALL)
# Of a list item. Possessive: a line of white space is read once, not once for each of its splits.
MARKER = re.compile(r"\s*+([-*+]|\d{1,3}[.)])?\s*+")
PYTHON = re.compile(r"[{.\s]*(python|py)[\d.]*\b", re.IGNORECASE)
CONTENT_INDENT = 4  # a fence indented this much deeper than its block's opening is content


@dataclass(frozen=True)
class Extraction:
    """The program, or None, and the rule that decided."""

    code: str | None
    rule: str


@dataclass(frozen=True)
class _Block:
    code: str
    python: bool
    closed: bool


@dataclass
class _Open:
    """A block whose closing fence has not come yet."""

    ticks: int
    indent: int
    python: bool
    lines: list[str]

    def block(self, *, closed: bool) -> _Block:
        """The fence's own indent comes off every line, if the first line of code has it."""
        first = next((line for line in self.lines if line.strip()), "")
        indent = min(self.indent, _spaces(first))
        code = "\n".join(line[min(indent, _spaces(line)) :] for line in self.lines)
        return _Block(code, self.python, closed)


def extract(text: str) -> Extraction:
    """The program in `text` by the rules of this module. Never raises."""
    _thought, closed, answer = text.rpartition("</think>")
    if not closed and text.lstrip().startswith("<think>"):
        return Extraction(None, "unfinished-thinking")
    blocks = [block for block in _blocks(answer) if block.code.strip()]
    complete = [block for block in blocks if block.closed]
    for rule, candidates in (
        ("python-fence", [block for block in complete if block.python]),
        ("any-fence", complete),
        ("unclosed-fence", blocks),
    ):
        if candidates:
            return Extraction(candidates[-1].code, rule)
    return Extraction(None, "none")


def program(text: str, problem: Problem | None, extractor: Extractor = "ours") -> Extraction:
    """The program in an answer to `problem`, by the extractor's rules.

    Where the problem's code was to be continued there is nothing to extract: rule `continuation`.
    """
    if problem is not None and problem.continued:
        return continuation(problem.statement, text)
    return EXTRACTORS[extractor](text)


def with_preamble(problem: Problem, source: str) -> str:
    """The program after what it was given, but for one that must begin with its own lines."""
    if not problem.preamble or re.search(r"^from __future__ ", source, re.MULTILINE):
        return source
    return f"{problem.preamble}\n{source}"


def continuation(start: str, text: str) -> Extraction:
    """The program that `text` makes of `start`, up to the first of STOPS. Rule `continuation`."""
    ends = [found for found in (text.find(stop) for stop in STOPS) if found >= 0]
    return Extraction(start + text[: min(ends, default=len(text))], "continuation")


def official(text: str) -> Extraction:
    """LiveCodeBench's rule at 28fef95: what lies between the last two lines with a fence.

    An answer cut off in its last block gives the prose before that block.
    """
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    if len(fences) < 2:
        return Extraction(None, "none")
    code = "\n".join(lines[fences[-2] + 1 : fences[-1]])
    return Extraction(code if code.strip() else None, "last-two-fences")


def ml_ssd(text: str) -> Extraction:
    """The paper's released scorer (apple/ml-ssd at 15c4292): the last block that its pattern finds.

    A tag is letters or nothing, so that a block tagged python3 is none, nor is one that does not
    close. As in its `post_process_code`, <code> is taken out, and </code> ends the program.
    """
    found = ML_SSD.findall(text)
    code = found[-1].split("</code>")[0].replace("<code>", "") if found else ""
    return Extraction(code, "last-block") if code.strip() else Extraction(None, "none")


Extractor = Literal["ours", "official", "ml-ssd"]
EXTRACTORS: dict[Extractor, Callable[[str], Extraction]] = {
    "ours": extract,
    "official": official,
    "ml-ssd": ml_ssd,
}


def _blocks(text: str) -> Iterator[_Block]:
    # Not splitlines: it also splits at form feeds and U+2028, which may stand in string literals.
    current: _Open | None = None
    for line in text.split("\n"):
        fence = FENCE.fullmatch(line.rstrip())
        if current is None:
            current = _opened(fence)
        elif fence is None or _is_content(fence, current):
            current.lines.append(line)
        elif fence["tag"].strip():
            yield current.block(closed=False)
            current = _opened(fence)
        else:
            if fence["before"].strip():
                current.lines.append(fence["before"])
            yield current.block(closed=True)
            current = None
    if current is not None:
        yield current.block(closed=False)


def _opened(fence: re.Match[str] | None) -> _Open | None:
    if fence is None:
        return None
    python = PYTHON.match(fence["tag"]) is not None
    alone = MARKER.fullmatch(fence["before"]) is not None
    if not alone and not python:
        return None
    return _Open(len(fence["ticks"]), len(fence["before"]) if alone else 0, python, [])


def _is_content(fence: re.Match[str], current: _Open) -> bool:
    """Whether what looks like a fence is a line of the open block."""
    before = fence["before"]
    if before.strip():
        # After code, only a bare run closes: a tag there is prose or a string.
        return bool(fence["tag"].strip()) or len(fence["ticks"]) < current.ticks
    deeper = len(before) - current.indent >= CONTENT_INDENT
    return deeper or len(fence["ticks"]) < current.ticks


def _spaces(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
