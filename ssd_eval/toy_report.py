"""The toy's answer as tables of 80 columns and as a picture. Computes nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval.errors import UsageError
from ssd_eval.toy import STATES, Gap, Machine, Optimum, State, ToyResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import RenderableType
    from rich.table import Table

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH = 64
SHOWN = 6  # tokens of a policy that fit a line
TEACHER, STUDENT = "#0072B2", "#D55E00"  # Okabe and Ito
PICTURES = (".png", ".svg", ".pdf")


def report(result: ToyResult) -> RenderableType:
    from rich.console import Group

    return Group(
        _supports(result),
        "* passes; any other token fails\n",
        _optima(result),
        "refined: optima sit where a token enters a nucleus, so that a grid stops short\n",
        *_sparklines(result),
        _gaps(result),
    )


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place == 0 else "right")
    return table


def _supports(result: ToyResult) -> Table:
    table = _table(f"what the student learns, {result.training}", "state", "tokens", "%")
    table.columns[2].justify = "left"
    for state in STATES:
        kept = result.support[state]
        table.add_row(state, str(len(kept)), _policy(kept, state, result.machine))
    return table


def _policy(kept: dict[int, float], state: State, machine: Machine) -> str:
    passing = machine.paths if state == "root" else 1
    cells = [f"{100 * p:.1f}{'*' if token < passing else ''}" for token, p in kept.items()]
    more = [f"and {len(cells) - SHOWN} more"] if len(cells) > SHOWN else []
    return "  ".join([*cells[:SHOWN], *more])


def _optima(result: ToyResult) -> Table:
    k = result.top_k or "none"
    table = _table(
        f"best over T, k={k} p={result.top_p:g}", "", "on the grid", "refined", "fork there, %"
    )
    table.columns[3].justify = "left"
    for name, best in (("teacher", result.main.teacher), ("student", result.main.student)):
        table.add_row(
            name,
            _at(best.grid_success, best.grid_temperature, 3),
            _at(best.success, best.temperature, 4),
            _policy(best.policy["fork"], "fork", result.machine),
        )
    return table


def _at(success: float, temperature: float, digits: int) -> str:
    return f"{100 * success:.2f} % at {temperature:.{digits}f}"


def _sparklines(result: ToyResult) -> list[str]:
    """Both curves in one scale, from the least to the largest temperature."""
    top = max(*result.teacher, *result.student) or 1.0
    low, high = f"{result.temperatures[0]:g}", f"{result.temperatures[-1]:g}"
    rows = [
        f"{name}  {_sparkline(values, top)}"
        for name, values in (("teacher", result.teacher), ("student", result.student))
    ]
    return [*rows, f"T        {low}{high:>{WIDTH - len(low)}}", f"full block: {100 * top:.2f} %\n"]


def _sparkline(values: tuple[float, ...], top: float) -> str:
    columns = min(WIDTH, len(values))
    edges = [len(values) * i // columns for i in range(columns + 1)]
    peaks = [max(values[a:b]) for a, b in pairwise(edges)]
    return "".join(BLOCKS[round(peak / top * (len(BLOCKS) - 1))] for peak in peaks)


def _gaps(result: ToyResult) -> Table:
    table = _table("student over teacher, each at its best T", "top-p", "teacher", "student", "pp")
    for gap in result.gaps:
        table.add_row(
            f"{gap.top_p:g}",
            _at(gap.teacher.success, gap.teacher.temperature, 3),
            _at(gap.student.success, gap.student.temperature, 3),
            f"{gap.points:+.1f}",
        )
    return table


def draw(result: ToyResult, file: Path) -> None:
    """PNG, SVG or PDF by the file's ending. UsageError for another or where it cannot write."""
    if file.suffix.lower() not in PICTURES:
        raise UsageError(f"--plot {file}: end the name with one of {', '.join(PICTURES)}")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    curves, fork, gaps = figure.subplots(1, 3, width_ratios=(1.4, 1.1, 1))
    _draw_curves(curves, result)
    _draw_fork(fork, result)
    _draw_gaps(gaps, result.gaps)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise UsageError(f"--plot {file}: {error.strerror}; give another place") from error


def _draw_curves(axes: Axes, result: ToyResult) -> None:
    lines: tuple[tuple[str, tuple[float, ...], Optimum, str, str], ...] = (
        ("teacher", result.teacher, result.main.teacher, TEACHER, "--"),
        ("student", result.student, result.main.student, STUDENT, "-"),
    )
    for name, values, best, colour, style in lines:
        label = f"{name}: {100 * best.success:.2f} % at T = {best.temperature:.3g}"
        axes.plot(result.temperatures, [100 * v for v in values], style, color=colour, label=label)
        axes.plot(best.temperature, 100 * best.success, "o", color=colour)
    axes.set(xlabel="T_eval", ylabel="success, %")
    axes.set_title(
        f"success, k = {result.top_k or 'none'}, p = {result.top_p:g}", fontsize="medium"
    )
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.legend(frameon=False, fontsize="small", loc="upper right")
    axes.grid(alpha=0.25)


def _draw_fork(axes: Axes, result: ToyResult) -> None:
    """Grouped bars over the tokens that any of the three policies keeps."""
    policies: tuple[tuple[str, dict[int, float], dict[str, Any]], ...] = (
        ("teacher at its best T", result.main.teacher.policy["fork"], {"color": TEACHER}),
        (f"learnt ({result.training})", result.support["fork"], {"color": "0.7"}),
        ("student at its best T", result.main.student.policy["fork"], {"color": STUDENT}),
    )
    tokens = sorted({token for _, kept, _ in policies for token in kept})[:8]
    for place, (name, kept, style) in enumerate(policies):
        heights = [100 * kept.get(token, 0.0) for token in tokens]
        axes.bar([i + 0.27 * (place - 1) for i in range(len(tokens))], heights, 0.25, label=name,
                 **style)  # fmt: skip
    axes.set_xticks(range(len(tokens)), [f"{t}{' ✓' if t == 0 else ''}" for t in tokens])
    axes.set(xlabel="token (0 passes)", ylabel="%")
    axes.set_title("the fork", fontsize="medium")
    axes.margins(y=0.35)
    axes.legend(frameon=False, fontsize="small")


def _draw_gaps(axes: Axes, gaps: tuple[Gap, ...]) -> None:
    axes.bar(range(len(gaps)), [gap.points for gap in gaps], 0.6, color=STUDENT)
    for i, gap in enumerate(gaps):
        axes.annotate(f"{gap.points:+.1f}", (i, max(gap.points, 0)), (0, 2), ha="center",
                      textcoords="offset points", fontsize="small")  # fmt: skip
    axes.axhline(0, color="0.35", linewidth=0.8)
    axes.set_xticks(range(len(gaps)), [f"{gap.top_p:g}" for gap in gaps])
    axes.set(xlabel="evaluation top-p", ylabel="student − teacher, pp")
    axes.set_title("lead at the best T of each", fontsize="medium")
    axes.margins(y=0.15)
