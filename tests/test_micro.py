"""micro: statements, programs and tests agree; the splits are disjoint; the tests are strong."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import random
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from benchmarks.base import Benchmark, Problem
from benchmarks.micro import Micro
from benchmarks.micro.family import Family, families
from benchmarks.micro.mutants import DOMAIN
from benchmarks.micro.programs import RIGHT, WRONG, program

PROBLEMS = Micro().problems()
ERRORS = (ArithmeticError, LookupError, NameError, TypeError, ValueError, AttributeError)


def by_name(name: str) -> Family:
    return next(family for family in families() if family.name == name)


def runner(source: str, kind: str) -> Callable[[list[int]], object]:
    """The program as a function of its integers, run in this process: our own sources only."""
    code = compile(source, "program", "exec")

    def stdin(values: list[int]) -> object:
        printed = io.StringIO()
        names = {"input": lambda: " ".join(map(str, values))}
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        return printed.getvalue().strip()

    def functional(values: list[int]) -> object:
        names: dict[str, type] = {}
        exec(code, names)
        return json.loads(json.dumps(names["Solution"]().solve(list(values))))

    return stdin if kind == "stdin" else functional


def result(run: Callable[[list[int]], object], values: list[int]) -> object:
    try:
        answer = run(values)
    except ERRORS as error:
        return type(error)
    return type(answer), answer


def passes(source: str, problem: Problem) -> bool:
    run = runner(source, problem.tests[0].kind)
    for test in problem.tests:
        if test.kind == "stdin":
            values, expected = list(map(int, test.input.split())), test.expected.strip()
        else:
            values, expected = json.loads(test.input)[0], json.loads(test.expected)
        if result(run, values) != (type(expected), expected):
            return False
    return True


def replacements(node: ast.AST) -> list[ast.AST]:
    """Own list of small mistakes, independent of the one the tests were chosen with."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        every = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
        return [ast.Compare(node.left, [op()], node.comparators) for op in every]
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return [ast.Constant(node.value + by) for by in (-2, -1, 1, 3)]
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Pow):
        every = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
        return [ast.BinOp(node.left, op(), node.right) for op in every]
    if isinstance(node, ast.BoolOp):
        return [ast.BoolOp(ast.Or(), node.values), ast.BoolOp(ast.And(), node.values[:1] * 2)]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Name) and node.id in ("max", "min", "sum", "len", "sorted", "abs"):
        return [ast.Name(other, ast.Load()) for other in ("max", "min", "sum", "len", "abs")]
    if isinstance(node, ast.Slice):
        return [ast.Slice(ast.Constant(1)), ast.Slice(None, ast.Constant(-1))]
    return []


def mutated(source: str) -> Iterator[str]:
    total = len(list(ast.walk(ast.parse(source))))
    for at in range(total):
        for choice in range(len(replacements(list(ast.walk(ast.parse(source)))[at]))):
            tree = ast.parse(source)
            target = list(ast.walk(tree))[at]
            swap = replacements(target)[choice]

            class Swap(ast.NodeTransformer):
                def visit(self, node: ast.AST, target=target, swap=swap) -> ast.AST:  # type: ignore[no-untyped-def]
                    return swap if node is target else self.generic_visit(node)

            yield ast.unparse(ast.fix_missing_locations(Swap().visit(tree)))


def independent_inputs(count: int) -> list[list[int]]:
    rng = random.Random(991)
    return [[rng.choice(DOMAIN) for _ in range(rng.randint(0, 12))] for _ in range(count)]


def test_micro_is_a_benchmark() -> None:
    assert isinstance(Micro(), Benchmark)


def test_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    assert [p.digest() for p in Micro(3).problems()] == [p.digest() for p in Micro(3).problems()]
    assert {p.family for p in Micro(0).problems()} != {p.family for p in Micro(1).problems()}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_family_is_both_prompt_and_evaluation(seed: int) -> None:
    held_out = {p.family for other in (0, 1, 2) for p in Micro(other).problems()}
    assert not held_out & {p.family for p in Micro(seed).prompts()}


def test_difficulties_and_kinds_are_balanced_and_ids_unique() -> None:
    assert len({p.id for p in PROBLEMS}) == len(PROBLEMS) == 96
    for difficulty in ("easy", "medium", "hard"):
        chosen = [p for p in PROBLEMS if p.difficulty == difficulty]
        assert [p.tests[0].kind for p in chosen].count("stdin") == len(chosen) // 2 == 16
    assert {p.difficulty for p in PROBLEMS[:6]} == {"easy", "medium", "hard"}


def test_every_problem_has_public_and_hidden_tests_and_an_empty_input() -> None:
    for problem in PROBLEMS:
        assert len(problem.public_tests) == 2
        assert len(problem.tests) >= 6
        assert any(test.input in ("\n", "[[]]") for test in problem.tests)


def test_references_pass_and_planted_wrong_programs_fail() -> None:
    for problem in PROBLEMS:
        assert all(passes(source, problem) for source in problem.references)
        assert not any(passes(source, problem) for source in problem.wrong)


def test_approaches_differ_in_the_first_token_of_their_body() -> None:
    family = by_name("even-square-sum")
    firsts = [
        program(family, "stdin", approach).split("\n")[1].split()[0] for approach in RIGHT + WRONG
    ]
    assert len(set(firsts)) == len(firsts)


def test_statement_names_every_step() -> None:
    family = by_name("even-big-square-sum")
    assert family.statement("stdin") == (
        "Read integers from one line. Take those that are even and greater than 10, "
        "square each, print the sum."
    )


def test_filters_that_contradict_each_other_never_meet() -> None:
    assert all(
        len({f.aspect for f in family.filters}) == len(family.filters) for family in families()
    )


def test_at_least_98_percent_of_differing_mutants_fail() -> None:
    inputs = independent_inputs(1000)
    differing = caught = 0
    for problem in islice(PROBLEMS, 0, None, 9):
        kind = problem.tests[0].kind
        for source in problem.references[:3]:
            right = [result(runner(source, kind), values) for values in inputs]
            for mutant in mutated(source):
                run = runner(mutant, kind)
                if all(result(run, v) == r for v, r in zip(inputs, right, strict=True)):
                    continue
                differing += 1
                caught += not passes(mutant, problem)
    assert differing > 500
    assert caught / differing >= 0.98
