"""Rows for the listing commands: benchmarks, presets, doctor's checks; and one table for any rows.

Gathers and formats; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks import registry
from benchmarks.base import BenchmarkError, content_digest
from ssd_eval.presets import PRESETS

if TYPE_CHECKING:
    from rich.table import Table

Row = dict[str, Any]


def benchmark_rows(data_dir: str | None = None) -> list[Row]:
    """Every installed benchmark; one that does not load says why instead of its counts."""
    return [_benchmark_row(name, data_dir) for name in registry.known()]


def _benchmark_row(name: str, data_dir: str | None) -> Row:
    if name in registry.windows():
        return _window_row(name, data_dir)
    try:
        benchmark = registry.load(name, data_dir=data_dir)
        problems = benchmark.problems()
    except BenchmarkError as error:
        empty = dict.fromkeys(("window", "problems", "tests", "hash", "from"))
        return {"name": name, **empty, "about": None, "error": str(error)}
    return {
        "name": name,
        "window": benchmark.window,
        "problems": len(problems),
        "tests": sum(len(problem.tests) for problem in problems),
        "hash": content_digest(problems),
        "from": "installed",
        "about": benchmark.description,
        "error": None,
    }


def _window_row(name: str, data_dir: str | None) -> Row:
    """A window of LiveCodeBench: what it should hold, and what it holds if its files are here."""
    from benchmarks import lcb
    from benchmarks.lcb_windows import window

    text = name.partition(":")[2]
    wanted = window(text)
    row: Row = {
        "name": name,
        "window": wanted.dates,
        "problems": None,
        "expected": wanted.expected,
        "hash": None,
        "from": lcb.origin(text, data_dir),
        "about": f"LiveCodeBench {', '.join(each.name for each in wanted.files)}",
        "error": None,
    }
    if lcb.present(text, data_dir):
        try:
            found = lcb.load(text, data_dir)
        except BenchmarkError as error:
            return {**row, "error": str(error)}
        row |= {"problems": len(found.rows), "hash": found.digest}
    return row


def benchmark_table(rows: Sequence[Row]) -> Table:
    """The rows within 80 columns; a count that differs from the published one says so."""
    from rich.table import Table

    shown = Table()
    for name in ("benchmark", "window", "problems", "hash", "from"):
        shown.add_column(name, overflow="fold")
    for row in rows:
        where = row["error"] or (row["from"] if "expected" in row else row["about"])
        content = (row["hash"] or "–")[:8]
        shown.add_row(row["name"], row["window"] or "–", _count(row), content, where)
    return shown


def _count(row: Row) -> str:
    count, expected = row["problems"], row.get("expected")
    if count is None:
        return f"({expected})" if expected else "–"
    return str(count) if expected in (None, count) else f"{count}, NOT {expected}"


def preset_rows() -> list[Row]:
    """Decoding as T / top-k / top-p, and the optimiser's settings."""
    rows = []
    for name, preset in PRESETS.items():
        recipe = preset.recipe
        length = f"{recipe.epochs} epochs" if recipe.epochs else f"{recipe.iterations} steps"
        rows.append(
            {
                "preset": name,
                "generation": _decoding(preset.generation),
                "evaluation": _decoding(preset.evaluation),
                "baseline": _decoding(preset.baseline),
                "training": f"{length}, warm-up {recipe.warmup_steps}, batch {recipe.batch_size}, "
                f"lr {recipe.peak_lr:g} to {recipe.floor_lr:g}",
            }
        )
    return rows


def _decoding(config: Any) -> str:
    if config is None:
        return "cross-fitted"
    return f"{config.temperature:g} / {config.top_k or 'none'} / {config.top_p:g}"


def check_rows(checks: Iterable[Any]) -> list[Row]:
    return [asdict(check) for check in checks]


def table(rows: Sequence[Row]) -> Table:
    """One line a row; columns are the union of the rows' keys, in order of appearance."""
    from rich.table import Table

    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = Table()
    for name in names:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(row.get(name)) for name in names))
    return shown


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "ok" if value else "FAILED"
    return "–" if value is None or value == "" else str(value)
