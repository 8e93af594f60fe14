"""A program's return value as JSON with its types, for profiles that compare with Python's `==`.

Written inside the test's process (`encoded`); compared by the evaluator (`equality`). An object
whose class decides for itself what it equals leaves as a refusal: it is not asked. Standard library
only.

    None, True, "text", 5          themselves (integers below 2**53)
    ["i", hex] ["f", hex] ["c", hex, hex]        int, float, complex
    ["D", text] ["F", hex, hex]                  Decimal, Fraction
    ["N", hex] ["n", bits, hex] ["b", bool]      within "a": numpy int, float, bool
    ["l", ...] ["d", [[key, value], ...]]        list, dict with text keys
    ["a", size, element or null]                 numpy scalar or array of one; else no element
    ["o", class] ["r", class]                    equals no JSON value; refused
"""

from __future__ import annotations

import json
import types
from decimal import Decimal
from typing import Any

SMALL = 1 << 53
MOST_NODES = 20_000_000
_BASES = (int, float, complex, str, list, dict)
_OWN_BUT_PLAIN = ("OrderedDict", "Counter")  # of collections: theirs say what dict's says
Tree = Any


def encoded(value: object) -> bytes:
    """Never raises: what cannot be written is a refusal or equals nothing."""
    try:
        return json.dumps(_Encoder().tree(value), separators=(",", ":")).encode()
    except RecursionError:
        return b'["o","a value nested too deeply"]'
    except BaseException as error:
        return json.dumps(["r", type.__dict__["__name__"].__get__(type(error))]).encode()


class _Encoder:
    """`tree` once. Counts what it writes: shared lists within lists can stand for any number."""

    def __init__(self) -> None:
        self._nodes = 0

    def tree(self, value: Any) -> Tree:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            return ["o", "a value of too many parts"]
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if -SMALL < value < SMALL else ["i", hex(value)]
        if kind is float:
            return ["f", value.hex()]
        if kind is list:
            return ["l", *[self.tree(each) for each in value]]
        if kind is dict:
            return self._dict(value.items())
        return self._other(value, kind)

    def _dict(self, items: Any) -> Tree:
        pairs = []
        for key, each in list(items):
            name = key if type(key) is str else self.tree(key)
            if not isinstance(name, str):
                refused = isinstance(name, list) and name[0] == "r"
                return name if refused else ["o", "a dict with a key that is no text"]
            pairs.append([name, self.tree(each)])
        return ["d", pairs]

    def _other(self, value: Any, kind: type) -> Tree:
        module, name = _named(kind)
        if module == "numpy":
            return self._numpy(value, kind, name)
        if kind is Decimal:
            return ["D", str(value)]
        if module == "fractions" and name == "Fraction":
            return ["F", hex(value.numerator), hex(value.denominator)]
        equals = _equals(kind)
        for base in _BASES:
            if base in type.__dict__["__mro__"].__get__(kind):
                plain = equals is base.__dict__["__eq__"]
                if plain or (module == "collections" and name in _OWN_BUT_PLAIN):
                    return self._by_value(value, base)
        return ["r" if isinstance(equals, types.FunctionType) else "o", name]

    def _by_value(self, value: Any, base: type) -> Tree:
        """A subclass that leaves comparing to its base."""
        if base is list:
            return ["l", *[self.tree(each) for each in list.__iter__(value)]]
        if base is dict:
            return self._dict(dict.items(value))
        if base is str:
            return str.__str__(value)
        if base is complex:
            return ["c", value.real.hex(), value.imag.hex()]
        return self.tree(float.__float__(value) if base is float else int.__int__(value))

    def _numpy(self, value: Any, kind: type, name: str) -> Tree:
        if name == "ndarray":
            only = self.tree(value.reshape(-1)[0]) if value.size == 1 else None
            return only if only is not None else ["a", int(value.size), None]
        if name == "str_":
            return str.__str__(value)
        if name in ("bool", "bool_"):
            return ["a", 1, ["b", bool(value)]]
        if name.startswith(("int", "uint")):
            return ["a", 1, ["N", hex(int(value))]]
        if name in ("float16", "float32", "float64"):
            return ["a", 1, ["n", int(name[5:]), float(value).hex()]]
        return ["o", name]


def _named(kind: type) -> tuple[str, str]:
    """As the class was made, whatever its metaclass answers."""
    module = type.__dict__["__module__"].__get__(kind)
    found = module if isinstance(module, str) else ""
    return found.split(".")[0], type.__dict__["__name__"].__get__(kind)


def _equals(kind: type) -> object:
    for each in type.__dict__["__mro__"].__get__(kind):
        found = type.__dict__["__dict__"].__get__(each).get("__eq__")
        if found is not None:
            return found
    return None
