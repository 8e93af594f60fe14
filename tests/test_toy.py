"""The toy machine gives the paper's numbers, and its optima are optima."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import cli
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.toy import Machine, ToyResult, curve, solve
from ssd_eval.toy_report import draw, report

TRAINING = DecodingConfig(0.9, 0, 0.85)


@pytest.fixture(scope="module")
def paper() -> ToyResult:
    return solve(Machine(), TRAINING)


def percent(policy: dict[int, float]) -> list[float]:
    return [round(100 * p, 1) for p in policy.values()]


def test_student_learns_the_papers_supports(paper: ToyResult) -> None:
    assert percent(paper.support["lock"]) == [94.8, 5.2]
    assert percent(paper.support["fork"])[:2] == [34.4, 16.9]
    assert len(paper.support["fork"]) == 5
    assert paper.support["root"][2] == pytest.approx(0.406, abs=5e-4)
    assert len(paper.support["root"]) == 4


def test_optima_are_the_papers(paper: ToyResult) -> None:
    teacher, student = paper.main.teacher, paper.main.student
    assert round(100 * teacher.grid_success, 2) == 8.32
    assert round(teacher.grid_temperature, 3) == 0.639
    assert round(100 * student.grid_success, 2) == 13.77
    assert round(student.grid_temperature, 2) == 2.09


def test_fork_nuclei_at_the_optima_are_the_papers(paper: ToyResult) -> None:
    assert percent(paper.main.teacher.policy["fork"]) == [48.2, 17.8, 17.0, 17.0]
    assert percent(paper.main.student.policy["fork"]) == [32.1, 22.9, 22.5, 22.5]


def test_student_leads_by_the_papers_margins(paper: ToyResult) -> None:
    gaps = {gap.top_p: round(gap.points, 1) for gap in paper.gaps}
    assert list(gaps) == [0.65, 0.7, 0.75, 0.8, 0.85, 0.9]
    assert (min(gaps.values()), gaps[0.9]) == (1.4, 1.4)
    assert (max(gaps.values()), gaps[0.8]) == (5.4, 5.4)


def test_refined_optimum_is_above_every_grid_point(paper: ToyResult) -> None:
    for gap in paper.gaps:
        for best in (gap.teacher, gap.student):
            assert best.success >= best.grid_success
    fine = np.linspace(0.6, 0.7, 2001)
    values = curve(Machine(), Machine().policy(), fine, 0, 0.8)
    assert values.max() <= paper.main.teacher.success
    assert values.max() == pytest.approx(paper.main.teacher.success, abs=1e-5)


def plain(head: tuple[float, ...], temperature: float, top_p: float) -> list[float]:
    """Temperature and nucleus by the textbook, without ssd_eval.decoding."""
    tail = [0.5**i for i in range(16 - len(head))]
    p = [*head, *((1 - sum(head)) * t / sum(tail) for t in tail)]
    tempered = [x ** (1 / temperature) for x in p]
    order = sorted(range(16), key=lambda i: -tempered[i])
    kept: list[int] = []
    for token in order:
        if sum(tempered[i] for i in kept) / sum(tempered) >= top_p:
            break
        kept.append(token)
    mass = sum(tempered[i] for i in kept)
    return [tempered[i] / mass if i in kept else 0.0 for i in range(16)]


@pytest.mark.parametrize("temperature", [0.3, 0.639, 1.0, 2.2])
def test_curve_equals_a_plain_calculation(temperature: float) -> None:
    machine = Machine()
    root, fork, lock = (
        plain(head, temperature, 0.8) for head in (machine.root, machine.fork, machine.lock)
    )
    expected = (root[0] + root[1]) * fork[0] * lock[0] ** 3
    [value] = curve(machine, machine.policy(), [temperature], 0, 0.8)
    assert value == pytest.approx(expected, rel=1e-12)


def test_machine_is_selectable() -> None:
    result = solve(
        Machine(root=(0.5, 0.3), fork=(0.9,), lock=(0.99,), paths=1, locks=1, vocabulary=8),
        DecodingConfig(1.0), top_p=1.0, top_ps=(), temperatures=(0.5, 2.0), points=3,
    )  # fmt: skip
    # Without truncation at T = 1 the student is the teacher.
    assert result.student == pytest.approx(result.teacher)
    assert max(result.teacher) == result.teacher[0]
    assert result.gaps == ()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"root": (0.6, 0.6)}, "sums to 1.2"),
        ({"fork": ()}, "between 0 and 1"),
        ({"lock": (float("nan"),)}, "between 0 and 1"),
        ({"vocabulary": 4}, "leave one"),
        ({"ratio": 0.0}, "ratio"),
        ({"locks": -1}, "locks"),
        ({"paths": 0}, "passing"),
        ({"vocabulary": 10**9}, "outside"),
    ],
)
def test_impossible_machine_is_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Machine(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "flags",
    [
        ["--temperatures", "1"], ["--temperatures", "2,1"], ["--temperatures", "nan,1"],
        ["--points", "2"], ["--top-p", "0"], ["--t-train", "-1"], ["--plot", "toy.txt"],
        ["--plot", "/proc/nowhere/toy.png"],
    ],
)  # fmt: skip
def test_bad_flag_is_one_line(flags: list[str]) -> None:
    done = CliRunner().invoke(cli.cli, ["toy", "--points", "9", *flags])
    assert isinstance(done.exception, UsageError)
    assert "\n" not in str(done.exception)


def test_command_prints_80_columns_json_and_a_picture(tmp_path: Path, paper: ToyResult) -> None:
    file = tmp_path / "deep" / "toy.png"
    done = CliRunner().invoke(cli.cli, ["toy", "--json", "--points", "101", "--plot", str(file)])
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert len(value["gaps"]) == 6
    assert value["main"]["gap_pp"] == pytest.approx(5.44, abs=0.01)
    assert file.read_bytes().startswith(b"\x89PNG")
    console = Console(width=80)
    with console.capture() as captured:
        console.print(report(paper))
    lines = captured.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any("94.8*  5.2" in line for line in lines)
    assert not any("…" in line for line in lines)


def test_picture_of_a_machine_without_gaps(tmp_path: Path) -> None:
    result = solve(Machine(), TRAINING, top_ps=(), points=5)
    draw(result, tmp_path / "toy.svg")
    assert "<svg" in (tmp_path / "toy.svg").read_text()
