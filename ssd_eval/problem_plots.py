"""A picture of problems as PNG and SVG: base against distilled, and the gain by difficulty.

Readable in grey: sizes and positions say it, colours repeat it. Computes no statistics.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ssd_eval.plots import STYLES, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssd_eval.results import Comparison, SweepResult

AREA, SMALLEST = 2500.0, 10.0  # of all problems' discs together, of one disc; square points
MARKERS = "so^vD"


def problems_plot(result: SweepResult, folder: Path) -> tuple[Path, ...]:
    """Writes `problems.png` and `problems.svg`. Raises OSError."""
    return saved(problems_figure(result), folder, "problems")


def problems_figure(result: SweepResult) -> Figure:
    """Left every problem at the first k, right the differences of the main table at each k."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    _scatter(left, result.main[0])
    _gains(right, result)
    return figure


def discs(comparison: Comparison) -> Counter[tuple[float, float]]:
    """How many problems have these two scores, in percent; those that both could score."""
    base, distilled = comparison.base.scores, comparison.distilled.scores
    return Counter(
        (round(100 * base[name], 6), round(100 * distilled[name], 6))
        for name in base
        if name in distilled
    )


def _scatter(axes: Axes, comparison: Comparison) -> None:
    found = discs(comparison)
    places = list(found)
    axes.plot([0, 100], [0, 100], color="0.35", linewidth=1, linestyle=":")
    axes.scatter(
        [x for x, _ in places],
        [y for _, y in places],
        s=[max(SMALLEST, AREA * found[each] / found.total()) for each in places],
        color=STYLES[1]["color"],
        alpha=0.45,
        edgecolors="0.25",
        linewidths=0.6,
        clip_on=False,
    )
    better = sum(n for (x, y), n in found.items() if y > x)
    worse = sum(n for (x, y), n in found.items() if y < x)
    axes.set_title(f"{better} problems better, {worse} worse of {found.total()}", fontsize="medium")
    axes.set_xlabel(f"base pass@{comparison.k}, %")
    axes.set_ylabel(f"+SSD pass@{comparison.k}, %")
    axes.set_xlim(-4, 104)
    axes.set_ylim(-4, 104)
    axes.set_aspect("equal")
    axes.grid(alpha=0.25)


def _gains(axes: Axes, result: SweepResult) -> None:
    """Differences with their intervals; the ks stand side by side within a group."""
    names = [group.group for group in result.main[0].groups]
    for place, comparison in enumerate(result.main):
        shift = 0.16 * (place - (len(result.main) - 1) / 2)
        style = STYLES[place % 2]
        for at, group in enumerate(comparison.groups):
            mean, low, high = (getattr(group.difference, name) for name in ("mean", "low", "high"))
            if mean is None:
                continue
            label = f"pass@{comparison.k}" if at == 0 else None
            axes.plot(at + shift, 100 * mean, MARKERS[place % len(MARKERS)], color=style["color"],
                      label=label)  # fmt: skip
            if low is not None and high is not None:
                axes.vlines(at + shift, 100 * low, 100 * high, color=style["color"], linewidth=1.5)
    axes.axhline(0, color="0.35", linewidth=1, linestyle=":")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylabel("+SSD minus base, pp")
    axes.set_title("gain by difficulty, 95 % intervals", fontsize="medium")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25, axis="y")
