"""Pictures of a sweep as PNG and SVG: pass@k over T_eval, base and distilled, with intervals.

Readable in grey: the curves differ in marker and line style too. Computes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssd_eval.results import Curve, SweepResult

# Okabe and Ito's palette, which colour-blind readers can tell apart.
STYLES = {
    "base": {"color": "#0072B2", "marker": "o", "linestyle": "--"},
    "+SSD": {"color": "#D55E00", "marker": "s", "linestyle": "-"},
}


def sweep_plot(result: SweepResult, folder: Path) -> tuple[Path, ...]:
    """Writes `sweep.png` and `sweep.svg`; the same result gives the same SVG."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "ssd-eval"
    from matplotlib import pyplot

    ks = [comparison.k for comparison in result.main]
    figure, axes = pyplot.subplots(
        1, len(ks), figsize=(4.4 * len(ks) + 0.4, 3.6), squeeze=False, layout="constrained"
    )
    for axis, k in zip(axes[0], ks, strict=True):
        for curve in (result.base, result.distilled):
            _draw(axis, curve, k)
        _best_line(axis, result.base, k)
        axis.set(title=f"pass@{k}", xlabel="evaluation temperature", ylabel="problems solved, %")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.25)
    axes[0][0].legend(frameon=False, loc="best")
    setup = result.setup
    figure.suptitle(f"{setup.benchmark}, {setup.problems} problems, {setup.samples} samples each")
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"sweep.{kind}" for kind in ("png", "svg"))
    figure.savefig(paths[0], dpi=150, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None})
    pyplot.close(figure)
    return paths


def _draw(axis: Any, curve: Curve, k: int) -> None:
    cells = [cell for cell in curve.cells if cell.pass_at[k].mean is not None]
    style = STYLES.get(curve.label, STYLES["base"])
    temperatures = [cell.decoding.temperature for cell in cells]
    means = [100 * (cell.pass_at[k].mean or 0.0) for cell in cells]
    axis.plot(temperatures, means, label=curve.label, markersize=5, **style)
    bands = [cell for cell in cells if cell.pass_at[k].low is not None]
    axis.fill_between(
        [cell.decoding.temperature for cell in bands],
        [100 * (cell.pass_at[k].low or 0.0) for cell in bands],
        [100 * (cell.pass_at[k].high or 0.0) for cell in bands],
        color=style["color"],
        alpha=0.15,
        linewidth=0,
    )


def _best_line(axis: Any, base: Curve, k: int) -> None:
    best = base.best[k].naive.mean
    if best is not None:
        axis.axhline(100 * best, color="0.35", linewidth=0.9, linestyle=":", label="best base")
