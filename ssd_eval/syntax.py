"""Syntax: what part of Python each token of a completion belongs to, by `tokenize` and `ast`.

A token of the model has the class of the Python token that its first visible character lies in;
white space at the start of a line and line ends are indentation, text outside the program is prose.
A program that does not parse keeps the classes of what `tokenize` could read before it gave up,
then falls back to words; names defined are told by `ast`, or else by the words around them.
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from collections.abc import Iterator, Sequence

from benchmarks.extract import extract
from ssd_eval.positions import SYNTAX

CODES = {name: code for code, name in enumerate(SYNTAX)}
_WORD = re.compile(
    r"(?P<comment>#[^\n]*)|(?P<literal>\d[\w.]*|'[^'\n]*'?|\"[^\"\n]*\"?)|(?P<name>\w+)"
    r"|(?P<bracket>[()\[\]{}])|(?P<operator>[^\w\s])"
)
_DEFINING = ("def", "class", "import", "as", "for", "lambda", "global", "nonlocal")
_LINE_END = re.compile(r"\r\n?|\n")  # as `ast` counts lines
WORD_END = 12  # characters
_LITERALS = (tokenize.NUMBER, tokenize.STRING)
_QUIET = (tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER)


def classify(pieces: Sequence[str]) -> list[int]:
    """An index into SYNTAX for each piece of a completion's text."""
    text = "".join(pieces)
    start, code = _program(text)
    classes = _characters(code)
    found, at = [], 0
    for piece in pieces:
        found.append(_of_piece(text, at, at + len(piece), start, classes))
        at += len(piece)
    return found


def _program(text: str) -> tuple[int, str]:
    """Where the program starts in the text, and its source; ("" where there is none)."""
    code = extract(text).code or ("" if _defined(text) is None else text)
    start = text.rfind(code) if code else -1
    return (start, code) if start >= 0 else (len(text), "")


def _of_piece(text: str, start: int, end: int, origin: int, classes: list[int]) -> int:
    inside = range(max(start, origin), min(end, origin + len(classes)))
    if not inside or (text[start:end].strip() and _outside(text, start, end, inside)):
        return CODES["prose"]
    visible = next((at for at in inside if not text[at].isspace()), None)
    if visible is None:
        return CODES["indentation"]
    return classes[visible - origin]


def _outside(text: str, start: int, end: int, inside: range) -> bool:
    """Whether the first visible character lies outside the program."""
    first = next(at for at in range(start, end) if not text[at].isspace())
    return first not in inside


def _characters(code: str) -> list[int]:
    """A class for each character of the program."""
    classes = [CODES["indentation"]] * len(code)
    read = 0
    for start, end, name in _tokens(code):
        classes[start:end] = [CODES[name]] * (end - start)
        read = max(read, end)
    before = _last_word("", code, 0, read)
    for match in _WORD.finditer(code, read):
        name = match.lastgroup or "operator"
        if name == "name":
            name = _name(match.group(), before in _DEFINING)
        classes[match.start() : match.end()] = [CODES[name]] * (match.end() - match.start())
        before = _last_word(before, code, match.start(), match.end())
    return classes


def _last_word(before: str, code: str, start: int, end: int) -> str:
    """The end of what no white space cuts before `end`; `before`: the same at `start`.

    Its end alone, longer than any word of _DEFINING: a program may be one long word.
    """
    words = code[start:end].split()
    glued = len(words) == 1 and start > 0 and not code[start - 1].isspace()
    return ((before if glued else "") + "".join(words[-1:]))[-WORD_END:]


def _tokens(code: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, class) as far as `tokenize` reads."""
    starts = [0]
    for line in code.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    defined = _defined(code)
    previous = ""
    try:
        for each in tokenize.generate_tokens(io.StringIO(code).readline):
            if each.type in _QUIET or not each.string:
                continue
            if each.type == tokenize.ERRORTOKEN:
                return
            start = starts[each.start[0] - 1] + each.start[1]
            end = starts[each.end[0] - 1] + each.end[1]
            defines = previous in (("as",) if defined is not None else _DEFINING)
            defines |= defined is not None and each.start in defined
            yield start, end, _class(each, defines)
            previous = each.string
    except (tokenize.TokenError, SyntaxError, IndexError):
        return


def _class(token: tokenize.TokenInfo, defines: bool) -> str:
    if token.type == tokenize.COMMENT:
        return "comment"
    if token.type in _LITERALS or tokenize.tok_name[token.type].startswith("FSTRING"):
        return "literal"
    if token.type == tokenize.NAME:
        return _name(token.string, defines)
    return "bracket" if token.string in "()[]{}" else "operator"


def _name(word: str, defines: bool) -> str:
    if keyword.iskeyword(word):
        return "keyword"
    return "definition" if defines else "name"


def _defined(code: str) -> set[tuple[int, int]] | None:
    """(line, column) of every name that is bound; None where the program does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    lines = _LINE_END.split(code)
    return {
        (line, len(lines[line - 1].encode()[:column].decode(errors="replace")))
        for line, column in _bindings(tree, lines)
    }


def _bindings(tree: ast.AST, lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(line, column in bytes), as `ast` counts; names after `as` are left to `_tokens`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) or (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ):
            yield node.lineno, node.col_offset
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            line = lines[node.lineno - 1].encode()
            head = len("class " if isinstance(node, ast.ClassDef) else "def ")
            yield node.lineno, line.find(node.name.encode(), node.col_offset + head)
        elif isinstance(node, ast.alias) and node.asname is None:
            yield node.lineno, node.col_offset
