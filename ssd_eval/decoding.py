"""DecodingConfig and the one canonical truncation: temperature, then top-k, then top-p.

The reference for every backend (paper.md §1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ssd_eval.errors import UsageError


@dataclass(frozen=True)
class DecodingConfig:
    """Temperature (0 is greedy), top_k (0 keeps all), top_p in (0, 1] (1 keeps all)."""

    temperature: float
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(
                f"temperature {self.temperature} is not a number >= 0; use 0 for greedy decoding"
            )
        if self.top_k < 0:
            raise UsageError(f"top_k {self.top_k} is negative; use 0 to keep every token")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p {self.top_p} is outside (0, 1]; use 1 to keep every token")

    def __str__(self) -> str:
        k = self.top_k or "none"
        return f"T={self.temperature:g} k={k} p={self.top_p:g}"
