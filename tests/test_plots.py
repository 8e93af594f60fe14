"""The picture of a sweep: what it shows, that its texts stay apart, and that it is reproducible."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_sweep import configs, draw, make_problems, outcome, peak, usual

from ssd_eval.decoding import DecodingConfig
from ssd_eval.plots import sweep_figure, sweep_plot
from ssd_eval.results import SweepResult


def presets() -> SweepResult:
    problems, own = make_problems(12), DecodingConfig(0.9)
    base = draw(problems, peak(0.9, 0.4), seed=1, grid=(*configs(), own))
    distilled = draw(problems, peak(0.9, 0.6), seed=2)
    return outcome(problems, base, distilled, base_fixed=own)


def equal() -> SweepResult:
    problems = make_problems(12)
    same = draw(problems, peak(0.9, 0.5), seed=1)
    return outcome(problems, same, same)


def lone() -> SweepResult:
    problems = make_problems(1)
    one = draw(problems, lambda *_: 0.5, seed=1, grid=configs((0.9,)))
    return outcome(problems, one, one)


SWEEPS = {
    "usual": usual,
    "one k": lambda: usual(ks=(1,)),
    "four k": lambda: usual(ks=(1, 2, 4, 5)),
    "k above n": lambda: usual(ks=(1, 50)),
    "presets": presets,
    "equal": equal,
    "lone": lone,
    "long name": lambda: usual(ks=(1,), benchmark="/data/" + "a_long_name_" * 12 + ".jsonl"),
}


def drawn(result: SweepResult) -> tuple[Figure, FigureCanvasAgg]:
    figure = sweep_figure(result)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, canvas


def shown_texts(figure: Figure) -> list[Text]:
    """All but the labels of ticks beyond an axis's ends: matplotlib keeps and never draws them."""
    beyond = {
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    found = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_visible()]
    return [text for text in found if text.get_text().strip() and text not in beyond]


@pytest.mark.parametrize("name", SWEEPS)
def test_texts_neither_overlap_nor_leave_the_picture(name: str) -> None:
    figure, canvas = drawn(SWEEPS[name]())
    texts = shown_texts(figure)
    assert len(texts) > 10
    boxes = {text: text.get_window_extent(canvas.get_renderer()) for text in texts}
    for text, box in boxes.items():
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1, text
        assert box.y1 <= figure.bbox.y1 + 1, text
    for (one, box), (other, second) in combinations(boxes.items(), 2):
        overlap = box.padded(-1).overlaps(second.padded(-1))
        assert not overlap, f"{one.get_text()!r} lies over {other.get_text()!r}"


@pytest.mark.parametrize("name", SWEEPS)
def test_both_files_are_written_and_the_same_result_gives_the_same_bytes(
    name: str, tmp_path: Path
) -> None:
    result = SWEEPS[name]()
    first, second = sweep_plot(result, tmp_path / "a" / "b"), sweep_plot(result, tmp_path / "c")
    assert [path.name for path in first] == ["sweep.png", "sweep.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(first[1]).getroot().tag.endswith("svg")


def test_title_and_axes_say_what_is_shown_and_on_what() -> None:
    figure, _ = drawn(usual())
    assert figure.get_suptitle().startswith("made-up (eval), n = 48, samples per problem: 6")
    first, second = figure.axes
    assert first.get_xlabel() == "evaluation temperature T_eval"
    assert (first.get_ylabel(), second.get_ylabel()) == ("mean pass@1, %", "mean pass@5, %")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["base", "+SSD", "best base"]


def test_curves_bands_and_best_base_line_are_the_results_numbers() -> None:
    result = usual()
    axes = drawn(result)[0].axes[0]
    base, distilled, best = axes.get_lines()
    for line, curve in ((base, result.base), (distilled, result.distilled)):
        assert list(line.get_xdata()) == [0.5, 0.9, 1.3]
        means = [100 * (cell.pass_at[1].mean or 0) for cell in curve.cells]
        assert list(line.get_ydata()) == pytest.approx(means)
    assert best.get_ydata()[0] == pytest.approx(max(base.get_ydata()))  # type: ignore[index]
    assert f"best base {max(base.get_ydata()):.1f} % at T = 0.9" in axes.get_title()
    band = axes.collections[0].get_paths()[0].vertices
    cell = result.base.cells[1].pass_at[1]
    heights = sorted(y for x, y in band.tolist() if x == 0.9)
    assert heights[0] == pytest.approx(100 * (cell.low or 0))
    assert heights[-1] == pytest.approx(100 * (cell.high or 0))


def test_curves_differ_in_more_than_colour_and_equal_ones_both_show() -> None:
    base, distilled = drawn(equal())[0].axes[0].get_lines()[:2]
    assert base.get_marker() != distilled.get_marker()
    assert base.get_linestyle() != distilled.get_linestyle()
    assert base.get_zorder() > distilled.get_zorder()
    assert base.get_markerfacecolor() == "none"
    assert base.get_markersize() > distilled.get_markersize()


def test_config_with_another_top_k_is_not_joined_to_the_curve() -> None:
    figure, _ = drawn(presets())
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    assert list(lines["base"].get_xdata()) == [0.5, 0.9, 1.3]
    assert list(lines["base, k = none, p = 1"].get_xdata()) == [0.9]


def test_panel_without_scores_stays_empty() -> None:
    beyond = drawn(usual(ks=(1, 50)))[0].axes[1]
    assert beyond.get_title() == "pass@50"
    assert list(beyond.get_lines()) == []
