"""From how many rows up this machine's matrix products treat a row alike.

A product picks its kernel by the number of rows, and kernels add in different orders: the last bits
of a row may depend on its neighbours. From some number of rows up they don't; which number depends
on the processor (4 on some, 16 with AMX), so it is tried with the model's own layers. Says nothing
of other devices, whose kernels are many.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

FEWEST = 8  # batches have never been narrower
CANDIDATES = (FEWEST, 16, 32)
TRIED = (8, 12, 16, 20, 24, 32, 48, 100)
FULL = 64


def alike_from(model: Any, joined: Iterable[Tensor] = ()) -> int:
    """The fewest rows from which on a row's products keep every bit; FEWEST where none will do.

    `joined`: further weights, [outputs, inputs], that `model`'s layers are multiplied as.
    """
    if model.device.type != "cpu":
        return FEWEST
    layers = [each.weight.detach() for each in model.modules() if type(each) is nn.Linear]
    weights = {tuple(each.shape): each for each in (*layers, *joined)}
    unlike = {rows for each in weights.values() for rows in _unlike(each)}
    return next((c for c in CANDIDATES if all(rows < c for rows in unlike)), FEWEST)


@torch.inference_mode()
def _unlike(weight: Tensor) -> list[int]:
    """The numbers of rows that give other bits than FULL rows do."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(max(TRIED), weight.shape[1], generator=draw).to(weight.dtype)
    full = nn.functional.linear(x[:FULL], weight)
    found = ((rows, nn.functional.linear(x[:rows], weight)) for rows in TRIED)
    return [rows for rows, out in found if not torch.equal(out[:FULL], full[:rows])]
