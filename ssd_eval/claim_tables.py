"""The tables of `ssd-eval claims`: one sheet for each claim's numbers, and which of them hold.

Formats what `claims` measured and `findings` read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ssd_eval import sheets
from ssd_eval.claims import STRESSED, Measured, Student
from ssd_eval.findings import cost_in_words, findings
from ssd_eval.sheets import Cell, Column, Sheet
from ssd_eval.table_formats import printed

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

COLOURS = {"holds": "green", "does not hold": "red", "inconclusive": "yellow"}


def claim_sheets(measured: Measured) -> tuple[Sheet, ...]:
    found = (findings_sheet(measured), majority_sheet(measured), reach_sheet(measured))
    return (*found, students_sheet(measured)) if measured.students else found


def findings_sheet(measured: Measured) -> Sheet:
    """Which claims hold here; for files and the page, as a terminal has no room for sentences."""
    return Sheet(
        "claims",
        "what the article claims, and what holds in this run",
        (Column("claim"), Column("here"), Column("measured")),
        tuple((each.claim, each.word, each.reading) for each in findings(measured)),
    )


def majority_sheet(measured: Measured) -> Sheet:
    rows = [
        (
            f"maj@{row.n}",
            sheets.share(row.base),
            sheets.points(row.difference),
        )
        for row in measured.majority
    ]
    return Sheet(
        "majority",
        f"the base's vote at {measured.decoding}, against one distilled sample, %",
        (Column("vote"), Column("base"), Column("distilled pass@1 minus vote")),
        tuple(rows),
        ("a vote counts equal outputs on the public inputs; all tests judge the winner",),
    )


def reach_sheet(measured: Measured) -> Sheet:
    found = measured.reach
    rows = [
        (
            f"pass@{step.k}",
            sheets.share(step.base),
            sheets.share(step.distilled),
            sheets.points(step.difference),
        )
        for step in found.steps
    ]
    crossing = "no crossing up to the last k"
    if found.crossing is not None:
        crossing = f"the base is level by k = {found.crossing}"
    return Sheet(
        "large-k",
        f"pass@k to large k, base at {measured.decoding}, +SSD at {measured.distilled_decoding}, %",
        (Column("k"), Column("base"), Column("+SSD"), Column("Δ")),
        tuple(rows),
        (
            crossing,
            f"solved by +SSD only: {_names(found.only_distilled)}",
            f"solved by the base only: {_names(found.only_base)}",
        ),
    )


def students_sheet(measured: Measured) -> Sheet:
    """Every student at its own cross-fitted temperature, with what it was trained on."""
    notes = [f"{each.name}: {cost_in_words(each)}" for each in measured.students]
    stressed = measured.student(STRESSED)
    if stressed is not None and stressed.no_code is not None:
        notes.append(
            f"{STRESSED}: {stressed.no_code:.0%} of its training texts hold no code, "
            f"{stressed.passed or 0:.0%} pass"
        )
    return Sheet(
        "students",
        "students by what they were trained on, pass@1 at their own best temperature, %",
        (
            Column("trained on"),
            Column("examples"),
            Column("tokens"),
            Column("pass@1"),
            Column("over base"),
            Column("over any sample"),
        ),
        tuple(_student_row(each) for each in measured.students),
        tuple(notes),
    )


def _student_row(student: Student) -> tuple[Cell, ...]:
    return (
        student.name,
        sheets.count(student.examples),
        sheets.count(student.tokens_trained),
        sheets.share(student.pass_1),
        sheets.points(student.over_base),
        sheets.points(student.over_any),
    )


def _names(names: tuple[str, ...], most: int = 5) -> str:
    if not names:
        return "none"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)}: {', '.join(names[:most])}{rest}"


def report(measured: Measured, width: int = 80) -> Group:
    """The sweep's own report, the claims' tables, and at last which claims hold here."""
    from rich.console import Group
    from rich.text import Text

    from ssd_eval import tables

    parts: list[RenderableType] = [tables.report(measured.sweep, width), ""]
    for sheet in claim_sheets(measured)[1:]:
        parts += [printed(sheet, width), ""]
    parts.append(Text("what the article claims, and what holds in this run", style="bold"))
    for each in findings(measured):
        parts.append(Text(f"{each.word}: {each.claim}", style=COLOURS.get(each.answer, "")))
        parts.append(Text(f"  {each.reading}"))
    return Group(*parts)


def to_json(measured: Measured) -> dict[str, Any]:
    """Strict JSON values, as `SweepResult.to_json`."""
    return {
        "sweep": measured.sweep.to_json(),
        "decoding": measured.decoding.to_json(),
        "distilled_decoding": measured.distilled_decoding.to_json(),
        "majority": [asdict(row) for row in measured.majority],
        "reach": asdict(measured.reach),
        "students": [asdict(student) for student in measured.students],
        "findings": [finding.to_json() for finding in findings(measured)],
    }
