"""A sweep as a few lines of text: pass@k over T_eval for a terminal, base and distilled.

Letters and no colours: what it shows survives a log file. Computes no statistics.
"""

from __future__ import annotations

from collections.abc import Mapping

from ssd_eval.results import Curve, SweepResult

ROWS = 9
MARKS = ("o", "#", "@")  # base, +SSD, both
WIDEST = 100
TOPS = (0.04, 0.08, 0.12, 0.2, 0.4, 0.6, 0.8, 1.0)


def sweep_text(result: SweepResult, k: int, width: int = 80) -> list[str]:
    """Marks at the means, the axis of T_eval below; empty where fewer than two T have a mean."""
    curves = [_means(curve, k) for curve in (result.base, result.distilled)]
    temperatures = sorted({t for curve in curves for t in curve})
    if len(temperatures) < 2:
        return []
    top = _ceiling(max(mean for curve in curves for mean in curve.values()))
    columns = min(width, WIDEST) - 8
    places = _places(temperatures, columns)
    lines = [[" "] * columns for _ in range(ROWS)]
    for curve, mark in zip(curves, MARKS, strict=False):
        for temperature, mean in curve.items():
            row, column = round((1 - mean / top) * (ROWS - 1)), places[temperature]
            lines[row][column] = MARKS[2] if lines[row][column] != " " else mark
    body = [f"{_tick(row, top):>5} |{''.join(line)}".rstrip() for row, line in enumerate(lines)]
    said = f"pass@{k}, % over T_eval: {MARKS[0]} base, {MARKS[1]} +SSD, {MARKS[2]} both"
    return [said, *body, f"{'':5} +{'-' * columns}", f"{'':7}{_axis(places, columns)}".rstrip()]


def _means(curve: Curve, k: int) -> dict[float, float]:
    """Of the cells that share the curve's most frequent top-k and top-p."""
    cuts = [(cell.decoding.top_k, cell.decoding.top_p) for cell in curve.cells]
    usual = max(cuts, key=cuts.count)
    return {
        cell.decoding.temperature: mean
        for cell, cut in zip(curve.cells, cuts, strict=True)
        if cut == usual and (mean := cell.pass_at[k].mean) is not None
    }


def _ceiling(highest: float) -> float:
    """The lowest of `TOPS` that holds it, so that every fourth of it is a whole percent."""
    return next(top for top in TOPS if highest <= top)


def _places(temperatures: list[float], columns: int) -> dict[float, int]:
    first, span = temperatures[0], temperatures[-1] - temperatures[0]
    # Room for the marks' labels at both ends.
    return {t: 1 + round((t - first) / span * (columns - 4)) for t in temperatures}


def _tick(row: int, top: float) -> str:
    """Every other line's value, in percent."""
    return f"{100 * top * (1 - row / (ROWS - 1)):.0f}" if row % 2 == 0 else ""


def _axis(places: Mapping[float, int], columns: int) -> str:
    """Temperatures below their marks; one that would touch its neighbour is left out."""
    line = ""
    for temperature, place in places.items():
        label = f"{temperature:g}"
        start = max(0, place - len(label) // 2)
        if not line or start > len(line):
            line = line.ljust(start) + label
    return line[:columns]
