"""Generations made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.base import Problem
from ssd_eval.errors import UsageError
from ssd_eval.interchange import Program, read

KNOWN = {name: Problem(name, "", ()) for name in ("a", "b")}
TEXT = "Sure:\n```python\nprint(1)\n```"


def write(folder: Path, *lines: object) -> Path:
    path = folder / "generations.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n")
    return path


def test_livecodebenchs_format_gives_one_sample_a_program(tmp_path: Path) -> None:
    rows = [
        {"question_id": "a", "code_list": ["print(1)", "", None]},
        {"question_id": "b", "code_list": ["print(2)"]},
    ]
    assert read(write(tmp_path, json.dumps(rows, indent=1)), KNOWN) == (
        Program("a", 0, "print(1)", "given"),
        Program("a", 1, None, "given"),
        Program("a", 2, None, "given"),
        Program("b", 0, "print(2)", "given"),
    )


def test_entries_of_other_problems_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    fine, other = {"problem_id": "a", "code": "1"}, {"question_id": "z", "code_list": ["2", "3"]}
    file = write(tmp_path, other, fine, other)
    with pytest.raises(UsageError, match=r":1: the benchmark has no problem 'z'; .*--skip-others"):
        read(file, KNOWN)
    left: list[str] = []
    assert [program.code for program in read(file, KNOWN, others=left)] == ["1"]
    assert left == ["z", "z"]
    with pytest.raises(UsageError, match=r"all 1 entries .* lacks, the first of 'z'"):
        read(write(tmp_path, other), KNOWN, others=[])
    with pytest.raises(UsageError, match="no problem is named"):  # not taken for another's
        read(write(tmp_path, fine, {"code": "1"}), KNOWN, others=[])


def test_jsonl_numbers_samples_in_file_order(tmp_path: Path) -> None:
    rows = [
        {"problem_id": "a", "code": "1"},
        {"task_id": "b", "code": "2"},
        "",
        {"question_id": "a", "code": "3"},
    ]
    assert [(p.problem_id, p.sample, p.code) for p in read(write(tmp_path, *rows), KNOWN)] == [
        ("a", 0, "1"),
        ("b", 0, "2"),
        ("a", 1, "3"),
    ]


@pytest.mark.parametrize("field", ["text", "output", "completion"])
def test_texts_are_extracted_from(tmp_path: Path, field: str) -> None:
    (program,) = read(write(tmp_path, {"problem_id": "a", field: TEXT}), KNOWN)
    assert program == Program("a", 0, "print(1)", "python-fence")


def test_programs_are_taken_as_they_are(tmp_path: Path) -> None:
    (program,) = read(write(tmp_path, {"problem_id": "a", "code": TEXT}), KNOWN)
    assert program == Program("a", 0, TEXT, "given")


def test_a_text_without_a_block_has_no_program_but_a_completion_is_one(tmp_path: Path) -> None:
    rows = [{"problem_id": "a", "text": "x = 1"}, {"problem_id": "a", "completion": "x = 1"}]
    assert read(write(tmp_path, *rows), KNOWN) == (
        Program("a", 0, None, "none"),
        Program("a", 1, "x = 1", "given"),
    )


def test_a_program_beside_a_text_wins_and_null_counts_as_absent(tmp_path: Path) -> None:
    rows = [
        {"problem_id": "a", "output": TEXT, "code": "given()"},
        {"problem_id": "a", "output": TEXT, "code": None},
        {"problem_id": "a", "output": TEXT, "code": ""},
        {"problem_id": "a", "code": None},
    ]
    codes = [program.code for program in read(write(tmp_path, *rows), KNOWN)]
    assert codes == ["given()", "print(1)", None, None]


def test_an_objects_own_sample_number_is_kept(tmp_path: Path) -> None:
    rows = [{"problem_id": "a", "code": "1", "sample": 7}]
    assert read(write(tmp_path, *rows), KNOWN)[0].sample == 7


def test_two_programs_of_one_sample_are_refused(tmp_path: Path) -> None:
    rows = [{"problem_id": "a", "code": "1"}, {"problem_id": "a", "code": "2", "sample": 0}]
    with pytest.raises(UsageError, match=r"generations\.jsonl:2: sample 0 of 'a' came before"):
        read(write(tmp_path, *rows), KNOWN)


BAD_ROWS = {
    "unknown problem": ({"problem_id": "z", "code": ""}, "no problem 'z'"),
    "no id": ({"code": ""}, "no problem is named; add one of problem_id"),
    "id no text": ({"problem_id": 3, "code": ""}, "problem_id must be a text, not 3"),
    "no program": ({"problem_id": "a", "cod": ""}, "no program or text; add one of code_list"),
    "list no list": ({"problem_id": "a", "code_list": "x"}, "code_list must be a list of texts"),
    "list of numbers": ({"problem_id": "a", "code_list": [1]}, "code_list must be a list of texts"),
    "code no text": ({"problem_id": "a", "code": ["x"]}, "code must be a text"),
    "sample no number": ({"problem_id": "a", "code": "", "sample": "0"}, "sample '0' is not"),
    "sample a bool": ({"problem_id": "a", "code": "", "sample": True}, "sample True is not"),
    "not an object": (3, "not an object"),
}


@pytest.mark.parametrize(("row", "message"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_bad_row_is_named_by_line_or_entry(tmp_path: Path, row: object, message: str) -> None:
    fine = {"problem_id": "a", "code": "1"}
    with pytest.raises(UsageError, match=rf"generations\.jsonl:3: .*{message}"):
        read(write(tmp_path, fine, "", row), KNOWN)
    with pytest.raises(UsageError, match=rf"generations\.jsonl: entry 1: .*{message}"):
        read(write(tmp_path, json.dumps([fine, row])), KNOWN)


def test_corrupt_json_is_named_by_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"generations\.jsonl:2: not JSON"):
        read(write(tmp_path, {"problem_id": "a", "code": "1"}, '{"problem_id": '), KNOWN)
    with pytest.raises(UsageError, match=r"generations\.jsonl:3: not JSON"):
        read(write(tmp_path, '[\n{"problem_id": "a", "code": "1"},\n{"problem_id": }]'), KNOWN)


@pytest.mark.parametrize("text", ["", "\n \n", "[]"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="holds no generations"):
        read(write(tmp_path, text), KNOWN)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.jsonl: No such file"):
        read(tmp_path / "gone.jsonl", KNOWN)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="binary: not UTF-8"):
        read(tmp_path / "binary", KNOWN)
