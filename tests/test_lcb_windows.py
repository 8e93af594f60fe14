"""LiveCodeBench's windows: which files, which dates, how many."""

from __future__ import annotations

from datetime import date

import pytest

from benchmarks.base import BenchmarkError
from benchmarks.lcb_windows import ERRATA, FILES, NAMED, window


def test_releases_are_cumulative() -> None:
    counts = [window(f"v{number}").expected for number in range(1, 7)]
    assert counts == [400, 511, 612, 713, 880, 1055]
    assert [len(window(f"v{number}").files) for number in range(1, 7)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("name", "expected", "inside", "outside"),
    [
        ("paper-v6", 131, ("2025-02-01", "2025-05-31"), ("2025-01-31", "2025-06-01")),
        ("paper-v5", 374, ("2024-08-01", "2025-02-28"), ("2024-07-31", "2025-03-01")),
    ],
)
def test_the_papers_windows_are_months(
    name: str, expected: int, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    found = window(name)
    assert found.expected == expected
    assert all(found.holds(date.fromisoformat(day)) for day in inside)
    assert not any(found.holds(date.fromisoformat(day)) for day in outside)
    assert not found.holds(None)


def test_a_slice_is_the_increments_rows() -> None:
    assert window("v5-v6").expected == 167 + 175
    assert [each.name for each in window("v5-v6").files] == ["test5.jsonl", "test6.jsonl"]
    assert window("v6-v6").expected == 175
    assert window("v5-v6").holds(None)


def test_dates_may_be_months_or_days() -> None:
    months = window("2024-08..2025-02")
    assert (months.first, months.last) == (date(2024, 8, 1), date(2025, 2, 28))
    assert months.dates == "2024-08..2025-02"
    assert months.expected is None
    days = window("2024-02-10..2024-02-29")
    assert days.dates == "2024-02-10..2024-02-29"
    assert window("2023-12..2023-12").last == date(2023, 12, 31)


def test_dates_read_the_files_that_can_hold_them_and_no_others() -> None:
    assert [each.name for each in window("2025-03..2025-03").files] == ["test6.jsonl"]
    assert [each.name for each in window("2025-01-01..2025-01-31").files] == [
        "test5.jsonl",
        "test6.jsonl",
    ]
    assert len(window("2020-01..2030-01").files) == 6
    # Rows of August 2024 are in two files: test3 ends with contests of its first days.
    august = ["test3.jsonl", "test4.jsonl"]
    assert [each.name for each in window("2024-08..2024-08").files] == august
    later = [*august, "test5.jsonl", "test6.jsonl"]
    assert [each.name for each in window("paper-v5").files] == later
    # One row of test4 is a year older than the others.
    assert [each.name for each in window("2023-08..2023-08").files] == ["test.jsonl", "test4.jsonl"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lcb needs a window; give lcb:NAME with one of v1"),
        ("v7", "unknown window 'v7'"),
        ("v6-v5", r"runs backwards; write v5-v6"),
        ("2025-02..2024-08", "ends before it begins"),
        ("2025-13..2025-14", "date '2025-13' is none"),
        ("2025-02-30..2025-03", "date '2025-02-30' is none"),
        ("..", "date '' is none"),
        ("2026-01..2026-02", "holds no problems: .* 2023-05 to 2025-04"),
    ],
)
def test_an_impossible_window_is_refused(text: str, says: str) -> None:
    with pytest.raises(BenchmarkError, match=says):
        window(text)


def test_the_files_add_up_to_the_data_set() -> None:
    assert sum(each.rows for each in FILES) == 1055
    assert sum(each.bytes for each in FILES) == 4_485_994_821
    assert NAMED["v6"].dates == "2023-05..2025-04"


def test_the_errata_are_the_published_seventeen() -> None:
    counts = [list(ERRATA.values()).count(reason) for reason in dict.fromkeys(ERRATA.values())]
    assert counts == [11, 2, 4]
