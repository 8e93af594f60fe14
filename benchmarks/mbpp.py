"""Rows of MBPP (Austin et al. 2021) as Problems: the full file's and the sanitized one's.

A problem's assert lines are one check: they run one after the other in one process, as in the
paper, and the statement shows them. Challenge tests are left out, as everywhere. Only rows: where
files come from is `jsonl`.
"""

from __future__ import annotations

import ast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.base import BenchmarkError, Problem, TestCase
from benchmarks.livecodebench import first_error

PLATFORM = "mbpp"


class Row(BaseModel):
    """`text` in the full file is `prompt` in the sanitized one; other fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    task_id: int
    text: str = ""
    prompt: str = ""
    code: str
    test_list: list[str] = Field(min_length=1)
    test_setup_code: str = ""
    test_imports: list[str] = []


def is_row(row: dict[str, object]) -> bool:
    """Whether the fields are MBPP's."""
    return "test_list" in row and "task_id" in row


def problem(row: dict[str, object]) -> Problem:
    """One row as a Problem. Raises BenchmarkError, naming the row's id where it has one."""
    try:
        fields = Row.model_validate(row)
    except ValidationError as error:
        raise BenchmarkError(f"task {row.get('task_id')}: {first_error(error)}") from error
    shown = "\n".join(fields.test_list)
    try:
        program, asserts = ast.parse(fields.code), ast.parse(shown)
    except (SyntaxError, ValueError) as error:
        raise BenchmarkError(f"task {fields.task_id}: no Python ({error}); correct it") from error
    parts = [*_imports(program, asserts), *fields.test_imports, fields.test_setup_code, shown]
    return Problem(
        id=f"MBPP/{fields.task_id}",
        statement=f"{fields.text or fields.prompt}\nYour code should pass these tests:\n\n{shown}",
        tests=(TestCase("assertion", "\n".join(filter(None, parts)), "", public=True),),
        entry_point=_entry_point(program, asserts),
        platform=PLATFORM,
        references=(fields.code,),
    )


def _names(tree: ast.Module) -> list[str]:
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def _entry_point(program: ast.Module, asserts: ast.Module) -> str | None:
    """The function of the reference's that the asserts call; one of them is called like `sum`."""
    defined = {node.name for node in program.body if isinstance(node, ast.FunctionDef)}
    return next((name for name in _names(asserts) if name in defined), None)


def _imports(program: ast.Module, asserts: ast.Module) -> list[str]:
    """The reference's imports of modules that the asserts name (task 596 wants its `sys`)."""
    wanted = set(_names(asserts))
    return [
        f"import {alias.name}"
        for node in program.body
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname is None and alias.name in wanted
    ]
