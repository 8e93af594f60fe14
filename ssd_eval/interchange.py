"""Generations made elsewhere, read for `ssd-eval score FILE`.

A file is one JSON array of objects (LiveCodeBench's `[{"question_id", "code_list"}]`) or JSONL, one
object a line. An object names its problem in `problem_id`, `question_id` or `task_id`, and holds
programs in the first of these fields that is present and not null:

    code_list    list of programs, null or blank where there is none
    code         one program
    output_list  list of texts from which the program is extracted
    text, output one such text
    completion   the same, but a text without any code fence is taken whole, as the program

Samples are numbered per problem in the file's order, unless an object with a single program gives
its own `sample`. Other fields are ignored. Runs nothing; our own run folders belong to `store`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.extract import Extraction, extract
from ssd_eval.errors import UsageError

ID_FIELDS = ("problem_id", "question_id", "task_id")


@dataclass(frozen=True)
class Program:
    """One program to grade. `rule` says how it was found: an extraction rule, or `given`."""

    problem_id: str
    sample: int
    code: str | None
    rule: str


def read(path: Path, known: Container[str]) -> tuple[Program, ...]:
    """The programs in `path`, in the file's order. `known`: the benchmark's problem ids.

    Raises UsageError that names the file and the line (in an array: the entry).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a readable file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    rows = _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)
    programs: dict[tuple[str, int], Program] = {}
    counts: Counter[str] = Counter()
    for where, row in rows:
        for program in _programs(where, row, known, counts):
            key = (program.problem_id, program.sample)
            if key in programs:
                raise UsageError(f"{where}: sample {key[1]} of {key[0]!r} came before; keep one")
            programs[key] = program
    if not programs:
        raise UsageError(f"{path} holds no generations; give JSONL or a JSON array of objects")
    return tuple(programs.values())


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
    where: str, row: object, known: Container[str], counts: Counter[str]
) -> Iterator[Program]:
    if not isinstance(row, dict):
        raise UsageError(f"{where}: not an object; write objects with a problem_id and a code")
    problem_id = _problem_id(where, row, known)
    found, single = _found(where, row)
    given = row.get("sample") if single else None
    if given is not None and (type(given) is not int or given < 0):
        raise UsageError(f"{where}: sample {given!r} is not a whole number >= 0; correct it")
    for extraction in found:
        sample = counts[problem_id] if given is None else given
        counts[problem_id] += 1
        yield Program(problem_id, sample, extraction.code, extraction.rule)


def _problem_id(where: str, row: dict[str, Any], known: Container[str]) -> str:
    name = next((field for field in ID_FIELDS if row.get(field) is not None), None)
    if name is None:
        raise UsageError(f"{where}: no problem is named; add one of {', '.join(ID_FIELDS)}")
    problem_id = row[name]
    if not isinstance(problem_id, str):
        raise UsageError(f"{where}: {name} must be a text, not {problem_id!r}")
    if problem_id not in known:
        raise UsageError(
            f"{where}: the benchmark has no problem {problem_id!r}; "
            "remove the entry or choose the --benchmark it belongs to"
        )
    return problem_id


def _found(where: str, row: dict[str, Any]) -> tuple[list[Extraction], bool]:
    """The programs of one object, and whether its field holds a single one."""
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
    return [FIELDS[name](item or "") for item in values], single


def _given(code: str) -> Extraction:
    return Extraction(code if code.strip() else None, "given")


def _completion(text: str) -> Extraction:
    return extract(text) if "```" in text or "<think>" in text else _given(text)


FIELDS: dict[str, Callable[[str], Extraction]] = {
    "code_list": _given,
    "code": _given,
    "output_list": extract,
    "text": extract,
    "output": extract,
    "completion": _completion,
}
