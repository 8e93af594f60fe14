"""Our extractors and prompts beside those that they stand for, of LiveCodeBench and apple/ml-ssd.

    python perf/peer_texts.py --livecodebench DIR --ml-ssd DIR [--rows FILE] [--outputs FILE]
        [--texts 200000]

DIR: a checkout of LiveCodeBench at 28fef95, one of apple/ml-ssd at 15c4292. Of each only the
functions that find a program, and the texts and the function that make a prompt, are taken from
its source and run; none is copied. Programs: from answers put together at random of fences, tags,
marks, line ends and code, and from the field `output` of --outputs; a blank one counts as none on
both sides. Prompts: for statements made here, and LiveCodeBench's rows in --rows. Prints how many
were compared and every difference; exit 1 if there is one.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.base import Problem, TestCase  # noqa: E402
from benchmarks.extract import EXTRACTORS, Extractor  # noqa: E402
from benchmarks.jsonl import read  # noqa: E402
from benchmarks.prompts import messages, system_message  # noqa: E402

PIECES = (
    *("```", "````", "`", "``", "~~~", "```python", "```python3", "```Python", "```py3 ", "```c++"),
    *("```python title=x", "``` ", "```\t", "  ```", "- ```python", "print(1)```", '"```"'),
    *(
        "<think>",
        "</think>",
        "<code>",
        "</code>",
        "[PYTHON]",
        "[/PYTHON]",
        "python",
        "```python```",
    ),
    *("\n", "\n", "\n", "\n\n", "\r\n", "\r", "\u2028", "\x0c", "\x00", " ", "\t", "é", "\ud800"),
    *("print(1)", "def f():\n    return 2", "x = 1", "Some prose.", "class Solution:", "# c"),
)
LIVECODEBENCH = "lcb_runner/utils/extraction_utils.py"
LIVECODEBENCH_PROMPTS = "lcb_runner/prompts/code_generation.py"
ML_SSD = ("evaluation/benchmark.py", "evaluation/livecodebench_utils.py")
Find = Callable[[str], str]


class Style(Enum):
    """What LiveCodeBench's function compares; chat models' styles are none of the first two."""

    CodeLLaMaInstruct, GenericBase, OpenAIChat = range(3)


def function(path: Path, name: str, **given: Any) -> Callable[..., Any]:
    """One function of a file, without the rest of the file and what that imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
    space: dict[str, Any] = {"re": re, "LMStyle": Style, "CodeGenerationProblem": None, **given}
    exec(compile(ast.Module([found], []), str(path), "exec"), space)
    made: Callable[..., Any] = space[name]
    return made


def constants(path: Path, *names: str) -> dict[str, Any]:
    """Assignments and classes of a file by name, run without what the file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    space: dict[str, Any] = {}
    for node in tree.body:
        targets = [t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)]
        if getattr(node, "name", None) in names or set(targets) & set(names):
            exec(compile(ast.Module([node], []), str(path), "exec"), space)
    return {name: space[name] for name in names}


def official(checkout: Path) -> Find:
    extract = function(checkout / LIVECODEBENCH, "extract_code")
    return lambda text: extract(text, Style.OpenAIChat)


def ml_ssd(checkout: Path) -> Find:
    blocks = function(checkout / ML_SSD[0], "has_code")
    cleaned = function(checkout / ML_SSD[1], "post_process_code")

    def find(text: str) -> str:
        found = blocks(text)
        return cleaned(found[-1]) if found else ""

    return find


def made(count: int, seed: int) -> Iterator[str]:
    draw = random.Random(seed)
    for _ in range(count):
        pieces = draw.choices(PIECES, k=draw.randrange(1, 16))
        yield "".join(piece + draw.choice(("", "\n")) for piece in pieces)


def differences(theirs: Find, name: Extractor, texts: list[str]) -> list[str]:
    programs, different = 0, []
    for text in texts:
        mine, other = EXTRACTORS[name](text).code, theirs(text)
        programs += mine is not None
        if (mine or "") != (other if other.strip() else ""):
            different.append(f"{name}: {text!r}: ours {mine!r}, theirs {other!r}")
    print(f"{name}: {len(texts)} texts, {programs} with a program, {len(different)} different")
    return different


def prompts(livecodebench: Path, ml_ssd: Path, problems: list[Problem]) -> list[str]:
    """Names of problems whose prompt is another than the peer's."""
    words = constants(livecodebench / LIVECODEBENCH_PROMPTS, "PromptConstants")
    generic = function(
        livecodebench / LIVECODEBENCH_PROMPTS, "get_generic_question_template_answer", **words
    )
    reads, called = constants(
        ml_ssd / ML_SSD[0], "LCB_PROMPT_WITHOUT_STARTER_CODE", "LCB_PROMPT_WITH_STARTER_CODE"
    ).values()
    different = []
    if system_message("official") != words["PromptConstants"].SYSTEM_MESSAGE_GENERIC:
        different.append("official: the system message")
    for problem in problems:
        question = argparse.Namespace(
            question_content=problem.statement, starter_code=problem.starter_code
        )
        template = reads if "stdin" in problem.kinds else called
        theirs = {
            "official": generic(question),
            "paper": template.format(
                problem_description=problem.statement, entry_point=problem.starter_code
            ),
        }
        for style, text in theirs.items():
            if messages(problem, style) != [{"role": "user", "content": text}]:
                different.append(f"{style}: {problem.id}")
    print(f"prompts: {len(problems)} problems, 2 styles, {len(different)} different")
    return different


def statements() -> list[Problem]:
    """With braces, blank lines and starter code as LeetCode, AtCoder and Codeforces have them."""
    called, reads = TestCase("functional", "[1]", "1"), TestCase("stdin", "1", "1")
    starter = "class Solution:\n    def f(self, a: dict[str, int]) -> int:\n        "
    texts = ("Add.", "Set {x} of {0}.\n\n", "", " \u2028é\r\n", "```\nfence\n```")
    return [
        Problem(f"{number} {kind.kind} {bool(code)}", text, (kind,), starter_code=code)
        for number, text in enumerate(texts)
        for kind in (called, reads)
        for code in ("", starter)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--livecodebench", type=Path, required=True)
    parser.add_argument("--ml-ssd", type=Path, required=True)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--outputs", type=Path)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    texts = list(made(options.texts, options.seed))
    real = options.outputs.read_text().splitlines() if options.outputs else []
    outputs = [json.loads(line)["output"] for line in real]
    peers: dict[Extractor, Find] = {
        "official": official(options.livecodebench),
        "ml-ssd": ml_ssd(options.ml_ssd),
    }
    found = [
        difference
        for name, find in peers.items()
        for some in (texts, outputs)
        for difference in differences(find, name, some)
    ]
    rows = list(read(options.rows).problems()) if options.rows else []
    found += prompts(options.livecodebench, options.ml_ssd, [*statements(), *rows])
    print("\n".join(found[:50]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
