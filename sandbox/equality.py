"""Python's `==` between a value as `typed` writes it and one read from JSON, without the value.

For the profiles whose checkers compare in the program's own process. Never raises. Rules of numpy 2
where numpy's values are compared: a Python number takes the width of the numpy float beside it, and
an array, as a scalar, is equal where it has one element and so has the other side (any other has no
truth value, which is an error there).
"""

from __future__ import annotations

import json
import struct
from decimal import Decimal, DecimalException
from fractions import Fraction
from typing import Any

MOST_DIGITS = 50_000  # where LiveCodeBench's checker stops reading integers
_PACKED = {16: "e", 32: "f"}


class Unreadable(ValueError):
    """The expected value is no JSON that the checker reads: there every program fails."""


def expected_value(text: str) -> Any:
    """Raises Unreadable."""
    try:
        return json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the expected value cannot be read ({str(error)[:100]})") from error


def _whole(digits: str) -> int:
    if len(digits) <= 4300:
        return int(digits)
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(Decimal(digits))  # which no interpreter's limit on digits concerns


def refused(tree: Any) -> str:
    """The class that wanted to compare itself; empty where there is none."""
    if isinstance(tree, list) and tree:
        if tree[0] == "r":
            return str(tree[1])[:60]
        parts = tree[1:] if tree[0] == "l" else []
        if tree[0] == "d":
            parts = [pair[1] for pair in tree[1]]
        return next(filter(None, map(refused, parts)), "")
    return ""


def equal(tree: Any, expected: Any) -> bool:
    try:
        return _equal(tree, expected)
    except (ArithmeticError, ValueError, TypeError, IndexError, RecursionError):
        return False  # an error there, or a tree that a program forged


def _equal(tree: Any, expected: Any) -> bool:
    if not isinstance(tree, list):
        return bool(tree == expected) if not isinstance(expected, list | dict) else False
    kind, *rest = tree
    if kind == "l":
        return (
            isinstance(expected, list)
            and len(rest) == len(expected)
            and all(_equal(left, right) for left, right in zip(rest, expected, strict=True))
        )
    if kind == "d":
        pairs = dict(rest[0])
        return (
            isinstance(expected, dict)
            and pairs.keys() == expected.keys()
            and all(_equal(each, expected[key]) for key, each in pairs.items())
        )
    if kind == "a":
        return _equal_array(rest, expected)
    return isinstance(expected, bool | int | float) and _equal_number(kind, rest, expected)


def _equal_array(parts: list[Any], expected: Any) -> bool:
    """By its only element; the other side may be nested lists around one value."""
    while isinstance(expected, list):
        if len(expected) != 1:
            return False
        expected = expected[0]
    return parts[0] == 1 and _equal(parts[1], expected)


def _equal_number(kind: str, parts: list[Any], expected: bool | int | float) -> bool:
    if kind == "i":
        return int(parts[0], 16) == expected
    if kind == "N":
        value = int(parts[0], 16)
        return (float(value) if isinstance(expected, float) else value) == expected
    if kind == "f":
        return float.fromhex(parts[0]) == expected
    if kind == "b":
        return bool(parts[0]) == expected
    if kind == "n":
        return float.fromhex(parts[1]) == _narrowed(expected, int(parts[0]))
    if kind == "c":
        return complex(float.fromhex(parts[0]), float.fromhex(parts[1])) == expected
    if kind == "F":
        return Fraction(int(parts[0], 16), int(parts[1], 16)) == expected
    if kind == "D":
        try:
            return Decimal(parts[0]) == expected
        except DecimalException:
            return False
    return False


def _narrowed(value: float, bits: int) -> float:
    value = float(value)
    code = _PACKED.get(bits)
    return float(struct.unpack(code, struct.pack(code, value))[0]) if code else value
