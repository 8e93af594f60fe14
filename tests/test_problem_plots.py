"""The picture of problems: what it counts and draws is what the main table holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_sweep import usual

from ssd_eval.problem_plots import discs, problems_figure, problems_plot


def test_discs_hold_every_paired_problem_once() -> None:
    main = usual().main[0]
    found = discs(main)
    assert found.total() == main.groups[0].difference.problems
    gain = sum((y - x) * n for (x, y), n in found.items()) / found.total()
    assert gain == pytest.approx(100 * (main.groups[0].difference.mean or 0))


def test_gains_stand_at_the_main_tables_differences() -> None:
    result = usual()
    axes = problems_figure(result).axes[1]
    assert [each.get_text() for each in axes.get_xticklabels()] == ["all", "easy", "medium", "hard"]
    drawn = sorted(float(line.get_ydata()[0]) for line in axes.lines if len(line.get_ydata()) == 1)
    means = [100 * (g.difference.mean or 0) for c in result.main for g in c.groups]
    assert drawn == pytest.approx(sorted(means))


def test_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (problems_plot(usual(), tmp_path / name) for name in "ab")
    assert [p.name for p in first] == ["problems.png", "problems.svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
