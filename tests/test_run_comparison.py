"""Two runs compared: the paired difference of what both scored, and refusal of what differs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from recorded_run import write_run

import cli
from ssd_eval import recorded, run_comparison
from ssd_eval.results import difference_of


def invoke(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.cli, ["compare", *map(str, arguments)])
    message = str(done.exception) if done.exception else ""
    return getattr(done.exception, "exit_code", done.exit_code), done.stdout, message


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A passes every other sample with its base, B every sample with both."""
    a = write_run(tmp_path / "a", {"base": lambda n, i: i % 2 == 0, "distilled": lambda n, i: True})
    b = write_run(tmp_path / "b", {"base": lambda n, i: True, "distilled": lambda n, i: True})
    return a, b


def change(run: Path, **config: Any) -> Path:
    file = run / "manifest.json"
    held = json.loads(file.read_text())
    held["config"] |= config
    file.write_text(json.dumps(held))
    return run


def test_difference_is_b_minus_a_over_the_same_problems(pair: tuple[Path, Path]) -> None:
    code, out, message = invoke(*pair, "--json")
    assert code == 0, message
    found = json.loads(out)
    group = found["base"][0]["groups"][0]
    assert (group["a"]["mean"], group["b"]["mean"]) == (0.5, 1.0)
    assert group["difference"]["mean"] == 0.5
    assert found["distilled"][0]["groups"][0]["difference"]["mean"] == 0.0


def test_exchanged_runs_exchange_the_sign(pair: tuple[Path, Path]) -> None:
    there, back = (run_comparison.compared(*runs, intersect=False) for runs in (pair, pair[::-1]))
    for x, y in zip(there.found["base"], back.found["base"], strict=True):
        assert x.groups[0].difference.mean == -(y.groups[0].difference.mean or 0)


def test_a_run_and_its_copy_are_inconclusive(pair: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(pair[0], tmp_path / "copy")
    code, out, _ = invoke(pair[0], tmp_path / "copy")
    assert code == 0
    assert len(re.findall(r"inconclusive \([^)]+\), 0\.0 pp", " ".join(out.split()))) == 2
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith(("A:", "B:")))


def test_other_problem_sets_are_refused_or_cut_to_the_shared_ones(
    pair: tuple[Path, Path],
) -> None:
    a, b = pair[0], change(pair[1], limit=8)
    code, _, message = invoke(a, b)
    assert (code, "4 problems only in A" in message) == (2, True)
    assert "--intersect" in message
    code, out, _ = invoke(a, b, "--intersect", "--json")
    found = json.loads(out)
    assert (code, found["problems"]) == (0, 8)
    assert found["dropped"] == ["4 problems only in A, 0 only in B"]
    run = recorded.read(b)
    assert {each.key.problem_id for each in run.scored("base")} == set(run.by_id)


def test_a_problem_that_was_another_one_then_is_dropped(pair: tuple[Path, Path]) -> None:
    file = pair[1] / "manifest.json"
    held = json.loads(file.read_text())
    name = recorded.read(pair[1]).problems[0].id
    held["pinned"] = {**held.get("pinned", {}), f"problem {name}": "of then"}
    file.write_text(json.dumps(held))
    code, _, message = invoke(*pair)
    assert (code, "1 problems with other statements" in message) == (2, True)
    assert run_comparison.compared(*pair, intersect=True).problems == 11


@pytest.mark.parametrize(
    ("setting", "value"), [("prompt", "official"), ("extractor", "official"), ("thinking", True)]
)
def test_other_prompts_and_rules_are_refused_and_said(
    pair: tuple[Path, Path], setting: str, value: object
) -> None:
    change(pair[1], **{setting: value})
    code, _, message = invoke(*pair)
    assert (code, str(setting if setting != "thinking" else "prompt") in message) == (2, True)
    code, out, _ = invoke(*pair, "--intersect")
    assert (code, "not shared: " in out) == (0, True)


def test_other_profiles_need_verdicts_of_one(pair: tuple[Path, Path]) -> None:
    verdicts = (pair[1] / "verdicts.jsonl").read_text()
    other = verdicts.replace('"profile":"faithful"', '"profile":"official"')
    (pair[1] / "verdicts.jsonl").write_text(other)
    change(pair[1], profile="official")
    assert "verdict profile faithful and official" in invoke(*pair)[2]
    code, _, message = invoke(*pair, "--intersect")
    assert (code, "no verdicts are shared" in message) == (2, True)
    (pair[1] / "verdicts.jsonl").write_text(verdicts + other)
    assert invoke(*pair, "--intersect")[0] == 0


def test_nothing_in_common_is_one_line(pair: tuple[Path, Path]) -> None:
    change(pair[1], k=[2])
    code, _, message = invoke(*pair)
    assert (code, "share no k" in message) == (2, True)


def test_difference_is_that_of_the_statistics(pair: tuple[Path, Path]) -> None:
    [found] = run_comparison.compared(*pair, intersect=False).found["base"]
    a = recorded.result(recorded.read(pair[0])).base
    again = difference_of(a.cells[0].scores, found.base, found.distilled, 0)
    assert again == found.groups[0].difference
