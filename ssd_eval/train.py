"""SSD training: plain cross-entropy on a frozen base model's own completions (paper.md §1).

Full fine-tuning in one process. Resumable exactly: a killed run, repeated, ends in the weights that
an uninterrupted one gives (same machine type and thread count). Samples nothing, filters nothing.
"""

from __future__ import annotations

import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval import batches, checkpoint, training_folder
from ssd_eval.batches import Rows, TrainingExample, data_digest, to_rows
from ssd_eval.errors import (
    CheckpointError,
    RunFolderError,
    SsdEvalError,
    UsageError,
    out_of_memory,
)
from ssd_eval.recipe import Recipe
from ssd_eval.training_folder import STATE, SUMMARY, Identity

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ssd_eval.fit import Progress, Session

__all__ = ["Recipe", "StepReport", "TrainReport", "TrainingExample", "train"]

SAVING_SHARE = 0.05  # of the time, at most, goes into saving states


@dataclass(frozen=True)
class StepReport:
    """One optimiser step. `loss` in nats per target, `grad_norm` before clipping.

    `tokens_per_s` counts prompts and targets, without padding, since this process began;
    `seconds` is training time over all processes.
    """

    step: int  # from 1
    total: int
    loss: float
    lr: float
    grad_norm: float
    tokens_per_s: float
    seconds: float


@dataclass(frozen=True)
class TrainReport:
    """`resumed_at` is the step that this call continued from; `steps` when nothing was left."""

    path: Path
    fingerprint: str
    steps: int
    resumed_at: int
    examples: int
    tokens_trained: int
    seconds: float
    losses: tuple[float, ...]


def train(
    checkpoint_name: str,
    completions: Sequence[TrainingExample],
    recipe: Recipe,
    out: Path,
    *,
    on_step: Callable[[StepReport], None] | None = None,
    device: str = "auto",
    dropped: Mapping[str, int] | None = None,
    save_seconds: float = 20.0,
) -> TrainReport:
    """Trains `checkpoint_name` on `completions` and leaves a Hugging Face checkpoint in `out`.

    The same call continues an interrupted training and returns at once from a finished one.
    `dropped` (from `degenerate.screen`) is only recorded. A state is saved at most every
    `save_seconds`, less often where saving is slow.

    Raises RunFolderError (`out` holds something else), CheckpointError, UsageError (no data), and
    SsdEvalError (non-finite loss, out of memory, disk full). KeyboardInterrupt and what `on_step`
    raises pass through once the state is saved.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}; use auto, cpu or cuda")
    base = checkpoint.fingerprint(checkpoint_name)
    identity = Identity(base, data_digest(completions), recipe)
    summary = training_folder.enter(out, identity)
    if summary is not None:
        return _report(out, summary, resumed_at=summary["schedule"]["steps"])
    from ssd_eval import fit

    tokenizer = checkpoint.load_tokenizer(checkpoint_name)
    model = checkpoint.load_model(checkpoint_name, dtype="float32", device=device)
    rows = to_rows(completions, checkpoint.end_token(tokenizer), _limit(model, recipe))
    _check_vocabulary(rows, model)
    total = recipe.steps(len(rows.rows))
    with fit.deterministic(recipe.seed):
        session = fit.start(model, recipe, total, device)
        progress = _load_state(out / STATE, session)
        resumed_at = progress.step
        run = _Run(session, progress, rows, recipe, total, out, save_seconds)
        _continue(run, on_step)
    _save_checkpoint(out, model, tokenizer, recipe)
    summary = identity.to_json() | {
        "base_name": checkpoint_name,
        "fingerprint": checkpoint.content_hash(out),
        "examples": _example_counts(completions, rows, dropped or {}),
        "schedule": {"steps": total, "warmup_steps": fit.warmup_steps(recipe, total)},
        "cost": _cost(progress),
        "environment": _environment(str(session.accelerator.device)),
        "loss": progress.losses,
    }
    training_folder.write_json(out / SUMMARY, summary)
    training_folder.tidy(out)
    return _report(out, summary, resumed_at)


@dataclass(frozen=True)
class _Run:
    session: Session
    progress: Progress
    rows: Rows
    recipe: Recipe
    total: int
    out: Path
    save_seconds: float


def _continue(run: _Run, on_step: Callable[[StepReport], None] | None) -> None:
    """From the progress made to the last step; saves the state now and then, and when stopped."""
    plan = batches.steps(len(run.rows.rows), run.recipe.batch_size, run.total, run.recipe.seed)
    pace = _Pace(run.progress.tokens_processed, run.progress.seconds)
    wait, saved_at, saved_step = run.save_seconds, time.monotonic(), run.progress.step
    try:
        for index, chosen in enumerate(plan):
            if index < run.progress.step:
                continue
            report = _step(run, chosen, pace)
            if time.monotonic() - saved_at >= wait and run.progress.step < run.total:
                wait = max(run.save_seconds, _save_state(run) / SAVING_SHARE)
                saved_at, saved_step = time.monotonic(), run.progress.step
            if on_step is not None:
                on_step(report)
    except SsdEvalError:
        raise  # of our own: the last saved state is the right one
    except BaseException as error:
        if run.progress.step > saved_step:
            _save_state(run)
        if out_of_memory(error):
            raise SsdEvalError(
                f"out of memory at step {run.progress.step + 1}; lower micro_batch or "
                "max_sequence, or set gradient_checkpointing, and train into a new folder"
            ) from error
        raise


@dataclass(frozen=True)
class _Pace:
    """What was done before this process, so that its own speed can be told."""

    tokens: int
    seconds: float


def _step(run: _Run, chosen: list[int], pace: _Pace) -> StepReport:
    from ssd_eval import fit

    began = time.perf_counter()
    session, progress = run.session, run.progress
    lr = float(session.schedule.get_last_lr()[0])
    # An earlier attempt may have been interrupted between backward and update.
    session.optimiser.zero_grad(set_to_none=True)
    batch = fit.accumulate(session, [run.rows.rows[i] for i in chosen], run.recipe.micro_batch)
    norm = fit.clip(session, run.recipe)
    fit.check_finite(batch.loss, norm, progress.step + 1, run.recipe)
    with _uninterrupted():
        fit.update(session)
        progress.step += 1
        progress.losses.append(batch.loss)
        progress.tokens_trained += batch.targets
        progress.tokens_processed += batch.tokens
        progress.seconds += time.perf_counter() - began
    speed = (progress.tokens_processed - pace.tokens) / (progress.seconds - pace.seconds)
    return StepReport(
        progress.step, run.total, batch.loss, lr, norm, speed, round(progress.seconds, 3)
    )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C back for a moment: half an update must never be saved as a state."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pending.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pending:
        signal.raise_signal(signal.SIGINT)


def _save_state(run: _Run) -> float:
    """Seconds that it took."""
    import torch

    began = time.monotonic()
    session = run.session
    state = {
        "progress": asdict(run.progress),
        "model": session.accelerator.unwrap_model(session.model).state_dict(),
        "optimiser": session.optimiser.state_dict(),
        "schedule": session.schedule.state_dict(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    training_folder.write_whole(run.out / STATE, lambda path: torch.save(state, path))
    return time.monotonic() - began


def _load_state(path: Path, session: Session) -> Progress:
    import torch

    from ssd_eval.fit import Progress

    if not path.exists():
        return Progress()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        session.accelerator.unwrap_model(session.model).load_state_dict(state["model"])
        session.optimiser.load_state_dict(state["optimiser"])
        session.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_random"])
        return Progress(**state["progress"])
    except Exception as error:
        # torch.load raises many kinds of error for a damaged file.
        raise RunFolderError(
            f"{path} cannot be read ({type(error).__name__}); delete it to train from the start"
        ) from error


def _limit(model: PreTrainedModel, recipe: Recipe) -> int:
    """Tokens a row may have: the recipe's, within the model's context."""
    return min(recipe.max_sequence, getattr(model.config, "max_position_embeddings", 2**62))


def _check_vocabulary(rows: Rows, model: PreTrainedModel) -> None:
    embeddings: Any = model.get_input_embeddings()
    size = int(embeddings.weight.shape[0])
    largest = max(max(row.ids) for row in rows.rows)
    if largest >= size:
        raise CheckpointError(
            f"token id {largest} is outside the model's vocabulary of {size}; train on completions "
            "that were sampled with this checkpoint's tokenizer"
        )


def _save_checkpoint(
    out: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, recipe: Recipe
) -> None:
    import torch

    if recipe.save_dtype != "float32":
        model.to(getattr(torch, recipe.save_dtype))
    try:
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
    except Exception as error:
        # safetensors has an error class of its own for a full disk.
        raise SsdEvalError(
            f"cannot write the checkpoint to {out} ({error}); free disk space and repeat the "
            "command"
        ) from error
    for file in out.iterdir():
        training_folder.sync(file)


def _example_counts(
    given: Sequence[TrainingExample], rows: Rows, filtered: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "kept": len(rows.rows),
        "dropped": {**filtered, **rows.dropped},
        "unfinished": sum(not e.finished for e in given),
        "cut_to_max_sequence": rows.cut,
        "problems": len({e.problem_id for e in given}),
    }


def _cost(progress: Progress) -> dict[str, Any]:
    return {
        "tokens_trained": progress.tokens_trained,
        "tokens_processed": progress.tokens_processed,
        "seconds": round(progress.seconds, 3),
    }


def _environment(device: str) -> dict[str, Any]:
    import torch

    names = ("ssd-eval", "torch", "transformers", "accelerate")
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def _report(out: Path, summary: dict[str, Any], resumed_at: int) -> TrainReport:
    if checkpoint.fingerprint(out) != summary["fingerprint"]:
        raise RunFolderError(
            f"the checkpoint in {out} was changed after training; delete the folder to train again"
        )
    return TrainReport(
        path=out,
        fingerprint=summary["fingerprint"],
        steps=summary["schedule"]["steps"],
        resumed_at=resumed_at,
        examples=summary["examples"]["kept"],
        tokens_trained=summary["cost"]["tokens_trained"],
        seconds=summary["cost"]["seconds"],
        losses=tuple(summary["loss"]),
    )
