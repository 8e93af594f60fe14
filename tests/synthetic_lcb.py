"""72 problems of our own in the exact schema of LiveCodeBench's `code_generation_lite`.

Twelve rows in each of six files, named and dated as the real increments are: three platforms'
flavours, three difficulties, private tests as JSON and as base64-zlib-pickle. Two carry names from
LiveCodeBench's errata. `python tests/synthetic_lcb.py FOLDER` writes them.
"""

from __future__ import annotations

import base64
import json
import pickle
import sys
import zlib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.lcb_windows import FILES

Row = dict[str, str]
ROWS_PER_FILE = 12
# First and last contest of each file; the real ones overlap as these do.
DATES = {
    "test.jsonl": (date(2023, 5, 7), date(2024, 3, 2)),
    "test2.jsonl": (date(2024, 3, 9), date(2024, 5, 25)),
    "test3.jsonl": (date(2024, 6, 1), date(2024, 8, 10)),
    "test4.jsonl": (date(2024, 8, 4), date(2024, 10, 5)),
    "test5.jsonl": (date(2024, 9, 22), date(2025, 1, 4)),
    "test6.jsonl": (date(2025, 1, 4), date(2025, 4, 6)),
}
LEVELS = ("easy", "medium", "hard")
PLATFORMS = ("leetcode", "atcoder", "codeforces")
STARTER = "class Solution:\n    def addToEach(self, values: List[int], limit: int) -> List[int]:\n"
ERRATA = {"test.jsonl": "abc311_c", "test6.jsonl": "find-the-peaks"}


def pack(tests: list[dict[str, str]]) -> str:
    """As LiveCodeBench packs large private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def rows(name: str) -> list[Row]:
    """The rows of one of the six files."""
    return list(_rows(name))


def write(folder: Path, *names: str) -> Path:
    """Writes all files, or those named."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or DATES:
        lines = "".join(json.dumps(row) + "\n" for row in rows(name))
        (folder / name).write_text(lines, encoding="utf-8")
    return folder


def solution(row: Row) -> str:
    """A program that passes."""
    step = int(row["question_content"].rsplit(" ", 1)[1].rstrip("."))
    if row["platform"] == "leetcode":
        head = row["starter_code"]
        return f"{head}        return [value + {step} for value in values][:limit]\n"
    return f"n = int(input())\nprint(*(int(x) + {step} for x in input().split()[:n]))\n"


def _rows(name: str) -> Iterator[Row]:
    number = [each.name for each in FILES].index(name)
    first, last = DATES[name]
    for index in range(ROWS_PER_FILE):
        days = (last - first).days * index // (ROWS_PER_FILE - 1)
        yield _row(number, index, first + timedelta(days), ERRATA.get(name) if index == 1 else None)


def _row(number: int, index: int, day: date, named: str | None) -> Row:
    platform = PLATFORMS[index % 3] if named is None else _platform(named)
    step = 1 + 12 * number + index
    functional = platform == "leetcode"
    make = _functional if functional else _stdin
    public, private = [make(step, 3)], [make(step, size) for size in (1, 2, 40)]
    return {
        "question_title": named or f"{platform}-add-{step}",
        "question_content": f"Add to each of the given integers the number {step}.",
        "platform": platform,
        "question_id": _id(platform, step, named),
        "contest_id": f"{platform}-contest-{number}-{index // 3}",
        "contest_date": f"{day}T00:00:00",
        "starter_code": STARTER if functional else "",
        "difficulty": LEVELS[index // 4],
        "public_test_cases": json.dumps(public),
        "private_test_cases": json.dumps(private) if index % 2 else pack(private),
        "metadata": json.dumps({"func_name": "addToEach"} if functional else {}),
    }


def _platform(named: str) -> str:
    return "atcoder" if "_" in named else "leetcode"


def _id(platform: str, step: int, named: str | None) -> str:
    """LeetCode's are numbers, AtCoder's `abc311_c`, Codeforces' `1873_A`."""
    if platform == "leetcode":
        return str(3000 + step)
    return named or (f"abc{400 + step}_a" if platform == "atcoder" else f"{1900 + step}_A")


def _values(size: int) -> list[int]:
    return [(7 * place) % 23 - 5 for place in range(size)]


def _functional(step: int, size: int) -> dict[str, str]:
    values = _values(size)
    shown = json.dumps([value + step for value in values])
    return {"input": f"{values}\n{size}", "output": shown, "testtype": "functional"}


def _stdin(step: int, size: int) -> dict[str, str]:
    values = _values(size)
    numbers, sums = (" ".join(map(str, each)) for each in (values, [v + step for v in values]))
    return {"input": f"{size}\n{numbers}\n", "output": f"{sums}\n", "testtype": "stdin"}


class Touch:
    """Unpickling it freely would create the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def hostile(path: Path) -> str:
    """Private tests that create `path` in a loader that trusts its pickles."""
    return base64.b64encode(zlib.compress(pickle.dumps(Touch(path)))).decode()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
