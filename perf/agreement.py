"""Our profiles beside the checkers they stand for: every disagreement, with its reason.

    python perf/agreement.py --livecodebench DIR --ml-ssd DIR [--rows FILE --outputs FILE]
        [--only TEXT] [--answers DIR] [--python FILE] [--seconds N]
        [--json FILE]

DIR: a checkout of LiveCodeBench at 28fef95, and one of apple/ml-ssd at 15c4292; the first needs
numpy and tqdm, the second numpy and pandas. FILE: rows of LiveCodeBench and outputs for them
(question_id, author, code, expected). The checkers run as another user where we are root, in a
folder of their own, with a limit of time; their answers are kept in --answers and not asked again.
Pairs that differ are asked again, both sides, with a longer alarm. Exit code 1 where they disagree
without a known reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[0] = str(HERE.parent)  # `sandbox` is the package, not the script beside this one
sys.path.append(str(HERE))

from agreement_pairs import Pair, pairs  # noqa: E402

from benchmarks.livecodebench import _arguments  # noqa: E402
from sandbox.base import Job, Limits, Outcome, Profile, Test  # noqa: E402
from sandbox.pool import Pool  # noqa: E402

LONG = 10  # seconds of the alarm for pairs that differ at first
HOURS = 2  # for a checker to get through all
WORKERS = 2
NOBODY = 65_534
# Where the sandbox's verdict is another on purpose: the beginning of the pair's name, and why.
_NOT_THERE = "it finds the expected value in the checker's memory; here that holds none"
_BREAKS = "what it writes to descriptor 3 breaks the checker's own pipe; here it is out of reach"
REFUSED: dict[Profile, dict[str, str]] = {
    "official": {
        "tampering 74": _NOT_THERE,
        "tampering 75": _NOT_THERE,
        "tampering 78 two results": _BREAKS,
    },
    "ml-ssd": {
        "tampering 75": _NOT_THERE,
        "tampering 78 two results": _BREAKS,
    },
}


def main() -> int:
    options = _options()
    chosen = [p for p in pairs(options.rows, options.outputs) if options.only in p.id]
    print(f"{len(chosen)} pairs: {dict(Counter(_kind(pair) for pair in chosen))}")
    report: dict[str, Any] = {"pairs": len(chosen), "seconds": options.seconds}
    unexplained = 0
    checkouts: list[tuple[Profile, Path | None]] = [
        ("official", options.livecodebench),
        ("ml-ssd", options.ml_ssd),
    ]
    for profile, checkout in checkouts:
        if checkout is None:
            continue
        theirs = _theirs(profile, checkout, chosen, options)
        ours = _ours(profile, chosen, options.seconds)
        found = _disagreements(profile, chosen, theirs, ours)
        unsure = [pair for pair in chosen if pair.id in {each["pair"] for each in found}]
        if unsure:  # again, with limits of time far from where they ran
            again = argparse.Namespace(**{**vars(options), "answers": None, "seconds": LONG})
            theirs |= _theirs(profile, checkout, unsure, again)
            ours |= _ours(profile, unsure, LONG)
            found = _disagreements(profile, chosen, theirs, ours)
        unexplained += sum(not each["reason"] for each in found)
        report[profile] = {
            "compared": len(chosen),
            "differed_at_first": [pair.id for pair in unsure],
            "passed_there": sum(theirs.values()),
            "passed_here": sum(each.status == "passed" for each in ours.values()),
            "disagreements": found,
        }
        _print(profile, report[profile])
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    return 1 if unexplained else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("--livecodebench", "--ml-ssd", "--rows", "--outputs", "--answers", "--json"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--python", default=sys.executable, help="that runs the checkers")
    parser.add_argument("--seconds", type=int, default=2, help="of the alarm, on both sides")
    parser.add_argument("--only", default="", help="pairs whose names hold this text")
    return parser.parse_args()


def _kind(pair: Pair) -> str:
    first = pair.id.split("/")[0].split()[0]
    return first if pair.published is None else "model outputs"


def _theirs(
    profile: Profile, checkout: Path, chosen: Sequence[Pair], options: argparse.Namespace
) -> dict[str, bool]:
    """By pair, whether the real checker passes it."""
    known: dict[str, bool] = {}
    file = options.answers / f"{profile}.jsonl" if options.answers else None
    if file and file.exists():
        known = dict(map(json.loads, file.read_text().splitlines()))
    missing = [pair for pair in chosen if pair.id not in known]
    started = time.perf_counter()
    if missing:
        shares = [missing[number::WORKERS] for number in range(WORKERS)]
        command = [options.python, profile, checkout.resolve(), options.seconds]
        for process, answers in [_checker(command, share) for share in shares if share]:
            process.wait(HOURS * 3600)
            known |= dict(map(json.loads, answers.read_text().splitlines()))
        print(f"{profile}: {len(missing)} asked in {time.perf_counter() - started:.0f} s")
    if file:
        file.write_text("".join(json.dumps(each) + "\n" for each in known.items()))
    lost = [pair.id for pair in chosen if pair.id not in known]
    if lost:
        sys.exit(f"the checker of {profile} gave no answer to {len(lost)} pairs, first {lost[0]}")
    return {pair.id: known[pair.id] for pair in chosen}


def _checker(command: Sequence[Any], share: Sequence[Pair]) -> tuple[subprocess.Popen[bytes], Path]:
    folder = Path(tempfile.mkdtemp(prefix="agreement-"))
    rows = {pair.row.id: pair.row.to_json() for pair in share}
    files = [folder / "problems", folder / "programs", folder / "answers"]
    files[0].write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    programs = ({"id": p.id, "problem": p.row.id, "source": p.source} for p in share)
    files[1].write_text("".join(json.dumps(program) + "\n" for program in programs))
    files[2].touch()
    other: dict[str, Any] = {}
    if os.getuid() == 0:
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        for path in (folder, files[2]):
            os.chown(path, NOBODY, NOBODY)
    script = folder / "peer_check.py"
    script.write_bytes((HERE / "peer_check.py").read_bytes())
    process = subprocess.Popen(
        [command[0], script, *map(str, command[1:]), *files],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr").open("wb"),
        cwd=folder,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        **other,
    )
    return process, files[2]


def _ours(profile: Profile, chosen: Sequence[Pair], seconds: int) -> dict[str, Outcome]:
    started = time.perf_counter()
    with Pool(WORKERS) as pool:
        outcomes = {each.key: each for each in pool.run(_job(profile, p, seconds) for p in chosen)}
    print(f"{profile}: {len(outcomes)} run here in {time.perf_counter() - started:.0f} s")
    return outcomes


def _job(profile: Profile, pair: Pair, seconds: int) -> Job:
    rows = pair.row.tests
    if profile == "ml-ssd":
        rows = tuple(row for row in rows if not row["public"]) or rows
    return Job(
        key=pair.id,
        source=pair.source,
        tests=tuple(map(_test, rows)),
        entry_point=pair.row.entry,
        limits=Limits(cpu_s=seconds),
        profile=profile,
    )


def _test(row: dict[str, Any]) -> Test:
    functional = row["testtype"] == "functional"
    given = _arguments(row["input"]) if functional else row["input"]
    return Test(row["testtype"], given, row["output"])


def _disagreements(
    profile: Profile,
    chosen: Sequence[Pair],
    theirs: dict[str, bool],
    ours: dict[str, Outcome],
) -> list[dict[str, Any]]:
    found = []
    for pair in chosen:
        outcome = ours[pair.id]
        if theirs[pair.id] != (outcome.status == "passed"):
            words = REFUSED[profile].items()
            reason = next((why for start, why in words if pair.id.startswith(start)), "")
            if outcome.detail.startswith("refused: "):
                reason = outcome.detail
            if ".Thread(" in pair.source and ".join(" not in pair.source:
                reason = reason or "a race: it starts a thread and does not wait for it"
            found.append(
                {"pair": pair.id, "there": theirs[pair.id], "here": asdict(outcome)}
                | {"reason": reason}
            )
    return found


def _print(profile: str, result: dict[str, Any]) -> None:
    found = result["disagreements"]
    print(
        f"{profile}: {result['compared']} compared, passed there {result['passed_there']}, "
        f"here {result['passed_here']}; {len(found)} differ "
        f"({len(result['differed_at_first'])} with the short alarm), "
        f"{sum(not each['reason'] for each in found)} of them without a known reason"
    )
    for each in found:
        there = "passed" if each["there"] else "failed"
        here = f"{each['here']['status']} ({each['here']['detail'][:100]})"
        print(f"  {each['pair']}: {there} there, {here} here; {each['reason'] or 'UNEXPLAINED'}")


if __name__ == "__main__":
    sys.exit(main())
