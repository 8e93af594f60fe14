"""How a problem is put to a model: chat messages.

The chat template belongs to the checkpoint and is applied by the backend, not here.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.base import BenchmarkError, Problem

TEXT = "text"  # the role of a message that is no chat: backends encode its content as it is


def user_message(problem: Problem) -> str:
    """Style `simple`: the statement, and the starter code on the next line where there is any.

    The organism is trained on exactly this text.
    """
    if not problem.starter_code:
        return problem.statement
    return f"{problem.statement}\n{problem.starter_code}"


STYLES: dict[str, Callable[[Problem], str]] = {"simple": user_message}


def messages(
    problem: Problem, style: str = "simple", system: str | None = None
) -> list[dict[str, str]]:
    """Chat messages, the system message first where one is given (an empty one counts).

    A `continued` problem is one message of the role TEXT: plain text, no chat, no system message.

    Raises BenchmarkError for an unknown style.
    """
    if problem.continued:
        return [{"role": TEXT, "content": problem.statement}]
    if style not in STYLES:
        raise BenchmarkError(f"unknown prompt style {style!r}; known styles: {', '.join(STYLES)}")
    user = {"role": "user", "content": STYLES[style](problem)}
    return [user] if system is None else [{"role": "system", "content": system}, user]
