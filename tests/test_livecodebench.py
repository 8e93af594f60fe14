"""LiveCodeBench's rows."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import livecodebench
from benchmarks.base import BenchmarkError, TestCase
from benchmarks.jsonl import read

SHARED = Path(os.environ.get("SSD_EVAL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pack(pickled: bytes) -> str:
    return base64.b64encode(zlib.compress(pickled)).decode()


def row(**changes: Any) -> dict[str, Any]:
    public = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
    private = [{"input": "5 5\n", "output": "10\n", "testtype": "stdin"}]
    return {
        "question_title": "Sum",
        "question_content": "Add.",
        "platform": "atcoder",
        "question_id": "abc_a",
        "contest_id": "abc",
        "contest_date": "2025-02-08T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": pack(pickle.dumps(json.dumps(private))),
        "metadata": "{}",
        **changes,
    }


def functional(text: str, output: str = "0") -> dict[str, Any]:
    tests = [{"input": text, "output": output, "testtype": "functional"}]
    return row(
        public_test_cases=json.dumps(tests),
        private_test_cases="[]",
        metadata='{"func_name": "add"}',
    )


def test_a_row_becomes_a_problem_with_public_and_private_tests() -> None:
    problem = livecodebench.problem(row())
    assert problem.tests == (
        TestCase("stdin", "1 2\n", "3\n", public=True),
        TestCase("stdin", "5 5\n", "10\n", public=False),
    )
    assert (problem.id, problem.statement, problem.title) == ("abc_a", "Add.", "Sum")
    assert (problem.difficulty, problem.contest_date) == ("easy", "2025-02-08")
    assert (problem.platform, problem.contest_id, problem.entry_point) == ("atcoder", "abc", None)


def test_private_tests_may_be_plain_json() -> None:
    plain = json.dumps([{"input": "5 5\n", "output": "10\n", "testtype": "stdin"}])
    packed = livecodebench.problem(row())
    assert livecodebench.problem(row(private_test_cases=plain)) == packed


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_of_a_string_is_read(protocol: int) -> None:
    text = json.dumps([{"input": "é\n😀" * 300, "output": "\\u", "testtype": "stdin"}])
    packed = pack(pickle.dumps(text, protocol=protocol))
    assert livecodebench.problem(row(private_test_cases=packed)).tests[1].expected == "\\u"


class Touch:
    """Unpickling it freely would create the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    with pytest.raises(BenchmarkError, match=r"abc_a: .*more than one string, refused"):
        livecodebench.problem(row(private_test_cases=pack(pickle.dumps(Touch(target)))))
    assert not target.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        pickle.dumps(["a"]),
        pickle.dumps(b"[]"),
        pickle.dumps(5),
        pickle.dumps({"a": "b"}),
        b"\x80\x04.",
        b"\x8c\x02[]\x8c\x02[].",
        b"\x8c\x02[]" + b"2" * 9 + b".",
        pickle.dumps("[]")[:-1],
        b"",
    ],
    ids=["list", "bytes", "int", "dict", "nothing", "two", "dup", "no-stop", "empty"],
)
def test_a_pickle_of_anything_but_one_string_is_refused(pickled: bytes) -> None:
    with pytest.raises(BenchmarkError, match=r"abc_a: .*pickle"):
        livecodebench.problem(row(private_test_cases=pack(pickled)))


@pytest.mark.parametrize(
    "packed",
    [
        "!!!!",
        base64.b64encode(b"not zlib").decode(),
        base64.b64encode(zlib.compress(pickle.dumps("[]"))[:-6]).decode(),
        base64.b64encode(zlib.compress(pickle.dumps("[]"))[:-1]).decode(),
        pack(pickle.dumps("[{")),
        "[" * 100_000,
    ],
    ids=["base64", "zlib", "cut-off", "cut-off-checksum", "json", "nesting"],
)
def test_undecodable_tests_name_the_row(packed: str) -> None:
    with pytest.raises(BenchmarkError, match="abc_a: the tests cannot be decoded"):
        livecodebench.problem(row(private_test_cases=packed))


def test_a_decompression_bomb_is_stopped_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecodebench, "MAX_TESTS_BYTES", 1 << 20)
    bomb = pack(bytes(1 << 24))
    with pytest.raises(BenchmarkError, match=r"abc_a: .*more than 1 MiB"):
        livecodebench.problem(row(private_test_cases=bomb))


def test_functional_input_lines_become_one_array() -> None:
    problem = livecodebench.problem(functional('[1, 2]\n"a,\\n"\n1e5\n', '[true, "x"]'))
    assert problem.entry_point == "add"
    assert problem.tests[0].input == '[[1, 2], "a,\\n", 1e5]'
    assert problem.tests[0].expected == '[true, "x"]'


def test_a_call_without_arguments_is_an_empty_array() -> None:
    assert livecodebench.problem(functional("")).tests[0].input == "[]"


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@settings(max_examples=50)
@given(st.lists(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5)))
def test_arguments_keep_their_values(arguments: list[Any]) -> None:
    lines = "\n".join(json.dumps(argument, ensure_ascii=False) for argument in arguments)
    assert json.loads(livecodebench.problem(functional(lines)).tests[0].input) == arguments


@pytest.mark.parametrize(("text", "output"), [("1\n[2", "0"), ("1,2\n3", "0"), ("1", "True")])
def test_functional_tests_that_are_no_json_are_refused(text: str, output: str) -> None:
    with pytest.raises(BenchmarkError, match="abc_a: the tests cannot be decoded"):
        livecodebench.problem(functional(text, output))


def test_an_unknown_test_kind_is_named() -> None:
    tests = json.dumps([{"input": "", "output": "", "testtype": "interactive"}])
    with pytest.raises(BenchmarkError, match=r"abc_a: tests: 0\.testtype: .*'interactive'"):
        livecodebench.problem(row(public_test_cases=tests))


@pytest.mark.parametrize("name", ["question_id", "question_content", "public_test_cases"])
def test_a_missing_field_is_named(name: str) -> None:
    rest = {key: value for key, value in row().items() if key != name}
    with pytest.raises(BenchmarkError, match=f"'{name}' is missing"):
        livecodebench.problem(rest)


def test_an_unknown_difficulty_is_refused() -> None:
    with pytest.raises(BenchmarkError, match=r"difficulty: .*'brutal'"):
        livecodebench.problem(row(difficulty="brutal"))


@pytest.mark.skipif(
    not (SHARED / "lcb_dev.jsonl").exists(),
    reason=f"LiveCodeBench rows are not in {SHARED}; set SSD_EVAL_SHARED_DATA",
)
def test_real_rows_decode() -> None:
    problems = read(SHARED / "lcb_dev.jsonl").problems()
    assert len(problems) == 92
    assert sum(problem.entry_point is not None for problem in problems) == 83
    for problem in problems:
        kinds = {test.kind for test in problem.tests}
        assert kinds == ({"functional"} if problem.entry_point else {"stdin"})
        assert problem.public_tests
        assert len(problem.tests) > len(problem.public_tests)
