"""Estimates over problems of what changed at locks and forks; their tables, JSON and picture."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from ssd_eval import figure6, positions
from ssd_eval.decoding import DecodingConfig
from ssd_eval.figure6 import Sums
from ssd_eval.figure6_plot import figure6_plot
from ssd_eval.figure6_tables import report
from ssd_eval.locks import Judged, Rule
from ssd_eval.measures import measure
from ssd_eval.positions import SYNTAX, Header, Sequence

CONFIGS = [DecodingConfig(t, 20, 0.8) for t in (0.9, 0.0, 0.7, 1.5)]
HEADER = Header("a", "1", "b", "2", 100, "base", CONFIGS[0], tuple(CONFIGS[1:]))
RULE = Rule("support")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five problems in three clusters, one of two sequences: real measures of random logits."""
    path = tmp_path_factory.mktemp("positions")
    positions.write_header(path, HEADER)
    torch.manual_seed(0)
    for index, lengths in enumerate([(9, 14), (20,), (11,), (8,), (6,)]):
        written = []
        for sample, length in enumerate(lengths):
            base = torch.randn(length, 100) * torch.rand(length, 1) * 9
            distilled = base * 1.2 + torch.randn(length, 100)
            rows = measure(base, distilled, torch.randint(0, 100, (length,)), CONFIGS)
            rows["syntax"] = np.arange(length) % 4
            pieces = ("x",) * length
            name, cluster = f"p{index}", f"c{index % 3}"
            written.append(Sequence(name, cluster, sample, "", 1, "", pieces, rows))
        positions.write_problem(path, index, written)
    return path


@pytest.fixture(scope="module")
def sums(folder: Path) -> Sums:
    return figure6.collect(folder, RULE)


def by_hand(folder: Path, group: str, value: object) -> list[float]:
    """Problem means of `value(rows)` over the group's positions."""
    found: dict[str, list[float]] = {}
    for each in positions.read(folder):
        fork = RULE.forks(each.rows)
        chosen = {"all": fork | True, "lock": ~fork, "fork": fork}.get(group)
        if chosen is None:
            chosen = each.rows["syntax"] == SYNTAX.index(group)
        found.setdefault(each.problem, []).extend(np.asarray(value(each.rows))[chosen])  # type: ignore[operator]
    return [float(np.mean(each)) for each in found.values() if each]


@pytest.mark.parametrize("group", ["all", "lock", "fork", "name"])
def test_estimates_are_means_over_problems(folder: Path, sums: Sums, group: str) -> None:
    cases = {
        "base.entropy": lambda rows: rows["base"]["entropy"],
        "distilled.support.3": lambda rows: rows["distilled"]["support"][:, 3],
        "base.in_tail.0": lambda r: (1 - r["base"]["kept"][:, 0]) * r["base"]["tail"][:, 0],
        "teff.2": lambda rows: rows["teff"][:, 1],
        "distilled.beyond.7": lambda rows: rows["distilled"]["beyond"][:, 6],
        "kl": lambda rows: rows["kl"],
    }
    for quantity, value in cases.items():
        expected = by_hand(folder, group, value)
        found = sums.estimate(quantity, group)
        assert found.mean == pytest.approx(np.mean(expected), rel=1e-6)
        assert found.problems == len(expected)


def test_changes_are_paired(sums: Sums) -> None:
    row = figure6.row(sums, "entropy", "fork")
    assert row.difference.mean == pytest.approx(row.distilled.mean - row.base.mean)
    whole = sums.change("cross_entropy", "fork").mean
    parts = figure6.shares(sums, "fork")
    assert sum(each.difference.mean or 0 for each in parts) == pytest.approx(whole, rel=1e-5)
    assert sum(each.share or 0 for each in parts) == pytest.approx(1, rel=1e-5)


def test_groups_partition_the_positions(sums: Sums) -> None:
    counts = dict(zip(figure6.GROUPS, sums.counts, strict=True))
    assert counts["lock"] + counts["fork"] == counts["all"] == sums.positions == 68
    assert sum(counts[name] for name in SYNTAX) == counts["all"]
    assert sum(counts[name] for name in figure6.BIN_NAMES) == counts["all"]
    assert sums.forks_by_syntax.sum() == counts["fork"]


@pytest.mark.parametrize(("mass", "name"), [(0.9995, 0), (0.9985, 1), (0.95, 4), (0.5, 5)])
def test_bins_are_of_the_bases_top_20_mass(folder: Path, mass: float, name: int) -> None:
    rows = next(positions.read(folder)).rows[:1].copy()
    rows["base"]["top20"] = mass
    members = figure6._members(rows, RULE.forks(rows))
    assert [bool(each[0]) for each in members[-6:]] == [place == name for place in range(6)]


def test_report_fits_80_columns_and_names_its_rule(sums: Sums) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report(sums, [Judged(RULE, 10, 1, 4, 3, 20, 1)]))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in (
        str(RULE),
        "Figure 6a",
        "Figure 6b",
        "Figure 6c",
        "6d",
        "90 %",
        "75 %",
        "residual",
    ):
        assert part in text, part


def test_json_holds_every_table_and_no_nan(sums: Sums) -> None:
    found = json.loads(json.dumps(figure6.report(sums), allow_nan=False))
    assert found["rule"] == str(RULE)
    assert len(found["groups"]["fork"]["beyond_rank"]["base"]) == 60
    assert len(found["groups"]["lock"]["by_decoding"]) == 3
    assert found["largest_residual"] < 1e-9
    assert found["largest_relative_residual"] < 1e-4


def test_residual_is_the_largest_of_either_model_in_nats_and_over_its_loss(
    folder: Path, tmp_path: Path
) -> None:
    """A loss of 0 has no share; nor has a term that is infinite."""
    rows = next(positions.read(folder)).rows[:4].copy()
    for model, residuals in (("base", [0, 1e-3, 0, np.nan]), ("distilled", [0, -2e-4, 5e-4, 0])):
        rows[model]["residual"] = residuals
        rows[model]["cross_entropy"] = [1, 2, 0, np.inf]
    rows["distilled"]["cross_entropy"][1] = 0.25
    positions.write_header(tmp_path, HEADER)
    one = Sequence("p", "c", 0, "", 1, "", ("x",) * 4, rows)
    positions.write_problem(tmp_path, 0, [one])
    found = figure6.collect(tmp_path, RULE)
    assert found.largest_residual == 1e-3
    assert found.largest_relative_residual == pytest.approx(2e-4 / 0.25)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report(found, []))
    assert "1.0e-03 nats, and 8.0e-04 of a position's loss" in " ".join(
        console.export_text().split()
    )


def test_picture_without_forks_is_laid_out_and_says_so(folder: Path, tmp_path: Path) -> None:
    none = figure6.collect(folder, Rule("threshold", 1e9))
    assert none.counts[2] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's: a layout that could not be applied
        _, svg = figure6_plot(none, tmp_path)
    assert svg.read_text().count("<!-- no such positions -->") == 3


def test_picture_has_all_panels_and_is_the_same_each_time(sums: Sums, tmp_path: Path) -> None:
    png, svg = figure6_plot(sums, tmp_path / "a")
    again, _ = figure6_plot(sums, tmp_path / "b")
    assert png.read_bytes() == again.read_bytes()
    text = svg.read_text()
    for part in "abcd":
        assert f"<!-- ({part})" in text
