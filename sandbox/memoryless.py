"""Whether a program can keep anything from one run to the next in the same process: a proof.

From its text alone, and on the safe side: "no" means only that each run gets a process of its own.
What a program may reach is limited by the names it is run with (`surroundings`); the rules here
close the ways around names (attributes that lead to frames or classes, formats that read them),
keep handlers from errors that a real run does not have, and keep what can be marked (`Counter`, the
aliases of `typing`) from being held. Standard library only; runs nothing.
"""

from __future__ import annotations

import ast
import io
import re
import string
from collections.abc import Iterator

from sandbox.surroundings import CALLED, Surroundings

MOST_BYTES = 20_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Special methods that only the program's own doings call. Not `__index__`, whose errors `islice`
# and `in` of bytes take for others; nor any with a decorator, whose errors comparing clears.
_DEFINED = _words("""
    __init__ __str__ __repr__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __len__ __bool__
    __iter__ __next__ __contains__ __getitem__ __setitem__ __delitem__ __call__ __add__ __sub__
    __mul__ __truediv__ __floordiv__ __mod__ __pow__ __neg__ __abs__ __and__ __or__ __xor__
    __lshift__ __rshift__ __radd__ __rsub__ __rmul__ __iadd__ __isub__ __imul__ __int__
    __float__""")
_FAR = re.compile(r"(gi|cr|ag|tb|f|co)_[a-z]+")  # attributes that lead to frames and code
# What leads to shared things, and what streams in memory do otherwise than real ones.
_OTHERWISE = _words("""
    mro with_traceback format_map cache_info cache_parameters
    close fileno isatty raw detach reconfigure seek seekable tell truncate peek getvalue
    getbuffer""")
_STREAMS = _words("stdin stdout stderr")
# Python calls some of these when a stream goes, which may be in a later run.
_OF_STREAMS = frozenset(
    name
    for kind in (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BytesIO)
    for name in dir(kind)
) - _words("name mode errors")
# Handlers of these catch neither a name nor an attribute nor a module that is missing.
_NARROW = _words("""
    EOFError ValueError IndexError KeyError ZeroDivisionError StopIteration OverflowError TypeError
    AssertionError""")
# Imported out of habit; harmless where the name is never used.
_IDLE = _words("os random time datetime json statistics io threading decimal fractions re cmath")
# No `with`, `match`, `async`, and nothing that a later Python may bring.
_KNOWN = _words("""
    Module Expr FunctionDef Lambda ClassDef Return Delete Assign AugAssign AnnAssign For While If
    Try ExceptHandler Raise Assert Import ImportFrom alias Global Nonlocal Pass Break Continue
    BoolOp NamedExpr BinOp UnaryOp IfExp Dict Set ListComp SetComp DictComp GeneratorExp Yield
    YieldFrom Compare Call keyword FormattedValue JoinedStr Constant Attribute Subscript Starred
    Name List Tuple Slice comprehension arguments arg Load Store Del And Or Add Sub Mult MatMult
    Div Mod Pow LShift RShift BitOr BitXor BitAnd FloorDiv Invert Not UAdd USub Eq NotEq Lt LtE Gt
    GtE Is IsNot In NotIn""")
_ANNOTATION = (ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp, ast.BitOr, ast.Load)


def is_memoryless(source: str, surroundings: Surroundings) -> bool:
    """False where it can't be told. The source compiles."""
    if len(source) > MOST_BYTES:
        return False
    try:
        return _Proof(ast.parse(source), surroundings).holds()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


class _Proof:
    def __init__(self, tree: ast.Module, surroundings: Surroundings) -> None:
        self._nodes = list(ast.walk(tree))
        self._given = surroundings
        self._held_apart = set(surroundings.modules["typing"]) | CALLED
        self._classes = [each for each in self._nodes if isinstance(each, ast.ClassDef)]
        self._assigned = set(_assigned(self._nodes))
        self._bound = self._assigned | set(_named(self._nodes))
        self._loaded = {
            each.id
            for each in self._nodes
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
        }
        notes = [note for each in self._nodes for note in _annotations(each)]
        self._noted = {id(each) for note in notes for each in ast.walk(note)}
        self._called = {id(each.func) for each in self._nodes if isinstance(each, ast.Call)}
        self._methods = {id(method) for each in self._classes for method in each.body}
        self._iterates = any(each.bases for each in self._classes) or any(
            isinstance(each, ast.FunctionDef) and each.name == "__next__" for each in self._nodes
        )

    def holds(self) -> bool:
        if _NARROW & self._bound:  # handlers are known by their names
            return False
        return all(self._allows(each) for each in self._nodes)

    def _allows(self, node: ast.AST) -> bool:
        if type(node).__name__ not in _KNOWN:
            return False
        if any(name.startswith("__") for name in self._identifiers(node)):
            return False
        if id(node) in self._noted and not self._is_annotation(node):
            return False
        check = getattr(self, f"_{type(node).__name__.lower()}", None)
        return check is None or bool(check(node))

    def _identifiers(self, node: ast.AST) -> Iterator[str]:
        """All names it writes down, but those with two underscores that are known to be good."""
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            name = getattr(node, field, None)
            if isinstance(name, str) and not self._is_special(node, name):
                yield name
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names

    def _is_special(self, node: ast.AST, name: str) -> bool:
        if isinstance(node, ast.FunctionDef):
            return name in _DEFINED and id(node) in self._methods and not node.decorator_list
        if isinstance(node, ast.Name):
            store = isinstance(node.ctx, ast.Store)
            return name == ("__slots__" if store else "__name__")
        return False

    def _is_annotation(self, node: ast.AST) -> bool:
        """Of names that only imports and class statements bind: `typing` keeps what it is given,
        and compares it later, which must not run code of an earlier run."""
        if isinstance(node, ast.Attribute):
            named = node.value.id if isinstance(node.value, ast.Name) else ""
            return named in self._given.modules and all(named != it.name for it in self._classes)
        if isinstance(node, ast.Name):
            return node.id not in self._assigned
        return isinstance(node, _ANNOTATION)

    def _name(self, node: ast.Name) -> bool:
        if node.id in self._held_apart and not self._may_be_held(node, node.id):
            return False
        return node.id not in self._given.left_out or node.id in self._bound

    def _attribute(self, node: ast.Attribute) -> bool:
        name = node.attr
        if _FAR.fullmatch(name) or name in _OTHERWISE:
            return False
        if name in self._held_apart and not self._may_be_held(node, name):
            return False
        if name == "format" and not _reads_nothing(node.value):
            return False
        return isinstance(node.ctx, ast.Load) or name not in _STREAMS | _OF_STREAMS

    def _may_be_held(self, node: ast.expr, name: str) -> bool:
        return id(node) in self._noted or (name in CALLED and id(node) in self._called)

    def _classdef(self, node: ast.ClassDef) -> bool:
        """Of classes alone: a base that is an instance has its class called instead, with the names
        in the body, annotations among them."""
        classes = all(isinstance(b, ast.Name) and b.id not in self._assigned for b in node.bases)
        return classes and not node.keywords and node.name not in self._held_apart

    def _yieldfrom(self, _: ast.YieldFrom) -> bool:
        """What is yielded from is closed by a method of its own, at any time after the run."""
        return not self._iterates

    def _try(self, node: ast.Try) -> bool:
        return not node.finalbody and all(_is_narrow(each.type) for each in node.handlers)

    def _import(self, node: ast.Import) -> bool:
        return all(
            alias.name in self._given.modules
            or (alias.name in _IDLE and (alias.asname or alias.name) not in self._loaded)
            for alias in node.names
        )

    def _importfrom(self, node: ast.ImportFrom) -> bool:
        module = node.module or ""
        if node.level or module not in self._given.modules:
            return False
        if node.names[0].name == "*":
            ours = {*self._given.names, *self._given.builtins} - self._held_apart
            return not self._given.beyond[module] & (ours | self._bound)
        known = {*self._given.modules[module], *(_STREAMS if module == "sys" else ())}
        return all(
            alias.name in known and not (alias.asname and alias.name in self._held_apart)
            for alias in node.names
        )


def _assigned(nodes: list[ast.AST]) -> Iterator[str]:
    """Names that may hold any value; those of classes may, whose decorator decides."""
    for node in nodes:
        if isinstance(node, ast.ClassDef) and node.decorator_list:
            yield node.name
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ExceptHandler) and node.name:
            yield node.name
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def _named(nodes: list[ast.AST]) -> Iterator[str]:
    """Names of classes and imports."""
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.alias):
            yield node.name


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        yield node.returns
    elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        yield node.annotation


def _is_narrow(caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return all(isinstance(each, ast.Name) and each.id in _NARROW for each in kinds)


def _reads_nothing(receiver: ast.expr) -> bool:
    """A text that is written down, with fields that are no more than numbers and names."""
    if not isinstance(receiver, ast.Constant) or not isinstance(receiver.value, str):
        return False
    fields = string.Formatter().parse(receiver.value)
    return not any(
        re.search(r"[.\[{]", name or "") or "{" in (spec or "") for _, name, spec, _ in fields
    )
