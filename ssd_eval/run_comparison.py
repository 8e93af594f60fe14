"""Two recorded runs against each other: each checkpoint of one with the same of the other.

Paired over the problems that both scored. Runs of different problems, windows, prompts, extractors
or verdict profiles are refused, or cut down to what they share (`--intersect`), and what was
dropped is said. A file of another tool's results (`peer_results`) may take the second run's place:
each checkpoint of the run is then compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval import peer_results, recorded, results, sheets, sweep, wording
from ssd_eval.errors import UsageError
from ssd_eval.finished import ROLES, Role
from ssd_eval.recorded import RecordedRun
from ssd_eval.results import Comparison, Cost, Setup
from ssd_eval.sheets import Column, Sheet

if TYPE_CHECKING:
    from rich.console import Group

    from benchmarks.base import Problem
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.peer_results import PeerResults

LETTERS = ("A", "B")
GRADED = "B was graded by {kind}; its prompts, decoding, limits and tests are not in the file"


@dataclass(frozen=True)
class RunComparison:
    """`found`: role → a comparison for each k, in which `base` is A and `distilled` is B.

    `dropped` says what the runs do not share, in sentences. `peer` is what graded B, where B is a
    file of results.
    """

    names: tuple[str, str]
    on: str
    problems: int
    found: Mapping[Role, tuple[Comparison, ...]]
    dropped: tuple[str, ...]
    peer: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "a": self.names[0],
            "b": self.names[1],
            "on": self.on,
            "problems": self.problems,
            "dropped": list(self.dropped),
            "peer": self.peer,
            **{role: [_json(each) for each in rows] for role, rows in self.found.items()},
        }


def compared(a: Path, b: Path, *, intersect: bool) -> RunComparison:
    """Raises UsageError where the runs do not compare, and what `recorded.read` raises."""
    if b.is_file():
        return _with_peer(recorded.read(a), peer_results.read(b), intersect)
    runs = recorded.read(a), recorded.read(b)
    if differences := _differences(runs):
        if not intersect:
            raise UsageError(
                f"{a} and {b} do not compare: {'; '.join(differences)}; compare what they share "
                "with --intersect"
            )
        runs = _one_profile(runs)
    problems = _shared(runs)
    if not problems:
        raise UsageError(f"{a} and {b} share no problem; compare runs of one benchmark")
    ks = [k for k in runs[0].config.k if k in runs[1].config.k]
    if not ks:
        raise UsageError(f"{a} and {b} share no k; repeat one of them with the --k of the other")
    return RunComparison(
        names=(str(a), str(b)),
        on=f"{runs[0].benchmark.name} ({runs[0].benchmark.window})",
        problems=len(problems),
        found={role: _compared(runs, role, problems, ks) for role in ROLES},
        dropped=tuple(differences),
    )


def _with_peer(run: RecordedRun, peer: PeerResults, intersect: bool) -> RunComparison:
    """Each checkpoint of the run, at the decoding of its main table, against the file's results."""
    problems = {name: each for name, each in run.by_id.items() if name in peer.counts}
    if not problems:
        raise UsageError(
            f"{run.folder} and {peer.path} share no problem id ({next(iter(run.by_id))} and "
            f"{next(iter(peer.counts))}); compare results of one benchmark"
        )
    dropped = _alone(run.by_id, peer.counts)
    if dropped and not intersect:
        raise UsageError(
            f"{run.folder} and {peer.path} do not compare: {dropped[0]}; compare what they share "
            "with --intersect"
        )
    config, ks = run.config, [k for k in run.config.k if k <= peer.most]
    few = f"{peer.most} samples of a problem at most"
    if not ks:
        raise UsageError(
            f"{peer.path} has {few}, too few for the run's pass@{min(config.k)}; give more of them"
        )
    if len(ks) < len(config.k):
        dropped.append(f"pass@{max(config.k)}: B has {few}")
    rule, scores = f"a decoding that {peer.path.name} does not tell", peer.scores(problems)
    found = {}
    for role in ROLES:
        curve = results.curve(
            problems, _own(run, role, problems), role, truncated={}, ks=ks, seed=config.seed
        )
        fixed = _fixed(run, role)
        found[role] = results.against(curve, scores, rule, ks=ks, fixed=fixed, seed=config.seed)
    on = f"{run.benchmark.name} ({run.benchmark.window})"
    names = str(run.folder), str(peer.path)
    return RunComparison(names, on, len(problems), found, tuple(dropped), peer.kind)


def comparison_sheets(comparison: RunComparison) -> list[Sheet]:
    return [_sheet(comparison, role, rows) for role, rows in comparison.found.items()]


def report(comparison: RunComparison, width: int = 80) -> Group:
    """What A and B are, a table and the verdicts for each checkpoint, and what was dropped."""
    from rich.console import Group
    from rich.text import Text

    from ssd_eval.table_formats import printed

    names = [f"{x}: {name}" for x, name in zip(LETTERS, comparison.names, strict=True)]
    tables = [printed(sheet, width) for sheet in comparison_sheets(comparison)]
    dropped = [Text(f"not shared: {each}", style="yellow") for each in comparison.dropped]
    if comparison.peer:
        dropped.append(Text(GRADED.format(kind=comparison.peer), style="yellow"))
    return Group(*map(Text, names), *tables, *dropped)


def verdict(role: Role, comparison: Comparison, peer: bool = False) -> str:
    """Whether B's checkpoint is better than A's, in a sentence, for all problems at this k."""
    group = comparison.groups[0]
    word = group.verdict
    said = f"B is {word} than A's {role}" if peer else f"B's {role} is {word} than A's"
    judged = wording.judged(word, said, group.difference, group.adjusted_p)
    return f"pass@{comparison.k}: {judged}"


def _differences(runs: tuple[RecordedRun, RecordedRun]) -> list[str]:
    """What makes the two runs' numbers mean different things."""
    a, b = runs
    found = []
    for name, values in (
        ("benchmark", [run.benchmark.name for run in runs]),
        ("window", [run.benchmark.window for run in runs]),
        ("verdict profile", [run.config.profile for run in runs]),
        ("extractor", [run.config.extractor for run in runs]),
        ("prompt", [_prompt(run) for run in runs]),
    ):
        if values[0] != values[1]:
            found.append(f"{name} {values[0]} and {values[1]}")
    found += _alone(a.by_id, b.by_id)
    if other := len(a.by_id.keys() & b.by_id.keys()) - len(_shared(runs)):
        found.append(f"{other} problems with other statements or tests")
    return found


def _alone(a: Mapping[str, object], b: Mapping[str, object]) -> list[str]:
    """Problems that only one has, by id, in a sentence or none."""
    alone = len(a.keys() - b.keys()), len(b.keys() - a.keys())
    return [f"{alone[0]} problems only in A, {alone[1]} only in B"] if any(alone) else []


def _prompt(run: RecordedRun) -> str:
    """Style, system message and thinking, with the wording's hash where the folder has it."""
    config = run.config
    wording_hash = (run.store.manifest.get("prompts") or {}).get("wording", "")
    parts = [config.prompt, str(wording_hash)[:8]]
    parts += [f"system {config.system}"] if config.system is not None else []
    parts += [f"thinking {config.thinking}"] if config.thinking is not None else []
    return " ".join(part for part in parts if part)


def _shared(runs: tuple[RecordedRun, RecordedRun]) -> dict[str, Problem]:
    """The problems of both, as far as they were the same when each run scored them."""
    a, b = runs
    return {
        name: problem
        for name, problem in a.by_id.items()
        if name in b.by_id and _digest(a, name) == _digest(b, name)
    }


def _digest(run: RecordedRun, name: str) -> str:
    pinned = run.store.manifest.get("pinned", {})
    return str(pinned.get(f"problem {name}") or run.by_id[name].digest())


def _one_profile(runs: tuple[RecordedRun, RecordedRun]) -> tuple[RecordedRun, RecordedRun]:
    """Both with the verdicts of one profile; a folder may hold those of several."""
    a, b = runs
    if a.config.profile == b.config.profile:
        return runs
    for profile in (a.config.profile, b.config.profile):
        both = recorded.read(a.folder, profile), recorded.read(b.folder, profile)
        if all(run.scored(role) for run in both for role in ROLES):
            return both
    raise UsageError(
        f"{a.folder} has verdicts of profile {a.config.profile}, {b.folder} of {b.config.profile}: "
        "no verdicts are shared; repeat one sweep with the --profile of the other"
    )


def _compared(
    runs: tuple[RecordedRun, RecordedRun],
    role: Role,
    problems: Mapping[str, Problem],
    ks: Sequence[int],
) -> tuple[Comparison, ...]:
    a, b = (_own(run, role, problems) for run in runs)
    setup = Setup(runs[0].benchmark.name, runs[0].benchmark.window, len(problems),
                  min(run.config.samples for run in runs), runs[0].config.seed, runs[0].tier,
                  runs[0].config.profile)  # fmt: skip
    return results.compare(
        problems, a, b, base_truncated={}, distilled_truncated={}, ks=ks, setup=setup,
        cost=Cost(()), base_fixed=_fixed(runs[0], role), distilled_fixed=_fixed(runs[1], role),
        seed=runs[0].config.seed,
    ).main  # fmt: skip


def _own(run: RecordedRun, role: Role, problems: Mapping[str, Problem]) -> results.Verdicts:
    """The run's verdicts on these problems. Raises UsageError where there are none."""
    drawn = [each for each in run.scored(role) if each.key.problem_id in problems]
    if not drawn:
        raise UsageError(f"{run.folder} has no verdicts of its {role} on the shared problems")
    return sweep.verdicts_of(run.store, drawn)


def _fixed(run: RecordedRun, role: Role) -> DecodingConfig | None:
    return run.config.baseline() if role == "base" else run.config.evaluation()


def _sheet(comparison: RunComparison, role: Role, rows: Sequence[Comparison]) -> Sheet:
    groups = [(each, group) for each in rows for group in each.groups]
    count = wording.counted(comparison.problems, "problem")
    notes = []
    for each in rows:
        for letter, choice in zip(LETTERS, (each.base, each.distilled), strict=True):
            notes.append(f"{letter} at {wording.decoding(choice)}")
        if each.dropped:
            notes.append(f"{wording.counted(each.dropped, 'problem')} left out: too few samples")
        notes.append(verdict(role, each, comparison.peer is not None))
    return Sheet(
        f"compare-{role}",
        f"{role} of A {'against' if comparison.peer else 'and'} B on {comparison.on}: {count}",
        (Column("%"), *(Column(group.group, f"pass@{each.k}") for each, group in groups)),
        (
            ("A", *(sheets.share(group.base) for _, group in groups)),
            ("B", *(sheets.share(group.distilled) for _, group in groups)),
            ("Δ", *(sheets.points(group.difference, group.verdict) for _, group in groups)),
        ),
        tuple(notes),
    )


def _json(comparison: Comparison) -> dict[str, Any]:
    names = {"base": "a", "distilled": "b"}
    groups = [
        {names.get(name, name): value for name, value in group.to_json().items()}
        for group in comparison.groups
    ]
    a, b = comparison.base.to_json(), comparison.distilled.to_json()
    return {"k": comparison.k, "a": a, "b": b, "groups": groups, "dropped": comparison.dropped}
