"""Programs that solve a family, one per approach, and the popular approach that is subtly wrong.

Every approach differs from the others in the first token of its body: this is where a model that
learnt from them has its fork. Also used as reference solutions; corrupts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.micro.family import Family, Kind

# {m}: the map over x; {c}: the condition over x. Each body leaves the kept values in a list, whose
# name is the approach's last assigned one.
_BODIES = {
    "comprehension": ("b", "b = [{m} for x in a if {c}]"),
    "append": ("r", "r = []\nfor x in a:\n    if {c}:\n        r.append({m})"),
    "function": ("b", "def f(x):\n    return {m}\nb = [f(x) for x in a if {c}]"),
    "lambda": ("b", "g = lambda x: {m}\nb = [g(x) for x in a if {c}]"),
    "generator": ("b", "it = ({m} for x in a if {c})\nb = list(it)"),
    "filter": ("b", "c = filter(lambda x: {c}, a)\nb = [{m} for x in c]"),
    "two_steps": ("b", "m = [x for x in a if {c}]\nb = [{m} for x in m]"),
    "sorted_first": ("b", "s = sorted(a)\nb = [{m} for x in s if {c}]"),
    "tuple": ("b", "t = tuple(a)\nb = [{m} for x in t if {c}]"),
    "copy": ("b", "q = a[:]\nb = [{m} for x in q if {c}]"),
}
# Off by one: the first value is never looked at.
_WRONG_BODIES = {"index": ("b", "n = len(a)\nb = [{m} for x in a[1:n] if {c}]")}

RIGHT = tuple(_BODIES)
WRONG = tuple(_WRONG_BODIES)
_ALL: Mapping[str, tuple[str, str]] = MappingProxyType({**_BODIES, **_WRONG_BODIES})

_STDIN = "a = list(map(int, input().split()))\n{body}\nprint({star}{result})"
_FUNCTIONAL = "class Solution:\n    def solve(self, a):\n{body}\n        return {result}"


def program(family: Family, kind: Kind, approach: str) -> str:
    """The source of one approach; no trailing newline."""
    name, body = _ALL[approach]
    body = body.replace("{m}", family.map.code).replace("{c}", family.condition)
    result = family.reduce.code.format(b=name)
    if kind == "stdin":
        star = "*" if family.reduce.name == "sorted" else ""
        return _STDIN.format(body=body, star=star, result=result)
    indented = "\n".join("        " + line for line in body.split("\n"))
    return _FUNCTIONAL.format(body=indented, result=result)
