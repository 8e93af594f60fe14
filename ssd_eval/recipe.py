"""Recipe: every number that decides what an SSD training run computes.

A plain, validated value. Says nothing about data, base model, device or where results go.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ssd_eval.errors import UsageError

Dtype = Literal["float32", "bfloat16", "float16"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """AdamW, linear warm-up, cosine to a floor (paper.md §1, "Training recipe").

    Exactly one of `iterations` (optimiser steps) and `epochs` is set. `batch_size` is the global
    batch in completions; `micro_batch` of them share one forward pass, which changes results by
    rounding only. `max_sequence` is in tokens, prompt and end token included.
    """

    peak_lr: float
    floor_lr: float
    warmup_steps: int
    batch_size: int = 32
    iterations: int | None = None
    epochs: int | None = None
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    max_sequence: int = 65_536
    micro_batch: int = 1
    seed: int = 0
    precision: Precision = "float32"  # arithmetic; bfloat16 keeps float32 master weights
    save_dtype: Dtype = "float32"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.epochs is None):
            raise UsageError("a recipe needs either iterations or epochs: set exactly one of them")
        for name in ("batch_size", "micro_batch", "max_sequence"):
            _at_least(name, getattr(self, name), 1)
        for name in ("iterations", "epochs"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)
        _at_least("warmup_steps", self.warmup_steps, 0)
        self._check_rates()
        _one_of("precision", self.precision, get_args(Precision))
        _one_of("save_dtype", self.save_dtype, get_args(Dtype))

    def _check_rates(self) -> None:
        if not (math.isfinite(self.peak_lr) and self.peak_lr > 0):
            raise UsageError(f"peak_lr {self.peak_lr} is not a number > 0; try 2e-4 or 5e-6")
        if not 0 <= self.floor_lr <= self.peak_lr:
            raise UsageError(
                f"floor_lr {self.floor_lr:g} is outside [0, peak_lr={self.peak_lr:g}]; lower it"
            )
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)} is outside [0, 1); use 0.9 or 0.95")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise UsageError(f"weight_decay {self.weight_decay} is not a number >= 0; use 0 or 0.1")
        if not (math.isfinite(self.clip_norm) and self.clip_norm > 0):
            raise UsageError(f"clip_norm {self.clip_norm} is not a number > 0; use 1.0")

    def steps(self, examples: int) -> int:
        """Optimiser steps over `examples` completions; an epoch's last batch may be small."""
        if self.iterations is not None:
            return self.iterations
        assert self.epochs is not None  # __post_init__
        return self.epochs * math.ceil(examples / self.batch_size)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """`name: theirs -> ours` for every field that differs from a stored recipe."""
        ours = self.to_json()
        names = [f.name for f in fields(self)] + sorted(set(other) - set(ours))
        return [
            f"{name}: {other.get(name)!r} -> {ours.get(name)!r}"
            for name in names
            if other.get(name) != ours.get(name)
        ]


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} {value} is too small; use {least} or more")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} {value!r} is unknown; use one of {', '.join(allowed)}")
