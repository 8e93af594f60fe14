"""pass@k over k: both curves with intervals, reproducible, and a picture for one k too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from synthetic_sweep import configs, draw, make_problems, outcome, usual

from ssd_eval import reach
from ssd_eval.reach_plot import reach_figure, reach_plot

NAMES = ("T=0.9", "T=1.3")


def test_both_curves_rise_through_their_means() -> None:
    found = reach.of_sweep(usual())
    assert found is not None
    assert [step.k for step in found[0].steps] == [1, 2, 5, 6]
    axes = reach_figure(*found).axes[0]
    for line, side in zip(axes.get_lines(), ("base", "distilled"), strict=False):
        means = [getattr(step, side).mean for step in found[0].steps]
        assert list(line.get_ydata()) == pytest.approx([100 * mean for mean in means])
        assert means == sorted(means)
    assert found[1] == ("T=0.9 k=20 p=0.8", "T=1.3 k=20 p=0.8")


def test_one_sample_and_equal_curves_are_drawn(tmp_path: Path) -> None:
    problems = make_problems(5)
    one = draw(problems, lambda *_: 0.5, seed=1, samples=1, grid=configs((0.9,)))
    found = reach.of_sweep(outcome(problems, one, one, ks=(1,)))
    assert found is not None
    figure = reach_figure(*found)
    FigureCanvasAgg(figure).draw()
    assert "no crossing" in figure.axes[0].get_title()
    first = [path.read_bytes() for path in reach_plot(*found, tmp_path, "pass-at-k")]
    assert first == [path.read_bytes() for path in reach_plot(*found, tmp_path, "pass-at-k")]


def test_a_sweep_without_scores_has_no_curve() -> None:
    problems = make_problems(4)
    few = draw(problems, lambda *_: 0.5, seed=1, samples=2)
    assert reach.of_sweep(outcome(problems, few, few, ks=(5,))) is None


def test_the_crossing_is_marked() -> None:
    problems = make_problems(30)
    steady = draw(problems, lambda p, _: float(int(p.id[1:]) % 2), seed=1)
    spread = draw(problems, lambda *_: 0.35, seed=2)
    found = reach.reach(
        *(reach_scores(problems, drawn) for drawn in (spread, steady)),
    )
    assert found.crossing is not None
    figure = reach_figure(found, NAMES)
    assert f"base level by k = {found.crossing}" in figure.axes[0].get_title()


def reach_scores(problems: Any, drawn: Any) -> Any:
    from ssd_eval import metrics

    return metrics.collect(next(iter(drawn.values())), problems)
