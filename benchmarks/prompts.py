"""How a problem is put to a model: chat messages.

Styles: `simple`; `official`, LiveCodeBench's format for chat models in general; `paper`, that of
ml-ssd's evaluation, which is LiveCodeBench's wording in another arrangement; or a file, as a Jinja
template. The chat template belongs to the checkpoint and is applied by the backend, not here.

The sentences of `official` and `paper` are LiveCodeBench's (MIT, Copyright (c) 2024 LiveCodeBench):
scores depend on them to the letter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from benchmarks.base import BenchmarkError, Problem, TestCase

TEXT = "text"  # the role of a message that is no chat: backends encode its content as it is


def user_message(problem: Problem) -> str:
    """Style `simple`: the statement, and the starter code on the next line where there is any.

    The organism is trained on exactly this text.
    """
    if not problem.starter_code:
        return problem.statement
    return f"{problem.statement}\n{problem.starter_code}"


EXPERT = (
    "You are an expert Python programmer. You will be given a question (problem specification) and "
    "will generate a correct Python program that matches the specification and passes all tests."
)
TASK = (
    "You will be given a question (problem specification) and will generate a correct Python "
    "program that matches the specification and passes all tests. You will NOT return anything "
    "except for the program."
)
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your "
    "code within delimiters."
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
    "test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when "
    "the python program runs, it reads the inputs, runs the algorithm and writes output to STDOUT."
)


def official(problem: Problem) -> str:
    """lcb_runner/prompts/code_generation.py, `get_generic_question_template_answer`."""
    starter = problem.starter_code
    how, code = (WITH_STARTER, starter) if starter else (WITHOUT_STARTER, "# YOUR CODE HERE")
    return (
        f"### Question:\n{problem.statement}\n\n### Format: {how}\n```python\n{code}\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )


def paper(problem: Problem) -> str:
    """apple/ml-ssd, evaluation/benchmark.py: a stray quote and an open fence are part of it.

    As there, tests on standard input decide the form, not whether there is starter code. Prompts
    for SSD have no tests: their starter code decides, as in its data_generation/generate.py, whose
    wording is a little different.
    """
    head = f"{TASK}\n\nQuestion: {problem.statement}\n\n"
    if _reads(problem):
        return f"{head}{WITHOUT_STARTER}\n```python\n  # YOUR CODE HERE\n```"
    return f'{head}{WITH_STARTER}"\n```python\n{problem.starter_code}\n'


def _reads(problem: Problem) -> bool:
    """Whether what is asked for is a program that reads standard input."""
    return "stdin" in problem.kinds if problem.kinds else not problem.starter_code.strip()


STYLES: dict[str, Callable[[Problem], str]] = {
    "simple": user_message,
    "official": official,
    "paper": paper,
}


def rendering(name: str) -> Callable[[Problem], str]:
    """A style by name, or the Jinja template in the file `name`.

    A template is given `statement`, `starter_code`, `title` and `stdin`, and nothing else. Raises
    BenchmarkError for an unknown name, and for a file that is no template.
    """
    if name in STYLES:
        return STYLES[name]
    path = Path(name).expanduser()
    if not path.is_file():
        raise BenchmarkError(
            f"unknown prompt style {name!r}; known styles: {', '.join(STYLES)}; or give a file "
            "that holds a template"
        )
    return _template(path, path.stat().st_mtime_ns)


@lru_cache
def _template(path: Path, _changed: int) -> Callable[[Problem], str]:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        template = environment.from_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        raise BenchmarkError(f"the prompt template {path} cannot be used: {error}") from error

    def render(problem: Problem) -> str:
        try:
            return template.render(
                statement=problem.statement,
                starter_code=problem.starter_code,
                title=problem.title,
                stdin=_reads(problem),
            )
        except TemplateError as error:
            raise BenchmarkError(f"the prompt template {path}: {error}") from error

    return render


def system_message(name: str, wanted: bool | None = None) -> str | None:
    """LiveCodeBench's system message or none; `wanted` None: as the style has it."""
    return EXPERT if (name == "official" if wanted is None else wanted) else None


def messages(
    problem: Problem, style: str = "simple", system: str | None = None
) -> list[dict[str, str]]:
    """Chat messages, the system message first where one is given (an empty one counts).

    A `continued` problem is one message of the role TEXT: plain text, no chat, no system message.
    Raises BenchmarkError for an unknown style, and for one whose words ask for a whole program
    where the tests call a function.
    """
    if problem.continued:
        return [{"role": TEXT, "content": problem.statement}]
    if style in ("official", "paper") and "assertion" in problem.kinds:
        raise BenchmarkError(
            f"{problem.id}: prompt style {style!r} asks for programs that read standard input, and "
            "these tests call a function; use --prompt simple, or a file"
        )
    user = {"role": "user", "content": rendering(style)(problem)}
    return [user] if system is None else [{"role": "system", "content": system}, user]


def wording(style: str, system: str | None) -> str:
    """16 hex digits over what a style makes of two problems, one of each kind; as `messages`."""
    probes = (
        Problem("", "statement", (TestCase("stdin", "", ""),), "title"),
        Problem("", "statement", (TestCase("functional", "[]", "0"),), "title", "starter code"),
    )
    said = json.dumps([messages(probe, style, system) for probe in probes])
    return hashlib.sha256(said.encode()).hexdigest()[:16]
