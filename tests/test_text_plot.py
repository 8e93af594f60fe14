"""The sweep in the terminal: marks where the means are, within the width, in plain text."""

from __future__ import annotations

import pytest
from synthetic_sweep import configs, draw, make_problems, outcome, usual

from ssd_eval.text_plot import MARKS, ROWS, sweep_text


@pytest.mark.parametrize("width", [50, 80, 200])
def test_it_fits_the_width_and_is_ascii(width: int) -> None:
    lines = sweep_text(usual(), 1, width)
    assert max(map(len, lines)) <= min(width, 100)
    assert all(line.isascii() for line in lines)
    assert len(lines) == ROWS + 3


def test_marks_stand_at_the_means() -> None:
    """Base certain at 0.5 and hopeless later, +SSD the other way round."""
    problems = make_problems(10)
    falling = draw(problems, lambda _, t: float(t < 0.7), seed=1)
    rising = draw(problems, lambda _, t: float(t > 0.7), seed=1)
    _, top, *_, bottom, _, _ = sweep_text(outcome(problems, falling, rising), 1)
    assert top.split("|")[1].split() == [MARKS[0], MARKS[1], MARKS[1]]
    assert bottom.split("|")[1].split() == [MARKS[1], MARKS[0], MARKS[0]]


def test_equal_means_share_a_mark() -> None:
    problems = make_problems(10)
    same = draw(problems, lambda *_: 0.5, seed=1)
    body = "".join(sweep_text(outcome(problems, same, same), 1)[1:-1])
    assert body.count(MARKS[2]) == 3
    assert MARKS[0] not in body
    assert MARKS[1] not in body


def test_one_temperature_or_no_mean_draws_nothing() -> None:
    problems = make_problems(4)
    one = draw(problems, lambda *_: 0.5, seed=1, grid=configs((0.9,)))
    assert sweep_text(outcome(problems, one, one), 1) == []
    few = draw(problems, lambda *_: 0.5, seed=1, samples=2)
    assert sweep_text(outcome(problems, few, few, ks=(5,)), 5) == []
