"""A table as data: what every format of it is made from (`table_formats`).

Numbers keep their errors here and are rounded by the formats. Knows no results and no markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ssd_eval.stats import Difference, Estimate

Kind = Literal["share", "points", "count", "seconds"]


@dataclass(frozen=True)
class Value:
    """A number with its error. `share` is in [0, 1] and shown in %, `points` the same with a sign.

    `published` is the paper's value of the same thing; `best` marks the best of a curve. `sees`, of
    an inconclusive difference, is the smallest effect that could have been seen.
    """

    mean: float | None
    kind: Kind
    se: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    published: float | None = None
    best: bool = False
    sees: float | None = None


Cell = str | Value | None


@dataclass(frozen=True)
class Column:
    """`group` is the heading above; neighbours of one group stay in one table.

    `full` is the heading where there is no line for groups.
    """

    name: str
    group: str = ""
    full: str = ""

    @property
    def heading(self) -> str:
        return self.full or f"{self.group} {self.name}".strip()


@dataclass(frozen=True)
class Sheet:
    """`slug` names its files. Rows are as long as `columns`; the first column labels them.

    In a `compact` sheet a value is one line, mean ± half its interval.
    """

    slug: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    compact: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(
                f"{self.slug}: a row is not as long as the {len(self.columns)} columns"
            )


def share(estimate: Estimate | None, *, best: bool = False, published: float | None = None) -> Cell:
    if estimate is None or estimate.mean is None:
        return None
    return Value(
        estimate.mean,
        "share",
        estimate.se,
        estimate.low,
        estimate.high,
        best=best,
        published=published,
    )


def points(
    difference: Difference | None, verdict: str | None = None, published: float | None = None
) -> Cell:
    """`verdict` where a correction for several tests may have changed the difference's own."""
    if difference is None or difference.mean is None:
        return None
    word = verdict or difference.verdict
    return Value(
        difference.mean,
        "points",
        difference.se,
        difference.low,
        difference.high,
        verdict=word,
        published=published,
        sees=difference.mde if word == "inconclusive" else None,
    )


def count(number: float | None) -> Cell:
    return None if number is None else Value(number, "count")


def seconds(number: float | None) -> Cell:
    return None if number is None else Value(number, "seconds")


def to_json(cell: Cell) -> Any:
    """A text as it is; a value as its fields that are known."""
    if not isinstance(cell, Value):
        return cell
    known = {name: value for name, value in vars(cell).items() if value is not None}
    if not cell.best:
        known.pop("best")
    return known
