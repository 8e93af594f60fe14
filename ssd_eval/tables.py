"""The printed tables of a sweep, for terminals of 80 columns and more: rich renderables.

Colours what `sweep_sheets` and `wording` say; defines no table, computes no statistics and prints
nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from ssd_eval import sweep_sheets, wording
from ssd_eval.results import Comparison, Curve, SweepResult
from ssd_eval.table_formats import COLOURS, fits, legend, rich_tables
from ssd_eval.text_plot import sweep_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sandbox.base import Profile
    from ssd_eval.paper import Published
    from ssd_eval.sheets import Sheet


def report(result: SweepResult, width: int = 80, published: Published | None = None) -> Group:
    """Main tables, verdict in words, sweep, cost, and what could change the reading.

    All k stand in one table where `width` allows. `published` sets the paper's numbers beside.
    """
    parts: list[RenderableType] = []
    whole = sweep_sheets.main_sheet(result, result.main, published or {})
    together = fits(whole, width)
    for comparisons in [result.main] if together else [(each,) for each in result.main]:
        parts += [_titled(sweep_sheets.main_sheet(result, comparisons, published or {}), width)]
        for comparison in comparisons:
            parts += [*_dim(wording.settings(comparison)), verdict(comparison)]
        parts += [*profile_note(result.setup.profile), ""]
    parts += [sweep_table(result, width), *map(Text, wording.notes(result)), ""]
    parts += [*map(Text, sweep_text(result, result.main[0].k, width)), ""]
    parts += [cost_table(result), *_warnings(result)]
    return Group(*parts)


def main_table(result: SweepResult, comparison: Comparison) -> Group:
    """Base, +SSD and Δ with 95 % intervals, in percent, over all, easy, medium and hard."""
    return _titled(sweep_sheets.main_sheet(result, (comparison,), {}))


def verdict(comparison: Comparison) -> Text:
    """Better, worse or inconclusive, in a sentence, for all problems at this k."""
    return Text(wording.verdict(comparison), style=COLOURS[comparison.groups[0].verdict])


def sweep_table(result: SweepResult, width: int = 80) -> Group:
    """Both checkpoints at every decoding; the best of each curve is marked with *."""
    curves = (result.base, result.distilled)
    return _titled(sweep_sheets.sweep_sheet(curves, wording.on(result)), width)


def profile_note(profile: Profile) -> Iterator[Text]:
    """Under a table: whose rules decided, where they are not ours."""
    yield from map(Text, wording.profile(profile))


def curve_table(curve: Curve, profile: Profile = "faithful", on: str = "") -> Group:
    """One checkpoint over the grid; `on` names the problems."""
    sheet = sweep_sheets.sweep_sheet((curve,), on)
    return Group(_titled(sheet), *_dim(wording.explained([curve])), *profile_note(profile))


def cost_table(result: SweepResult) -> Group:
    """Completions, tokens, seconds and grading's CPU seconds of each stage."""
    sheet = sweep_sheets.cost_sheet(result)
    return Group(_titled(sheet), *map(Text, sheet.notes))


def _titled(sheet: Sheet, width: int = 80) -> Group:
    # Not rich's own title: that wraps at the table's width, and reads [brackets] as markup.
    found = rich_tables(sheet, width)
    return Group(Text(sheet.title, style="bold"), *found, *_dim(legend(sheet)))


def _dim(lines: Iterable[str]) -> Iterator[Text]:
    return (Text(line, style="dim") for line in lines)


def _warnings(result: SweepResult) -> Iterator[Text]:
    """The profile's stand under the main tables already."""
    said = set(wording.profile(result.setup.profile))
    for line in wording.warnings(result):
        if line not in said:
            yield Text(line, style="red" if "infra_error" in line else "yellow")
