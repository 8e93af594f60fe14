"""Append-only records, one JSON object a line: repaired on opening, written whole, synced now and
then. Knows no run folder's layout (`store`) and no record's fields (`records`)."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.lock import writing
from ssd_eval.records import SampleKey

SYNC_SECONDS = 2.0


class Keyed(Protocol):
    @property
    def key(self) -> SampleKey: ...

    def to_json(self) -> dict[str, Any]: ...


Record = TypeVar("Record", bound=Keyed)


class Journal(Generic[Record]):
    """One open file. `records` holds the last record of every key, kept up to date by `append`."""

    def __init__(
        self,
        path: Path,
        parse: Callable[[dict[str, Any]], Record],
        wanted: Callable[[Record], bool] = lambda record: True,
    ) -> None:
        """Cuts off a torn last line. Raises RunFolderError, with file and line, for another.

        Records that are not `wanted` are checked like all others and left where they are.
        """
        self._path = path
        self.records = {record.key: record for record in _read(path, parse) if wanted(record)}
        with writing(path.parent):
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o644)
        self._synced = time.monotonic()

    def append(self, record: Record) -> None:
        """Raises RunFolderError where it cannot be written; the file then is as before."""
        line = json.dumps(record.to_json(), separators=(",", ":")).encode() + b"\n"
        with writing(self._path.parent):
            end = os.lseek(self._file, 0, os.SEEK_END)
            try:
                if os.write(self._file, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._file, end)
                raise
            self.records[record.key] = record
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Forces to the disk what was appended."""
        with writing(self._path.parent):
            os.fsync(self._file)
        self._synced = time.monotonic()

    def close(self) -> None:
        with writing(self._path.parent):
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)


def _read(path: Path, parse: Callable[[dict[str, Any]], Record]) -> Iterator[Record]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(
            f"{path} cannot be read: {error.strerror}; choose another --run-dir"
        ) from error
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with writing(path.parent):
            os.truncate(path, whole)
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
        try:
            yield _checked(parse(json.loads(line)))
        except (ValueError, TypeError, KeyError, RecursionError, UsageError) as error:
            raise RunFolderError(
                f"{path}, line {number} is corrupt ({type(error).__name__}); delete that line, "
                "then repeat the command: only its sample is done again"
            ) from error


def _checked(record: Record) -> Record:
    *names, sample = record.key
    if type(sample) is not int or not all(isinstance(name, str) for name in names):
        raise TypeError("the key is not three texts and a number")
    return record
