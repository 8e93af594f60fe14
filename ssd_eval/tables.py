"""The printed tables of a sweep, for terminals of 80 columns and more: rich renderables.

Formats what `results` found; computes no statistics and prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ssd_eval.results import (
    Cell,
    Choice,
    Comparison,
    Curve,
    GroupDifference,
    Margin,
    StageCost,
    SweepResult,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ssd_eval.stats import Difference, Estimate

COLOURS = {"better": "green", "worse": "red", "inconclusive": "yellow"}
NOTABLE = 0.05  # shares below this can't change how a cell is read
DASH = "–"


def report(result: SweepResult) -> Group:
    """Main tables, verdict in words, sweep, cost, and what could change the reading."""
    parts: list[RenderableType] = []
    for comparison in result.main:
        parts += [main_table(result, comparison), *_settings(comparison), verdict(comparison), ""]
    parts += [sweep_table(result), *_margins(result), "", cost_table(result), *_warnings(result)]
    return Group(*parts)


def main_table(result: SweepResult, comparison: Comparison) -> Table:
    """Base, +SSD and Δ with 95 % intervals, in percent, over all, easy, medium and hard."""
    setup = result.setup
    title = (
        f"pass@{comparison.k} on {setup.benchmark} ({setup.window}): {setup.problems} problems, "
        f"{setup.samples} samples each"
    )
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("%")
    for group in comparison.groups:
        table.add_column(group.group, justify="right")
    table.add_row("base", *(_estimate(group.base) for group in comparison.groups))
    table.add_row("+SSD", *(_estimate(group.distilled) for group in comparison.groups))
    table.add_row("Δ", *(_delta(group) for group in comparison.groups))
    return table


def verdict(comparison: Comparison) -> Text:
    """Better, worse or inconclusive, in a sentence, for all problems at this k."""
    group = comparison.groups[0]
    difference, word = group.difference, group.verdict
    sentence = f"pass@{comparison.k}: +SSD is {word}"
    if word == "inconclusive":
        sentence += f" ({_smallest(difference)})"
    elif difference.mean is not None:
        sentence += f", {_points(difference.mean)} pp {_interval(difference)}"
        sentence += f", p {_p_value(group.adjusted_p)} after Holm; {_smallest(difference)}"
    return Text(sentence, style=COLOURS[word])


def sweep_table(result: SweepResult) -> Table:
    """Both checkpoints at every temperature; the best of each curve is marked with *."""
    table = Table(title="temperature sweep, mean ± half a 95 % interval, %", title_justify="left")
    table.add_column("T_eval", justify="right")
    ks = [comparison.k for comparison in result.main]
    for k in ks:
        table.add_column(f"base pass@{k}", justify="right")
        table.add_column(f"+SSD pass@{k}", justify="right")
    table.add_column("note")
    cells = {cell.decoding: cell for cell in result.distilled.cells}
    others = [
        cell for cell in result.distilled.cells if cell.decoding not in _decodings(result.base)
    ]
    for base in result.base.cells:
        table.add_row(*_sweep_row(result, base, cells.get(base.decoding), ks))
    for distilled in others:
        table.add_row(*_sweep_row(result, None, distilled, ks))
    return table


def curve_table(curve: Curve) -> Table:
    """One checkpoint over the grid."""
    table = Table(title=f"{curve.label}: mean ± half a 95 % interval, %", title_justify="left")
    table.add_column("T_eval", justify="right")
    for k in curve.best:
        table.add_column(f"pass@{k}", justify="right")
    table.add_column("note")
    for cell in curve.cells:
        values = [_marked(curve, cell, k) for k in curve.best]
        table.add_row(_temperature(cell), *values, _note(cell))
    return table


def cost_table(result: SweepResult) -> Table:
    table = Table(title="cost", title_justify="left")
    for name in ("stage", "count", "tokens", "seconds"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in result.cost.stages:
        table.add_row(stage.name, *_cost_cells(stage))
    table.add_row("all", "", "", f"{result.cost.seconds:,.0f}", style="bold")
    return table


def _cost_cells(stage: StageCost) -> tuple[str, str, str]:
    tokens = DASH if stage.tokens is None else f"{stage.tokens:,}"
    seconds = DASH if stage.seconds is None else f"{stage.seconds:,.1f}"
    return f"{stage.count:,} {stage.unit}", tokens, seconds


def _sweep_row(
    result: SweepResult, base: Cell | None, distilled: Cell | None, ks: Sequence[int]
) -> list[str]:
    some = base or distilled
    values = []
    for k in ks:
        values += [_marked(result.base, base, k), _marked(result.distilled, distilled, k)]
    notes = [_note(cell, label) for label, cell in (("base", base), ("+SSD", distilled)) if cell]
    return [_temperature(some), *values, "; ".join(note for note in notes if note)]


def _decodings(curve: Curve) -> set[object]:
    return {cell.decoding for cell in curve.cells}


def _temperature(cell: Cell | None) -> str:
    return DASH if cell is None else f"{cell.decoding.temperature:g}"


def _marked(curve: Curve, cell: Cell | None, k: int) -> str:
    if cell is None:
        return DASH
    best = curve.best[k].naive.decodings
    mark = "*" if cell.decoding in best and len(curve.cells) > 1 else " "
    estimate = cell.pass_at[k]
    if estimate.mean is None:
        return DASH
    half = ""
    if estimate.low is not None and estimate.high is not None:
        half = f" ± {50 * (estimate.high - estimate.low):4.1f}"
    return f"{100 * estimate.mean:.1f}{half}{mark}"


def _note(cell: Cell, label: str = "") -> str:
    """Shares that explain a collapse."""
    found = (("cut off", cell.truncated_share), ("no code", cell.no_code_share))
    words = [
        f"{100 * share:.0f} % {name}"
        for name, share in found
        if share is not None and share >= NOTABLE
    ]
    return f"{label} {', '.join(words)}".strip() if words else ""


def _settings(comparison: Comparison) -> Iterator[Text]:
    for label, choice in (("base", comparison.base), ("+SSD", comparison.distilled)):
        yield Text(f"{label} at {_decoding(choice)}", style="dim")
    if comparison.dropped:
        yield Text(f"{comparison.dropped} problems left out: fewer than {comparison.k} samples")


def _decoding(choice: Choice) -> str:
    if not choice.decodings:
        return choice.rule
    first = choice.decodings[0]
    temperatures = sorted({each.temperature for each in choice.decodings})
    chosen = ", ".join(f"{t:g}" for t in temperatures)
    rest = f"k={first.top_k or 'none'} p={first.top_p:g}"
    return f"T={chosen} {rest} ({choice.rule})"


def _margins(result: SweepResult) -> Iterator[Text]:
    for comparison in result.main:
        yield Text(
            f"pass@{comparison.k} over the best base temperature: {_margin(comparison.margin)}"
        )


def _margin(margin: Margin) -> str:
    fitted, strict = margin.fitted, margin.strict
    parts = []
    if fitted.mean is not None:
        parts.append(f"{_points(fitted.mean)} pp {_interval(fitted)} cross-fitted")
    if strict.mean is not None:
        parts.append(f"{_points(strict.mean)} {_interval(strict)} over its naive best")
    if margin.naive is not None:
        parts.append(f"{_points(margin.naive)} naive on both sides")
    return "; ".join(parts) or "no problem has enough samples"


def _warnings(result: SweepResult) -> Iterator[Text]:
    cells = [*result.base.cells, *result.distilled.cells]
    infra, flaky = sum(c.infra_errors for c in cells), sum(c.flaky for c in cells)
    if infra:
        yield Text(f"{infra} samples left out: the sandbox failed on them (infra_error)", "red")
    if flaky:
        yield Text(f"{flaky} samples changed verdict when they ran alone (flaky)", style="yellow")
    if result.setup.tier != "A":
        yield Text(f"sandbox tier {result.setup.tier}: weaker isolation than A", style="yellow")


def _estimate(estimate: Estimate) -> str:
    if estimate.mean is None:
        return DASH
    text = f"{100 * estimate.mean:.1f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text}\n[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _delta(group: GroupDifference) -> Text:
    difference = group.difference
    if difference.mean is None:
        return Text(DASH)
    text = f"{_points(difference.mean)}\n{_interval(difference)}"
    return Text(text.strip(), style=COLOURS[group.verdict], justify="right")


def _interval(difference: Difference) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f"[{_points(difference.low)}, {_points(difference.high)}]"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _p_value(value: float | None) -> str:
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _smallest(difference: Difference) -> str:
    if difference.mde is None:
        return difference.reason or "no interval"
    return f"smallest effect this run could see: {100 * difference.mde:.1f} pp"
