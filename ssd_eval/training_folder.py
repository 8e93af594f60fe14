"""The folder that training writes: what it belongs to, its resumable state, its ssd.json.

    training.json      what is being trained, from the first moment to the last
    training_state.pt  weights, optimiser, schedule and random state after some step
    ssd.json           written last: its presence means that the checkpoint beside it is finished

Each file appears whole or not at all. Computes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_eval.checkpoint import UNFINISHED, read_json
from ssd_eval.errors import CheckpointError, RunFolderError, SsdEvalError
from ssd_eval.recipe import Recipe

FORMAT_VERSION = 1
STATE = "training_state.pt"
SUMMARY = "ssd.json"


@dataclass(frozen=True)
class Identity:
    """What decides the final weights. `base` is a fingerprint, `data` a digest."""

    base: str
    data: str
    recipe: Recipe

    def to_json(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "base": self.base,
            "data": self.data,
            "recipe": self.recipe.to_json(),
        }

    def check(self, stored: dict[str, Any], out: Path) -> None:
        """RunFolderError that names what differs from the training in `out`."""
        reasons = []
        if stored.get("format_version") != FORMAT_VERSION:
            reasons.append(f"format {stored.get('format_version')!r} -> {FORMAT_VERSION}")
        if stored.get("base") != self.base:
            reasons.append(f"base {stored.get('base')} -> {self.base}")
        if stored.get("data") != self.data:
            reasons.append(f"training data {stored.get('data')} -> {self.data}")
        reasons += self.recipe.differences(stored.get("recipe") or {})
        if reasons:
            raise RunFolderError(
                f"{out} holds another training ({'; '.join(reasons)}); choose a new folder, or "
                "delete this one"
            )


def enter(out: Path, identity: Identity) -> dict[str, Any] | None:
    """Claims `out`. The summary when this very training is already finished, else None."""
    if (out / SUMMARY).exists():
        summary = _read(out / SUMMARY)
        identity.check(summary, out)
        tidy(out)
        return summary
    if (out / UNFINISHED).exists():
        identity.check(_read(out / UNFINISHED), out)
        return None
    if out.is_dir() and any(not f.name.startswith(".") for f in out.iterdir()):
        raise RunFolderError(f"{out} is not empty and holds no training; choose a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / UNFINISHED, identity.to_json())
    except (OSError, SsdEvalError) as error:
        raise RunFolderError(f"cannot write to {out} ({error}); choose a writable folder") from None
    return None


def tidy(out: Path) -> None:
    """Removes what only an unfinished training needs."""
    for name in (STATE, UNFINISHED):
        (out / name).unlink(missing_ok=True)


def write_json(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """`write` fills a temporary file that then takes `path`'s place; SsdEvalError on a full disk.

    After a crash at any moment the old content or the new one is there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as RuntimeError
        temporary.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise SsdEvalError(
            f"cannot write {path} ({reason}); free disk space and repeat the command: it continues "
            "from the last state that was saved"
        ) from error


def sync(path: Path) -> None:
    """Flushes a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (CheckpointError, OSError) as error:
        raise RunFolderError(f"{path} is unreadable ({error}); delete {path.parent}") from error
