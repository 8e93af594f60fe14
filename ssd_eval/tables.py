"""The printed tables of a sweep, for terminals of 80 columns and more: rich renderables.

Formats what `results` found; computes no statistics and prints nothing itself.
"""

from __future__ import annotations

from collections import Counter
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

    from sandbox.base import Profile
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.stats import Difference, Estimate

COLOURS = {"better": "green", "worse": "red", "inconclusive": "yellow"}
NOTABLE = 0.05  # shares below this can't change how a cell is read
DASH = "–"


def report(result: SweepResult) -> Group:
    """Main tables, verdict in words, sweep, cost, and what could change the reading."""
    parts: list[RenderableType] = []
    for comparison in result.main:
        parts += [main_table(result, comparison), *_settings(comparison), verdict(comparison)]
        parts += [*profile_note(result.setup.profile), ""]
    parts += [sweep_table(result), *_readings(result), "", cost_table(result), *_warnings(result)]
    return Group(*parts)


def main_table(result: SweepResult, comparison: Comparison) -> Group:
    """Base, +SSD and Δ with 95 % intervals, in percent, over all, easy, medium and hard."""
    setup = result.setup
    title = (
        f"pass@{comparison.k} on {setup.benchmark} ({setup.window}): "
        f"{_counted(setup.problems, 'problem')}, {_counted(setup.samples, 'sample')} each"
    )
    table = Table()
    table.add_column("%")
    for group in comparison.groups:
        table.add_column(group.group, justify="right")
    table.add_row("base", *(_estimate(group.base) for group in comparison.groups))
    table.add_row("+SSD", *(_estimate(group.distilled) for group in comparison.groups))
    table.add_row("Δ", *(_delta(group) for group in comparison.groups))
    return _titled(title, table)


def verdict(comparison: Comparison) -> Text:
    """Better, worse or inconclusive, in a sentence, for all problems at this k."""
    group = comparison.groups[0]
    difference, word = group.difference, group.verdict
    parts = [word if word == "inconclusive" else f"+SSD is {word}"]
    if difference.mean is not None:
        parts.append(f"{_measured(difference)}, p {_p_value(group.adjusted_p)} after Holm")
    sentence = f"pass@{comparison.k}: {', '.join(parts)}; {_smallest(difference)}"
    return Text(sentence, style=COLOURS[word])


def sweep_table(result: SweepResult) -> Group:
    """Both checkpoints at every decoding; the best of each curve is marked with *."""
    ks = [comparison.k for comparison in result.main]
    on = f"{result.setup.benchmark} ({result.setup.window})"
    title = f"temperature sweep on {on}, mean ± half a 95 % interval, %"
    return _titled(title, *_curves([result.base, result.distilled], ks))


def profile_note(profile: Profile) -> Iterator[Text]:
    """Under a table: whose rules decided, where they are not ours."""
    if profile != "faithful":
        rules = {"official": "LiveCodeBench's own checker", "ml-ssd": "the paper's released scorer"}
        yield Text(f"verdict profile {profile}: {rules[profile]}, not the faithful rules")


def curve_table(curve: Curve, profile: Profile = "faithful", on: str = "") -> Group:
    """One checkpoint over the grid; `on` names the problems."""
    title = f"{curve.label}{on and f' on {on}'}: mean ± half a 95 % interval, %"
    return _titled(
        title, *_curves([curve], list(curve.best)), *_notes([curve]), *profile_note(profile)
    )


def cost_table(result: SweepResult) -> Group:
    """Completions, tokens, seconds and grading's CPU seconds of each stage."""
    table = Table()
    for name in ("stage", "count", "tokens", "seconds", "CPU s"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in result.cost.stages:
        table.add_row(stage.name, *_cost_cells(stage))
    table.add_row("all", "", "", f"{result.cost.seconds:,.1f}", "", style="bold")
    notes = [Text("grading's seconds hold the sampling beside it")] if result.cost.beside else []
    return _titled("cost", table, *notes)


def _titled(title: str, *parts: RenderableType) -> Group:
    # Not rich's own title: that wraps at the table's width, and reads [brackets] as markup.
    return Group(Text(title, style="bold"), *parts)


def _cost_cells(stage: StageCost) -> tuple[str, str, str, str]:
    tokens = DASH if stage.tokens is None else f"{stage.tokens:,}"
    seconds = DASH if stage.seconds is None else f"{stage.seconds:,.1f}"
    cpu = "" if stage.cpu_seconds is None else f"{stage.cpu_seconds:,.1f}"
    return f"{stage.count:,} {stage.unit}", tokens, seconds, cpu


def _curves(curves: Sequence[Curve], ks: Sequence[int]) -> Iterator[Table]:
    """As many columns to a table as fit in 80 characters."""
    decodings = sorted(
        {cell.decoding for curve in curves for cell in curve.cells},
        key=lambda each: (each.temperature, each.top_k, each.top_p),
    )
    mixed = len({(each.top_k, each.top_p) for each in decodings}) > 1
    at_once = 1 if mixed else 4 // len(curves)
    for start in range(0, len(ks), at_once):
        columns = [(curve, k) for k in ks[start : start + at_once] for curve in curves]
        table = Table()
        table.add_column("decoding" if mixed else "T_eval", justify="right")
        for curve, k in columns:
            label = f"{curve.label} " if len(curves) > 1 else ""
            table.add_column(Text(f"{label}pass@{k}"), justify="right")
        for decoding in decodings:
            values = [_marked(curve, decoding, k) for curve, k in columns]
            table.add_row(str(decoding) if mixed else f"{decoding.temperature:g}", *values)
        yield table


def _marked(curve: Curve, decoding: DecodingConfig, k: int) -> str:
    cell = next((cell for cell in curve.cells if cell.decoding == decoding), None)
    if cell is None or cell.pass_at[k].mean is None:
        return DASH
    best = curve.best[k].naive.decodings
    return _halved(cell.pass_at[k]) + ("*" if decoding in best and len(curve.cells) > 1 else " ")


def _halved(estimate: Estimate) -> str:
    text = _percent(estimate.mean or 0.0)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ± {50 * (estimate.high - estimate.low):4.1f}"


def _notes(curves: Sequence[Curve]) -> Iterator[Text]:
    """A line for each decoding where shares explain a collapse."""
    lines: dict[DecodingConfig, list[str]] = {}
    for curve in curves:
        for cell in curve.cells:
            if words := _shares(cell):
                label = f"{curve.label} " if len(curves) > 1 else ""
                lines.setdefault(cell.decoding, []).append(label + words)
    for decoding in sorted(lines, key=lambda each: each.temperature):
        yield Text(f"{decoding}: {'; '.join(lines[decoding])}", style="dim")


def _shares(cell: Cell) -> str:
    found = (("cut off", cell.truncated_share), ("no code", cell.no_code_share))
    return ", ".join(
        f"{100 * share:.0f} % {name}" for name, share in found if share and share > NOTABLE
    )


def _settings(comparison: Comparison) -> Iterator[Text]:
    for label, choice in (("base", comparison.base), ("+SSD", comparison.distilled)):
        yield Text(f"{label} at {_decoding(choice)}", style="dim")
    if comparison.dropped:
        dropped = _counted(comparison.dropped, "problem")
        yield Text(f"{dropped} left out: fewer than {_counted(comparison.k, 'sample')} graded")


def _decoding(choice: Choice) -> str:
    """The config and how it was chosen; where folds differ, how many chose which."""
    folds = Counter(choice.decodings)
    if not folds:
        return choice.rule
    if len(folds) == 1:
        return f"{choice.decodings[0]} ({choice.rule})"
    chosen = sorted(folds, key=lambda each: (-folds[each], each.temperature))
    return f"{', '.join(f'{each} in {folds[each]}' for each in chosen)} ({choice.rule})"


def _readings(result: SweepResult) -> Iterator[Text]:
    """How flat the base curve is, the margins over its best, and what explains a collapse."""
    spreads = [
        f"{100 * spread:.1f} pp in pass@{comparison.k}"
        for comparison in result.main
        if (spread := result.base.spread(comparison.k)) is not None
    ]
    if spreads and len(result.base.cells) > 1:
        yield Text(f"* the best of its curve; the base's spans {', '.join(spreads)}")
    for comparison in result.main:
        yield Text(
            f"pass@{comparison.k} over the best base temperature: {_margin(comparison.margin)}"
        )
    yield from _notes([result.base, result.distilled])


def _margin(margin: Margin) -> str:
    fitted, strict = margin.fitted, margin.strict
    parts = []
    if fitted.mean is not None:
        parts.append(f"{_measured(fitted)} cross-fitted")
    if strict.mean is not None:
        parts.append(f"{_measured(strict)} over its naive best")
    if margin.naive is not None:
        parts.append(f"{_points(margin.naive)} pp naive on both sides")
    return "; ".join(parts) or "no problem has enough samples"


def _warnings(result: SweepResult) -> Iterator[Text]:
    cells = [*result.base.cells, *result.distilled.cells]
    infra, flaky = sum(c.infra_errors for c in cells), sum(c.flaky for c in cells)
    if infra:
        lost = _counted(infra, "sample")
        yield Text(f"{lost} left out: the sandbox failed there (infra_error)", style="red")
    if flaky:
        changed = _counted(flaky, "sample")
        yield Text(f"{changed} changed verdict when run alone (flaky)", style="yellow")
    if result.setup.tier != "A":
        yield Text(f"sandbox tier {result.setup.tier}: weaker isolation than A", style="yellow")


def _estimate(estimate: Estimate) -> Text:
    if estimate.mean is None:
        return Text(DASH)
    text = _percent(estimate.mean)
    if estimate.low is not None and estimate.high is not None:
        text += f"\n[{_percent(estimate.low)}, {_percent(estimate.high)}]"
    return Text(text)


def _delta(group: GroupDifference) -> Text:
    """The word stands in every cell: after Holm the interval alone does not tell it."""
    difference = group.difference
    if difference.mean is None:
        return Text(DASH)
    lines = (_points(difference.mean), _interval(difference), group.verdict)
    return Text("\n".join(line for line in lines if line), style=COLOURS[group.verdict])


def _measured(difference: Difference) -> str:
    mean = f"{_points(difference.mean or 0.0)} pp"
    return f"{mean} {_interval(difference)}".rstrip()


def _interval(difference: Difference) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f"[{_points(difference.low)}, {_points(difference.high)}]"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(share: float) -> str:
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _p_value(value: float | None) -> str:
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _smallest(difference: Difference) -> str:
    if difference.mde is None:
        return difference.reason or "no effect could be significant with so few problems"
    return f"smallest effect this run could see: {100 * difference.mde:.1f} pp"
