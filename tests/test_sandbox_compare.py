"""Comparison: LiveCodeBench's rule for text, JSON by value; nothing a program writes breaks it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.compare import compare_stdout, compare_value

DIGITS = 5_000_000
HUGE = "1" + "0" * 5000


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ("5\n", "5"),
        ("\n\n 5 \n\n", "5"),
        ("1 2\n3\n", "1 2  \n  3"),
        ("a\r\nb\r\n", "a\nb"),
        ("1.0 2.50", "1 2.5"),
        ("1  2", "1 2.0"),
        ("50000000000000001", "50000000000000001.0"),
        ("1_000", "1000"),
        ("٣", "3"),
        ("+1", "1"),
        ("1e999999", "10e999998"),
        ("Infinity", "inf"),
        ("-0", "0"),
        ("NaN", "NaN"),
        ("sNaN 1", "sNaN 1"),
        ("", ""),
        (" \n ", ""),
        ("a\x0cb", "a\x0cb"),
    ],
)
def test_equal_output(got: str, expected: str) -> None:
    assert compare_stdout(got.encode(), expected) is None


@pytest.mark.parametrize(
    ("got", "expected", "difference"),
    [
        ("1\n2\n5\n", "1\n2\n6\n", "line 3: got '5', expected '6'"),
        ("", "1", "line 1: got '', expected '1'"),
        ("1\n\n2", "1\n2", "3 lines, expected 2"),
        ("1", "1\n2", "1 line, expected 2"),
        ("1 2 3", "1 2", "line 1: got '1 2 3', expected '1 2'"),
        ("a  b", "a b", "line 1: got 'a  b', expected 'a b'"),
        ("yes 1.0", "yes 1", "line 1: got 'yes 1.0', expected 'yes 1'"),
        ("Yes", "YES", "line 1: got 'Yes', expected 'YES'"),
        ("50000000000000000", "50000000000000001", None),
        ("0.30000000000000004", "0.3", None),
        ("nan", "NaN", None),
        ("sNaN", "1", None),
        ("1", "sNaN", None),
        ("1e9999999999999999999", "1", None),
        ("0x10", "16", None),
        ("True", "1", None),
        ("1,2", "1 2", None),
        ("x", "\ud800", "line 1: got 'x', expected '\\ud800'"),
        ("a\u2028b", "a\nb", "1 line, expected 2"),
        ("1\x00", "1", "line 1: got '1\\x00', expected '1'"),
    ],
)
def test_different_output(got: str, expected: str, difference: str | None) -> None:
    said = compare_stdout(got.encode(), expected)
    assert said is not None
    assert difference is None or said == difference


def test_bytes_that_are_no_text_differ() -> None:
    assert compare_stdout(b"1\xff", "1") == "the output is not UTF-8 (byte 1)"
    assert compare_stdout(bytes(range(256)), "1") == "the output is not UTF-8 (byte 128)"
    assert compare_stdout("\ud800".encode("utf-8", "surrogatepass"), "\ud800") is not None


WORD = st.sampled_from(
    [
        "1",
        "1.0",
        "01",
        "1e0",
        "2",
        "-2",
        "x",
        "NaN",
        "nan",
        "sNaN",
        "inf",
        "1_0",
        "10",
        "٣",
        "3",
        "",
    ]
)
TEXT = st.lists(WORD | st.sampled_from(["\n", " ", "\r\n", "\t"]), max_size=9).map(" ".join)


def _official(got: str, expected: str) -> bool:
    """The rule as a definition, word by word, with no care for cost."""
    mine, right = ([x.strip() for x in text.strip().split("\n")] for text in (got, expected))

    def numbers(line: str) -> list[Decimal]:
        return [Decimal(word) for word in line.split()]

    def same(a: str, b: str) -> bool:
        try:
            return a == b or numbers(a) == numbers(b)
        except ArithmeticError:
            return False

    return len(mine) == len(right) and all(map(same, mine, right))


@given(TEXT, TEXT)
def test_text_is_judged_by_the_official_rule(got: str, expected: str) -> None:
    assert (compare_stdout(got.encode(), expected) is None) == _official(got, expected)


@given(TEXT)
def test_text_equals_itself_however_it_is_padded(text: str) -> None:
    assert compare_stdout(f"\n \n{text}\n\n".encode(), text) is None


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ("1", "1.0"),
        ("1.0", "1"),
        ("[1, [2.0, null], true]", "[1,[2,null],true]"),
        ('{"a": 1, "b": [2]}', '{"b":[2.0],"a":1}'),
        ('"\\u00e9"', '"é"'),
        ('"\\ud800"', '"\\ud800"'),
        (" [1]\n", "[1]"),
        ("Infinity", "1e999"),
        (str(int(1e300)), "1e300"),
        (HUGE, HUGE),
        ("0.1", "0.1"),
        ("[]", "[]"),
    ],
)
def test_equal_value(got: str, expected: str) -> None:
    assert compare_value(got.encode(), expected) is None


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ("true", "1"),
        ("1", "true"),
        ("0", "false"),
        ('"5"', "5"),
        ("null", "0"),
        ("null", "[]"),
        ("{}", "[]"),
        ("[1, 2]", "[1]"),
        ("[[1], 2]", "[[1], 3]"),
        ('{"a": 1}', '{"b": 1}'),
        ('{"1": true}', '{"1": 1}'),
        ("0.30000000000000004", "0.3"),
        ("NaN", "NaN"),
        ("[NaN]", "[NaN]"),
        ("9007199254740993", "9007199254740992.0"),
        (HUGE, HUGE[:-1] + "1"),
        (str(10**400), "Infinity"),
        (HUGE, "Infinity"),
    ],
)
def test_different_value(got: str, expected: str) -> None:
    assert compare_value(got.encode(), expected) is not None


@pytest.mark.parametrize(
    "got", ["", "  ", "1 1", "[1", "1]", "[1] [1]", "1,", "'1'", "None", "\ufeff1", "1\x00"]
)
def test_anything_but_one_json_value_differs(got: str) -> None:
    said = compare_value(got.encode(), "1")
    assert said is not None
    assert said.startswith("the result is no JSON value")


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-16-le"])
def test_value_in_another_encoding_differs(codec: str) -> None:
    assert compare_value("1".encode(codec), "1") is not None


def test_unreadable_expected_value_equals_nothing() -> None:
    assert compare_value(b"[1", "[1") is not None
    assert compare_value(b"1", "one") == (
        "the expected value is no JSON value (Expecting value: line 1 column 1 (char 0))"
    )


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("0.30000000000000004", "0.3", True),
        ("[1.0000001]", "[1]", True),
        ("1", "1.0000001", True),
        ("1.1", "1.0", False),
        ("1e-9", "0", True),
        ("1000000", "1000001", False),
        ("NaN", "NaN", False),
        ("Infinity", "1e308", False),
        (str(10**400), "1.0", False),
        (HUGE, "Infinity", False),
        ("true", "1.0", False),
    ],
)
def test_tolerance_is_for_floats_only(got: str, expected: str, same: bool) -> None:
    assert (compare_value(got.encode(), expected, float_tolerance=1e-6) is None) == same


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), 0.0])
def test_senseless_tolerance_is_none(tolerance: float) -> None:
    assert compare_value(b"1.0000001", "1", tolerance) is not None
    assert compare_value(b"1", "1", tolerance) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_value_equals_itself_in_any_spelling(value: object) -> None:
    spaced = json.dumps(value, indent=1, ensure_ascii=True)
    dense = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert compare_value(spaced.encode(), dense) is None


@given(JSON)
def test_a_changed_leaf_is_seen(value: object) -> None:
    assert compare_value(json.dumps([value, 1]).encode(), json.dumps([value, 2])) is not None


COSTLY: dict[str, Callable[[], str | None]] = {
    "integers of 5 MB": lambda: compare_value(b"7" * DIGITS, "7" * (DIGITS - 1) + "8"),
    "a float of 5 MB": lambda: compare_value(b"0." + b"7" * DIGITS, "0.1" + "7" * DIGITS),
    "decimals of 5 MB": lambda: compare_stdout(b"7" * DIGITS + b" 1", "7" * DIGITS + " 2"),
    "a deep result": lambda: compare_value(b"[" * 1_000_000, "[" * 900 + "]" * 900),
    "a deep expected value": lambda: compare_value(b"[" * 10**5 + b"]" * 10**5, "[" * 10**5),
    "huge exponents": lambda: compare_stdout(b"1e999999999999", "1.1e999999999999"),
    "many lines": lambda: compare_stdout(b"1\n" * 1_000_000, "1\n" * 999_999 + "2"),
    "a flood of lines": lambda: compare_stdout(b"1" + b"\n" * 60_000_000 + b"1", "1\n2"),
    "a flood of words": lambda: compare_stdout(b"1 " * 30_000_000, "1 2"),
    "a flood of lists": lambda: compare_value(b"[" + b"[]," * 20_000_000 + b"[]]", "[[]]"),
    "one long line": lambda: compare_stdout(b"x" * 20_000_000 + b"1", "x" * 20_000_000 + "2"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_what_is_made_to_cost_costs_little(name: str) -> None:
    started = time.thread_time()
    assert COSTLY[name]() is not None
    assert time.thread_time() - started < 4


@given(st.binary(max_size=60), st.text(max_size=20))
def test_no_bytes_break_it_and_a_difference_is_one_short_line(got: bytes, expected: str) -> None:
    for said in (compare_stdout(got, expected), compare_value(got, expected)):
        if said is not None:
            assert len(said) <= 200
            assert said.isprintable()


@pytest.mark.parametrize("character", ["\x1b", "\U0010ffff", "\u202e", "x", "é", "\ud800"])
def test_long_differences_stay_short_and_printable(character: str) -> None:
    got, expected = ("1" + character * 5000, "2" + character * 5000)
    said = [
        compare_stdout(got.encode("utf-8", "replace"), expected),
        compare_value(json.dumps(got).encode(), json.dumps(expected, ensure_ascii=False)),
        compare_value(got.encode("utf-8", "replace"), "1"),
    ]
    for each in said:
        assert each is not None
        assert len(each) <= 200
        assert each.isprintable()


def test_difference_far_along_a_line_is_shown_where_it_is() -> None:
    said = compare_stdout(b"1 " * 9000 + b"3 4", "1 " * 9000 + "5 4")
    assert said is not None
    assert "3 4'" in said
    assert "5 4'" in said
