"""LiveCodeBench's files, row by row: what stays in memory and what stays on disk.

A pass over a file keeps each row's statement and place; its tests are unpacked when they are asked
for, and not kept. So memory holds one row at a time, whatever the file's size. Rows up to
`EAGER_BYTES` are unpacked once in the pass, to find what is wrong with them before a run starts.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from benchmarks import livecodebench
from benchmarks.base import BenchmarkError, Chosen, Problem, StoredTests, TestCase, TestKind

EAGER_BYTES = 1 << 16


@dataclass(frozen=True)
class Place:
    """Where a row is, in bytes. `stored` is `path`, or the file that it was unpacked to."""

    path: Path
    line: int
    stored: Path
    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class RowTests(StoredTests):
    """The tests of one row of a file."""

    def __init__(
        self,
        place: Place,
        row: livecodebench.Row,
        chosen: Chosen = "both",
    ) -> None:
        self.place = place
        self.kinds: frozenset[TestKind] = frozenset(
            ["stdin" if row.metadata.func_name is None else "functional"]
        )
        self._public, self._private = _hashes(row)
        self.chosen: Chosen = chosen

    @property
    def digest(self) -> str:
        return ":".join((self.chosen, self._public, self._private))

    def unpacked(self) -> tuple[TestCase, ...]:
        """Raises BenchmarkError where the file is not what it was."""
        try:
            with self.place.stored.open("rb") as file:
                file.seek(self.place.offset)
                line = file.read(self.place.length)
            row = livecodebench.fields(parsed(line))
        except (OSError, BenchmarkError) as error:
            raise self._changed() from error
        if _hashes(row) != (self._public, self._private):
            raise self._changed()
        try:
            return livecodebench.unpack(row, self.chosen)
        except BenchmarkError as error:
            raise BenchmarkError(f"{self.place}: {error}") from error

    def only(self, chosen: Chosen) -> RowTests:
        """The same row's tests, of which others count."""
        other = object.__new__(RowTests)
        vars(other).update({**vars(self), "chosen": chosen})
        return other

    def _changed(self) -> BenchmarkError:
        return BenchmarkError(f"{self.place.path} changed while it was in use; start again")


def rows(path: Path) -> Iterator[tuple[Place, Problem]]:
    """The file's problems as they come, tests packed. Raises BenchmarkError with file and line."""
    for place, line in lines(path):
        try:
            yield place, problem(parsed(line), place)
        except BenchmarkError as error:
            raise BenchmarkError(f"{place}: {error}") from error


def lines(path: Path) -> Iterator[tuple[Place, bytes]]:
    """The lines that are not blank, of a file or a .gz file. Raises BenchmarkError."""
    try:
        stored = _gunzipped(path, path.stat().st_mtime_ns) if path.suffix == ".gz" else path
        offset = 0
        with stored.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield Place(path, number, stored, offset, len(line)), line
                offset += len(line)
    except OSError as error:
        raise BenchmarkError(f"{path}: {error.strerror}; give a readable .jsonl file") from error


def problem(fields: dict[str, object], place: Place) -> Problem:
    """One row as a Problem whose tests stay where they are. Raises BenchmarkError."""
    row = livecodebench.fields(fields)
    livecodebench.check(row, unpacked=place.length <= EAGER_BYTES)
    return livecodebench.described(row, RowTests(place, row))


def parsed(line: bytes) -> dict[str, object]:
    """The JSON object of one line. Raises BenchmarkError."""
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        cut = "" if line.endswith(b"\n") else ", and the file ends here: it may be incomplete"
        raise BenchmarkError(f"not JSON ({error}){cut}; write one object a line") from error
    if not isinstance(row, dict):
        raise BenchmarkError(f"a JSON {type(row).__name__}, not an object; write one object a line")
    return row


def _hashes(row: livecodebench.Row) -> tuple[str, str]:
    """Of the public and the private tests, packed as they are."""
    public, private = row.public_test_cases, row.private_test_cases
    return _hash(public), _hash(private)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_TEMPORARY: list[IO[bytes]] = []  # they go when the process ends


@lru_cache
def _gunzipped(path: Path, _changed: int) -> Path:
    """A temporary file with the content: a .gz file cannot be entered in its middle."""
    target = tempfile.NamedTemporaryFile(suffix=".jsonl")  # noqa: SIM115 - open to the end
    try:
        with gzip.open(path) as source:
            shutil.copyfileobj(source, target, 1 << 20)
    except (OSError, EOFError, zlib.error) as error:
        target.close()
        raise BenchmarkError(
            f"{path}: cannot be unpacked ({error}); the download is incomplete, fetch it again"
        ) from error
    target.flush()
    _TEMPORARY.append(target)
    return Path(target.name)
