"""Progress of a long job's stages on standard error: counts, speed and an honest estimate.

Draws only. Where standard error is no terminal each stage prints a line at its start and its end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich import progress as rich_progress
    from rich.console import Console


class Stage(Protocol):
    def advance(self, count: int = 1, note: str = "") -> None: ...


class Progress(Protocol):
    """What a job reports to. `Silent` ignores it; `Bars` draws it."""

    def stage(self, name: str, total: int, done: int = 0) -> StageContext:
        """`done` is what an earlier run of the job finished; speed and estimate leave it out."""
        ...

    def note(self, text: str) -> None:
        """A line that the user should see."""
        ...


class StageContext(Protocol):
    def __enter__(self) -> Stage: ...

    def __exit__(self, *error: object) -> bool | None: ...


class Silent:
    """Reports nothing."""

    @contextmanager
    def stage(self, name: str, total: int, done: int = 0) -> Iterator[Stage]:
        yield self

    def advance(self, count: int = 1, note: str = "") -> None:
        pass

    def note(self, text: str) -> None:
        pass


class Bars:
    """One rich bar a stage, together where stages overlap; ended ones stay visible with their time.

    Stages begin and end in one thread; they may advance in others.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: rich_progress.Progress | None = None
        self._open = 0

    @contextmanager
    def stage(self, name: str, total: int, done: int = 0) -> Iterator[Stage]:
        started = time.perf_counter()
        if self._console.is_terminal:
            with self._shown() as bars:
                task = bars.add_task(name, total=total, completed=done, note="")
                yield _Bar(bars, task)
                bars.remove_task(task)
        else:
            before = f", {done} of them done before" if done else ""
            self._console.print(f"{name}: {total} to do{before}", highlight=False)
            yield Silent()
        seconds = time.perf_counter() - started
        self._console.print(f"{name}: {total} in {seconds:.1f} s", style="dim", highlight=False)

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False)

    @contextmanager
    def _shown(self) -> Iterator[rich_progress.Progress]:
        """The bars of all open stages: a console has room for one live display."""
        if self._live is None:
            self._live = _bars(self._console)
            self._live.start()
        self._open += 1
        try:
            yield self._live
        finally:
            self._open -= 1
            if not self._open:
                self._live.stop()
                self._live = None


class _Bar:
    def __init__(self, bars: rich_progress.Progress, task: rich_progress.TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, count: int = 1, note: str = "") -> None:
        self._bars.update(self._task, advance=count, note=note)


def _bars(console: Console) -> rich_progress.Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
        transient=True,
        refresh_per_second=4,
    )
