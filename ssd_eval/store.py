"""A run's folder: manifest, append-only records, one writer at a time, resume after any crash.

Each record is one line, written whole by one call; a torn last line is cut off when the folder is
opened again. Decides nothing about what belongs in a run; `launch` and `stages` do.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ssd_eval.errors import RunFolderError
from ssd_eval.records import FORMAT_VERSION, Completion, SampleKey, Verdict

MANIFEST, COMPLETIONS, VERDICTS, LOCK = (
    "manifest.json",
    "completions.jsonl",
    "verdicts.jsonl",
    ".lock",
)
SYNC_SECONDS = 2.0
Record = TypeVar("Record", Completion, Verdict)


class RunStore:
    """An open run folder; a context manager. `completions` and `verdicts` hold what is finished."""

    def __init__(self, folder: Path, manifest: dict[str, Any], lock: int) -> None:
        self.folder = folder
        self.manifest = manifest
        self._lock = lock
        self.completions: dict[SampleKey, Completion] = {
            each.key: each for each in _records(folder / COMPLETIONS, Completion.from_json)
        }
        self.verdicts: dict[SampleKey, Verdict] = {
            each.key: each for each in _records(folder / VERDICTS, Verdict.from_json)
        }
        self._files = {name: _appending(folder / name) for name in (COMPLETIONS, VERDICTS)}
        self._synced = time.monotonic()

    @classmethod
    def open(cls, folder: Path, *, digest: str, manifest: Mapping[str, object]) -> RunStore:
        """Creates the folder, or continues the one that holds this very run.

        `digest` names the settings that results depend on. Raises RunFolderError for a folder of
        other settings or another format, a corrupt record, a folder in use, or no room to write.
        """
        with _os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = _locked(folder)
        try:
            held = read_manifest(folder)
            if held is None:
                _refuse_strangers(folder)
                held = {}
            else:
                _check(folder, held, digest)
            started = {"format": FORMAT_VERSION, "digest": digest, **held, **manifest}
            write_manifest(folder, {**started, "status": "started"})
            return cls(folder, {**started, "status": "started"}, lock)
        except BaseException:
            os.close(lock)
            raise

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)

    def graded(self) -> set[SampleKey]:
        """Keys with a verdict of the program's own; an infra_error is worth another try."""
        return {key for key, each in self.verdicts.items() if each.status != "infra_error"}

    def add_completion(self, completion: Completion) -> None:
        self._append(COMPLETIONS, completion.to_json())
        self.completions[completion.key] = completion

    def add_verdict(self, verdict: Verdict) -> None:
        self._append(VERDICTS, verdict.to_json())
        self.verdicts[verdict.key] = verdict

    def update(self, **fields: object) -> None:
        """Sets manifest fields; the file is replaced whole."""
        self.manifest = {**self.manifest, **fields}
        write_manifest(self.folder, self.manifest)

    def finish(self) -> None:
        self.update(status="finished")

    def interrupt(self) -> None:
        self.update(status="interrupted")

    def _append(self, name: str, row: dict[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        with _os_errors(self.folder):
            written = os.write(self._files[name], line)
            if written != len(line):
                raise OSError(f"{written} of {len(line)} bytes written: the disk may be full")
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self._sync()

    def _sync(self) -> None:
        for file in self._files.values():
            os.fsync(file)
        self._synced = time.monotonic()

    def close(self) -> None:
        with _os_errors(self.folder):
            self._sync()
        for file in self._files.values():
            os.close(file)
        os.close(self._lock)

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """None where there is none. Raises RunFolderError for one that can't be read."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); use another --run-dir") from error
    if not isinstance(manifest, dict):
        raise RunFolderError(f"{path} holds no manifest; use another --run-dir")
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """Replaces the manifest whole: a crash leaves the old one or the new one."""
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    fresh = folder / f"{MANIFEST}.new"
    with _os_errors(folder):
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / MANIFEST)


@contextmanager
def _os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunFolderError(
            f"cannot write to {folder}: {reason}; free some room or choose another --run-dir, then "
            "repeat the command: what was finished is kept"
        ) from error


def _locked(folder: Path) -> int:
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise RunFolderError(
            f"{folder} is in use by another process; wait for it or choose another --run-dir"
        ) from None
    return lock


def _refuse_strangers(folder: Path) -> None:
    found = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
    if [name for name in found if name != f"{MANIFEST}.new"]:
        raise RunFolderError(
            f"{folder} holds {found[0]} and is no run folder; choose another --run-dir"
        )


def _check(folder: Path, held: Mapping[str, object], digest: str) -> None:
    if held.get("format") != FORMAT_VERSION:
        raise RunFolderError(
            f"{folder} has format {held.get('format')}, this version writes {FORMAT_VERSION}; "
            "choose another --run-dir"
        )
    if held.get("digest") != digest:
        raise RunFolderError(
            f"{folder} belongs to a run with other settings ({held.get('digest')}, now {digest}); "
            "repeat its settings or choose another --run-dir"
        )


def _records(path: Path, parse: Callable[[dict[str, Any]], Record]) -> Iterator[Record]:
    """Every whole line; a torn last one is cut off the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from error
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with _os_errors(path.parent):
            os.truncate(path, whole)
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            yield parse(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise RunFolderError(
                f"{path}, line {number} is corrupt ({type(error).__name__}); delete that line, "
                "then repeat the command: only its sample is drawn again"
            ) from error


def _appending(path: Path) -> int:
    with _os_errors(path.parent):
        return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
