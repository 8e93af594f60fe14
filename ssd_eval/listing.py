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


def benchmark_rows() -> list[Row]:
    """Every installed benchmark; one that does not load says why instead of its counts."""
    return [_benchmark_row(name) for name in registry.known()]


def _benchmark_row(name: str) -> Row:
    try:
        benchmark = registry.load(name)
        problems = benchmark.problems()
    except BenchmarkError as error:
        return {"name": name, "problems": None, "about": str(error)}
    return {
        "name": name,
        "window": benchmark.window,
        "problems": len(problems),
        "tests": sum(len(problem.tests) for problem in problems),
        "hash": content_digest(problems),
        "about": benchmark.description,
    }


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
