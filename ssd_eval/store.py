"""A run's folder: manifest, append-only records, one writer at a time, resume after any crash.

Each record is one line, written whole by one call; a torn last line is cut off when the folder is
opened again. Decides nothing about what belongs in a run; `launch` and `stages` do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

from sandbox.base import PROFILES, Profile, Status
from ssd_eval import lock, manifest
from ssd_eval.errors import RunFolderError
from ssd_eval.journal import Journal
from ssd_eval.records import FORMAT_VERSION, Completion, SampleKey, Verdict

COMPLETIONS, VERDICTS = "completions.jsonl", "verdicts.jsonl"
STATUSES = frozenset(get_args(Status))


class RunStore:
    """An open run folder; a context manager. `completions` and `verdicts` hold what is finished.

    A verdict's key is the sample's with the profile; those of other profiles stay in the file.
    """

    def __init__(
        self,
        folder: Path,
        fields: dict[str, Any],
        held: ExitStack,
        profile: Profile = "faithful",
    ) -> None:
        self.folder = folder
        self.profile: Profile = profile
        self.manifest = fields
        self._held = held
        self._completions = Journal(folder / COMPLETIONS, _completion)
        held.callback(self._completions.close)
        self._verdicts = Journal(
            folder / VERDICTS, _verdict, lambda verdict: verdict.profile == profile
        )
        held.callback(self._verdicts.close)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        digest: str,
        manifest: Mapping[str, object],
        pinned: Mapping[str, str] | None = None,
        profile: Profile = "faithful",
    ) -> RunStore:
        """Creates the folder, or continues the one that holds this very run.

        `digest` names the settings that results depend on; `pinned` names what the records rest on
        (a problem's tests, say) and the hash of its content. More may be pinned later, none may
        change. Raises RunFolderError for a folder of other settings or another format, a corrupt
        record, a changed content, a folder in use, or no room to write.
        """
        with ExitStack() as held:
            with lock.writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            held.callback(os.close, lock.acquire(folder))
            fields = _continued(folder, digest, manifest, pinned or {})
            store = cls(folder, fields, held, profile)
            store.update(status="started")
            store._held = held.pop_all()
        return store

    @property
    def completions(self) -> Mapping[SampleKey, Completion]:
        return self._completions.records

    @property
    def verdicts(self) -> Mapping[SampleKey, Verdict]:
        return self._verdicts.records

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)

    def graded(self) -> set[SampleKey]:
        """Keys with a verdict of the program's own; an infra_error is worth another try."""
        return {key for key, each in self.verdicts.items() if each.status != "infra_error"}

    def add_completion(self, completion: Completion) -> None:
        self._completions.append(completion)

    def add_verdict(self, verdict: Verdict) -> None:
        """Raises ValueError for a verdict of another profile than the folder was opened for."""
        if verdict.profile != self.profile:
            raise ValueError(f"a verdict of {verdict.profile} among those of {self.profile}")
        self._verdicts.append(verdict)

    def update(self, **fields: object) -> None:
        """Sets manifest fields; the file is replaced whole, and never ahead of the records."""
        self._completions.sync()
        self._verdicts.sync()
        self.manifest = {**self.manifest, **fields}
        manifest.write(self.folder, self.manifest)

    def finish(self) -> None:
        self.update(status="finished")

    def interrupt(self) -> None:
        self.update(status="interrupted")

    def close(self) -> None:
        self._held.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _continued(
    folder: Path, digest: str, given: Mapping[str, object], pinned: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest to go on with: what is held, under what is given.

    A new folder gets it before any other file, so that a crash leaves no folder of nobody's.
    """
    held = manifest.read(folder)
    if held is not None:
        manifest.check(folder, held, digest, pinned)
        return {
            **held,
            **given,
            "pinned": {**held.get("pinned", {}), **pinned},
            "earlier": [*held.get("earlier", ()), *_replaced(held, given)],
        }
    _refuse_strangers(folder)
    fresh = {"format": FORMAT_VERSION, "digest": digest, "status": "started", **given}
    fresh["pinned"] = dict(pinned)
    manifest.write(folder, fresh)
    return fresh


def _replaced(held: Mapping[str, Any], given: Mapping[str, object]) -> list[dict[str, Any]]:
    """What earlier commands worked with and this one does not: their records stay in the folder."""
    now = json.loads(json.dumps(given))
    changed = {name: held[name] for name in given if name in held and held[name] != now[name]}
    return [changed] if changed else []


def _refuse_strangers(folder: Path) -> None:
    known = {lock.LOCK, manifest.UNFINISHED}
    found = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if found:
        raise RunFolderError(
            f"{folder} holds {found[0]} and is no run folder; choose another --run-dir"
        )


def _completion(row: dict[str, Any]) -> Completion:
    completion = Completion.from_json(row)
    if not isinstance(completion.text, str) or completion.finish not in ("stop", "length"):
        raise TypeError("no completion")
    if not all(type(token) is int for token in completion.token_ids):
        raise TypeError("no token ids")
    return completion


def _verdict(row: dict[str, Any]) -> Verdict:
    verdict = Verdict.from_json(row)
    if verdict.status not in STATUSES or verdict.profile not in PROFILES:
        raise ValueError("no status, or no profile")
    return verdict
