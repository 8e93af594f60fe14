"""Fit: the arithmetic of SSD training, one optimiser step at a time.

Imports torch; `ssd_eval.train` imports this lazily and owns folders, resuming and reports.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup_lr_rate

from ssd_eval.batches import Row, micro_batches
from ssd_eval.errors import SsdEvalError, UsageError
from ssd_eval.recipe import Recipe

IGNORED = -100  # torch's label for "no loss here"


@dataclass
class Progress:
    """What has been done so far. `losses` holds one mean per token and step."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    tokens_trained: int = 0  # targets
    tokens_processed: int = 0  # prompts and targets, without padding
    seconds: float = 0.0


@dataclass(frozen=True)
class Session:
    """Everything that holds tensors."""

    accelerator: Accelerator
    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR


@dataclass(frozen=True)
class BatchLoss:
    """One global batch: mean loss in nats per target, and its tokens."""

    loss: float
    targets: int
    tokens: int


def start(model: PreTrainedModel, recipe: Recipe, total: int, device: str) -> Session:
    """Master weights, optimiser and accelerator for a fresh run."""
    # A sweep trains several recipes in one process, and accelerate keeps the first one's settings.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        cpu=device == "cpu", mixed_precision="bf16" if recipe.precision == "bfloat16" else "no"
    )
    if accelerator.num_processes > 1:
        raise UsageError("train runs in one process; start it without accelerate launch")
    if recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    model.train()
    optimiser = torch.optim.AdamW(
        parameter_groups(model, recipe.weight_decay),
        lr=recipe.peak_lr,
        betas=(recipe.beta1, recipe.beta2),
        fused=True,
    )
    prepared: Any = accelerator.prepare(model, optimiser)
    return Session(accelerator, prepared[0], prepared[1], cosine(prepared[1], recipe, total))


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; norms and biases don't."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def warmup_steps(recipe: Recipe, total: int) -> int:
    """As the recipe says, but never more than half of a short run."""
    return min(recipe.warmup_steps, total // 2)


def cosine(
    optimiser: torch.optim.Optimizer, recipe: Recipe, total: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Step i (from 0) of w warm-up steps: peak·(i+1)/w; the last step's rate is the floor."""
    schedule: torch.optim.lr_scheduler.LambdaLR
    schedule = get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
        getattr(optimiser, "optimizer", optimiser),  # accelerate's wrapper is no torch Optimizer
        num_warmup_steps=warmup_steps(recipe, total),
        num_training_steps=total,
        min_lr_rate=recipe.floor_lr / recipe.peak_lr,
    )
    return schedule


def loss_sum(model: torch.nn.Module, rows: Sequence[Row], device: torch.device) -> torch.Tensor:
    """Cross-entropy in nats summed over all targets of `rows`; the prompts are masked.

    No attention mask: padding is on the right, where causal attention never looks. Logits are
    computed only at positions that predict some row's target: at a vocabulary of 150k they would
    otherwise outweigh the rest.
    """
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    for index, row in enumerate(rows):
        tokens = torch.tensor(row.ids)
        ids[index, : len(tokens)] = tokens
        labels[index, row.start : len(tokens)] = tokens[row.start :]
    first = min(row.start for row in rows) - 1  # a position predicts the next token
    wanted = labels[:, first + 1 :].to(device)
    logits = model(
        input_ids=ids[:, :-1].to(device), use_cache=False, logits_to_keep=width - 1 - first
    ).logits
    return functional.cross_entropy(
        logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def accumulate(session: Session, rows: Sequence[Row], micro_batch: int) -> BatchLoss:
    """Leaves the gradient of the mean loss per target over `rows` in the parameters.

    Dividing by the global count makes every split into micro-batches the same gradient.
    """
    targets = sum(row.targets for row in rows)
    total = 0.0
    for part in micro_batches(rows, micro_batch):
        loss = loss_sum(session.model, part, session.accelerator.device) / targets
        session.accelerator.backward(loss)
        total += loss.item()
    return BatchLoss(total, targets, sum(len(row.ids) for row in rows))


def clip(session: Session, recipe: Recipe) -> float:
    """Clips the gradient to the recipe's norm; the norm before that."""
    norm = session.accelerator.clip_grad_norm_(session.model.parameters(), recipe.clip_norm)
    return float(norm)


def check_finite(loss: float, norm: float, step: int, recipe: Recipe) -> None:
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise SsdEvalError(
            f"step {step}: loss {loss:g}, gradient norm {norm:g}; lower peak_lr "
            f"(now {recipe.peak_lr:g}) and train into a new folder"
        )


def update(session: Session) -> None:
    """Moves the weights and the schedule one step on."""
    session.optimiser.step()
    session.schedule.step()
    session.optimiser.zero_grad(set_to_none=True)


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seeded and deterministic inside; torch's global settings are as before afterwards."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filling = memory.fill_uninitialized_memory
    # Warn where a GPU kernel has no deterministic form, rather than refuse the model.
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # costs time, hides nothing here
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        memory.fill_uninitialized_memory = filling
