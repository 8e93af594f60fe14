"""T_train x T_eval: the parabola, truncated against not, tables, picture, and a real small grid."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console
from synthetic_sweep import configs, draw, make_problems, usual

from benchmarks.base import Problem
from ssd_eval import results
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.grid import Grid, decodings, gathered
from ssd_eval.grid_plot import grid_figure, grid_plot
from ssd_eval.grid_sheets import grid_sheets, report
from ssd_eval.quadratic import fitted

ROOT = Path(__file__).parents[1]
T_EVAL, KEPT, WHOLE = (0.5, 0.9, 1.3), (20, 0.8), (0, 1.0)
PROBLEMS = make_problems(40)
Height = Callable[[float], float]  # of T_eff


def hill(top: float) -> Height:
    return lambda t_eff: max(0.0, top - 0.5 * (t_eff - 1.2) ** 2)


def grid(kept: Height | None, whole: Height | None = None, samples: int = 6) -> Grid:
    curves = {}
    for cut, height in ((KEPT, kept), (WHOLE, whole)):
        for seed, t_train in enumerate((0.5, 1.0, 1.5) if height else ()):
            assert height is not None

            def rate(_: Problem, t: float, height: Height = height, by: float = t_train) -> float:
                return height(by * t)

            drawn = draw(
                PROBLEMS, rate, seed=10 * cut[0] + seed, samples=samples, grid=configs(T_EVAL)
            )
            curves[DecodingConfig(t_train, *cut)] = results.curve(
                PROBLEMS, drawn, "student", truncated={}, ks=(1, 5)
            )
    return gathered(usual(), curves, 0)


def test_a_parabola_is_found_exactly() -> None:
    found = fitted([(x, 0.4 - 0.3 * (x - 1.1) ** 2) for x in (0.3, 0.8, 1.2, 1.9)])
    assert found.r_squared == pytest.approx(1)
    assert found.peak == pytest.approx(1.1)
    assert found.at(1.1) == pytest.approx(0.4)


def test_r_squared_is_the_explained_share_of_the_spread() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.3, 3, 40)
    y = 0.5 - 0.2 * (x - 1.4) ** 2 + rng.normal(0, 0.1, 40)
    design = np.stack([np.ones_like(x), x, x**2], axis=1)
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    found = fitted(list(zip(x.tolist(), y.tolist(), strict=True)))
    assert found.r_squared == pytest.approx(1 - rest @ rest / ((y - y.mean()) ** 2).sum())


def test_a_peak_is_named_only_within_the_points() -> None:
    assert fitted([(x, x**2) for x in (0.5, 1.0, 1.5, 2.0)]).peak is None  # opens upwards
    assert fitted([(x, -((x - 5) ** 2)) for x in (0.5, 1.0, 1.5, 2.0)]).peak is None


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([(0.5, 0.1), (1.0, 0.2), (1.5, 0.1)], "fewer than four"),
        ([(0.5, 0.1), (1.0, 0.2), (0.5, 0.1), (1.0, 0.2)], "three T_eff"),
        ([(x, 0.0) for x in (0.5, 1.0, 1.5, 2.0)], "all cells alike"),
    ],
)
def test_too_little_to_fit_has_a_reason_and_no_r_squared(
    points: list[tuple[float, float]], reason: str
) -> None:
    found = fitted(points)
    assert (found.r_squared, found.at(1.0)) == (None, None)
    assert reason in str(found.reason)


def test_a_point_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        fitted([(1.0, float("nan")), (1.5, 0.1), (2.0, 0.2), (2.5, 0.1)])


def test_truncated_training_that_is_better_is_called_better() -> None:
    found = grid(hill(0.8), hill(0.4))
    assert [each.verdict for each in found.contrasts] == ["better", "better"]
    assert [each.difference.mean or 0 for each in found.contrasts] == [
        pytest.approx(0.4, abs=0.1),
        pytest.approx(0.36, abs=0.1),
    ]


def test_equal_families_are_told_apart_no_more_often_than_by_chance() -> None:
    found = grid(hill(0.6), hill(0.6))
    assert [each.verdict for each in found.contrasts] == ["inconclusive", "inconclusive"]


def test_contrasts_are_corrected_for_their_number() -> None:
    for each in grid(hill(0.8), hill(0.7)).contrasts:
        assert each.adjusted_p is not None
        assert each.difference.p_value is not None
        assert each.adjusted_p >= each.difference.p_value
    assert max(c.adjusted_p or 0 for c in grid(hill(0.8), hill(0.79)).contrasts) > 0


def test_the_best_cell_is_chosen_without_its_own_problems() -> None:
    """Pure noise: the naive maximum flatters, the cross-fitted best does not."""
    gaps = []
    for level in (0.3, 0.5, 0.7):
        family = grid(lambda _, level=level: level, samples=5).families[0]  # type: ignore[misc]
        cells = [c.pass_at[1].mean or 0 for s in family.students.values() for c in s.cells]
        gaps.append(max(cells) - (family.best.mean or 0))
    assert np.mean(gaps) > 0.02


def test_one_family_has_no_contrast() -> None:
    found = grid(hill(0.8))
    assert not found.contrasts
    assert [sheet.slug for sheet in grid_sheets(found)] == ["grid-truncated"]


def test_grid_tables_fit_80_columns_and_say_the_fit() -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report(grid(hill(0.8), hill(0.4)), 80))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for words in ("R² 0.", "peak at", "T_train", "trained without truncation", "after Holm"):
        assert words in " ".join(text.split())


def test_the_json_is_strict() -> None:
    value = json.loads(json.dumps(grid(hill(0.8), hill(0.4)).to_json(), allow_nan=False))
    assert [each["name"] for each in value["families"]] == ["truncated", "untruncated"]
    assert len(value["contrasts"]) == 2


def test_the_picture_shows_every_cell_and_the_fit(tmp_path: Path) -> None:
    figure = grid_figure(grid(hill(0.8), hill(0.4)))
    FigureCanvasAgg(figure).draw()
    heat, curve = figure.axes[0], figure.axes[2]
    assert len(heat.texts) == 9
    assert len(curve.get_lines()) >= 4  # three students and the parabola
    assert "R²" in curve.get_title()
    first = [path.read_bytes() for path in grid_plot(grid(hill(0.8)), tmp_path)]
    assert first == [path.read_bytes() for path in grid_plot(grid(hill(0.8)), tmp_path)]


def test_a_grid_of_nothing_but_failures_is_drawn() -> None:
    figure = grid_figure(grid(lambda _: 0.0, lambda _: 0.0))
    FigureCanvasAgg(figure).draw()
    assert "all cells alike" in figure.axes[2].get_title()


@pytest.mark.parametrize(("asked", "fix"), [((), "0.5,1"), ((1, 1), "once"), ((0,), "greedy")])
def test_temperatures_that_make_no_grid_are_refused(asked: tuple[float, ...], fix: str) -> None:
    job: Any = SimpleNamespace(
        config=SimpleNamespace(generation=lambda: DecodingConfig(1.0, *KEPT))
    )
    with pytest.raises(UsageError, match=fix):
        decodings(job, asked, True)


def test_untruncated_presets_train_one_family() -> None:
    job: Any = SimpleNamespace(config=SimpleNamespace(generation=lambda: DecodingConfig(1.2)))
    assert decodings(job, (1.5, 0.5), True) == (DecodingConfig(0.5), DecodingConfig(1.5))


@pytest.mark.slow
def test_a_real_grid_trains_once_and_reuses_the_sweeps_student(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    problems, run = tmp_path / "problems.jsonl", tmp_path / "run"
    tests = [{"kind": "stdin", "input": "1", "expected": "1"}]
    rows = [{"id": name, "statement": f"Echo {name}.", "tests": tests} for name in ("a", "b")]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Say {n}."}) + "\n" for n in range(4)))
    command = [
        *(sys.executable, "-c", "import cli; cli.main()", "grid", "--base", str(tiny_checkpoint)),
        *("--preset", "organism", "--benchmark", str(problems), "--samples", "2", "--k", "1"),
        *("--t-eval", "0.5,1.0", "--max-tokens", "8", "--t-train", "1.0,2.0", "--iterations", "1"),
        *("--samples-per-prompt", "1", "--prompts", str(prompts), "--run-dir", str(run), "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    assert [list(f["students"]) for f in first["families"]] == [["1", "2"], ["1", "2"]]
    assert {p.name for p in (run / "students").iterdir()} == {
        "T2-k20-p0.8", "T1-k0-p1", "T2-k0-p1",
    }  # fmt: skip
    assert (run / "plots" / "grid.svg").stat().st_size > 1000
    assert "trained without truncation" in (run / "report.html").read_text()
    again = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert json.loads(again.stdout)["families"] == first["families"]
    assert "sample" not in again.stderr
    assert "train student" not in again.stderr
