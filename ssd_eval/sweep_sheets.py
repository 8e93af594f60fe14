"""The tables of a sweep as data: main (the paper's Table 2), sweep, settings (Tables 3-4), cost.

One definition for the terminal, the files in RUN/tables and whatever else wants them. What must be
known to read a table right stands in its notes. Computes no statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ssd_eval import paper, sheets, wording
from ssd_eval.decoding import DecodingConfig
from ssd_eval.paper import Published
from ssd_eval.results import Choice, Comparison, Curve, GroupDifference, SweepResult
from ssd_eval.sheets import Cell, Column, Sheet


def sweep_sheets(result: SweepResult, published: Published | None = None) -> tuple[Sheet, ...]:
    """All of them, in the order of a report."""
    return (
        main_sheet(result, result.main, published or {}),
        sweep_sheet([result.base, result.distilled], wording.on(result), wording.notes(result)),
        settings_sheet(result),
        cost_sheet(result),
    )


def main_sheet(
    result: SweepResult, comparisons: Sequence[Comparison], published: Published
) -> Sheet:
    """Base, +SSD and their difference at each k over all, easy, medium and hard.

    `published` sets the paper's number beside ours.
    """
    setup, groups = result.setup, [(c, g) for c in comparisons for g in c.groups]
    ks = " and ".join(f"pass@{comparison.k}" for comparison in comparisons)
    title = (
        f"{ks} on {wording.on(result)}: {wording.counted(setup.problems, 'problem')}, "
        f"{wording.counted(setup.samples, 'sample')} each"
    )
    notes = [line for comparison in comparisons for line in wording.about(comparison)]
    if published:
        notes.append("paper: arXiv 2604.01193, same model and window")
    return Sheet(
        "main",
        title,
        (Column("%"), *(Column(group.group, f"pass@{c.k}") for c, group in groups)),
        (
            ("base", *(_share(published, paper.BASE, c, g) for c, g in groups)),
            ("+SSD", *(_share(published, paper.SSD, c, g) for c, g in groups)),
            ("Δ", *(_gain(published, c, g) for c, g in groups)),
        ),
        (*notes, *wording.warnings(result)),
    )


def _share(
    published: Published, label: str, comparison: Comparison, group: GroupDifference
) -> Cell:
    estimate = group.base if label == paper.BASE else group.distilled
    return sheets.share(estimate, published=published.get((label, comparison.k, group.group)))


def _gain(published: Published, comparison: Comparison, group: GroupDifference) -> Cell:
    """The word stands in every cell: after Holm the interval alone does not tell it."""
    before, after = (
        published.get((label, comparison.k, group.group)) for label in (paper.BASE, paper.SSD)
    )
    gain = None if before is None or after is None else after - before
    return sheets.points(group.difference, group.verdict, gain)


def sweep_sheet(curves: Sequence[Curve], on: str, notes: Sequence[str] = ()) -> Sheet:
    """Mean ± half a 95 % interval at every decoding; * marks the best of a curve."""
    configs = decodings(curves)
    mixed = len({(each.top_k, each.top_p) for each in configs}) > 1
    columns = [(curve, k) for k in curves[0].best for curve in curves]
    several = len(curves) > 1
    title = ("temperature sweep" if several else curves[0].label) + (f" on {on}" if on else "")
    return Sheet(
        "sweep",
        f"{title}{',' if several else ':'} mean ± half a 95 % interval, %",
        (
            Column("decoding" if mixed else "T_eval"),
            *(_column(curve, k, len(curves)) for curve, k in columns),
        ),
        tuple(
            (
                str(each) if mixed else f"{each.temperature:g}",
                *(_marked(curve, each, k) for curve, k in columns),
            )
            for each in configs
        ),
        tuple(notes),
        compact=True,
    )


def grid_sheet(students: Mapping[float, Curve], k: int, on: str) -> Sheet:
    """pass@k of T_train (rows) by T_eval: the paper's Figure 3 as numbers."""
    configs = decodings(list(students.values()))
    rows = tuple(
        (f"{t_train:g}", *(_marked(curve, each, k) for each in configs))
        for t_train, curve in sorted(students.items())
    )
    return Sheet(
        "grid",
        f"pass@{k} by T_train and T_eval on {on}, mean ± half a 95 % interval, %",
        (Column("T_train"), *(Column(f"{each.temperature:g}", "T_eval") for each in configs)),
        rows,
        compact=True,
    )


def settings_sheet(result: SweepResult) -> Sheet:
    """The decoding that each number of the main table stands for, and how it was chosen.

    Below: by which rules the programs were found.
    """
    rows = []
    for comparison in result.main:
        for label, choice in ((paper.BASE, comparison.base), (paper.SSD, comparison.distilled)):
            rows += [
                (f"pass@{comparison.k}", label, *_setting(each), times, choice.rule)
                for each, times in _votes(choice)
            ]
    names = ("metric", "checkpoint", "T", "top-k", "top-p", "folds", "rule")
    title = f"decoding settings on {wording.on(result)}"
    notes = tuple(wording.rules((result.base, result.distilled)))
    return Sheet("settings", title, tuple(map(Column, names)), tuple(rows), notes)


def cost_sheet(result: SweepResult) -> Sheet:
    """Completions, tokens, seconds and grading's CPU seconds of each stage."""
    rows: list[tuple[Cell, ...]] = [
        (
            stage.name,
            f"{stage.count:,} {stage.unit}",
            sheets.count(stage.tokens),
            sheets.seconds(stage.seconds),
            "" if stage.cpu_seconds is None else sheets.seconds(stage.cpu_seconds),
        )
        for stage in result.cost.stages
    ]
    rows.append(("all", "", "", sheets.seconds(result.cost.seconds), ""))
    columns = tuple(map(Column, ("stage", "count", "tokens", "seconds", "CPU s")))
    notes = ("grading's seconds hold the sampling beside it",) if result.cost.beside else ()
    return Sheet("cost", "cost", columns, tuple(rows), notes)


def decodings(curves: Sequence[Curve]) -> list[DecodingConfig]:
    found = {cell.decoding for curve in curves for cell in curve.cells}
    return sorted(found, key=lambda each: (each.temperature, each.top_k, each.top_p))


def _column(curve: Curve, k: int, curves: int) -> Column:
    if curves == 1:
        return Column("", f"pass@{k}", f"pass@{k}")
    return Column(curve.label, f"pass@{k}", f"{curve.label} pass@{k}")


def _marked(curve: Curve, decoding: DecodingConfig, k: int) -> Cell:
    cell = next((cell for cell in curve.cells if cell.decoding == decoding), None)
    if cell is None:
        return None
    best = decoding in curve.best[k].naive.decodings and len(curve.cells) > 1
    return sheets.share(cell.pass_at[k], best=best)


def _setting(config: DecodingConfig) -> tuple[str, str, str]:
    return f"{config.temperature:g}", str(config.top_k or "none"), f"{config.top_p:g}"


def _votes(choice: Choice) -> Iterator[tuple[DecodingConfig, str]]:
    """Each chosen config, and how many folds chose it."""
    folds = len(choice.decodings)
    for each in dict.fromkeys(choice.decodings):
        times = choice.decodings.count(each)
        yield each, f"{times} of {folds}" if folds > 1 else wording.DASH
