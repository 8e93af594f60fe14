"""The `redundancy` command's work: opens a finished run and its checkpoints, measures, reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssd_eval import finished
from ssd_eval.errors import CheckpointError, UsageError
from ssd_eval.finished import ROLES, FinishedRun, Role
from ssd_eval.redundancy import Redundancy, choose, measure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ssd_eval.progress import Progress
    from ssd_eval.teacher import Teacher


@dataclass(frozen=True)
class Analysis:
    run: FinishedRun
    result: Redundancy
    problem: str | None
    partings: int

    def report(self) -> RenderableType:
        from ssd_eval.checkpoint import load_tokenizer
        from ssd_eval.redundancy_report import report

        tokenizer = load_tokenizer(self.run.checkpoints["base"][0])

        def piece(token: int) -> str:
            return str(tokenizer.decode([token], clean_up_tokenization_spaces=False))

        samples = {role: self.run.samples[role, self.result.decoding] for role in ROLES}
        return report(self.result, samples, piece, problem=self.problem, partings=self.partings)


def analysed(
    folder: Path,
    *,
    t_eval: float | None,
    problem: str | None,
    partings: int,
    device: str,
    dtype: str,
    plot: Path | None,
    progress: Progress,
) -> Analysis:
    """Raises RunFolderError, CheckpointError, UsageError with the fix."""
    from ssd_eval import backends
    from ssd_eval.redundancy_report import check_picture, draw

    run = finished.read(folder)
    decoding = choose(run, t_eval)
    if problem is not None and problem not in {each.id for each in run.problems}:
        raise UsageError(f"no problem {problem!r} in {folder}; one is {run.problems[0].id}")
    if plot is not None:
        check_picture(plot)
    backend = backends.load("hf", run.checkpoints["base"][0], device=device, dtype=dtype)
    prompts = run.prompts(backend)
    backend.close()
    result = measure(run, decoding, prompts, _teachers(run, device, dtype), progress)
    if plot is not None:
        draw(result, plot)
    return Analysis(run, result, problem, partings)


def _teachers(run: FinishedRun, device: str, dtype: str) -> Mapping[Role, Teacher]:
    """Both checkpoints, known to be those of the run."""
    from ssd_eval import teacher

    teachers = {}
    for role in ROLES:
        name, expected = run.checkpoints[role]
        loaded = teacher.load(name, dtype=dtype, device=device)
        if loaded.fingerprint != expected:
            raise CheckpointError(
                f"{name} is not the {role} checkpoint of {run.folder} (fingerprint "
                f"{loaded.fingerprint}, then {expected}); restore it"
            )
        teachers[role] = loaded
    return teachers
