"""A run folder's manifest.json: read, replaced whole, and checked before a run continues."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssd_eval.errors import RunFolderError
from ssd_eval.lock import writing
from ssd_eval.records import FORMAT_VERSION

MANIFEST = "manifest.json"
UNFINISHED = f"{MANIFEST}.new"


def read(folder: Path) -> dict[str, Any] | None:
    """None where there is none. Raises RunFolderError for one that can't be read."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunFolderError(
            f"{path} cannot be read: {error.strerror}; choose another --run-dir"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunFolderError(
            f"{path} is no JSON ({type(error).__name__}); choose another --run-dir"
        ) from error
    if not isinstance(manifest, dict):
        raise RunFolderError(f"{path} holds no manifest; choose another --run-dir")
    return manifest


def write(folder: Path, manifest: Mapping[str, object]) -> None:
    """Replaces the manifest whole: a crash leaves the old one or the new one."""
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    fresh = folder / UNFINISHED
    with writing(folder):
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / MANIFEST)


def check(folder: Path, held: Mapping[str, Any], digest: str, pinned: Mapping[str, str]) -> None:
    """Raises RunFolderError where `held` is another format's, another run's, or what its records
    rest on has changed since."""
    if held.get("format") != FORMAT_VERSION:
        raise RunFolderError(
            f"{folder} has format {held.get('format')}, this version writes {FORMAT_VERSION}; "
            "choose another --run-dir"
        )
    if held.get("digest") != digest:
        raise RunFolderError(
            f"{folder} belongs to a run with other settings ({held.get('digest')}, now {digest}); "
            "repeat its settings or choose another --run-dir"
        )
    before = held.get("pinned", {})
    changed = [name for name, value in pinned.items() if before.get(name, value) != value]
    if changed:
        raise RunFolderError(
            f"{changed[0]} has changed since {folder} was written"
            f"{f' (and {len(changed) - 1} more)' if changed[1:] else ''}; "
            "restore it or choose another --run-dir"
        )
