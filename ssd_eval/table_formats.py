"""A sheet in five formats: rich (for a width), Markdown, LaTeX (booktabs), CSV and JSON.

Every cell is text by here: whatever a name holds, it is shown and never read as markup.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval import rounding
from ssd_eval.rounding import DASH
from ssd_eval.sheets import Cell, Column, Sheet, Value, to_json

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

COLOURS = {"better": "green", "worse": "red", "inconclusive": "yellow"}
SENTENCE = 50  # characters from which a cell of a LaTeX table is wrapped
SEES = "sees x pp: the smallest effect this run could see"
MARKS = {"better": "+", "worse": "-", "inconclusive": "o"}
_LATEX = {
    **{each: f"\\{each}" for each in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "–": "--",
    "→": r"$\to$",
    "×": r"$\times$",
}


def rich_tables(sheet: Sheet, width: int = 80) -> list[Table]:
    """As few tables as fit: groups of columns share one as long as the width allows."""
    groups = _groups(sheet)
    tables: list[list[int]] = []
    for group in groups:
        together = [*tables[-1], *group] if tables else group
        if tables and _width(_rich(sheet, together), width) <= width:
            tables[-1] = together
        else:
            tables.append(group)
    return [_rich(sheet, columns) for columns in tables]


def fits(sheet: Sheet, width: int) -> bool:
    """Whether one table holds all columns."""
    return _width(_rich(sheet, range(1, len(sheet.columns))), width) <= width


def printed(sheet: Sheet, width: int = 80) -> Group:
    """Title, tables and notes for a terminal."""
    from rich.console import Group
    from rich.text import Text

    found = (Text(note, style="dim") for note in notes(sheet))
    return Group(Text(sheet.title, style="bold"), *rich_tables(sheet, width), *found)


def notes(sheet: Sheet) -> tuple[str, ...]:
    """The sheet's own, and what `sees` means where a cell says it."""
    return (*sheet.notes, *legend(sheet))


def legend(sheet: Sheet) -> tuple[str, ...]:
    cells = () if sheet.compact else (cell for row in sheet.rows for cell in row)
    said = any(isinstance(cell, Value) and cell.sees is not None for cell in cells)
    return (SEES,) if said else ()


def lines(cell: Cell, compact: bool = False) -> list[str]:
    """What a cell shows: a text or number first, then its interval, verdict, published number."""
    if compact or not isinstance(cell, Value):
        return [_inline(cell, compact)]
    return _lines(cell)


def markdown(sheet: Sheet) -> str:
    head = [_escaped(sheet.columns[at].heading) for at in range(len(sheet.columns))]
    ruler = ["---"] + ["---:"] * (len(head) - 1)
    rows = [[_escaped(_inline(cell, sheet.compact)) for cell in row] for row in sheet.rows]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ruler, *rows)]
    below = [f"\n{_escaped(note)}" for note in notes(sheet)]
    return "\n".join([f"**{_escaped(sheet.title)}**", "", *lines, *below]) + "\n"


def latex(sheet: Sheet) -> str:
    """A booktabs table of its own; needs \\usepackage{booktabs,xcolor}."""
    lines = [
        r"\begin{table}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{_tex(sheet.title)}}}",
        rf"\begin{{tabular}}{{{_tex_columns(sheet)}}}",
        r"\toprule",
        *_tex_heads(sheet),
        r"\midrule",
        *(_tex_row(_tex_cell(cell, sheet.compact) for cell in row) for row in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {_tex(note)}}}" for note in notes(sheet)),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def comma_separated(sheet: Sheet) -> str:
    """One line a row; a column of values is spread over mean, se, low, high and verdict."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = ("", "se", "low", "high", "verdict", "sees", "published")
    used = [_used(sheet, at, fields) for at in range(len(sheet.columns))]
    writer.writerow(
        " ".join(part for part in (sheet.columns[at].heading, name) if part)
        for at, names in enumerate(used)
        for name in names
    )
    for row in sheet.rows:
        writer.writerow(
            _field(cell, name) for cell, names in zip(row, used, strict=True) for name in names
        )
    return out.getvalue()


def as_json(sheet: Sheet) -> str:
    names = [sheet.columns[at].heading for at in range(len(sheet.columns))]
    rows = [dict(zip(names, map(to_json, row), strict=True)) for row in sheet.rows]
    value = {
        "title": sheet.title,
        "columns": names,
        "rows": rows,
        "notes": list(sheet.notes),
        **({"compact": True} if sheet.compact else {}),
    }
    return json.dumps(value, allow_nan=False, indent=1, ensure_ascii=False) + "\n"


def read(folder: Path, but: Collection[str] = ()) -> list[Sheet]:
    """The sheets that `write` left there as JSON, by name, without those of the slugs `but`.

    Headings come back whole, without groups. Raises RunFolderError for a file that holds no sheet.
    """
    from ssd_eval.errors import RunFolderError

    sheets = []
    for path in sorted(folder.glob("*.json")):
        if path.stem in but:
            continue
        try:
            held = json.loads(path.read_bytes(), parse_constant=_no_number)
            sheets.append(_from_json(path.stem, held))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunFolderError(f"{path} holds no table ({error}); delete it") from error
    return sheets


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _from_json(slug: str, held: Any) -> Sheet:
    names = held["columns"]
    cells = [[row[name] for name in names] for row in held["rows"]]
    rows = tuple(
        tuple(Value(**cell) if isinstance(cell, dict) else cell for cell in row) for row in cells
    )
    columns, notes = tuple(map(Column, names)), tuple(held["notes"])
    return Sheet(slug, held["title"], columns, rows, notes, compact=held.get("compact", False))


def write(sheets: Sequence[Sheet], folder: Path) -> list[Path]:
    """Every sheet in every file format; returns the files. Raises RunFolderError."""
    from ssd_eval.lock import writing

    formats = {"md": markdown, "tex": latex, "csv": comma_separated, "json": as_json}
    files = []
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for sheet in sheets:
            for ending, made in formats.items():
                files.append(folder / f"{sheet.slug}.{ending}")
                files[-1].write_text(made(sheet), encoding="utf-8")
    return files


def _groups(sheet: Sheet) -> list[list[int]]:
    """Places of the columns after the first, by neighbouring group."""
    places = range(1, len(sheet.columns))
    return [list(each) for _, each in groupby(places, key=lambda at: sheet.columns[at].group)]


def _rich(sheet: Sheet, columns: Sequence[int]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column(Text(sheet.columns[0].name), justify="right" if sheet.compact else "left")
    several = len({sheet.columns[at].group for at in columns}) > 1
    for at in columns:
        column = sheet.columns[at]
        name = column.heading if several or column.full else column.name
        told = any(getattr(row[at], "verdict", None) == "inconclusive" for row in sheet.rows)
        # A word that is cut off can be misread; rich makes the other columns narrower instead.
        least = len("inconclusive") if told and not sheet.compact else None
        table.add_column(Text(name), justify="right", min_width=least)
    for row in sheet.rows:
        table.add_row(_text(row[0]), *(_text(row[at], sheet.compact) for at in columns))
    return table


def _width(table: Table, limit: int) -> int:
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=10 * limit)
    return Measurement.get(console, console.options, table).maximum


def _text(cell: Cell, compact: bool = False) -> Text:
    from rich.text import Text

    if not isinstance(cell, Value):
        return Text(DASH if cell is None else cell)
    if compact:
        return Text(_short(cell, 4) + ("*" if cell.best else " "))
    return Text("\n".join(_lines(cell)), style=COLOURS.get(cell.verdict or "", ""))


def _lines(value: Value) -> list[str]:
    """A cell's parts: number, interval, verdict, what could be seen, the paper's number."""
    lines = [rounding.shown(value) + ("*" if value.best else "")]
    if (ends := rounding.limits(value)) is not None:
        lines.append(f"[{ends[0]}, {ends[1]}]")
    if value.verdict:
        lines.append(value.verdict)
    if value.sees is not None:
        lines.append(f"sees {100 * value.sees:.1f} pp")
    if (paper := rounding.published(value)) is not None:
        lines.append(f"paper {paper}")
    return lines


def _short(value: Value, width: int = 0) -> str:
    """Mean ± half the interval; a bound where the mean itself is one end."""
    mean, half = rounding.shown(value), rounding.half_width(value)
    if half is None or value.mean is None:
        return mean
    ends = rounding.limits(value) or ("", "")
    if value.mean <= 0:
        return f"{mean} ≤ {ends[1]:>{width}}"
    if value.mean >= 1:
        return f"{mean} ≥ {ends[0]:>{width}}"
    return f"{mean} ± {half:>{width}}"


def _inline(cell: Cell, compact: bool = False) -> str:
    if not isinstance(cell, Value):
        return DASH if cell is None else cell
    return _short(cell) + "*" * cell.best if compact else " ".join(_lines(cell))


def _escaped(text: str) -> str:
    """For a Markdown table: no cell ends early, nothing is markup."""
    for each in "\\`*_[]<>|~":
        text = text.replace(each, f"\\{each}")
    return " ".join(text.split())


def _tex_columns(sheet: Sheet) -> str:
    """Labels left, numbers right; sentences wrapped, as wide as they are long."""
    longest = [
        max((len(cell) for cell in column if isinstance(cell, str)), default=0)
        for column in zip(*sheet.rows, strict=True)
    ]
    sentences = [length for length in longest if length > SENTENCE]
    specs = ["l", *"r" * (len(sheet.columns) - 1)]
    for place, length in enumerate(longest):
        if length > SENTENCE:
            specs[place] = rf"p{{{0.9 * length / sum(sentences):.2f}\linewidth}}"
    return "".join(specs)


def _tex_heads(sheet: Sheet) -> list[str]:
    """The groups' line where there are groups, then the names'."""
    names = _tex_row(_tex(column.name) for column in sheet.columns)
    if not any(column.group for column in sheet.columns):
        return [names]
    over, rules, start = [""], [], 2
    for group in _groups(sheet):
        label = _tex(sheet.columns[group[0]].group)
        over.append(rf"\multicolumn{{{len(group)}}}{{c}}{{{label}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + len(group) - 1}}}")
        start += len(group)
    return [_tex_row(over), " ".join(rules), names]


def _tex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _tex_cell(cell: Cell, compact: bool) -> str:
    """The interval small below the number; significance as a colour and a sign."""
    if compact or not isinstance(cell, Value):
        return _tex(_inline(cell, compact))
    number, *rest = _lines(cell)
    body = _tex(number)
    if cell.verdict in ("better", "worse"):
        colour = "green!50!black" if cell.verdict == "better" else "red!70!black"
        body = rf"\textcolor{{{colour}}}{{{body}$^{{{MARKS[cell.verdict]}}}$}}"
    small = [rf"{{\tiny {_tex(part)}}}" for part in rest if part != cell.verdict]
    if not small:
        return body
    lines = r"\\[-3pt]".join([body, *small])
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{lines}\end{{tabular}}"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(each, each) for each in " ".join(text.split()))


def _used(sheet: Sheet, at: int, fields: Sequence[str]) -> list[str]:
    """Which parts of a column's values some row has; the number itself always."""
    cells = [row[at] for row in sheet.rows if isinstance(row[at], Value)]
    return [name for name in fields if not name or any(_field(cell, name) for cell in cells)]


def _field(cell: Cell, name: str) -> str:
    if not isinstance(cell, Value):
        return "" if name else cell or ""
    found = getattr(cell, name or "mean")
    return "" if found is None else str(found)
