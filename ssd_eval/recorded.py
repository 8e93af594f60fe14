"""A sweep read back from its folder: the result that its command had, with nothing done again.

Needs the benchmark's problems (difficulties, clusters), and no checkpoint, sandbox or torch.
Changes no file; a folder that another process still writes is refused, as it is not finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from benchmarks.base import Benchmark, Problem
from sandbox.base import Profile
from ssd_eval import finished, manifest, sweep
from ssd_eval.config import RunConfig
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.finished import Role
from ssd_eval.records import Completion, SampleKey, Verdict
from ssd_eval.results import SweepResult
from ssd_eval.store import COMPLETIONS, VERDICTS


class _Keyed(Protocol):
    @property
    def key(self) -> SampleKey: ...


Record = TypeVar("Record", bound=_Keyed)


@dataclass(frozen=True)
class Records:
    completions: Mapping[SampleKey, Completion]
    verdicts: Mapping[SampleKey, Verdict]  # of the run's profile
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class RecordedRun:
    """`fingerprints` are those of the two checkpoints by role. `changed` names the problems that
    are not as they were: verdicts stand, but statements and tests are those of now."""

    folder: Path
    config: RunConfig
    store: sweep.Records
    benchmark: Benchmark
    problems: tuple[Problem, ...]
    fingerprints: Mapping[Role, str]
    changed: tuple[str, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Problem]:
        return {problem.id: problem for problem in self.problems}

    @property
    def tier(self) -> str:
        return str(self.store.manifest.get("sandbox", {}).get("tier", "unknown"))

    def scored(self, role: Role) -> list[Completion]:
        """A checkpoint's graded completions of the scored problems, as the last command asked."""
        fixed = self.config.baseline() if role == "base" else self.config.evaluation()
        configs = {*self.config.grid(), *([fixed] if fixed else [])}
        drawn = self._of(role, configs, self.config.samples)
        graded = self.store.verdicts
        return [e for e in drawn if e.key.problem_id in self.by_id and e.key in graded]

    def training(self) -> list[Completion]:
        """What SSD was trained on, where this run trained."""
        if self.config.distilled:
            return []
        scored = {problem.id for problem in self.benchmark.problems()}
        drawn = self._of("base", {self.config.generation()}, self.config.samples_per_prompt)
        return [each for each in drawn if each.key.problem_id not in scored]

    def _of(self, role: Role, configs: set[DecodingConfig], samples: int) -> Iterator[Completion]:
        checkpoint = self.fingerprints[role]
        for key, each in self.store.completions.items():
            if key.checkpoint == checkpoint and key.sample < samples and each.decoding in configs:
                yield each


def read(folder: Path, profile: Profile | None = None) -> RecordedRun:
    """With the verdicts of `profile`, or else of the one that the run's last command asked for.

    Raises RunFolderError for a folder without a finished sweep, BenchmarkError where the
    benchmark is not to be had.
    """
    run = finished.read(folder)
    held = manifest.read(folder) or {}
    benchmark, problems = sweep.evaluation_problems(run.config)
    completions = _records(folder / COMPLETIONS, Completion.from_json)
    wanted = profile or run.config.profile
    verdicts = _records(folder / VERDICTS, Verdict.from_json, lambda v: v.profile == wanted)
    fingerprints = {role: fingerprint for role, (_, fingerprint) in run.checkpoints.items()}
    store = Records(completions, verdicts, held)
    changed = _changed(held.get("pinned", {}), problems)
    return RecordedRun(folder, run.config, store, benchmark, problems, fingerprints, changed)


def of(job: sweep.Sweep) -> RecordedRun:
    """The same of a sweep that has just done its work."""
    scored: Mapping[Role, str] = job.store.manifest["scored"]
    return RecordedRun(
        job.store.folder, job.config, job.store, job.benchmark, job.problems, scored, ()
    )


def result(run: RecordedRun) -> SweepResult:
    """The numbers of the sweep's tables. Raises RunFolderError where a checkpoint has none."""
    base, distilled = run.scored("base"), run.scored("distilled")
    for role, completions in (("base", base), ("distilled", distilled)):
        if not completions:
            raise RunFolderError(
                f"{run.folder} holds no verdicts of the {role} checkpoint; repeat `ssd-eval sweep`"
            )
    return sweep.gathered(run, run.training(), base, distilled)


def _changed(pinned: Mapping[str, str], problems: tuple[Problem, ...]) -> tuple[str, ...]:
    now = {problem.id: problem.digest() for problem in problems}
    return tuple(name for name in now if pinned.get(f"problem {name}", now[name]) != now[name])


def _records(
    path: Path,
    parse: Callable[[dict[str, Any]], Record],
    wanted: Callable[[Record], bool] = lambda record: True,
) -> dict[SampleKey, Record]:
    """The last wanted record of each key; what follows the last line feed is torn and left out."""
    found, number = {}, 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                number += 1
                if line.endswith(b"\n"):
                    record = parse(json.loads(line))
                    if wanted(record):
                        found[record.key] = record
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, UsageError) as error:
        raise RunFolderError(
            f"{path}, line {number} is corrupt ({type(error).__name__}); delete that line and "
            "repeat the sweep: only its sample is done again"
        ) from error
    return found
