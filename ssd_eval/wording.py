"""What a sweep's numbers mean, in sentences: verdicts, choices, margins, and what could mislead.

Plain text, the same in a terminal, a file and a page. Computes no statistics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ssd_eval.results import UNFITTED, Cell, Choice, Comparison, Curve, Margin, SweepResult
from ssd_eval.stats import Difference, Spread, Verdict

NOTABLE = 0.05  # shares below this can't change how a cell is read
DASH = "–"
PROFILES = {
    "official": "LiveCodeBench's own checker",
    "ml-ssd": "the paper's released scorer",
}


def on(result: SweepResult) -> str:
    return f"{result.setup.benchmark} ({result.setup.window})"


def about(comparison: Comparison) -> Iterator[str]:
    """Below a main table: its decodings, what was left out, the verdict."""
    yield from settings(comparison)
    yield verdict(comparison)


def settings(comparison: Comparison) -> Iterator[str]:
    for label, choice in (("base", comparison.base), ("+SSD", comparison.distilled)):
        yield f"{label} at {decoding(choice)}"
    if comparison.dropped:
        dropped = counted(comparison.dropped, "problem")
        yield f"{dropped} left out: fewer than {counted(comparison.k, 'sample')} graded"


def verdict(comparison: Comparison) -> str:
    """Better, worse or inconclusive, in a sentence, for all problems at this k."""
    group = comparison.groups[0]
    said = f"+SSD is {group.verdict}"
    return f"pass@{comparison.k}: {judged(group.verdict, said, group.difference, group.adjusted_p)}"


def judged(word: Verdict, said: str, difference: Difference, adjusted_p: float | None) -> str:
    """`said` where the verdict tells, the numbers, and how small an effect could be seen."""
    numbers = ""
    if difference.mean is not None:
        numbers = f", {measured(difference)}, p {p_value(adjusted_p)} after Holm"
    if word == "inconclusive":
        return f"{inconclusive(difference)}{numbers}"
    return f"{said}{numbers}; {smallest(difference)}"


def inconclusive(difference: Difference) -> str:
    return f"inconclusive ({smallest(difference)})"


def decoding(choice: Choice) -> str:
    """The config and how it was chosen; where folds differ, how many chose which."""
    folds = Counter(choice.decodings)
    if not folds:
        return choice.rule
    if len(folds) == 1:
        return f"{choice.decodings[0]} ({choice.rule})"
    chosen = sorted(folds, key=lambda each: (-folds[each], each.temperature))
    return f"{', '.join(f'{each} in {folds[each]}' for each in chosen)} ({choice.rule})"


def notes(result: SweepResult) -> tuple[str, ...]:
    """How flat the base curve is, the margins over its best, and what explains a collapse."""
    lines = []
    spreads = [
        f"{flatness(spread)} in pass@{comparison.k}"
        for comparison in result.main
        if (spread := result.base.flatness(comparison.k)) is not None
    ]
    if spreads and len(result.base.cells) > 1:
        lines.append(f"* the best of its curve; the base's spans {', '.join(spreads)}")
    for comparison in result.main:
        rule = result.base.best[comparison.k].fitted.rule
        margins = margin(comparison.margin, "cross-fitted" if rule != UNFITTED else rule)
        lines.append(f"pass@{comparison.k} over the best base temperature: {margins}")
    return (*lines, *explained([result.base, result.distilled]))


def flatness(spread: Spread) -> str:
    """Naive maximum minus minimum, with the interval that allows for the choice."""
    if spread.low is None or spread.high is None:
        return f"{100 * spread.naive:.1f} pp"
    return f"{100 * spread.naive:.1f} pp [{100 * spread.low:.1f}, {100 * spread.high:.1f}]"


def margin(found: Margin, rule: str = "cross-fitted") -> str:
    """`rule`: how the base's best was chosen for the first of the differences."""
    fitted, strict = found.fitted, found.strict
    parts = []
    if fitted.mean is not None:
        parts.append(f"{measured(fitted)} {rule}")
    if strict.mean is not None:
        parts.append(f"{measured(strict)} over its naive best")
    if found.naive is not None:
        parts.append(f"{points(found.naive)} pp naive on both sides")
    return "; ".join(parts) or "no problem has enough samples"


def explained(curves: Sequence[Curve]) -> Iterator[str]:
    """A line for each decoding where truncated texts or texts without code explain a collapse."""
    lines: dict[str, list[str]] = {}
    cells = [(curve.label, cell) for curve in curves for cell in curve.cells]
    for label, cell in sorted(cells, key=lambda each: each[1].decoding.temperature):
        if words := _shares(cell):
            name = f"{label} " if len(curves) > 1 else ""
            lines.setdefault(str(cell.decoding), []).append(name + words)
    for config, parts in lines.items():
        yield f"{config}: {'; '.join(parts)}"


def warnings(result: SweepResult) -> Iterator[str]:
    """What was lost, flaky or less safe, and whose rules decided, where it is not the usual."""
    cells = [*result.base.cells, *result.distilled.cells]
    infra, flaky = sum(c.infra_errors for c in cells), sum(c.flaky for c in cells)
    if infra:
        yield f"{counted(infra, 'sample')} left out: the sandbox failed there (infra_error)"
    if flaky:
        yield f"{counted(flaky, 'sample')} changed verdict when run alone (flaky)"
    if result.setup.tier != "A":
        yield f"sandbox tier {result.setup.tier}: weaker isolation than A"
    yield from profile(result.setup.profile)


def rules(curves: Sequence[Curve]) -> Iterator[str]:
    """How programs were found: a curve's completions by extraction rule, the commonest first."""
    for curve in curves:
        counts: Counter[str] = Counter()
        for cell in curve.cells:
            counts.update(cell.rules)
        if counts:
            named = ", ".join(f"{rule} {count:,}" for rule, count in counts.most_common())
            yield f"extraction rules, {curve.label}: {named}"


def profile(name: str) -> Iterator[str]:
    """Whose rules decided, where they are not ours."""
    if name != "faithful":
        yield f"verdict profile {name}: {PROFILES[name]}, not the faithful rules"


def measured(difference: Difference) -> str:
    mean = f"{points(difference.mean or 0.0)} pp"
    return f"{mean} {interval(difference)}".rstrip()


def interval(difference: Difference) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f"[{points(difference.low)}, {points(difference.high)}]"


def smallest(difference: Difference) -> str:
    if difference.mde is None:
        return difference.reason or "no effect could be significant with so few problems"
    return f"smallest effect this run could see: {100 * difference.mde:.1f} pp"


def points(share: float) -> str:
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def p_value(value: float | None) -> str:
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _shares(cell: Cell) -> str:
    found = (("cut off", cell.truncated_share), ("no code", cell.no_code_share))
    return ", ".join(
        f"{100 * share:.0f} % {name}" for name, share in found if share and share > NOTABLE
    )
