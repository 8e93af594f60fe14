"""Names to run a program with that keep nothing: whatever a run could mark is made anew for it.

Two runs in one process can tell each other something only through an object that both reach and
one can change. So each run gets dictionaries, modules and Python functions of its own, and beside
them only objects that refuse every mark: built-in functions, immutable types, plain values. To ask
for a name or a part of a module that is left out here ends the process: an error could be caught,
also by Python itself (`islice` makes a ValueError of any).
Standard library only.
"""

from __future__ import annotations

import builtins
import copy as _real
import importlib
import os
import sys
from types import FunctionType, ModuleType
from typing import Any, NoReturn

_BUILTINS = """
    abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod
    enumerate exit filter float format frozenset hex input int isinstance issubclass iter len list
    map max min next object oct ord pow print property quit range repr reversed round set slice
    sorted staticmethod str sum tuple zip NotImplemented Ellipsis ArithmeticError AssertionError
    AttributeError EOFError Exception ImportError IndexError KeyError LookupError NameError
    NotImplementedError OverflowError RuntimeError StopIteration SystemExit TypeError ValueError
    ZeroDivisionError"""
# What programs may have of each module; "*": all that it exports. `typing` is for annotations.
# No `heapq.merge`: as it goes, perhaps in a later run, it calls `close` of what it read.
_MODULES = {
    "math": "*",
    "itertools": "*",
    "bisect": "*",
    "heapq": "heappush heappop heapify heapreplace heappushpop nlargest nsmallest",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits punctuation",
    "collections": "deque defaultdict OrderedDict Counter",
    "functools": "reduce partial cmp_to_key lru_cache cache",
    "operator": "add sub mul truediv floordiv mod xor and_ or_ neg eq ne lt le gt ge itemgetter",
    "copy": "copy deepcopy",
    "sys": "exit maxsize setrecursionlimit",
    "typing": "",
}
_STREAMS = ("stdin", "stdout", "stderr")  # each run's own
# Classes that could be marked: to be called or named in an annotation, never held.
CALLED = frozenset(("Counter", "OrderedDict"))


def copy(x: Any) -> Any:
    return _real.copy(x)


def deepcopy(x: Any, *rest: Any, **named: Any) -> Any:
    # A memo of the program's own would be handed the list that all calls have as a default.
    if rest or named:
        os._exit(0)
    return _real.deepcopy(x)


# By the names that they have in errors' texts.
_INSTEAD: dict[Any, Any] = {_real.copy: copy, _real.deepcopy: deepcopy}


class _Module(ModuleType):
    """Ends the run where it would act otherwise than the real one: a part that is left out, a
    change that the module's own functions would see."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # `import *` asks for `__all__`
            raise AttributeError(name)
        os._exit(0)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        os._exit(0)

    def __delattr__(self, name: str) -> NoReturn:
        os._exit(0)

    def __repr__(self) -> NoReturn:
        os._exit(0)


_Module.__name__ = ModuleType.__name__  # for errors' texts


class _Builtins(dict[str, Any]):
    """Of a program that gives names of the prelude a value of its own, perhaps too late."""

    def __init__(self, names: dict[str, Any], left_out: set[str]) -> None:
        super().__init__(names)
        self._left_out = left_out

    def __missing__(self, name: str) -> NoReturn:
        if name in self._left_out:
            os._exit(0)
        raise KeyError(name)


class Surroundings:
    """Made once; `fresh` for each run. `prelude` are the names that programs start with."""

    def __init__(self, prelude: dict[str, Any]) -> None:
        self.modules = {name: _exports(name) for name in _MODULES}
        kept = {id(value) for names in self.modules.values() for value in names.values()}
        of_builtins = {name: getattr(builtins, name) for name in _BUILTINS.split()}
        kept |= {id(value) for value in of_builtins.values() if _refuses_marks(value)}
        self.names = {
            name: value
            for name, value in prelude.items()
            if id(value) in kept or name in self.modules
        }
        self.builtins = {
            name: value
            for name, value in of_builtins.items()
            if id(value) in kept and prelude.get(name, value) is value
        }
        self._machinery = {"__build_class__": builtins.__build_class__}
        known = {*prelude, *dir(builtins)}
        self.left_out = frozenset(known - {*self.names, *self.builtins, *_STREAMS, "__name__"})
        self.beyond = {name: self._beyond(name) for name in self.modules}

    def _beyond(self, module: str) -> frozenset[str]:
        """What `import *` would bring of the real one, beyond our choice."""
        real = importlib.import_module(module)
        public = getattr(real, "__all__", [name for name in vars(real) if name[0] != "_"])
        streams = _STREAMS if module == "sys" else ()
        return frozenset(public) - {*self.modules[module], *streams}

    def fresh(self, name: str, used: set[str]) -> dict[str, Any]:
        """Globals for a run as the module `name`, of those in `used` (`child.mentioned`)."""
        made: dict[str, ModuleType] = {}
        copies: dict[int, Any] = {}

        def own(value: Any) -> Any:
            if type(value) is not FunctionType:
                return value
            if id(value) not in copies:
                copies[id(value)] = _copied(value)
            return copies[id(value)]

        def imported(wanted: str, *_: object) -> ModuleType:
            if wanted not in made:
                parts = {each: own(value) for each, value in self.modules.get(wanted, {}).items()}
                made[wanted] = _module(wanted, parts)
            return made[wanted]

        names = {
            each: imported(each) if each in self.modules else own(self.names[each])
            for each in used & self.names.keys()
        }
        names.update({each: getattr(sys, each) for each in _STREAMS}, __name__=name)
        mine = {each: self.builtins[each] for each in used & self.builtins.keys()}
        mine.update(self._machinery, __import__=imported)
        left_out = used & self.left_out
        names["__builtins__"] = _Builtins(mine, left_out) if left_out else mine
        return names


def _module(name: str, parts: dict[str, Any]) -> ModuleType:
    module = _Module(name)
    vars(module).update(parts)
    if name == "sys":
        vars(module).update({each: getattr(sys, each) for each in _STREAMS})
    return module


def _exports(module: str) -> dict[str, Any]:
    """By name, without what could be marked and can't be copied."""
    real = importlib.import_module(module)
    if module == "typing":
        return {name: getattr(real, name) for name in real.__all__ if name[0].isupper()}
    chosen = _MODULES[module].split()
    if chosen == ["*"]:
        chosen = [name for name in dir(real) if name[0] != "_"]
    values = {name: getattr(real, name) for name in chosen}
    return {
        name: value
        for name, value in values.items()
        if _refuses_marks(value) or type(value) is FunctionType or name in CALLED
    }


def _refuses_marks(value: object) -> bool:
    try:
        value.mark = 1  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        return True
    del value.mark  # type: ignore[attr-defined]
    return False


def _copied(value: FunctionType) -> FunctionType:
    """Of a function written in Python, which could be marked."""
    value = _INSTEAD.get(value, value)
    copied = FunctionType(
        value.__code__, value.__globals__, value.__name__, value.__defaults__, value.__closure__
    )
    copied.__kwdefaults__ = value.__kwdefaults__ and dict(value.__kwdefaults__)
    return copied
