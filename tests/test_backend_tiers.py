"""Rows kept by length: what a slot holds stays its own while rows move, go and are renumbered."""

from __future__ import annotations

import random

import numpy as np
import torch
from numpy.typing import NDArray

from ssd_eval.backends.slots import STRIDE
from ssd_eval.backends.tiers import SMALLEST, Shape, Tiers

SHAPE = Shape(layers=2, heads=3, width=4, dtype=torch.float32)
Positions = NDArray[np.int64]


def step(tiers: Tiers, positions: Positions, marks: dict[int, int]) -> None:
    """Writes each slot's mark at its position, in each layer, as a decode step would."""
    readings = tiers.readings(positions)
    order = tiers.order().tolist()
    assert sorted(order) == list(range(len(positions)))
    for each in readings:
        new = torch.tensor([float(marks[slot]) for slot in order[each.rows]])
        for layer in range(SHAPE.layers):
            kinds = torch.tensor([1.0] * 3 + [-1.0] * 3)  # keys, values
            rows = new[:, None, None] * kinds[None, :, None] + 1000.0 * layer * kinds[None, :, None]
            each.write(layer, rows.expand(-1, -1, SHAPE.width))
    positions[list(marks)] += 1


def seen(tiers: Tiers, positions: Positions, layer: int) -> dict[int, list[float]]:
    """What attention would read of each slot, and that keys and values, heads and widths agree."""
    found: dict[int, list[float]] = {}
    order = tiers.order().tolist()
    for each in tiers.readings(positions - 1):
        keys, values = (part.unflatten(0, (-1, 3)) for part in each.keys_values(layer))
        assert torch.equal(keys, -values)
        for row, slot in enumerate(order[each.rows]):
            visible = each.bias[row, 0] == 0
            read = keys[row][:, visible]
            assert torch.equal(read, read[:1, :, :1].expand_as(read))
            found[slot] = read[0, :, 0].tolist()
    return found


def test_every_slot_reads_what_was_written_for_it_whatever_its_neighbours_do() -> None:
    """Random comings, goings, moves and renumberings beside plain lists."""
    draw = random.Random(1)
    slots = 12
    tiers, positions = Tiers(SHAPE, slots), np.zeros(slots, dtype=np.int64)
    marks: dict[int, int] = {}
    truth: dict[int, list[float]] = {}
    fresh = 0
    for turn in range(400):
        for slot in range(slots):
            if slot not in marks and draw.random() < 0.3:
                fresh, length = fresh + 1, draw.choice([0, 1, 31, SMALLEST - 1, 70, 130])
                prompt = [
                    (torch.full((1, 3, length, 4), value), torch.full((1, 3, length, 4), -value))
                    for value in (float(fresh), fresh + 1000.0)
                ]
                tiers.place(slot, prompt, length)
                positions[slot], marks[slot] = length, fresh
                truth[slot] = [float(fresh)] * length
        if marks:
            step(tiers, positions, marks)
            for slot, mark in marks.items():
                truth[slot].append(float(mark))
            assert seen(tiers, positions, 0) == truth
            assert seen(tiers, positions, 1) == {
                slot: [each + 1000.0 for each in row] for slot, row in truth.items()
            }
        for slot in list(marks):
            if draw.random() < 0.02:
                tiers.clear(slot)
                positions[slot] = 0
                del marks[slot], truth[slot]
        if turn == 300:
            kept = sorted(marks, reverse=True)
            tiers.keep(kept)
            slots, positions = len(kept), positions[kept]
            marks = {new: marks[old] for new, old in enumerate(kept)}
            truth = {new: truth[old] for new, old in enumerate(kept)}
    assert max(map(len, truth.values())) > 2 * SMALLEST


def test_a_short_row_is_read_at_its_own_length_beside_a_long_one() -> None:
    tiers, positions = Tiers(SHAPE, 3), np.array([5, 1000, 40], dtype=np.int64)
    for slot in range(3):
        tiers.place(slot, [], int(positions[slot]))
    lengths = {
        slot: each.bias.shape[2]
        for each in tiers.readings(positions)
        for slot in tiers.order()[each.rows].tolist()
    }
    assert lengths[1] >= 1001
    assert max(lengths[0], lengths[2]) <= SMALLEST
    assert all(length % STRIDE == 0 for length in lengths.values())


def test_no_row_is_read_at_more_than_twice_its_length() -> None:
    """Beyond the first tier, which is SMALLEST wide."""
    for length in range(SMALLEST, 3000, 97):
        tiers = Tiers(SHAPE, 1)
        tiers.place(0, [], length)
        [reading] = tiers.readings(np.array([length]))
        assert length + 1 <= reading.store.shape[4] <= 2 * (length + 1)
