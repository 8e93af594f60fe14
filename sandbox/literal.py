"""Plain values as bytes, with their exact types: how a check and a program exchange them.

A tuple stays a tuple, True stays a bool, a set a set. What has no plain form crosses as a Handle,
a number that means something only to the side that keeps the object. The types of plain values are
plain values too. Nothing that is read runs code of the writer's. Standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DEPTH = 200  # of nesting; deeper values have no plain form
_SIZE = struct.Struct("!I")
_FLOAT = struct.Struct("!d")
_NUMPY = frozenset(
    (
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128", "bool", "bool_", "str_"),
    )
)
_SEQUENCES: dict[type, bytes] = {list: b"L", tuple: b"U", set: b"E", frozenset: b"Z"}
_BASES = (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict)


class Malformed(ValueError):
    """Bytes that are no value; or a value that has no bytes."""


@dataclass(frozen=True)
class Handle:
    """An object that stays where it is."""

    number: int
    kind: str  # the name of its type, for people


def encode(value: Any, handle: Callable[[Any], Handle] | None = None) -> bytes:
    """`handle` names what has no plain form; without it such a value is Malformed.

    An instance of a subclass counts as the built-in value it holds, whatever it overrides.
    """
    parts: list[bytes] = []
    _put(value, parts, handle, 0)
    return b"".join(parts)


def decode(data: bytes) -> Any:
    """Raises Malformed for anything that `encode` does not write."""
    value, end = _take(memoryview(data), 0, 0)
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes too many")
    return value


def _put(value: Any, parts: list[bytes], handle: Any, depth: int) -> None:
    kind = type(value)
    if value is None or kind is bool:
        parts.append(b"N" if value is None else b"T" if value else b"F")
    elif kind is int:
        size = value.bit_length() // 8 + 1
        parts += (b"I", _SIZE.pack(size), value.to_bytes(size, "big", signed=True))
    elif kind is float:
        parts += (b"D", _FLOAT.pack(value))
    elif kind is complex:
        parts += (b"C", _FLOAT.pack(value.real), _FLOAT.pack(value.imag))
    elif kind is str or kind is bytes or kind is bytearray:
        data = value.encode("utf-8", "surrogatepass") if kind is str else value
        tag = b"S" if kind is str else b"B" if kind is bytes else b"A"
        parts += (tag, _SIZE.pack(len(data)), bytes(data))
    elif depth >= DEPTH:
        _put_object(value, parts, handle)
    elif kind in _SEQUENCES or kind is dict:
        items = [each for pair in value.items() for each in pair] if kind is dict else list(value)
        parts += (_SEQUENCES.get(kind, b"M"), _SIZE.pack(len(value)))
        for each in items:
            _put(each, parts, handle, depth + 1)
    elif kind is range:
        parts.append(b"R")
        for each in (value.start, value.stop, value.step):
            _put(each, parts, handle, depth + 1)
    else:
        _put_other(value, parts, handle, depth)


def _put_other(value: Any, parts: list[bytes], handle: Any, depth: int) -> None:
    kind = type(value)
    if kind is Handle:
        parts += (b"H", _SIZE.pack(value.number))
        _put(value.kind, parts, None, depth + 1)
    elif kind is type and value in _TYPES.values():
        parts.append(b"K")
        _put(value.__name__, parts, None, depth + 1)
    elif kind.__module__ == "numpy" and kind.__name__ in _NUMPY:
        _put(value.item(), parts, handle, depth + 1)
    else:
        base = next((each for each in _BASES if each in kind.__mro__), None)
        if base is None:
            _put_object(value, parts, handle)
        else:
            _put(_held(value, base), parts, handle, depth + 1)


def _held(value: Any, base: type) -> Any:
    """The built-in value in an instance of a subclass, by the built-in type's own methods."""
    if base is dict:
        return dict(dict.items(value))
    if base in _SEQUENCES:
        return base(base.__iter__(value))  # type: ignore[attr-defined]
    if base is str:
        return str.__str__(value)
    if base in (bytes, bytearray):
        return base(memoryview(value))
    if base is complex:
        return complex(complex.__add__(value, 0))
    return int.__int__(value) if base is int else float.__float__(value)


def _put_object(value: Any, parts: list[bytes], handle: Any) -> None:
    if handle is None:
        raise Malformed(f"a {type(value).__name__} has no plain form")
    _put(handle(value), parts, None, 0)


def _take(data: memoryview, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEPTH + 1 or at >= len(data):
        raise Malformed("nested too deeply" if depth > DEPTH else "cut short")
    tag, at = data[at : at + 1].tobytes(), at + 1
    if tag in _CONSTANTS:
        return _CONSTANTS[tag], at
    if tag == b"D" or tag == b"C":
        numbers = [_FLOAT.unpack(_piece(data, at + 8 * i, 8))[0] for i in range(1 + (tag == b"C"))]
        return (complex(*numbers) if tag == b"C" else numbers[0]), at + 8 * len(numbers)
    if tag == b"K":
        name, at = _take(data, at, DEPTH)
        if not isinstance(name, str) or name not in _TYPES:
            raise Malformed("an unknown type")
        return _TYPES[name], at
    if tag == b"R":
        return _range(*_several(data, at, 3, depth))
    size, at = _SIZE.unpack(_piece(data, at, 4))[0], at + 4
    if tag in b"ISBA":
        return _scalar(tag, bytes(_piece(data, at, size))), at + size
    if tag == b"H":
        kind, at = _take(data, at, depth + 1)
        return Handle(size, str(kind)), at
    return _container(tag, *_several(data, at, size * (1 + (tag == b"M")), depth))


def _piece(data: memoryview, at: int, size: int) -> memoryview:
    if at + size > len(data):
        raise Malformed("cut short")
    return data[at : at + size]


def _scalar(tag: bytes, piece: bytes) -> Any:
    if tag == b"I":
        return int.from_bytes(piece, "big", signed=True)
    if tag == b"S":
        try:
            return piece.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise Malformed(str(error)) from error
    return piece if tag == b"B" else bytearray(piece)


def _several(data: memoryview, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    if count > len(data) - at:  # each takes a byte at least
        raise Malformed("cut short")
    values = []
    for _ in range(count):
        value, at = _take(data, at, depth + 1)
        values.append(value)
    return values, at


def _container(tag: bytes, values: list[Any], end: int) -> tuple[Any, int]:
    try:
        if tag == b"M":
            return dict(zip(values[::2], values[1::2], strict=True)), end
        return _MADE[tag](values), end
    except (TypeError, KeyError) as error:  # an unhashable element, an unknown tag
        raise Malformed(str(error)) from error


def _range(values: list[Any], end: int) -> tuple[range, int]:
    try:
        return range(*values), end
    except (TypeError, ValueError) as error:
        raise Malformed(str(error)) from error


_CONSTANTS: dict[bytes, Any] = {b"N": None, b"T": True, b"F": False}
_TYPES: dict[str, type] = {each.__name__: each for each in (*_BASES, range, object)}
_MADE: dict[bytes, Any] = {tag: kind for kind, tag in _SEQUENCES.items()}
