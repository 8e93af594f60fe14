"""LiveCodeBench from files: windows filled, tests left on disk, bad files named."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import pytest
from synthetic_lcb import DATES, hostile, pack, rows, write

from benchmarks import lcb, lcb_rows, livecodebench, registry
from benchmarks.base import Benchmark, BenchmarkError, StoredTests
from benchmarks.lcb_windows import NAMED

ALL = {row["question_id"]: row for name in DATES for row in rows(name)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("lcb"))


@pytest.fixture(autouse=True)
def _no_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lcb.FOLDER_VARIABLE, raising=False)


def load(text: str, folder: Path, **options: object) -> Benchmark:
    return registry.load(f"lcb:{text}", data_dir=str(folder), **options)  # type: ignore[arg-type]


def changed(folder: Path, name: str = "test6.jsonl", **fields: str) -> Path:
    """A folder whose first row of that file has other fields."""
    first, *rest = rows(name)
    lines = [json.dumps(row) + "\n" for row in ({**first, **fields}, *rest)]
    (folder / name).write_text("".join(lines))
    return folder


def test_the_data_covers_what_real_data_does() -> None:
    assert len(ALL) == 72
    values = {name: {row[name] for row in ALL.values()} for name in ("platform", "difficulty")}
    assert values["platform"] == {"leetcode", "atcoder", "codeforces"}
    assert values["difficulty"] == {"easy", "medium", "hard"}
    packed = [not row["private_test_cases"].startswith("[") for row in ALL.values()]
    assert 20 < sum(packed) < 52


def test_every_window_has_rows_and_the_papers_first_month_is_in_two_files(folder: Path) -> None:
    for name in (*NAMED, *(f"v{n}-v{n}" for n in range(1, 7)), "2024-08..2025-02"):
        assert load(name, folder).problems(), name
    found = [problem.id for problem in load("paper-v5", folder).problems()]
    dates = {id_: row["contest_date"][:7] for id_, row in ALL.items()}
    assert found == [id_ for id_, day in dates.items() if "2024-08" <= day <= "2025-02"]
    august = {name for name in DATES for row in rows(name) if row["contest_date"][:7] == "2024-08"}
    assert august == {"test3.jsonl", "test4.jsonl"}


def test_a_window_holds_the_rows_of_its_dates_in_order(folder: Path) -> None:
    problems = load("paper-v6", folder).problems()
    wanted = [id_ for id_, row in ALL.items() if "2025-02" <= row["contest_date"][:7] <= "2025-05"]
    assert [problem.id for problem in problems] == wanted
    assert load("v5-v6", folder).problems() == load("v6", folder).problems()[48:]


def test_stored_tests_are_those_of_the_row_unpacked(folder: Path) -> None:
    for problem in load("v6", folder).problems():
        eager = livecodebench.problem(dict(ALL[problem.id]))
        assert isinstance(problem.tests, StoredTests)
        assert tuple(problem.tests) == eager.tests
        assert problem.kinds == eager.kinds
        assert problem.public_tests == eager.public_tests


@pytest.mark.parametrize(("chosen", "flags"), [("public", {True}), ("private", {False})])
def test_public_or_private_tests_alone(folder: Path, chosen: str, flags: set[bool]) -> None:
    for problem in load("v1", folder, tests=chosen).problems():
        assert {test.public for test in problem.tests} == flags


def test_which_tests_count_is_part_of_window_and_content(folder: Path) -> None:
    windows = {load("v1", folder, tests=each).window for each in ("both", "public", "private")}
    assert len(windows) == 3
    assert all("tests" in each for each in windows)
    digests = {load("v1", folder, tests=each).problems()[0].digest() for each in ("both", "public")}
    assert len(digests) == 2


def test_a_count_that_differs_is_in_the_window(folder: Path) -> None:
    assert load("paper-v6", folder).window.startswith("8 INSTEAD OF 131 problems, #")
    assert "INSTEAD" not in load("2025-02..2025-05", folder).window


def test_errata_are_left_out_by_id_and_by_title_and_counted(folder: Path) -> None:
    whole, without = load("v6", folder), load("v6", folder, exclude_errata=True)
    gone = {each.id for each in whole.problems()} - {each.id for each in without.problems()}
    assert {(ALL[id_]["question_id"], ALL[id_]["question_title"]) for id_ in gone} == {
        ("abc311_c", "abc311_c"),
        ("3062", "find-the-peaks"),
    }
    assert without.window.endswith("without 2 errata")


def test_the_hash_follows_the_content_not_the_place(folder: Path, tmp_path: Path) -> None:
    assert load("v6", write(tmp_path / "b")).window == load("v6", folder).window
    other = changed(write(tmp_path / "c"), private_test_cases=pack([]))
    assert load("v1", other).window == load("v1", folder).window
    assert load("v6", other).window != load("v6", folder).window


def test_gzipped_files_hold_the_same_problems(folder: Path, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "test6.jsonl.gz", "wb") as file:
        file.write((folder / "test6.jsonl").read_bytes())
    zipped, plain = (load("v6-v6", each).problems() for each in (tmp_path, folder))
    assert zipped == plain
    assert [tuple(each.tests) for each in zipped] == [tuple(each.tests) for each in plain]


def test_large_tests_are_not_unpacked_before_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lcb_rows, "EAGER_BYTES", 100)
    broken = changed(write(tmp_path), private_test_cases="!!!!" * 99)
    first = load("v6-v6", broken).problems()[0]
    first.digest()
    with pytest.raises(BenchmarkError, match=rf"test6.jsonl:1: {first.id}: .*cannot be decoded"):
        len(first.tests)


def test_a_file_that_changes_in_use_is_noticed(tmp_path: Path) -> None:
    problem = load("v6-v6", write(tmp_path)).problems()[3]
    changed(tmp_path, private_test_cases="[]" + " " * 7)
    with pytest.raises(BenchmarkError, match="changed while it was in use; start again"):
        len(problem.tests)


def test_even_a_change_of_one_digit_is_noticed(tmp_path: Path) -> None:
    problem = load("v6-v6", write(tmp_path)).problems()[1]
    file = tmp_path / "test6.jsonl"
    before, after = json.dumps("[-5]")[1:-1].encode(), json.dumps("[-6]")[1:-1].encode()
    content = file.read_bytes()
    assert content.count(before) > 1
    file.write_bytes(content.replace(before, after))
    with pytest.raises(BenchmarkError, match="changed while it was in use"):
        len(problem.tests)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    before = load("v6-v6", write(tmp_path)).window
    changed(tmp_path, question_content="Another.")
    os.utime(tmp_path / "test6.jsonl", (time.time() + 9, time.time() + 9))
    assert load("v6-v6", tmp_path).window != before


def test_the_variable_names_the_folder_and_the_flag_wins(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(lcb.FOLDER_VARIABLE, str(folder))
    assert len(registry.load("lcb:v1").problems()) == 12
    with pytest.raises(BenchmarkError, match=r"lacks test\.jsonl \(1,253 MB\), which lcb:v1 needs"):
        registry.load("lcb:v1", data_dir=str(tmp_path))


def test_there_is_no_prompt_pool(folder: Path) -> None:
    with pytest.raises(BenchmarkError, match="lcb:v1 has no SSD prompt pool"):
        load("v1", folder).prompts()


BAD = {
    "hostile pickle": ({"private_test_cases": hostile(Path("/nowhere"))}, "refused"),
    "no tests": (
        {"public_test_cases": "[]", "private_test_cases": "[]"},
        "no tests, so that nothing could fail",
    ),
    "bad date": ({"contest_date": "last Tuesday"}, "contest_date: .*'last Tuesday'"),
    "number for a date": ({"contest_date": "1700000000"}, "contest_date: .*'1700000000'"),
    "bad difficulty": ({"difficulty": "brutal"}, "difficulty: .*'brutal'"),
    "bad tests": ({"public_test_cases": "[{}]"}, r"tests: 0\.input.*missing|'0\.input' is missing"),
    "no function": (
        {"metadata": "{}"},
        "functional tests but no function to call",
    ),
    "duplicate": ({"question_id": "1963_A"}, "the id '1963_A' came before"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_refused_with_file_line_and_id(name: str, tmp_path: Path) -> None:
    fields, says = BAD[name]
    with pytest.raises(BenchmarkError, match=says) as raised:
        load("v6-v6", changed(write(tmp_path), **fields))
    assert "test6.jsonl:" in str(raised.value)
    assert fields.get("question_id", "3061") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_row_without_a_date_is_refused_where_dates_decide(tmp_path: Path) -> None:
    dateless = changed(write(tmp_path), contest_date="")
    assert len(load("v6", dateless).problems()) == 72
    with pytest.raises(BenchmarkError, match=r"test6.jsonl:1: 3061: no contest_date"):
        load("paper-v6", dateless)
