"""Rules that tell locks from forks, against what they say they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssd_eval import locks, positions
from ssd_eval.errors import UsageError
from ssd_eval.locks import Rule
from ssd_eval.positions import PLANTED, Sequence, row_dtype


def rows(masses: list[list[float]]) -> np.ndarray:
    """Positions whose likeliest tokens have these masses; support 1, 2, ... entropy .1, .2, ..."""
    found = np.zeros(len(masses), row_dtype(2))
    for row, each in zip(found, masses, strict=True):
        beyond = 1 - np.cumsum([*each, *[0.0] * (60 - len(each))])
        row["base"]["beyond"] = np.maximum(beyond, 0)
    found["base"]["support"][:, 0] = np.arange(1, len(masses) + 1)
    found["base"]["entropy"] = np.arange(1, len(masses) + 1) / 10
    return found


def write(folder: Path, *shards: np.ndarray) -> None:
    for index, each in enumerate(shards):
        pieces = ("x",) * len(each)
        sequence = Sequence(str(index), str(index), 0, "", 1, "", pieces, each)
        positions.write_problem(folder, index, [sequence])


@pytest.mark.parametrize(
    ("masses", "fork"),
    [
        ([0.8, 0.1, 0.1], False),
        ([0.5, 0.3, 0.2], False),  # exactly 0.8 in two tokens
        ([0.5, 0.29, 0.21], True),
        ([0.4, 0.3, 0.2, 0.1], True),
    ],
)
def test_nucleus_counts_the_tokens_in_four_fifths_of_the_mass(
    masses: list[float], fork: bool
) -> None:
    assert Rule("nucleus").forks(rows([masses])).tolist() == [fork]


def test_support_counts_tokens_at_the_training_decoding() -> None:
    assert Rule("support").forks(rows([[1.0]] * 4)).tolist() == [False, False, True, True]


def test_nucleus_does_not_look_at_the_recipe_nor_the_distilled_model() -> None:
    found = rows([[0.4, 0.3, 0.3]])
    found["base"]["support"] = 1
    found["distilled"]["beyond"] = 0
    assert Rule("nucleus").forks(found).tolist() == [True]


@pytest.mark.parametrize("count", [5, 10, 37, 1000])
def test_entropy_quantile_is_exact_over_all_shards(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    found = rows([[1.0]] * count)
    entropy = rng.exponential(size=count).astype(np.float32)
    found["base"]["entropy"] = entropy
    write(tmp_path, found[: count // 3], found[count // 3 :])
    rule = locks.fitted("entropy-quantile", tmp_path)
    cut = np.sort(entropy)[int(np.ceil(0.8 * count)) - 1]
    assert np.float32(rule.cut) == cut
    assert rule.forks(found).sum() == count - int(np.ceil(0.8 * count))


def test_threshold_is_taken_at_its_word(tmp_path: Path) -> None:
    rule = locks.fitted("threshold", tmp_path, threshold=0.25)
    assert rule.forks(rows([[1.0]] * 4)).tolist() == [False, False, True, True]
    assert "0.25 nats" in str(rule)
    assert locks.fitted("threshold", tmp_path).cut == pytest.approx(np.log(2))


def test_unknown_rule_and_stray_threshold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="known: nucleus, support, entropy-quantile, threshold"):
        locks.fitted("nuclear", tmp_path)
    with pytest.raises(UsageError, match="--rule threshold"):
        locks.fitted("nucleus", tmp_path, threshold=1.0)


def test_rules_are_judged_by_what_is_planted(tmp_path: Path) -> None:
    """Support calls the third and later positions forks: one planted fork, one lock, one other."""
    found = rows([[1.0]] * 6)
    found["planted"] = [PLANTED.index(n) for n in ("lock", "fork", "lock", "fork", "none", "none")]
    write(tmp_path, found[:2], found[2:])
    shift = rows([[1.0]] * 6)["base"]["support"][:, 0]
    assert shift.tolist() == [1, 2, 3, 4, 5, 6]
    judged = locks.judged(tmp_path, [Rule("support")])[0]
    assert (judged.locks, judged.forks, judged.others) == (2, 2, 2)
    assert judged.lock_recall == 0.5
    assert judged.fork_recall == 0.5
    assert judged.lock_precision == 0.5
    assert judged.fork_precision == 0.25


def test_nothing_planted_is_not_judged(tmp_path: Path) -> None:
    write(tmp_path, rows([[1.0]] * 3))
    assert locks.judged(tmp_path, [Rule("support")]) == []
