"""Rows of LiveCodeBench's `code_generation_lite` as Problems.

Private tests are JSON, or else base64 of zlib of a pickle of a JSON string; the pickle is read
opcode by opcode and never run. Only rows: files are read by `lcb_rows`, windows are `lcb_windows`'.
"""

from __future__ import annotations

import base64
import json
import pickletools
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from benchmarks.base import BenchmarkError, Chosen, Difficulty, Problem, TestCase

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
    contest_date: str | None = None
    starter_code: str = ""
    difficulty: Difficulty | None = None
    public_test_cases: str
    private_test_cases: str
    metadata: Json[Metadata] = Field(default_factory=Metadata)

    @field_validator("contest_date")
    @classmethod
    def _iso(cls, value: str | None) -> str | None:
        """The date alone. pydantic's own datetime would take "20" for a second of 1970."""
        try:
            return datetime.fromisoformat(value).date().isoformat() if value else None
        except ValueError as error:
            raise ValueError("write a date such as 2025-02-08T00:00:00") from error


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
    """One row as a Problem, its tests unpacked. Raises BenchmarkError with the row's id."""
    found = fields(row)
    return described(found, unpack(found))


def fields(row: dict[str, object]) -> Row:
    """The row, checked but for its tests. Raises BenchmarkError, naming the id where it has one."""
    try:
        return Row.model_validate(row)
    except ValidationError as error:
        raise BenchmarkError(named(row.get("question_id"), error)) from error


def described(row: Row, tests: Sequence[TestCase]) -> Problem:
    return Problem(
        id=row.question_id,
        statement=row.question_content,
        tests=tests,
        title=row.question_title,
        starter_code=row.starter_code,
        entry_point=row.metadata.func_name,
        difficulty=row.difficulty,
        contest_date=row.contest_date,
        contest_id=row.contest_id or None,
        platform=row.platform or None,
    )


def unpack(row: Row, chosen: Chosen = "both") -> tuple[TestCase, ...]:
    """The row's tests, unpacked, public ones first. Raises BenchmarkError with the row's id."""
    try:
        found = _tests(row, chosen)
    except ValidationError as error:
        raise BenchmarkError(f"{row.question_id}: tests: {first_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(
            f"{row.question_id}: the tests cannot be decoded ({error}); download the row again"
        ) from error
    if not found:
        kind = "" if chosen == "both" else f"{chosen} "
        raise BenchmarkError(
            f"{row.question_id}: it has no {kind}tests, so that nothing could fail; "
            "leave the row out" + ("" if chosen == "both" else " or score with --tests both")
        )
    if row.metadata.func_name is None and any(each.kind == "functional" for each in found):
        raise BenchmarkError(
            f"{row.question_id}: functional tests but no function to call; name it in "
            "metadata.func_name"
        )
    return found


def named(problem_id: object, error: ValidationError) -> str:
    """The first error, after the problem's id where the row has one."""
    known = f"{problem_id}: " if problem_id and isinstance(problem_id, str) else ""
    return known + first_error(error)


def first_error(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, in one line."""
    found = error.errors(include_url=False)[0]
    where = ".".join(map(str, found["loc"]))
    if found["type"] == "missing":
        return f"the field {where!r} is missing; add it"
    if found["type"] == "extra_forbidden":
        return f"the field {where!r} is unknown; remove it or correct its name"
    said = found["msg"].removeprefix("Value error, ")
    return f"{where}: {said}, not {_short(found['input'])}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check(row: Row, *, unpacked: bool) -> None:
    """What is wrong with a row's tests, as far as one may look. Raises BenchmarkError.

    Public tests are always looked at, private ones only with `unpacked`.
    """
    if unpacked or not row.private_test_cases.strip():
        unpack(row)
    elif row.public_test_cases.strip() != "[]":
        unpack(row, "public")


def _tests(row: Row, chosen: Chosen) -> tuple[TestCase, ...]:
    public: tuple[TestCase, ...] = ()
    private: tuple[TestCase, ...] = ()
    if chosen != "private":
        listed = TESTS.validate_python(json.loads(row.public_test_cases))
        public = tuple(_case(test, public=True) for test in listed)
    if chosen != "public":
        listed = TESTS.validate_python(json.loads(_private(row.private_test_cases)))
        private = tuple(_case(test, public=False) for test in listed)
    return public + private


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
