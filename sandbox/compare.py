"""Whether a program's output is the expected one. Never raises, whatever the program wrote.

`stdin` tests follow LiveCodeBench's official rule (grade_stdio at 28fef95): strip, split at line
feeds, as many lines, each equal after stripping or equal as a list of `decimal.Decimal`. What
Decimal takes for a number counts as one, as there: `1_000`, digits of other scripts, `inf`. NaN
equals nothing but its own spelling.

`functional` tests compare JSON values: tuples came as lists, 1 equals 1.0, 1 differs from true and
"5" from 5, NaN from itself. Values nested deeper than Python's reader goes (about 1,000) differ.

Time and memory are linear in what was written, and small where it could not be right anyway.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal, DecimalException

SHOWN = 70  # characters of each side in a difference
_BLOCK = 4096
_MOST_DIGITS = 4300  # where int() starts to refuse, and to take time that grows as the square
# How much longer a JSON text can be than another of equal value: 1e308 has 309 digits as an
# integer, a character 12 as an escape. Beyond that reading it is a waste of memory.
_LONGER, _ROOM = 400, 1000


def compare_stdout(got: bytes, expected: str) -> str | None:
    """None where equal, else one line that says the first difference."""
    try:
        text = got.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"the output is not UTF-8 (byte {error.start})"
    return compare_text(text, expected)


def compare_text(got: str, expected: str) -> str | None:
    """The same for output that is text already."""
    text, wanted = got.strip(), expected.strip()
    if text == wanted:
        return None
    lines, right_lines = text.count("\n") + 1, wanted.count("\n") + 1
    if lines != right_lines:  # counted first: splitting a flood of lines costs gigabytes
        return f"{_counted(lines)}, expected {right_lines}"
    for number, (line, right) in enumerate(
        zip(text.split("\n"), wanted.split("\n"), strict=True), 1
    ):
        mine, theirs = line.strip(), right.strip()
        if mine != theirs and not _equal_decimals(mine, theirs):
            return f"line {number}: {_difference(mine, theirs)}"
    return None


def _equal_decimals(mine: str, right: str) -> bool:
    wanted = right.split()
    words = mine.split(None, len(wanted))  # one more would be too many already
    if len(words) != len(wanted):
        return False
    try:
        return all(Decimal(a) == Decimal(b) for a, b in zip(words, wanted, strict=True))
    except (DecimalException, ValueError):  # no number, or a signalling NaN
        return False


def compare_value(got: bytes, expected: str, float_tolerance: float = 0.0) -> str | None:
    """None where `got`, exactly one JSON text, is the expected value; else the difference.

    `float_tolerance`, relative and absolute, is for pairs with a float in them. An unreadable
    `expected` equals nothing.
    """
    if len(got) > _LONGER * len(expected) + _ROOM:
        return f"a result of {len(got)} bytes, expected {_shown(expected, 0)}"
    try:
        text = got.decode("utf-8")
        mine = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        return f"the result is no JSON value ({str(error)[:100]})"
    try:
        right = json.loads(expected, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        return f"the expected value is no JSON value ({str(error)[:100]})"
    return None if _same(mine, right, float_tolerance) else _difference(text, expected)


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MOST_DIGITS else Decimal(digits)


def _same(mine: object, right: object, tolerance: float) -> bool:
    """By value, with a stack of its own: depth is the program's to choose."""
    pairs = [(mine, right)]
    while pairs:
        left, other = pairs.pop()
        if isinstance(left, list) and isinstance(other, list):
            if len(left) != len(other):
                return False
            pairs += zip(left, other, strict=True)
        elif isinstance(left, dict) and isinstance(other, dict):
            if left.keys() != other.keys():
                return False
            pairs += [(left[key], other[key]) for key in left]
        elif not _same_leaf(left, other, tolerance):
            return False
    return True


def _same_leaf(left: object, other: object, tolerance: float) -> bool:
    if isinstance(left, bool) or isinstance(other, bool):
        return left is other
    if isinstance(left, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        return left == other or _close(left, other, tolerance)
    return type(left) is type(other) and left == other


def _close(left: int | float | Decimal, other: int | float | Decimal, tolerance: float) -> bool:
    """Integers are exact at any tolerance; what no float can hold is close to nothing."""
    if not tolerance > 0 or isinstance(left, Decimal) or isinstance(other, Decimal):
        return False
    if not (isinstance(left, float) or isinstance(other, float)):
        return False
    try:
        return math.isclose(left, other, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:
        return False


def _counted(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _difference(mine: str, right: str) -> str:
    start = max(0, _first_difference(mine, right) - SHOWN // 3)
    if max(len(mine), len(right)) <= SHOWN:
        start = 0
    return f"got {_shown(mine, start)}, expected {_shown(right, start)}"


def _first_difference(mine: str, right: str) -> int:
    """The index of the first character that differs."""
    at, end = 0, min(len(mine), len(right))
    while at < end and mine[at : at + _BLOCK] == right[at : at + _BLOCK]:
        at += _BLOCK
    while at < end and mine[at] == right[at]:
        at += 1
    return min(at, end)


def _shown(text: str, start: int) -> str:
    """Quoted, from `start` on; what a terminal would not print is escaped."""
    part = text[start : start + SHOWN]
    before = "…" if start and part else ""
    inner = part if part.isprintable() else ascii(part)[1:-1]
    after = "…" if len(text) > start + SHOWN or len(inner) > SHOWN else ""
    return f"'{before}{inner[:SHOWN]}{after}'"
