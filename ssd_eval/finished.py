"""A finished run's folder, read without becoming its writer: checkpoints, prompts, completions.

Prompts are encoded again from the benchmark and checked against the hash that every key holds, so
that what is analysed is what was sampled. Changes no file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.base import Problem
from benchmarks.prompts import messages
from ssd_eval import manifest, stages, store
from ssd_eval.config import RunConfig
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.records import FORMAT_VERSION, Completion, SampleKey
from ssd_eval.sample import STOP_RULES, decoding_digest, prompt_hash, stops
from ssd_eval.sweep import evaluation_problems

if TYPE_CHECKING:
    from ssd_eval.backends.base import Backend

Role = Literal["base", "distilled"]
ROLES: tuple[Role, Role] = ("base", "distilled")
# problem → its completions, by sample index
Samples = Mapping[str, Sequence[Completion]]


@dataclass(frozen=True)
class FinishedRun:
    """`checkpoints`: role → (folder or name, fingerprint)."""

    folder: Path
    config: RunConfig
    checkpoints: Mapping[Role, tuple[str, str]]

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        return evaluation_problems(self.config)[1]

    @cached_property
    def samples(self) -> Mapping[tuple[Role, DecodingConfig], Samples]:
        """Of the scored problems; completions for training are left out."""
        roles = {fingerprint: role for role, (_, fingerprint) in self.checkpoints.items()}
        scored = {problem.id for problem in self.problems}
        found: dict[Any, dict[str, list[Completion]]] = defaultdict(lambda: defaultdict(list))
        for each in _completions(self.folder / store.COMPLETIONS):
            role = roles.get(each.key.checkpoint)
            if role and each.key.problem_id in scored:
                found[role, each.decoding][each.key.problem_id].append(each)
        return {
            key: {p: sorted(rows, key=lambda c: c.key.sample) for p, rows in groups.items()}
            for key, groups in found.items()
        }

    def common(self) -> tuple[DecodingConfig, ...]:
        """The decodings at which both checkpoints were sampled, by temperature."""
        mine, theirs = ({d for r, d in self.samples if r == role} for role in ROLES)
        return tuple(sorted(mine & theirs, key=lambda d: (d.temperature, d.top_k, d.top_p)))

    def prompts(self, backend: Backend) -> dict[str, tuple[int, ...]]:
        """Token ids by problem. Raises RunFolderError where they are not those of the run."""
        by_id = {each.id: each for each in self.problems}
        prompts = {each.id: backend.encode(messages(each)) for each in self.problems}
        for groups in self.samples.values():
            for problem, completions in groups.items():
                self._check(by_id[problem], completions[0], prompts[problem])
        return prompts

    def _check(self, problem: Problem, completion: Completion, prompt: tuple[int, ...]) -> None:
        digest = decoding_digest(
            completion.decoding,
            max_tokens=self.config.max_tokens,
            prompt=prompt_hash(prompt),
            fingerprint=completion.key.checkpoint,
            stop=(*STOP_RULES, *stops(problem)),
        )
        if digest != completion.key.decoding:
            raise RunFolderError(
                f"the prompt of {completion.key.problem_id} is not the one that {self.folder} was "
                "sampled with; use the version of the benchmark and tokenizer of that run"
            )


def read(folder: Path) -> FinishedRun:
    """Raises RunFolderError for a folder that holds no finished comparison of two checkpoints."""
    held = manifest.read(folder)
    if held is None:
        raise RunFolderError(f"{folder} is no run folder; give one that `ssd-eval sweep` finished")
    if held.get("format") != FORMAT_VERSION:
        raise RunFolderError(
            f"{folder} has format {held.get('format')}, this version reads {FORMAT_VERSION}"
        )
    if held.get("status") != "finished":
        raise RunFolderError(f"{folder} is not finished; repeat its command first")
    try:
        config = RunConfig.model_validate(held["config"])
        names = config.base, config.distilled or str(folder / stages.DISTILLED)
        both = list(zip(names, _fingerprints(held), strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{folder} compares no two checkpoints; give a folder that `ssd-eval sweep` finished"
        ) from error
    return FinishedRun(folder, config, dict(zip(ROLES, both, strict=True)))


def _fingerprints(held: Mapping[str, Any]) -> tuple[str, str]:
    """Base's and distilled's: as scored, or of older folders as loaded and trained."""
    scored, known = held.get("scored", {}), held["checkpoints"]
    base = scored.get("base") or known["base"]["fingerprint"]
    distilled = known.get("distilled") or held.get("training") or {}
    return str(base), str(scored.get("distilled") or distilled["fingerprint"])


def _completions(path: Path) -> list[Completion]:
    found: dict[SampleKey, Completion] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            completion = Completion.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, UsageError) as error:
            raise RunFolderError(
                f"{path}, line {number} is corrupt ({type(error).__name__}); delete that line and "
                "repeat the sweep: only its sample is done again"
            ) from error
        found[completion.key] = completion
    return list(found.values())
