"""The tables of a grid as data: pass@k by T_train and T_eval, and truncated against not.

Computes no statistics.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ssd_eval import sheets, wording
from ssd_eval.grid import UNTRUNCATED, Contrast, Family, Grid
from ssd_eval.quadratic import Quadratic
from ssd_eval.sheets import Column, Sheet
from ssd_eval.sweep_sheets import grid_sheet

if TYPE_CHECKING:
    from rich.console import Group


def grid_sheets(grid: Grid) -> tuple[Sheet, ...]:
    found = tuple(family_sheet(grid, family) for family in grid.families)
    return (*found, contrast_sheet(grid)) if grid.contrasts else found


def family_sheet(grid: Grid, family: Family) -> Sheet:
    """T_train down, T_eval across; the fit below."""
    sheet = grid_sheet(family.students, grid.k, f"{wording.on(grid.sweep)}, {truncation(family)}")
    notes = (
        fit_in_words(family.fit, grid.k),
        *wording.explained(list(family.students.values())),
        *wording.warnings(grid.sweep),
    )
    return Sheet(f"grid-{family.name}", sheet.title, sheet.columns, sheet.rows, notes, compact=True)


def contrast_sheet(grid: Grid) -> Sheet:
    """Truncated training minus none, on the same problems; Holm over the rows."""
    rows = [
        (each.name, *(_mean(family, each) for family in grid.families),
         sheets.points(each.difference, each.verdict))
        for each in grid.contrasts
    ]  # fmt: skip
    return Sheet(
        "grid-truncation",
        f"training truncated against not, pass@{grid.k} on {wording.on(grid.sweep)}, %",
        (Column("over the grid"), *(Column(f.name) for f in grid.families), Column("Δ")),
        tuple(rows),
        (
            *(f"{family.name}: best at {_places(family)}" for family in grid.families),
            *(contrast_in_words(each) for each in grid.contrasts),
        ),
    )


def truncation(family: Family) -> str:
    """Of the training samples."""
    if family.name == UNTRUNCATED:
        return "trained without truncation"
    return f"trained at k={family.top_k or 'none'} p={family.top_p:g}"


def fit_in_words(fit: Quadratic, k: int) -> str:
    if fit.r_squared is None:
        return f"quadratic in T_eff = T_train T_eval: {fit.reason}"
    peak = "no peak within" if fit.peak is None else f"peak at T_eff {fit.peak:.2f}"
    return (
        f"quadratic in T_eff = T_train T_eval: R² {fit.r_squared:.2f} of pass@{k} over "
        f"{fit.points} cells, {peak}"
    )


def contrast_in_words(contrast: Contrast) -> str:
    word, said = contrast.verdict, f"truncated training is {contrast.verdict}"
    judged = wording.judged(word, said, contrast.difference, contrast.adjusted_p)
    return f"{contrast.name}: {judged}"


def report(grid: Grid, width: int = 80) -> Group:
    from rich.console import Group

    from ssd_eval.table_formats import printed

    return Group(*(printed(sheet, width) for sheet in grid_sheets(grid)))


def _mean(family: Family, contrast: Contrast) -> sheets.Cell:
    choice = family.best if contrast.name.startswith("best") else family.mean
    return None if choice.mean is None else sheets.Value(choice.mean, "share")


def _places(family: Family) -> str:
    """The cells that folds chose, and how many folds chose each."""
    found = Counter(family.chosen).most_common()
    several = len(found) > 1
    return ", ".join(f"T_train {a:g} T_eval {b:g}{f' ({n})' * several}" for (a, b), n in found)
