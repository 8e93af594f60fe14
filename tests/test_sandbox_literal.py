"""Values between a check and a program keep their exact types; hostile bytes are refused."""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.literal import DEPTH, Handle, Malformed, decode, encode

KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
VALUES = st.recursive(
    KEYS | st.complex_numbers() | st.binary(max_size=9).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
    ),
    max_leaves=12,
)


def spelled(value: Any) -> str:
    """`repr` tells types, signs of zero and NaN apart; sets by their sorted elements."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(spelled, value))})"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({', '.join(sorted(map(spelled, value)))})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spelled(k)}: {spelled(v)}" for k, v in value.items()) + "}"
    return f"{type(value).__name__} {value!r}"


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_every_plain_value_comes_back_with_its_exact_types(value: Any) -> None:
    assert spelled(decode(encode(value))) == spelled(value)


@pytest.mark.parametrize(
    "value", [range(3), int, [str, object], range(9, 1, -2), "\ud800", -129, 128]
)
def test_ranges_surrogates_come_back(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


def test_integers_of_any_length_come_back() -> None:
    assert decode(encode(-(1 << 400_000))) == -(1 << 400_000)


class Sly(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Colour(enum.IntEnum):
    RED = 3


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Sly(5), 5), (Colour.RED, 3), (Point(1, [2]), (1, [2])), (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(list, {1: [2]}), {1: [2]}), (OrderedDict(a=1), {"a": 1}),
        (np.float64(0.5), 0.5), (np.int32(7), 7), (np.bool_(True), True),
    ],
)  # fmt: skip
def test_subclasses_and_numpy_scalars_count_as_the_value_they_hold(value: Any, plain: Any) -> None:
    assert spelled(decode(encode(value))) == spelled(plain)


def test_an_object_without_a_plain_form_crosses_by_number_or_not_at_all() -> None:
    thing = object()
    assert decode(encode([thing], lambda value: Handle(7, "object"))) == [Handle(7, "object")]
    with pytest.raises(Malformed, match="object"):
        encode([thing])


def test_depth_is_bounded_on_both_sides() -> None:
    deep: Any = 1
    for _ in range(DEPTH):
        deep = [deep]
    assert decode(encode(deep)) == deep
    with pytest.raises(Malformed):
        encode([deep])
    with pytest.raises(Malformed):
        decode(b"L\0\0\0\1" * 100_000 + b"N")


@given(st.binary(max_size=40), st.sampled_from([b"L", b"M", b"S", b"I", b"E", b"R", b"H", b""]))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes, tag: bytes) -> None:
    try:
        decode(tag + data)
    except Malformed:
        return


@pytest.mark.parametrize(
    "data",
    [b"", b"X\0\0\0\0", b"L\xff\xff\xff\xff", b"S\0\0\0\5abc", b"NN", b"E\0\0\0\1L\0\0\0\0",
     b"S\0\0\0\1\xff", b"RNNN"],
)  # fmt: skip
def test_what_encode_does_not_write_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)
