"""The folder of positions: what is written comes back, what is damaged is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssd_eval import positions
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError
from ssd_eval.positions import Header, Sequence, row_dtype

TRAIN = DecodingConfig(0.9, 20, 0.8)
EVAL = (DecodingConfig(0.5, 20, 0.8), DecodingConfig(1.5, 20, 0.8))
HEADER = Header("a", "1" * 16, "b", "2" * 16, 735, "base", TRAIN, EVAL)


def sequence(length: int, problem: str = "p") -> Sequence:
    rows = np.zeros(length, row_dtype(3))
    rows["token"] = np.arange(length)
    rows["base"]["support"] = np.arange(length)[:, None] + [1, 2, 3]
    pieces = tuple(f"é{i}" for i in range(length))
    return Sequence(problem, "family", 0, "prompt", 4, "T=1", pieces, rows)


def test_sequences_come_back_in_order_with_their_rows(tmp_path: Path) -> None:
    written = [[sequence(3, "x"), sequence(5, "x")], [sequence(1, "y")]]
    for index, each in enumerate(written):
        positions.write_problem(tmp_path, index, each)
    found = list(positions.read(tmp_path))
    assert [each.info() for each in found] == [each.info() for s in written for each in s]
    for mine, theirs in zip(found, [each for s in written for each in s], strict=True):
        assert mine.rows.dtype == row_dtype(3)
        assert mine.rows.tobytes() == theirs.rows.tobytes()


def test_header_comes_back_and_counts_the_training_decoding(tmp_path: Path) -> None:
    positions.write_header(tmp_path, HEADER)
    assert positions.read_header(tmp_path) == HEADER
    assert HEADER.decodings == (TRAIN, *EVAL)


def test_folder_without_positions_and_other_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no positions"):
        positions.read_header(tmp_path)
    positions.write_header(tmp_path, HEADER)
    path = tmp_path / positions.HEADER
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(RunFolderError, match="format 99"):
        positions.read_header(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 400, -30])
def test_torn_shard_is_named_with_its_path(tmp_path: Path, keep: int) -> None:
    positions.write_problem(tmp_path, 7, [sequence(3)])
    path = positions.shard(tmp_path, 7)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunFolderError, match=r"00007\.npz is damaged"):
        positions.read_problem(tmp_path, 7)


def test_shard_is_replaced_whole(tmp_path: Path) -> None:
    positions.write_problem(tmp_path, 0, [sequence(3)])
    positions.write_problem(tmp_path, 0, [replace(sequence(2), sample=4)])
    assert [(each.sample, len(each.rows)) for each in positions.read(tmp_path)] == [(4, 2)]
    assert [path.name for path in tmp_path.iterdir()] == ["00000.npz"]
