"""LoRA adapters in PEFT's format: the checkpoint they belong to, and their weights merged into it.

An adapter's folder stands wherever a checkpoint's does. Plain LoRA on linear layers alone; what
else PEFT can save is refused by name. Trains none.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_eval.errors import CheckpointError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # PEFT's, before each module's name
# Settings that change what the weights mean, and the only values that are understood.
PLAIN: dict[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "bias": (None, "none"),
    "use_dora": (None, False),
    "lora_bias": (None, False),
    "fan_in_fan_out": (None, False),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
}


@dataclass(frozen=True)
class Adapter:
    """`base`: the name of its checkpoint, a folder or a hub id. W + `scale` B A is what it does."""

    path: Path
    base: str
    rank: int
    scale: float


def adapter(path: Path) -> Adapter | None:
    """The adapter in a folder; None where it holds a whole checkpoint. Raises CheckpointError."""
    if (path / "config.json").is_file() or not (path / CONFIG).is_file():
        return None
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        base, rank = str(config["base_model_name_or_path"] or ""), int(config["r"])
        root = math.sqrt(rank) if config.get("use_rslora") else rank
        scale = float(config["lora_alpha"]) / root
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{path / CONFIG} is no adapter's ({type(error).__name__}: {error}); restore it"
        ) from error
    for name, understood in PLAIN.items():
        if config.get(name) not in understood:
            raise CheckpointError(
                f"the adapter in {path} has {name} {config.get(name)!r}, which is not understood; "
                "merge it into its checkpoint (peft's merge_and_unload) and give that"
            )
    if not base:
        raise CheckpointError(f"{path / CONFIG} names no base_model_name_or_path; add it")
    return Adapter(path, base, rank, scale)


def merge(model: Any, found: Adapter) -> None:
    """Adds the adapter to the model's weights. Raises CheckpointError where they don't fit."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(found.path / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{found.path / WEIGHTS} cannot be loaded ({error}); restore the adapter"
        ) from error
    modules = dict(model.named_modules())
    with torch.no_grad():
        for name in sorted({key.rpartition(".lora_")[0] for key in tensors}):
            module = modules.get(name.removeprefix(PREFIX))
            down, up = (tensors.pop(f"{name}.lora_{each}.weight", None) for each in "AB")
            if down is None or up is None or not isinstance(module, torch.nn.Linear):
                raise CheckpointError(f"{_misfit(found)}: {name or 'a tensor without a module'}")
            if (len(up), up.shape[-1], down.shape[-1]) != (
                module.out_features,
                len(down),
                module.in_features,
            ):
                raise CheckpointError(f"{_misfit(found)}: {name} has another shape")
            change = found.scale * (up.float() @ down.float())
            module.weight.copy_(module.weight.float() + change.to(module.weight.device))
    if tensors:
        raise CheckpointError(f"{_misfit(found)}: {min(tensors)}")


def _misfit(found: Adapter) -> str:
    return f"the adapter in {found.path} does not fit {found.base}"
