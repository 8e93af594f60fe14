"""`--prompts SOURCE`: what SSD samples from, read from any file of prompts.

SOURCE is a .jsonl, .json (one array) or .parquet file, or `hub:OWNER/NAME/PATH[@REVISION]` for such
a file of a Hugging Face dataset, which is downloaded as it is: no loading script is run. A row is
an object; its prompt is the first of FIELDS that it has, or the named field. Prompts that differ
in white space alone are one, the first; blank ones are left out; both are counted. Answers, tests
and everything else in a row play no part.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import hub
from benchmarks.base import BenchmarkError, Problem

FIELDS = (
    *("prompt", "statement", "question_content", "question", "problem", "instruction"),
    *("description", "text", "content"),
)
HUB = re.compile(r"hub:(?P<repo>[^/@]+/[^/@]+)/(?P<file>[^@]+)(@(?P<revision>.+))?")
PARQUET_ROWS = 1024


@dataclass(frozen=True)
class PromptPool:
    """`digest` is over the prompts in their order; ids are hashes of the prompts alone."""

    source: str
    problems: tuple[Problem, ...]
    rows: int
    duplicates: int
    blank: int

    @property
    def digest(self) -> str:
        joined = "".join(problem.id for problem in self.problems)
        return hashlib.sha256(joined.encode()).hexdigest()[:16]

    def describe(self) -> dict[str, object]:
        return {
            "source": self.source,
            "rows": self.rows,
            "duplicates": self.duplicates,
            "blank": self.blank,
            "prompts": len(self.problems),
            "digest": self.digest,
        }


def normalised(text: str) -> str:
    """With every run of white space as one space."""
    return " ".join(text.split())


def read(source: str, *, field: str | None = None, data_dir: str | None = None) -> PromptPool:
    """Raises BenchmarkError that names the file and the row."""
    found: dict[str, Problem] = {}
    rows = duplicates = blank = 0
    for where, row in _rows(_file(source, data_dir), field):
        rows += 1
        text, starter = _prompt(where, row, field)
        plain = normalised(f"{text} {starter}")
        if not plain:
            blank += 1
            continue
        name = f"prompt-{hashlib.sha256(_bytes(plain)).hexdigest()[:16]}"
        duplicates += name in found
        found.setdefault(name, Problem(name, text, (), starter_code=starter))
    if not found:
        raise BenchmarkError(f"{source} holds no prompts ({rows} rows, {blank} of them blank)")
    return PromptPool(source, tuple(found.values()), rows, duplicates, blank)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _file(source: str, data_dir: str | None) -> Path:
    if source.startswith("hub:"):
        found = HUB.fullmatch(source)
        if found is None:
            raise BenchmarkError(
                f"{source!r} names no file of a dataset; write hub:OWNER/NAME/PATH, with @REVISION "
                "for a pinned one"
            )
        fix = "or download the file yourself and give its path"
        where = {"repo": found["repo"], "revision": found["revision"] or "main"}
        return hub.download(found["file"], None, fix=fix, **where)
    path = Path(source).expanduser()
    if data_dir is not None and not path.exists():
        path = Path(data_dir) / source
    return path


def _rows(path: Path, field: str | None) -> Iterator[tuple[str, Any]]:
    if path.suffix not in (".jsonl", ".json", ".parquet"):
        raise BenchmarkError(f"{path}: prompts come from a .jsonl, .json or .parquet file")
    try:
        if path.suffix == ".parquet":
            yield from _parquet(path, field)
        elif path.suffix == ".json":
            yield from _array(path)
        else:
            yield from _lines(path)
    except OSError as error:
        reason = error.strerror or error
        raise BenchmarkError(f"{path}: {reason}; give a readable file of prompts") from error


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}:{number}", _json(f"{path}:{number}", line)


def _array(path: Path) -> Iterator[tuple[str, Any]]:
    rows = _json(str(path), path.read_bytes())
    if not isinstance(rows, list):
        raise BenchmarkError(f"{path}: no JSON array; write one array of objects, or .jsonl")
    for number, row in enumerate(rows):
        yield f"{path}: entry {number}", row


def _json(where: str, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{where}: not JSON ({error}); correct or remove it") from error


def _parquet(path: Path, field: str | None) -> Iterator[tuple[str, Any]]:
    """By column batches, so that memory does not grow with the file."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise BenchmarkError(
            f"{path}: reading parquet files needs pyarrow; pip install 'ssd-eval[parquet]'"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            columns = [c for c in file.schema_arrow.names if c in (*FIELDS, field, "starter_code")]
            number = 0
            for batch in file.iter_batches(PARQUET_ROWS, columns=columns or None):
                for row in batch.to_pylist():
                    yield f"{path}: row {number}", row
                    number += 1
    except arrow.ArrowException as error:
        raise BenchmarkError(f"{path}: no parquet file ({error}); download it again") from error


def _prompt(where: str, row: Any, field: str | None) -> tuple[str, str]:
    if not isinstance(row, dict):
        raise BenchmarkError(f"{where}: a JSON {type(row).__name__}, not an object")
    names = (field,) if field else FIELDS
    name = next((each for each in names if each in row), None)
    if name is None:
        raise BenchmarkError(
            f"{where}: no field {' or '.join(names)}; say which one holds the prompt with "
            f"--prompts-field (the row has {', '.join(map(str, row)) or 'none'})"
        )
    text, starter = row[name], row.get("starter_code")
    if text is not None and not isinstance(text, str):
        raise BenchmarkError(f"{where}: {name} is no text; choose another with --prompts-field")
    return text or "", starter if isinstance(starter, str) else ""
