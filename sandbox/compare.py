"""Whether a program's output is the expected one. Never raises, whatever the program wrote.

`stdin` tests follow LiveCodeBench's official rule: strip, split into lines, as many lines, each
equal after stripping or equal as a list of decimals. `functional` tests compare JSON values: tuples
came as lists, 1 equals 1.0, 1 differs from true and "5" from 5.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal, InvalidOperation

SHOWN = 60


def compare_stdout(got: bytes, expected: str) -> str | None:
    """None where equal, else one line that says the first difference."""
    try:
        text = got.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"the output is not UTF-8 (byte {error.start})"
    ours, theirs = _lines(text), _lines(expected)
    if len(ours) != len(theirs):
        return f"{len(ours)} lines, expected {len(theirs)}"
    for number, (mine, right) in enumerate(zip(ours, theirs, strict=True), 1):
        if mine != right and not _equal_decimals(mine, right):
            return f"line {number}: got {_short(mine)}, expected {_short(right)}"
    return None


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _equal_decimals(mine: str, right: str) -> bool:
    try:
        return [Decimal(part) for part in mine.split()] == [Decimal(part) for part in right.split()]
    except (InvalidOperation, ValueError):  # no number, or a signalling NaN
        return False


def compare_value(got: bytes, expected: str, float_tolerance: float = 0.0) -> str | None:
    """None where `got`, exactly one JSON text, is the expected value; else the difference."""
    try:
        mine = json.loads(got)
    except (ValueError, RecursionError) as error:
        return f"the result is no JSON value: {str(error)[:100]}"
    try:
        right = json.loads(expected)
    except (ValueError, RecursionError):
        return "the expected value is no JSON that can be read"
    if _same(mine, right, float_tolerance):
        return None
    return f"got {_short(_shown(mine))}, expected {_short(_shown(right))}"


def _same(mine: object, right: object, tolerance: float) -> bool:
    """By value, with an own stack: depth is the program's to choose."""
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
    if isinstance(left, (int, float)) and isinstance(other, (int, float)):
        if left == other:
            return True
        try:
            return bool(tolerance) and math.isclose(
                left, other, rel_tol=tolerance, abs_tol=tolerance
            )
        except OverflowError:
            return False
    return type(left) is type(other) and left == other


def _shown(value: object) -> str:
    try:
        return json.dumps(value)
    except (ValueError, RecursionError):
        return "a value too deep or long to show"


def _short(text: str) -> str:
    shown = ascii(text) if not text.isprintable() else f"'{text}'"
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
