"""One definition of a table, five formats: they say the same, and no text becomes markup."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from synthetic_sweep import usual
from test_claims import measured
from test_grid import grid, hill

from ssd_eval import paper, rounding, sheets, stats, table_formats
from ssd_eval.claim_tables import claim_sheets
from ssd_eval.errors import RunFolderError
from ssd_eval.grid_sheets import grid_sheets
from ssd_eval.sheets import Column, Sheet, Value
from ssd_eval.sweep_sheets import grid_sheet, main_sheet, sweep_sheets
from ssd_eval.table_formats import as_json, comma_separated, latex, markdown, printed, write

HOSTILE = r"</script><script>|`*_[x]($)&%#{}~^\ 100 % \input{x}"


def shown(sheet: Sheet, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(printed(sheet, width))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def hostile() -> Sheet:
    value = Value(0.3, "share", 0.02, 0.26, 0.34)
    return Sheet("x", HOSTILE, (Column("%"), Column(HOSTILE)), ((HOSTILE, value),), (HOSTILE,))


def balanced(text: str) -> bool:
    """Braces close, environments nest: what LaTeX checks before anything else."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace("\\\\", "")):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    opened: list[str] = []
    for verb, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if verb == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    return depth == 0 and not opened


@pytest.mark.parametrize("sheet", [*sweep_sheets(usual()), hostile()], ids=lambda s: s.slug)
def test_latex_is_well_formed_and_every_row_has_every_column(sheet: Sheet) -> None:
    text = latex(sheet)
    assert balanced(text)
    assert text.isascii()
    one = r"(?:l|r|p\{[\d.]+\\linewidth\})"
    columns = re.search(rf"\\begin\{{tabular\}}\{{({one}+)\}}", text)
    assert columns is not None
    assert len(re.findall(one, columns[1])) == len(sheet.columns)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == len(sheet.rows)
    for nested in body:
        line = re.sub(r"\\begin\{tabular\}\[t\].*?\\end\{tabular\}", "0", nested)
        assert line.endswith(r"\\")
        assert len(re.findall(r"(?<!\\)&", line)) == len(sheet.columns) - 1
    assert not re.search(r"(?<!\\)[%#_~]", text)
    rules = [text.count(f"\\{rule}") for rule in ("toprule", "midrule", "bottomrule")]
    assert rules[0] == rules[2] == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_compiles_and_fits_the_page(tmp_path: Path) -> None:
    packages = "\\usepackage{booktabs,xcolor}\\usepackage[margin=1in]{geometry}"
    head = f"\\documentclass{{article}}{packages}\\begin{{document}}\n"
    others = [*grid_sheets(grid(hill(0.8), hill(0.4))), *claim_sheets(measured())]
    body = "".join(map(latex, [hostile(), *sweep_sheets(usual()), *others]))
    (tmp_path / "t.tex").write_text(head + body + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    wide = re.findall(r"Overfull .hbox .([\d.]+)pt", done.stdout)
    assert len(wide) <= 1  # the hostile one, whose name has no place to break


def test_latex_groups_span_their_columns() -> None:
    text = latex(main_sheet(usual(), usual().main, {}))
    assert text.count(r"\multicolumn{4}{c}{pass@") == 2
    assert r"\cmidrule(lr){2-5} \cmidrule(lr){6-9}" in text
    assert r"\textcolor{green!50!black}" in text


def test_markdown_rows_are_whole_and_nothing_in_them_is_markup() -> None:
    lines = [line for line in markdown(hostile()).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}
    assert "<script>" not in markdown(hostile()).replace(r"\<", "")


def test_csv_and_json_hold_the_numbers_unrounded() -> None:
    result = usual()
    sheet = sweep_sheets(result)[0]
    rows = list(csv.DictReader(io.StringIO(comma_separated(sheet))))
    gain = result.main[0].groups[0].difference
    assert float(rows[2]["pass@1 all"]) == gain.mean
    assert float(rows[2]["pass@1 all low"]) == gain.low
    assert rows[2]["pass@1 all verdict"] == "better"
    value = json.loads(as_json(sheet))
    assert value["rows"][2]["pass@1 all"]["high"] == gain.high
    assert value["rows"][0]["%"] == "base"


def test_an_inconclusive_cell_says_in_every_format_what_could_have_been_seen() -> None:
    difference = stats.paired_difference([0.4, 0.5, 0.6] * 8, [0.5, 0.4, 0.6] * 8)
    assert difference.mde is not None
    cell = sheets.points(difference)
    sheet = Sheet("x", "t", (Column("k"), Column("Δ")), (("pass@1", cell),))
    seen = f"{100 * difference.mde:.1f} pp"
    for text in (shown(sheet), markdown(sheet), latex(sheet)):
        assert f"sees {seen}" in text
        assert table_formats.SEES in " ".join(text.split())
    row = next(csv.DictReader(io.StringIO(comma_separated(sheet))))
    assert float(row["Δ sees"]) == difference.mde
    better = sheets.points(replace(difference, verdict="better"))
    assert "sees" not in markdown(replace(sheet, rows=(("pass@1", better),)))


def test_the_word_inconclusive_is_never_cut_at_80_columns() -> None:
    cell = sheets.points(stats.paired_difference([0.4, 0.6] * 8, [0.6, 0.3] * 8))
    names = ("trained on", "examples", "tokens", "pass@1", "over base", "over any sample")
    row = ("samples that passed", sheets.count(1380), sheets.count(730_500), cell, cell, cell)
    text = shown(Sheet("x", "t", tuple(map(Column, names)), (row,)))
    assert text.count("inconclusive") == 3
    assert max(map(len, text.splitlines())) <= 80


def test_a_terminal_shows_names_as_they_are() -> None:
    assert "[x]($)" in shown(hostile(), 200)


def test_a_wide_terminal_gets_the_papers_table_2_and_a_narrow_one_a_table_for_each_k() -> None:
    sheet = main_sheet(usual(), usual().main, {})
    wide, narrow = shown(sheet, 200), shown(sheet, 80)
    assert (wide.count("┏"), narrow.count("┏")) == (1, 2)
    assert "pass@5 hard" in wide
    assert max(map(len, narrow.splitlines()[1:9])) <= 80


def test_every_format_of_every_table_is_written_into_the_run(tmp_path: Path) -> None:
    files = write(sweep_sheets(usual()), tmp_path / "tables")
    assert {file.name for file in files} == {
        f"{slug}.{ending}"
        for slug in ("main", "sweep", "settings", "cost")
        for ending in ("md", "tex", "csv", "json")
    }
    assert all(file.stat().st_size > 50 for file in files)


def test_the_grid_is_t_train_by_t_eval() -> None:
    sheet = grid_sheet({2.0: usual().distilled, 0.5: usual().base}, 1, "made-up")
    assert [row[0] for row in sheet.rows] == ["0.5", "2"]
    assert [column.name for column in sheet.columns[1:]] == ["0.5", "0.9", "1.3"]
    best = [[isinstance(cell, Value) and cell.best for cell in row[1:]] for row in sheet.rows]
    assert best == [[False, True, False], [False, False, True]]


def test_settings_name_the_decoding_of_every_number() -> None:
    text = comma_separated(sweep_sheets(usual())[2])
    assert "pass@1,base,0.9,20,0.8,5 of 5,cross-fitted over 5 folds" in text


def test_settings_count_the_rules_that_found_the_programs() -> None:
    result = usual()
    cells = tuple(
        replace(cell, rules={"python-fence": 700, "none": 3}) for cell in result.base.cells
    )
    counted = replace(result, base=replace(result.base, cells=cells))
    found = sweep_sheets(counted)[2].notes
    times = len(cells)
    assert f"extraction rules, base: python-fence {700 * times:,}, none {3 * times}" in found


# --- rounding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "se", "text"),
    [
        (0.31417, 0.017, "31.4"),
        (0.31417, 0.12, "31"),
        (0.31417, 0.0004, "31.42"),
        (1.0, 0, "100.0"),
    ],
)
def test_values_keep_the_digits_that_their_error_leaves(mean: float, se: float, text: str) -> None:
    assert rounding.shown(Value(mean, "share", se)) == text


def test_an_interval_wider_than_the_standard_error_says_is_what_rounds() -> None:
    wide = Value(0.0, "points", 0.0002, -0.074, 0.074)
    assert (rounding.shown(wide), rounding.limits(wide)) == ("0.0", ("-7.4", "+7.4"))


def test_points_have_a_sign_unless_they_round_to_nothing() -> None:
    shown = [rounding.shown(Value(mean, "points", 0.01)) for mean in (0.031, -0.031, -0.0001)]
    assert shown == ["+3.1", "-3.1", "0.0"]


def test_none_passed_shows_a_bound_and_no_symmetric_error() -> None:
    row = ("0.5", Value(0.0, "share", 0.0, 0.0, 0.074), Value(1.0, "share", 0.0, 0.926, 1.0))
    sheet = Sheet("s", "t", (Column("T"), Column("a"), Column("b")), (row,), compact=True)
    assert "0.0 ≤ 7.4" in markdown(sheet)
    assert "100.0 ≥ 92.6" in markdown(sheet)


# --- the paper's numbers -------------------------------------------------------------------------


def test_published_numbers_stand_beside_ours_where_model_and_window_match() -> None:
    found = paper.published("Qwen/Qwen3-4B-Instruct-2507", "paper-v6", 131)
    assert found["base", 1, "all"] == pytest.approx(0.340)
    assert found["+SSD", 5, "hard"] == pytest.approx(0.341)
    sheet = main_sheet(usual(), usual().main, found)
    text = shown(sheet, 200)
    assert "paper 34.0" in text
    assert "paper +7.5" in text  # 41.5 - 34.0
    assert "arXiv 2604.01193" in text


@pytest.mark.parametrize(
    ("model", "window", "problems"),
    [
        ("organism", "paper-v6", 131),
        ("Qwen/Qwen3-4B-Instruct-2507", "v6", 175),
        ("Qwen/Qwen3-4B-Instruct-2507", "paper-v6", 50),
    ],
)
def test_other_models_windows_and_cut_windows_have_none(
    model: str, window: str, problems: int
) -> None:
    assert paper.published(model, window, problems) == {}


def test_every_preset_of_the_paper_has_its_numbers() -> None:
    from ssd_eval.presets import PRESETS

    for name in PRESETS.keys() - {"organism"}:
        assert len(paper.published(name, "paper-v6", 131)) == 16
        assert len(paper.published(name, "paper-v5", 374)) == 2


def test_a_sheet_written_as_json_reads_back(tmp_path: Path) -> None:
    values = (Value(0.5, "share", 0.1, 0.4, 0.6), Value(-0.1, "points", verdict="worse"), None)
    columns = (Column("%"), Column("a", "g"), Column("b", "g"), Column("c"))
    sheet = Sheet("mine", "A <title>", columns, (("row", *values),), ("note",))
    table_formats.write([sheet], tmp_path)
    [again] = table_formats.read(tmp_path)
    assert (again.slug, again.title, again.rows, again.notes) == (
        sheet.slug, sheet.title, sheet.rows, sheet.notes,
    )  # fmt: skip
    assert [each.heading for each in again.columns] == [each.heading for each in columns]
    assert table_formats.read(tmp_path, but={"mine"}) == []
    whole = (tmp_path / "mine.json").read_text()
    for broken in ("[]", whole.replace("0.5", "NaN")):
        (tmp_path / "mine.json").write_text(broken)
        with pytest.raises(RunFolderError, match="delete it"):
            table_formats.read(tmp_path)
