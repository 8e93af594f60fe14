"""Rows of LiveCodeBench's `code_generation_lite` as Problems.

Public and private tests both count, as in the official scoring. Private tests are JSON, or else
base64 of zlib of a pickle of a JSON string; the pickle is read opcode by opcode and never run. Only
rows: where files come from is `jsonl`, and release windows are not chosen here.
"""

from __future__ import annotations

import base64
import json
import pickletools
import zlib
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, Json, TypeAdapter, ValidationError

from benchmarks.base import BenchmarkError, Difficulty, Problem, TestCase

MAX_TESTS_BYTES = 1 << 29  # one row's private tests, decompressed
# What a pickle of one string is made of (protocols 0 to 5); all else builds or calls something.
STRING_OPCODES = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
HARMLESS_OPCODES = STRING_OPCODES | {
    *("PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP")
}


class Metadata(BaseModel):
    model_config = ConfigDict(extra="ignore")

    func_name: str | None = None


class Row(BaseModel):
    """The fields we use; others are ignored."""

    model_config = ConfigDict(extra="ignore")

    question_id: str = Field(min_length=1)
    question_title: str = ""
    question_content: str
    platform: str = ""
    contest_id: str = ""
    contest_date: datetime | None = None
    starter_code: str = ""
    difficulty: Difficulty | None = None
    public_test_cases: str
    private_test_cases: str
    metadata: Json[Metadata] = Field(default_factory=Metadata)


class RowTest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    input: str
    output: str
    testtype: Literal["stdin", "functional"]


TESTS: TypeAdapter[list[RowTest]] = TypeAdapter(list[RowTest])


def is_row(row: dict[str, object]) -> bool:
    """Whether the fields are LiveCodeBench's rather than our own."""
    return "question_content" in row or "private_test_cases" in row


def problem(row: dict[str, object]) -> Problem:
    """One row as a Problem. Raises BenchmarkError, naming the row's id where it has one."""
    try:
        fields = Row.model_validate(row)
    except ValidationError as error:
        raise BenchmarkError(first_error(error)) from error
    try:
        tests = _tests(fields)
    except ValidationError as error:
        raise BenchmarkError(f"{fields.question_id}: tests: {first_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(
            f"{fields.question_id}: the tests cannot be decoded ({error}); download the row again"
        ) from error
    return Problem(
        id=fields.question_id,
        statement=fields.question_content,
        tests=tests,
        title=fields.question_title,
        starter_code=fields.starter_code,
        entry_point=fields.metadata.func_name,
        difficulty=fields.difficulty,
        contest_date=fields.contest_date.date().isoformat() if fields.contest_date else None,
        contest_id=fields.contest_id or None,
        platform=fields.platform or None,
    )


def first_error(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, in one line."""
    found = error.errors(include_url=False)[0]
    where = ".".join(map(str, found["loc"]))
    if found["type"] == "missing":
        return f"the field {where!r} is missing; add it"
    if found["type"] == "extra_forbidden":
        return f"the field {where!r} is unknown; remove it or correct its name"
    return f"{where}: {found['msg']}, not {_short(found['input'])}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _tests(fields: Row) -> tuple[TestCase, ...]:
    public = TESTS.validate_python(json.loads(fields.public_test_cases))
    private = TESTS.validate_python(json.loads(_private(fields.private_test_cases)))
    return (
        *(_case(test, public=True) for test in public),
        *(_case(test, public=False) for test in private),
    )


def _case(test: RowTest, *, public: bool) -> TestCase:
    if test.testtype == "stdin":
        return TestCase("stdin", test.input, test.output, public)
    json.loads(test.output)  # an expected value that is no JSON could never be matched
    return TestCase("functional", _arguments(test.input), test.output, public)


def _arguments(text: str) -> str:
    """One JSON value a line -> one JSON array. The numbers' spelling is kept."""
    lines = [line for line in text.split("\n") if line.strip()]
    for line in lines:
        json.loads(line)
    return f"[{', '.join(lines)}]"


def _private(text: str) -> str:
    """The JSON text of the private tests, whichever way it is packed."""
    text = text.strip()
    if not text or text.startswith("["):
        return text or "[]"
    return _unpickled(_inflated(base64.b64decode(text, validate=True)))


def _inflated(packed: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, MAX_TESTS_BYTES)
    except zlib.error as error:
        raise ValueError(f"zlib: {error}") from error
    if stream.unconsumed_tail:
        raise ValueError(f"they unpack to more than {MAX_TESTS_BYTES >> 20} MiB")
    if not stream.eof:
        raise ValueError("zlib: the data ends early")
    return data


def _unpickled(pickled: bytes) -> str:
    """The string in a pickle that holds one string and nothing else."""
    found: str | None = None
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name not in HARMLESS_OPCODES:
            raise ValueError(f"the pickle holds more than a string: {opcode.name}, refused")
        if opcode.name in STRING_OPCODES:
            if found is not None:
                raise ValueError("the pickle holds more than one string, refused")
            found = str(argument)
    if found is None:
        raise ValueError("the pickle holds no string")
    return found
