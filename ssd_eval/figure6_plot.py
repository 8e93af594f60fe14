"""The paper's Figure 6 a-d as PNG and SVG: base and distilled on the same tokens, with intervals.

Forks and locks in one panel each of (a); colours and markers as in `plots`, so that it can be read
in grey. Computes no statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval import figure6
from ssd_eval.figure6 import BIN_NAMES, Sums
from ssd_eval.plots import PNG_DPI, STYLES, band
from ssd_eval.positions import MODELS, RANKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssd_eval.intervals import Estimate

LABELS = ("base", "+SSD")
KINDS = ("lock", "fork")
SIZE = (10.0, 7.4)  # inches


def figure6_plot(sums: Sums, folder: Path) -> tuple[Path, ...]:
    """Writes `figure6.png` and `figure6.svg`; the same positions give the same bytes.

    Raises OSError where the folder cannot be written.
    """
    import matplotlib

    figure = figure6_figure(sums)
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / "figure6.png", folder / "figure6.svg"
    figure.savefig(png, dpi=PNG_DPI, metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": "ssd-eval"}):
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def figure6_figure(sums: Sums) -> Figure:
    """Rows: locks and forks for a, b and c; d for all positions beside the legend."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=SIZE, layout=ConstrainedLayoutEngine(wspace=0.04, hspace=0.05))
    axes = figure.subplots(2, 4)
    for row, kind in zip(axes, KINDS, strict=True):
        _ranks(row[0], sums, kind)
        _curves(row[1], sums, kind, "support", f"(b) tokens kept, {kind}s")
        _curves(row[2], sums, kind, "sampled", f"(c) entropy after truncation, {kind}s")
    _bins(axes[0][3], sums)
    axes[1][3].axis("off")
    handles, labels = axes[0][1].get_legend_handles_labels()
    axes[1][3].legend(handles, labels, loc="center", frameon=False)
    header = sums.header
    figure.suptitle(
        f"{sums.positions:,} positions of {sums.problems} problems ({header.tokens} tokens), "
        f"trained at {header.training}; bands are 95 % intervals\nrule {sums.rule}",
        fontsize="medium",
    )
    return figure


def _ranks(axes: Axes, sums: Sums, kind: str) -> None:
    """(a): what lies outside the likeliest tokens, on a log axis."""
    import numpy as np

    ranks = list(range(1, RANKS + 1))
    for model, label, style in zip(MODELS, LABELS, STYLES, strict=True):
        estimates = [sums.estimate(f"{model}.beyond.{rank}", kind) for rank in ranks]
        _line(axes, ranks, estimates, {**style, "label": label, "markevery": 6, "markersize": 4})
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]
    if any((values > 0).any() for values in drawn):
        axes.set_yscale("log")  # where everything lies inside there is nothing to show
    axes.set_xlabel("likeliest tokens")
    _dress(axes, f"(a) 1 - cumulative mass, {kind}s")


def _curves(axes: Axes, sums: Sums, kind: str, quantity: str, title: str) -> None:
    places = sorted(
        range(1, len(sums.header.decodings)),
        key=lambda place: sums.header.decodings[place].temperature,
    )
    temperatures = [sums.header.decodings[place].temperature for place in places]
    for model, label, style in zip(MODELS, LABELS, STYLES, strict=True):
        estimates = [sums.estimate(f"{model}.{quantity}.{place}", kind) for place in places]
        _line(axes, temperatures, estimates, {**style, "label": label})
    axes.set_xlabel("evaluation temperature T_eval")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    _dress(axes, title)


def _bins(axes: Axes, sums: Sums) -> None:
    """(d): bins without positions are left out."""
    place = figure6.middle_decoding(sums.header)
    there = [name for name in BIN_NAMES if sums.estimate("kl", name).mean is not None]
    at = list(range(len(there)))
    for model, label, style in zip(MODELS, LABELS, STYLES, strict=True):
        estimates = [sums.estimate(f"{model}.sampled.{place}", name) for name in there]
        _line(axes, at, estimates, {**style, "label": label})
    axes.set_xticks(at, there, rotation=35, ha="right", fontsize="small")
    axes.set_xlabel("base's mass in its top 20 tokens, %")
    axes.set_ylim(bottom=0)
    _dress(axes, f"(d) that entropy at T = {sums.header.decodings[place].temperature:g}")


def _line(
    axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], style: dict[str, Any]
) -> None:
    """Without an interval the band narrows to the mean; without positions there is no line."""
    drawn = [(at, each) for at, each in zip(x, estimates, strict=True) if each.mean is not None]
    means = [each.mean or 0.0 for _, each in drawn]
    lows = [m if e.low is None else e.low for m, (_, e) in zip(means, drawn, strict=True)]
    highs = [m if e.high is None else e.high for m, (_, e) in zip(means, drawn, strict=True)]
    places = [at for at, _ in drawn]
    # An empty line that is not clipped counts as a point at the figure's corner.
    axes.plot(places, means, clip_on=not drawn, **style)
    band(axes, places, lows, highs, style)


def _dress(axes: Axes, title: str) -> None:
    import numpy as np

    if all(not np.size(line.get_xdata()) for line in axes.lines):
        axes.text(0.5, 0.5, "no such positions", transform=axes.transAxes, ha="center")
        axes.set_xticks([])
        axes.set_yticks([])
    axes.set_title(title, fontsize="small")
    axes.tick_params(labelsize="small")
    axes.xaxis.label.set_fontsize("small")
    axes.grid(alpha=0.25)
