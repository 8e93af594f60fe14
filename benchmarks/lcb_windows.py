"""LiveCodeBench's windows: which files, which dates, how many problems there should be.

"v6" names five different sets in print, so a window is an object: its name, its files, its dates
and the count that is known for it. Reads nothing; `lcb` fills a window with problems.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from benchmarks.base import BenchmarkError


@dataclass(frozen=True)
class DataFile:
    """One increment of livecodebench/code_generation_lite at `hub.LCB_REVISION`.

    `first` and `last` are the months of its first and last contest, `strays` those of rows far
    before. LiveCodeBench states other months for some; these are of a published list of all rows'
    dates (docs/benchmarks.md, Windows).
    """

    name: str
    rows: int
    bytes: int
    first: str
    last: str
    strays: tuple[str, ...] = ()

    def reaches(self, first: str, last: str) -> bool:
        """Whether a contest of these months, both included, may be among its rows."""
        inside = any(first <= month <= last for month in self.strays)
        return inside or (self.first <= last and first <= self.last)


FILES = (
    DataFile("test.jsonl", 400, 1_252_609_773, "2023-05", "2024-03"),
    DataFile("test2.jsonl", 111, 713_377_060, "2024-03", "2024-05"),
    DataFile("test3.jsonl", 101, 623_360_766, "2024-06", "2024-08"),
    DataFile("test4.jsonl", 101, 1_204_644_685, "2024-08", "2024-10", strays=("2023-08",)),
    DataFile("test5.jsonl", 167, 557_699_297, "2024-09", "2025-01"),
    DataFile("test6.jsonl", 175, 134_303_240, "2025-01", "2025-04"),
)


@dataclass(frozen=True)
class Window:
    """`first` and `last` are dates, both included; None: all of the files' rows.

    `expected` is the count that is published for it; None where none is.
    """

    name: str
    files: tuple[DataFile, ...]
    first: date | None = None
    last: date | None = None
    expected: int | None = None

    def holds(self, day: date | None) -> bool:
        if self.first is None or self.last is None:
            return True
        return day is not None and self.first <= day <= self.last

    @property
    def dates(self) -> str:
        if self.first is None or self.last is None:
            return f"{self.files[0].first}..{self.files[-1].last}"
        whole = self.first.day == 1 and (self.last + timedelta(1)).day == 1
        first, last = self.first.isoformat(), self.last.isoformat()
        return f"{first[:7]}..{last[:7]}" if whole else f"{first}..{last}"


def window(text: str) -> Window:
    """`v6`, `v5-v6`, `paper-v6`, `2024-08..2025-02` or with days. Raises BenchmarkError."""
    if text in NAMED:
        return NAMED[text]
    if found := re.fullmatch(r"v([1-6])-v([1-6])", text):
        return _slice(text, int(found[1]), int(found[2]))
    if ".." in text:
        first, _, last = text.partition("..")
        return _between(text, _day(first, "first"), _day(last, "last"))
    raise BenchmarkError(
        f"{f'unknown window {text!r}' if text else 'lcb needs a window'}; give lcb:NAME with one "
        f"of {', '.join(NAMED)}, a slice such as v5-v6, or dates such as 2024-08..2025-02"
    )


def _slice(text: str, first: int, last: int) -> Window:
    if first > last:
        raise BenchmarkError(f"the window {text} runs backwards; write v{last}-v{first}")
    files = FILES[first - 1 : last]
    return Window(text, files, expected=sum(each.rows for each in files))


def _between(name: str, first: date, last: date, expected: int | None = None) -> Window:
    if first > last:
        raise BenchmarkError(f"the window {name} ends before it begins; write FIRST..LAST")
    months = (first.isoformat()[:7], last.isoformat()[:7])
    files = tuple(each for each in FILES if each.reaches(*months))
    if not files:
        raise BenchmarkError(
            f"the window {name} holds no problems: LiveCodeBench's contests are of "
            f"{FILES[0].first} to {FILES[-1].last}"
        )
    return Window(name, files, first, last, expected)


def _day(text: str, end: str) -> date:
    """A date, or the first or last day of a month."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}", text):
            return date.fromisoformat(text)
        start = date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise BenchmarkError(
            f"the window's date {text!r} is none ({error}); write YYYY-MM or YYYY-MM-DD"
        ) from error
    if end == "first":
        return start
    following = date(start.year + start.month // 12, start.month % 12 + 1, 1)
    return following - timedelta(1)


# The papers' windows: paper-v6 is ml-ssd's date filter (months 2025-02 to 2025-05, of which there
# are 131 problems); paper-v5 the same for 2024-08 to 2025-02 (374).
NAMED: dict[str, Window] = {
    **{
        f"v{number}": Window(
            f"v{number}", FILES[:number], expected=sum(each.rows for each in FILES[:number])
        )
        for number in range(1, 7)
    },
    "paper-v5": _between("paper-v5", date(2024, 8, 1), date(2025, 2, 28), 374),
    "paper-v6": _between("paper-v6", date(2025, 2, 1), date(2025, 5, 31), 131),
}

# LiveCodeBench's ERRATA.md: rows still in the set that cannot be graded fairly. LeetCode's are
# named by their title's slug, AtCoder's by question_id.
ERRATA: dict[str, str] = {
    **dict.fromkeys(
        (
            *("abc311_c", "abc326_d", "abc327_b", "abc333_e", "abc343_a", "abc343_e", "abc362_c"),
            "arc185_c",
            "find-the-peaks",
            "find-words-containing-character",
            "generate-binary-strings-without-adjacent-zeros",
        ),
        "several answers are right, one is accepted",
    ),
    **dict.fromkeys(("abc337_e", "abc355_e"), "interactive"),
    **dict.fromkeys(
        ("abc350_c", "apply-operations-to-make-string-empty", "arc189_a", "most-frequent-ids"),
        "a test is wrong",
    ),
}
