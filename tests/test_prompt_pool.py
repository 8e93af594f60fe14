"""Prompts for SSD from any file: what counts as one, and what is among the scored problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import hub, prompt_pool
from benchmarks.base import BenchmarkError, Problem
from benchmarks.micro import Micro
from benchmarks.overlap import overlap
from benchmarks.prompt_pool import read
from ssd_eval.config import resolve
from ssd_eval.errors import UsageError
from ssd_eval.sweep import training_prompts
from ssd_eval.training_pool import checked

SCORED = Micro().problems()


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_prompts_that_differ_in_white_space_alone_are_one(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"prompt": "Add  two\nnumbers."}, {"prompt": " "},
                 {"prompt": "Add two numbers. "}, {"prompt": "add two numbers."})  # fmt: skip
    pool = read(file)
    assert [p.statement for p in pool.problems] == ["Add  two\nnumbers.", "add two numbers."]
    assert (pool.rows, pool.duplicates, pool.blank) == (4, 1, 1)
    assert len({p.id for p in pool.problems}) == 2


def test_starter_code_tells_prompts_apart_and_is_kept(tmp_path: Path) -> None:
    rows = [{"question": "Sort.", "starter_code": code} for code in ("def f(): ...", None, "")]
    pool = read(write(tmp_path / "a.jsonl", *rows))
    assert [p.starter_code for p in pool.problems] == ["def f(): ...", ""]


def test_a_prompts_id_does_not_depend_on_its_place(tmp_path: Path) -> None:
    one = read(write(tmp_path / "a.jsonl", {"text": "A"}, {"text": "B"}))
    two = read(write(tmp_path / "b.jsonl", {"text": "B"}, {"text": "A"}))
    assert {p.id for p in one.problems} == {p.id for p in two.problems}
    assert one.digest != two.digest


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_every_format_gives_the_same_pool(tmp_path: Path, suffix: str) -> None:
    rows = [{"question": f"Question {n}", "answer": "x", "id": n} for n in range(2500)]
    path = tmp_path / f"pool.{suffix}"
    if suffix == "parquet":
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.Table.from_pylist(rows), path)
    elif suffix == "json":
        path.write_text(json.dumps(rows))
    else:
        write(path, *rows)
    pool = read(str(path))
    assert len(pool.problems) == 2500
    assert pool.problems[-1].statement == "Question 2499"
    with pytest.raises(BenchmarkError, match="no text"):
        read(str(path), field="id")


def test_rstar_coders_seeds_are_a_pool(tmp_path: Path) -> None:
    """The schema of its seed_sft: several answers to a question, starter code for some."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {
            "question_id": f"seed_{number // 3}",
            "question": f"Question {number // 3}",
            "starter_code": "class Solution:\n" if number // 3 == 1 else None,
            "response": "<think>long</think>" * 100,
            "verified": number % 2 == 0,
            "is_passed": bool(number % 3),
        }
        for number in range(9)
    ]
    path = tmp_path / "data-00000-of-00020.parquet"
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    pool = read(str(path), field="question")
    assert (pool.rows, pool.duplicates) == (9, 6)
    assert [p.statement for p in pool.problems] == [f"Question {n}" for n in range(3)]
    assert [p.starter_code for p in pool.problems] == ["", "class Solution:\n", ""]
    assert pool.problems == read(str(path)).problems  # the field is known


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"prompt": 1}\n', "pool.jsonl:1: prompt is no text"),
        ('{"prompt": "a"}\n\n{"x": 1}\n', r"pool.jsonl:3: no field .*--prompts-field .*has x"),
        ("[1]\n", "pool.jsonl:1: a JSON list"),
        ('{"prompt"', "pool.jsonl:1: not JSON"),
        ("", "holds no prompts"),
        ('{"prompt": "  "}', "1 of them blank"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "pool.jsonl").write_text(content)
    with pytest.raises(BenchmarkError, match=says) as caught:
        read(str(tmp_path / "pool.jsonl"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone.jsonl", "No such file"), ("a.csv", r"\.jsonl, \.json or \.parquet"),
        ("hub:owner", "hub:OWNER/NAME/PATH"), ("hub:o/n", "hub:OWNER/NAME/PATH"),
    ],
)  # fmt: skip
def test_bad_sources_say_what_to_give(name: str, says: str) -> None:
    with pytest.raises(BenchmarkError, match=says):
        read(name)


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BenchmarkError, match="download it again"):
        read(str(tmp_path / "a.parquet"))


def test_a_hub_file_is_asked_for_by_repo_path_and_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def download(name: str, size: object, **more: str) -> Path:
        asked.append((name, more["repo"], more["revision"]))
        return Path(write(tmp_path / "a.jsonl", {"question": "Q"}))

    monkeypatch.setattr(prompt_pool.hub, "download", download)
    read("hub:microsoft/rStar-Coder/seed/part-0.jsonl@abc")
    read("hub:microsoft/rStar-Coder/part-1.jsonl")
    assert asked == [
        ("seed/part-0.jsonl", "microsoft/rStar-Coder", "abc"),
        ("part-1.jsonl", "microsoft/rStar-Coder", "main"),
    ]


def test_a_hub_out_of_reach_says_to_give_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "cached", lambda *a, **k: None)
    with pytest.raises(BenchmarkError, match="give its path"):
        read("hub:no/such/file.jsonl")


def problem(name: str, statement: str) -> Problem:
    return Problem(name, statement, ())


def words(*names: object) -> str:
    return " ".join(map(str, names))


def test_exact_overlap_ignores_white_space_and_case() -> None:
    scored = [problem("a", "Add  Two\nnumbers"), problem("b", "add two numbers"), problem("c", "x")]
    assert overlap([problem("p", "ADD two numbers ")], scored).exact == ("a", "b")


def test_share_counts_a_problems_own_13_grams() -> None:
    scored = [problem("a", words(*range(26))), problem("b", words(*range(100, 112)))]
    prompts = [problem("p", "x " + words(*range(13)).upper() + ", y"), problem("q", "")]
    found = overlap(prompts, scored)
    assert found.exact == ()
    assert found.shares == (("a", 1 / 14),)  # b has 12 words, so no 13-gram
    assert overlap([scored[0]], scored).shares == (("a", 1.0),)


def settings(**given: Any) -> Any:
    return resolve(given, environ={}).config


def test_a_pool_that_holds_a_scored_problem_is_refused_unless_allowed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"prompt": "Fine."}, {"prompt": SCORED[3].statement + "\n"})
    with pytest.raises(UsageError, match=rf"1 of the problems.*{SCORED[3].id}.*--allow-overlap"):
        checked(settings(prompts=file, limit=1), Micro())
    said = checked(settings(prompts=file, allow_overlap=True), Micro())
    assert said["overlap"]["exact"] == [SCORED[3].id]  # type: ignore[index]
    assert "1 of 96 scored problems are prompts" in str(said["said"])


def test_a_run_samples_from_the_pool_it_was_given(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", *({"prompt": f"Task {n}."} for n in range(5)))
    config = settings(prompts=file, prompts_limit=3)
    assert [p.statement for p in training_prompts(config, Micro())] == [
        "Task 0.", "Task 1.", "Task 2.",
    ]  # fmt: skip
    assert config.digest() != settings(prompts_limit=3).digest()
    assert checked(settings(), Micro()) == {}
