"""Rates of this machine, and the floor that they put under some work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Floor:
    """Seconds that no float32 engine on these cores can go below, and what they rest on."""

    flop: float
    moved: float  # bytes
    flop_rate: float  # a second, of a large float32 product
    copy_rate: float  # bytes a second, read and written

    @property
    def seconds(self) -> float:
        return max(self.flop / self.flop_rate, self.moved / self.copy_rate)


def rates() -> tuple[float, float]:
    """(float32 operations, bytes copied) a second: the best of ten, on torch's threads."""
    import torch

    square = torch.randn(2048, 2048)
    large = torch.randn(64 * 2**20)  # 256 MiB, beyond every cache
    target = torch.empty_like(large)
    product = min(_seconds(lambda: square @ square) for _ in range(10))
    copy = min(_seconds(lambda: target.copy_(large)) for _ in range(10))
    return 2 * 2048**3 / product, 2 * large.nbytes / copy


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
