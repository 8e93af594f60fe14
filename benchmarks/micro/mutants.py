"""Wrong versions of a family: what its tests must tell apart from the right one.

Changes one thing at a time: a filter, a map, a reduce, a bound, an operator, an end of the list.
Plain functions over lists; makes no tests and no programs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import cast

from benchmarks.micro.family import Family
from benchmarks.micro.operations import FILTERS, IDENTITY, MAPS, REDUCES

DOMAIN = range(-40, 61)  # every value that a test may hold
Solution = Callable[[Sequence[int]], object]
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)


def _choices(node: ast.AST) -> list[ast.AST]:
    """What one node of an expression may turn into."""
    if isinstance(node, ast.Compare):
        return [
            ast.Compare(node.left, [op()], node.comparators)
            for op in _COMPARISONS
            if not isinstance(node.ops[0], op)
        ]
    if isinstance(node, ast.BinOp):
        return [
            ast.BinOp(node.left, op(), node.right)
            for op in _ARITHMETIC
            if not isinstance(node.op, op)
        ]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return [ast.Constant(node.value + by) for by in (-1, 1, 2)]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Call) and len(node.args) == 1:
        return [node.args[0]]
    if isinstance(node, ast.BoolOp):
        return [ast.BoolOp(ast.Or(), node.values), *node.values]
    return []


class _Replace(ast.NodeTransformer):
    def __init__(self, at: int, choice: int) -> None:
        self.at, self.choice, self.seen = at, choice, -1

    def visit(self, node: ast.AST) -> ast.AST:
        self.seen += 1
        if self.seen == self.at:
            return _choices(node)[self.choice]
        return self.generic_visit(node)


@cache
def expression_mutants(code: str) -> tuple[str, ...]:
    """Every expression that differs from `code` (over x) in one place."""
    found = []
    for at, node in enumerate(_preorder(ast.parse(code, mode="eval"))):
        for choice in range(len(_choices(node))):
            tree = _Replace(at, choice).visit(ast.parse(code, mode="eval"))
            found.append(ast.unparse(ast.fix_missing_locations(tree)))
    return tuple(dict.fromkeys(found))


def _preorder(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _preorder(child)


@cache
def table(code: str) -> tuple[object, ...]:
    """The value of `code`, an expression over x from our own tables, at each x of DOMAIN.

    None where it breaks. Indexed by x itself: negative x count from the end, as Python does.
    """
    compiled = compile(code, code, "eval")
    values: list[object] = [None] * len(DOMAIN)
    for x in DOMAIN:
        with suppress(ArithmeticError, TypeError):
            values[x] = eval(compiled, {"x": x, "abs": abs})
    return tuple(values)


def _solution(condition: str, mapping: str, reduce: Solution) -> Solution:
    keeps, apply = table(condition), table(mapping)
    return lambda values: reduce([apply[x] for x in values if keeps[x]])  # type: ignore[misc]


def _others(right: str, codes: Sequence[str]) -> list[str]:
    """The codes that differ from `right` somewhere in DOMAIN, one of each behaviour."""
    behaviours = {table(code): code for code in reversed(codes)}
    behaviours.pop(table(right), None)
    return list(behaviours.values())


def mutants(family: Family) -> list[Solution]:
    """Near misses of the family, equivalent ones included."""
    condition, mapping = family.condition, family.map.code
    reduce = cast(Solution, family.reduce.apply)
    conditions = [*expression_mutants(condition), "True", *(f.code for f in FILTERS)]
    mappings = [*expression_mutants(mapping), *(m.code for m in (*MAPS, IDENTITY))]
    right = _solution(condition, mapping, reduce)
    return [
        *(_solution(c, mapping, reduce) for c in _others(condition, conditions)),
        *(_solution(condition, m, reduce) for m in _others(mapping, mappings)),
        *(_solution(condition, mapping, r) for r in _reduces(family)),
        *(_on_part(right, part) for part in (slice(1, None), slice(-1), slice(1, -1))),
        lambda values: right(sorted(set(values))),
    ]


def _on_part(solution: Solution, part: slice) -> Solution:
    return lambda values: solution(values[part])


def _reduces(family: Family) -> list[Solution]:
    """The other reduces, and the near misses of each: another default, first, last, unsorted."""
    others = [cast(Solution, r.apply) for r in REDUCES if r is not family.reduce]
    return [
        *others,
        lambda b: max([0, *b]),
        lambda b: min([0, *b]),
        lambda b: max(b, default=1),
        lambda b: min(b, default=1),
        lambda b: max(b, default=-1),
        lambda b: min(b, default=-1),
        lambda b: max([0, *b]) - min([0, *b]),
        lambda b: min(b, default=0) - max(b, default=0),
        lambda b: max(b, default=1) - min(b, default=0),
        lambda b: max(b, default=0) - min(b, default=1),
        lambda b: max(b, default=0) + min(b, default=0),
        lambda b: list(b),
        lambda b: sorted(b, reverse=True),
        lambda b: sorted(set(b)),
        lambda b: len(b) - 1,
        lambda b: len(b) + 1,
        lambda b: sum(b) + 1,
        lambda b: sum(b[1:]),
        lambda b: sum(b[:-1]),
        lambda b: b[0] if b else 0,
        lambda b: b[-1] if b else 0,
        lambda b: len(set(map(abs, b))),
    ]
