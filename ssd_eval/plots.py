"""Pictures of a sweep as PNG and SVG: pass@k over T_eval, base and distilled, with intervals.

Readable in grey and by the colour-blind: the curves differ in marker, size and line style too.
Computes no statistics.
"""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssd_eval.results import Cell, Curve, SweepResult

# Colours of Okabe and Ito. The base is drawn last, hollow and dashed: it shows on equal curves too.
STYLES: tuple[dict[str, Any], dict[str, Any]] = (
    {
        "color": "#0072B2",
        "marker": "o",
        "markersize": 7.5,
        "markerfacecolor": "none",
        "linestyle": "--",
        "zorder": 4,
    },
    {"color": "#D55E00", "marker": "s", "markersize": 4, "linestyle": "-", "zorder": 3},
)
COLUMNS = 3
PANEL = (4.2, 3.1)  # inches
PNG_DPI = 150


def sweep_plot(result: SweepResult, folder: Path) -> tuple[Path, ...]:
    """Writes `sweep.png` and `sweep.svg`; the same result gives the same bytes.

    Raises OSError where the folder cannot be written.
    """
    return saved(sweep_figure(result), folder, "sweep")


def saved(figure: Figure, folder: Path, name: str) -> tuple[Path, ...]:
    """The figure as PNG and SVG, without a date or a version."""
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    figure.savefig(png, dpi=PNG_DPI, metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": "ssd-eval"}):
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def sweep_figure(result: SweepResult) -> Figure:
    """One panel a k, three abreast."""
    # Not pyplot: that keeps figures alive and picks a backend for the whole process.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    ks = [comparison.k for comparison in result.main]
    columns = min(COLUMNS, len(ks))
    rows = math.ceil(len(ks) / columns)
    size = (PANEL[0] * max(columns, 1.4), PANEL[1] * rows + 0.9)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.05, hspace=0.05))
    for place, k in enumerate(ks, start=1):
        _draw_panel(figure.add_subplot(rows, columns, place), result, k)
    _caption(figure, result, size[0])
    return figure


def _draw_panel(axes: Axes, result: SweepResult, k: int) -> None:
    for curve, style in zip((result.base, result.distilled), STYLES, strict=True):
        _draw_curve(axes, curve, k, style)
    title = f"pass@{k}"
    best = result.base.best[k].naive
    if best.mean is not None:
        axes.axhline(100 * best.mean, color="0.35", linewidth=1, linestyle=":", label="best base")
        temperature = best.decodings[0].temperature
        title += f"  (best base {100 * best.mean:.1f} % at T = {temperature:g})"
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("evaluation temperature T_eval")
    axes.set_ylabel(f"mean pass@{k}, %")
    axes.set_ylim(0, max(1.0, 1.04 * axes.get_ylim()[1]))
    axes.grid(alpha=0.25)


def _draw_curve(axes: Axes, curve: Curve, k: int, style: dict[str, Any]) -> None:
    """A line through the cells that share top-k and top-p; a preset's own config stands alone."""
    lines: dict[tuple[int, float], list[Cell]] = defaultdict(list)
    for cell in curve.cells:
        if cell.pass_at[k].mean is not None:
            lines[cell.decoding.top_k, cell.decoding.top_p].append(cell)
    for place, cells in enumerate(sorted(lines.values(), key=len, reverse=True)):
        if place == 0:
            _draw_line(axes, cells, k, {**style, "label": curve.label})
        else:
            first = cells[0].decoding
            label = f"{curve.label}, k = {first.top_k or 'none'}, p = {first.top_p:g}"
            _draw_line(axes, cells, k, {**style, "label": label, "marker": "^", "linestyle": ":"})


def _draw_line(axes: Axes, cells: Sequence[Cell], k: int, style: dict[str, Any]) -> None:
    """Where an interval cannot be had, its band narrows to the mean."""
    temperatures = [cell.decoding.temperature for cell in cells]
    estimates = [cell.pass_at[k] for cell in cells]
    means = [100 * (each.mean or 0.0) for each in estimates]
    lows = [m if e.low is None else 100 * e.low for m, e in zip(means, estimates, strict=True)]
    highs = [m if e.high is None else 100 * e.high for m, e in zip(means, estimates, strict=True)]
    axes.plot(temperatures, means, clip_on=False, **style)
    colour = style["color"]
    if len(cells) == 1:
        axes.vlines(temperatures, lows, highs, color=colour, alpha=0.5, linewidth=1.5)
    else:
        band(axes, temperatures, lows, highs, style)


def band(
    axes: Axes,
    x: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    style: Mapping[str, Any],
) -> None:
    """An interval along a line. Its edge is dashed as the line is: in grey, bands look alike."""
    colour = style["color"]
    axes.fill_between(
        x, lows, highs, facecolor=(colour, 0.15), edgecolor=(colour, 0.7), linewidth=0.7,
        linestyle=style["linestyle"],
    )  # fmt: skip


def _caption(figure: Figure, result: SweepResult, inches: float) -> None:
    setup = result.setup
    name = Path(setup.benchmark).name
    title = (
        f"{name} ({setup.window}), n = {setup.problems}, samples per problem: {setup.samples}; "
        "bands are 95 % intervals"
    )
    figure.suptitle("\n".join(textwrap.wrap(title, int(11 * inches))), fontsize="medium")
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels, handles = list(found), list(found.values())
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
