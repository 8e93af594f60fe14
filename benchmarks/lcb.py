"""LiveCodeBench's windows, filled: files found or fetched, rows counted, selected and hashed.

Windows themselves are `lcb_windows`, single rows `lcb_rows` and `livecodebench`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from benchmarks import hub, lcb_rows
from benchmarks.base import BenchmarkError, Problem, content_digest
from benchmarks.lcb_windows import DataFile, Window, window

FOLDER_VARIABLE = "SSD_EVAL_LCB_DIR"


@dataclass(frozen=True)
class LiveCodeBench:
    """The problems of one window, in the files' order."""

    slice: Window
    rows: tuple[Problem, ...]
    digest: str

    @property
    def name(self) -> str:
        return f"lcb:{self.slice.name}"

    @property
    def description(self) -> str:
        files = ", ".join(each.name for each in self.slice.files)
        return f"LiveCodeBench, {self.slice.dates}, from {files}"

    @property
    def window(self) -> str:
        """The content's hash; and the count, where it is not the published one."""
        return ", ".join(part for part in (self.mismatch, f"#{self.digest[:8]}") if part)

    @property
    def mismatch(self) -> str:
        expected = self.slice.expected
        if expected is None or len(self.rows) == expected:
            return ""
        return f"{len(self.rows)} INSTEAD OF {expected} problems"

    def problems(self) -> tuple[Problem, ...]:
        return self.rows

    def prompts(self) -> tuple[Problem, ...]:
        raise BenchmarkError(
            f"{self.name} has no SSD prompt pool: its problems are for scoring; give one with "
            "--prompts, or train on the prompts of a benchmark that has them, such as micro"
        )


def load(text: str, data_dir: str | None = None) -> LiveCodeBench:
    """The window `text` from `data_dir`, else SSD_EVAL_LCB_DIR, else the hub.

    Raises BenchmarkError for an unknown or empty window, files that are missing or bad, and ids
    that come twice.
    """
    wanted = window(text)
    places: dict[str, lcb_rows.Place] = {}
    rows = []
    for path in _paths(wanted, data_dir):
        for place, problem in _indexed(path):
            if problem.id in places:
                raise BenchmarkError(
                    f"{place}: the id {problem.id!r} came before, at {places[problem.id]}; "
                    "leave one out"
                )
            places[problem.id] = place
            if wanted.holds(_date(wanted, place, problem)):
                rows.append(problem)
    if not rows:
        raise BenchmarkError(_empty(wanted, len(places)))
    return LiveCodeBench(wanted, tuple(rows), content_digest(rows))


def present(text: str, data_dir: str | None = None) -> bool:
    """Whether `load` would find every file without the network."""
    wanted, folder = window(text), _folder(data_dir)
    if folder is None:
        return all(hub.cached(each.name) for each in wanted.files)
    return all(_in_folder(folder, each) for each in wanted.files)


def origin(text: str, data_dir: str | None = None) -> str:
    """Where the window's files are, or would come from, and how big they are."""
    folder, files = _folder(data_dir), window(text).files
    size = hub.megabytes(sum(each.bytes for each in files))
    if folder is not None:
        return str(folder) if present(text, data_dir) else f"incomplete in {folder}; hub: {size}"
    return "the hub's cache" if present(text) else f"hub, {size} to fetch"


def _folder(data_dir: str | None) -> Path | None:
    given = data_dir or os.environ.get(FOLDER_VARIABLE)
    return Path(given).expanduser() if given else None


def _in_folder(folder: Path, file: DataFile) -> Path | None:
    names = (file.name, f"{file.name}.gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _paths(wanted: Window, data_dir: str | None) -> list[Path]:
    folder = _folder(data_dir)
    if folder is None:
        return [hub.download(each.name, each.bytes) for each in wanted.files]
    if not folder.is_dir():
        raise BenchmarkError(f"{folder} is no folder; {_fetching(wanted.files)}")
    found = {each: _in_folder(folder, each) for each in wanted.files}
    missing = [each for each, path in found.items() if path is None]
    if missing:
        raise BenchmarkError(
            f"{folder} lacks {_listed(missing)}, which lcb:{wanted.name} needs; "
            f"{_fetching(missing)}"
        )
    return [path for path in found.values() if path is not None]


def _listed(files: Iterable[DataFile]) -> str:
    return ", ".join(f"{each.name} ({hub.megabytes(each.bytes)})" for each in files)


def _fetching(files: Sequence[DataFile]) -> str:
    return (
        f"put {_listed(files)} of https://huggingface.co/datasets/{hub.LCB_REPO} (revision "
        f"{hub.LCB_REVISION[:8]}) there, or give no folder to have them fetched"
    )


@lru_cache
def _read(path: Path, _changed: tuple[int, int]) -> tuple[tuple[lcb_rows.Place, Problem], ...]:
    return tuple(lcb_rows.rows(path))


def _indexed(path: Path) -> tuple[tuple[lcb_rows.Place, Problem], ...]:
    """A file is read once for all windows."""
    status = path.stat()
    return _read(path, (status.st_mtime_ns, status.st_size))


def _date(wanted: Window, place: lcb_rows.Place, problem: Problem) -> date | None:
    if problem.contest_date is not None:
        return date.fromisoformat(problem.contest_date)
    if wanted.first is None:
        return None
    raise BenchmarkError(
        f"{place}: {problem.id}: no contest_date, so that lcb:{wanted.name} cannot tell whether "
        "it belongs; add it"
    )


def _empty(wanted: Window, rows: int) -> str:
    files = ", ".join(each.name for each in wanted.files)
    return (
        f"the window lcb:{wanted.name} ({wanted.dates}) holds no problems: none of the {rows} rows "
        f"of {files} is of these dates; choose another window"
    )
