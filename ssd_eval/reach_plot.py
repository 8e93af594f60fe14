"""pass@k over k as PNG and SVG, base and distilled with intervals, k on a log axis.

Computes no statistics: takes the steps of `reach`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssd_eval.plots import STYLES, band, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssd_eval.reach import Reach
    from ssd_eval.stats import Estimate

LABELS = ("base", "+SSD")


def reach_plot(found: Reach, names: tuple[str, str], folder: Path, name: str) -> tuple[Path, ...]:
    """Writes `name`.png and .svg; `names` are the two decodings. Raises OSError."""
    return saved(reach_figure(found, names), folder, name)


def reach_figure(found: Reach, names: tuple[str, str]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 4.0), layout="constrained")
    axes = figure.subplots()
    ks = [step.k for step in found.steps]
    sides = ([s.base for s in found.steps], [s.distilled for s in found.steps])
    for estimates, style, label, decoding in zip(sides, STYLES, LABELS, names, strict=True):
        _draw(axes, ks, estimates, {**style, "label": f"{label} at {decoding}"})
    if found.crossing is not None:
        axes.axvline(found.crossing, color="0.35", linewidth=1, linestyle=":")
    if len(ks) > 1:
        axes.set_xscale("log")
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("k, samples of each problem")
    axes.set_ylabel("mean pass@k, %")
    axes.set_ylim(-3, 103)
    level = "no crossing" if found.crossing is None else f"base level by k = {found.crossing}"
    axes.set_title(f"pass@k, 95 % intervals; {level}", fontsize="medium")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right", fontsize="small")
    return figure


def _draw(
    axes: Axes, ks: Sequence[int], estimates: Sequence[Estimate], style: dict[str, object]
) -> None:
    """Where an interval cannot be had, its band narrows to the mean."""
    means = [100 * (each.mean or 0.0) for each in estimates]
    lows = [m if e.low is None else 100 * e.low for m, e in zip(means, estimates, strict=True)]
    highs = [m if e.high is None else 100 * e.high for m, e in zip(means, estimates, strict=True)]
    axes.plot(ks, means, **style)  # type: ignore[arg-type]
    band(axes, ks, lows, highs, style)
