"""Keys and values of a batch's rows, kept by length: a short row is not paid for as a long one.

Rows of a `Tier` have room for the same number of tokens. A row that outgrows its tier moves to the
next, which has twice the room, so attention reads at most twice what a row holds and each row is
copied once for each doubling. Knows no model, no requests and no sampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssd_eval.backends.slots import STRIDE, KeysValues

SMALLEST = 2 * STRIDE  # tokens of the first tier
FIRST_ROWS = 8  # rows that a tier makes room for at first


@dataclass(frozen=True)
class Shape:
    """Of the model's keys and values."""

    layers: int
    heads: int
    width: int
    dtype: torch.dtype


class Tier:
    """`slots[i]` is the slot whose tokens row i holds; rows are dense, in no order.

    `store`: [layers, 2 (keys, values), rows, heads, capacity, width].
    """

    def __init__(self, shape: Shape, capacity: int) -> None:
        self._shape = shape
        self.capacity = capacity
        self.slots: list[int] = []
        self.store = self._room(FIRST_ROWS)

    def add(self, slot: int) -> int:
        """The row that the slot got; what it holds is left from others."""
        rows = self.store.shape[2]
        if len(self.slots) == rows:
            wider = self._room(2 * rows)
            wider[:, :, :rows] = self.store
            self.store = wider
        self.slots.append(slot)
        return len(self.slots) - 1

    def drop(self, slot: int) -> None:
        """The last row takes the dropped one's place."""
        row, last = self.slots.index(slot), len(self.slots) - 1
        if row != last:
            self.store[:, :, row] = self.store[:, :, last]
            self.slots[row] = self.slots[last]
        self.slots.pop()

    def _room(self, rows: int) -> Tensor:
        # Zeros: what lies beyond a row's position has a weight of 0, and 0 * NaN is NaN.
        shape = self._shape
        size = (shape.layers, 2, rows, shape.heads, self.capacity, shape.width)
        return torch.zeros(size, dtype=shape.dtype)


@dataclass(frozen=True)
class Reading:
    """One tier in one step. `rows`: its part of the batch's rows, as these are laid out.

    `index`: [rows, 2 * heads], where each row's new key and value heads go in a layer's store as
    [-1, width]; `bias`: [rows, 1, length], 0 where a row has tokens and -inf beyond.
    """

    rows: slice
    store: Tensor
    index: Tensor
    bias: Tensor

    def keys_values(self, layer: int) -> tuple[Tensor, Tensor]:
        """Each [rows * heads, length, width]."""
        count, length = self.bias.shape[0], self.bias.shape[2]
        keys, values = self.store[layer, :, :count, :, :length]
        return keys.flatten(0, 1), values.flatten(0, 1)

    def write(self, layer: int, new: Tensor) -> None:
        """`new`: [rows, 2 * heads, width], keys first."""
        flat = self.store[layer].view(-1, self.store.shape[-1])
        flat[self.index] = new


class Tiers:
    """The rows of all slots. Slots that hold nothing are in no tier."""

    def __init__(self, shape: Shape, slots: int) -> None:
        self._shape = shape
        self._count = slots
        self._tiers: list[Tier] = []
        self._of: dict[int, int] = {}  # slot -> index of its tier

    def place(self, slot: int, prompt: KeysValues, tokens: int) -> None:
        """Puts a prompt's first `tokens` tokens into an empty slot."""
        index = self._index(tokens + 1)
        row = self._tiers[index].add(slot)
        self._of[slot] = index
        for layer, (keys, values) in enumerate(prompt):
            self._tiers[index].store[layer, 0, row, :, :tokens] = keys[0, :, :tokens]
            self._tiers[index].store[layer, 1, row, :, :tokens] = values[0, :, :tokens]

    def clear(self, slot: int) -> None:
        self._tiers[self._of.pop(slot)].drop(slot)

    def keep(self, slots: Sequence[int]) -> None:
        """Numbers the slots anew, in this order; those left out hold nothing."""
        number = {old: new for new, old in enumerate(slots)}
        self._count = len(slots)
        self._of = {number[slot]: tier for slot, tier in self._of.items()}
        for tier in self._tiers:
            tier.slots = [number[slot] for slot in tier.slots]

    def order(self) -> NDArray[np.int64]:
        """All slots, tier by tier, the empty ones last: how a step lays its rows out."""
        held = [slot for tier in self._tiers for slot in tier.slots]
        empty = sorted(set(range(self._count)) - self._of.keys())
        return np.array([*held, *empty], dtype=np.int64)

    def readings(self, positions: NDArray[np.int64]) -> list[Reading]:
        """What a step reads; `positions[slot]`: where the slot's next token goes.

        Rows that have no room for it move first, so this comes before `order`.
        """
        for slot, index in list(self._of.items()):
            if positions[slot] >= self._tiers[index].capacity:
                self._move(slot)
        found, start = [], 0
        for tier in self._tiers:
            if tier.slots:
                found.append(self._reading(tier, start, positions[tier.slots]))
                start += len(tier.slots)
        return found

    def _reading(self, tier: Tier, start: int, positions: NDArray[np.int64]) -> Reading:
        count, heads = len(tier.slots), self._shape.heads
        length = -(-(int(positions.max()) + 1) // STRIDE) * STRIDE
        at = torch.from_numpy(positions)
        kinds = torch.arange(2 * heads)
        rows = tier.store.shape[2]
        # Head h of keys (kind 0) and values (kind 1): ((kind * rows + row) * heads + h) * capacity.
        base = (kinds // heads) * rows * heads + kinds % heads
        index = (base + torch.arange(count).unsqueeze(1) * heads) * tier.capacity + at.unsqueeze(1)
        beyond = torch.arange(length) > at.unsqueeze(1)
        bias = torch.zeros(count, length, dtype=self._shape.dtype).masked_fill_(beyond, -math.inf)
        return Reading(slice(start, start + count), tier.store, index, bias.unsqueeze(1))

    def _move(self, slot: int) -> None:
        old = self._tiers[self._of[slot]]
        row = old.slots.index(slot)
        self._of[slot] = self._index(old.capacity + 1)
        new = self._tiers[self._of[slot]]
        wider = new.add(slot)
        new.store[:, :, wider, :, : old.capacity] = old.store[:, :, row]
        old.drop(slot)

    def _index(self, tokens: int) -> int:
        """The first tier with room for so many, made where it is missing."""
        while not self._tiers or self._tiers[-1].capacity < tokens:
            capacity = 2 * self._tiers[-1].capacity if self._tiers else SMALLEST
            self._tiers.append(Tier(self._shape, capacity))
        return next(i for i, tier in enumerate(self._tiers) if tier.capacity >= tokens)
