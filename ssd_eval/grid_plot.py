"""A grid as PNG and SVG: heat maps of pass@k, and pass@k over T_eff (the paper's Figure 3).

Readable in grey: every cell holds its number, the map's lightness rises evenly, and students differ
in marker. Computes no statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval.grid_sheets import truncation
from ssd_eval.plots import saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from ssd_eval.grid import Family, Grid

MAP = "cividis"  # even in lightness, and made for the colour-blind
MARKERS = "osD^vP*X<>"
CURVE_POINTS = 200


def grid_plot(grid: Grid, folder: Path) -> tuple[Path, ...]:
    """Writes `grid.png` and `grid.svg`; the same grid gives the same bytes. Raises OSError."""
    return saved(grid_figure(grid), folder, "grid")


def grid_figure(grid: Grid) -> Figure:
    """A column for each training truncation: its heat map above, its fit below."""
    from matplotlib.figure import Figure

    families = grid.families
    widest = max(len(_t_evals(family)) for family in families)
    size = (max(4.6, 1.6 + 0.55 * widest) * len(families), 6.8)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(2, len(families), squeeze=False)
    means = [
        m for family in families for row in _means(family, grid.k) for m in row if m is not None
    ]
    top, images = max([*means, 0.01]), []
    for place, family in enumerate(families):
        images.append(_heat(axes[0, place], family, grid.k, top))
        _curve(axes[1, place], family, grid.k, top)
    figure.colorbar(images[-1], ax=list(axes[0]), label=f"pass@{grid.k}, %", shrink=0.9)
    setup = grid.sweep.setup
    figure.suptitle(
        f"pass@{grid.k} of students by T_train, n = {setup.problems}, {setup.samples} samples each",
        fontsize="medium",
    )
    return figure


def _t_evals(family: Family) -> list[float]:
    cells = (cell for curve in family.students.values() for cell in curve.cells)
    return sorted({cell.decoding.temperature for cell in cells})


def _means(family: Family, k: int) -> list[list[float | None]]:
    """T_train down, T_eval across."""
    rows = []
    for curve in family.students.values():
        found = {cell.decoding.temperature: cell.pass_at[k].mean for cell in curve.cells}
        rows.append([found.get(t) for t in _t_evals(family)])
    return rows


def _heat(axes: Axes, family: Family, k: int, top: float) -> AxesImage:
    rows, names = _means(family, k), list(family.students)
    shown = [[float("nan") if m is None else 100 * m for m in row] for row in rows]
    image = axes.imshow(shown, cmap=MAP, vmin=0, vmax=100 * top, aspect="auto", origin="lower")
    best = max((m for row in rows for m in row if m is not None), default=None)
    for y, row in enumerate(rows):
        for x, mean in enumerate(row):
            if mean is not None:
                _number(axes, x, y, mean, dark=mean < top / 2, bold=mean == best)
    axes.set_xticks(range(len(_t_evals(family))), [f"{t:g}" for t in _t_evals(family)])
    axes.set_yticks(range(len(names)), [f"{t:g}" for t in names])
    axes.set_xlabel("T_eval")
    axes.set_ylabel("T_train")
    axes.set_title(truncation(family), fontsize="medium")
    return image


def _number(axes: Axes, x: int, y: int, mean: float, *, dark: bool, bold: bool) -> None:
    axes.text(
        x, y, f"{100 * mean:.0f}", ha="center", va="center", fontsize="small",
        color="white" if dark else "black", fontweight="bold" if bold else "normal",
        bbox={"boxstyle": "round", "fill": False, "edgecolor": "white" if dark else "black"}
        if bold else None,
    )  # fmt: skip


def _curve(axes: Axes, family: Family, k: int, top: float) -> None:
    """Cells as points with their intervals, the parabola through them."""
    from matplotlib import colormaps

    shades = colormaps[MAP].resampled(len(family.students) + 1)
    for place, (t_train, curve) in enumerate(family.students.items()):
        cells = [cell for cell in curve.cells if cell.pass_at[k].mean is not None]
        style: dict[str, Any] = {"color": shades(place), "marker": MARKERS[place % len(MARKERS)]}
        at = [t_train * cell.decoding.temperature for cell in cells]
        means = [100 * (cell.pass_at[k].mean or 0.0) for cell in cells]
        axes.plot(at, means, linestyle="", markeredgecolor="0.2", markersize=6,
                  label=f"T_train {t_train:g}", zorder=3, **style)  # fmt: skip
        for x, cell in zip(at, cells, strict=True):
            found = cell.pass_at[k]
            if found.low is not None and found.high is not None:
                axes.vlines(x, 100 * found.low, 100 * found.high, color="0.6", linewidth=1)
    _parabola(axes, family, k)
    axes.set_ylim(-0.04 * 100 * top, 118 * top)
    axes.set_xlabel("T_eff = T_train · T_eval")
    axes.set_ylabel(f"mean pass@{k}, %")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize="x-small", ncols=2, loc="upper right")


def _parabola(axes: Axes, family: Family, k: int) -> None:
    fit, xs = family.fit, _t_effs(family, k)
    if fit.r_squared is None:
        axes.set_title(fit.reason or "", fontsize="small")
        return
    steps = [xs[0] + (xs[-1] - xs[0]) * i / (CURVE_POINTS - 1) for i in range(CURVE_POINTS)]
    axes.plot(steps, [100 * (fit.at(x) or 0.0) for x in steps], color="0.15", linewidth=1.4)
    title = f"quadratic fit, R² = {fit.r_squared:.2f}"
    if fit.peak is not None:
        axes.axvline(fit.peak, color="0.35", linewidth=1, linestyle=":")
        title += f", peak at {fit.peak:.2f}"
    axes.set_title(title, fontsize="medium")


def _t_effs(family: Family, k: int) -> Sequence[float]:
    return sorted(
        t * cell.decoding.temperature
        for t, curve in family.students.items()
        for cell in curve.cells
        if cell.pass_at[k].mean is not None
    )
