"""Our verdicts and our extraction beside published ones: 368 real outputs for 92 real problems.

    python perf/published_verdicts.py FOLDER [--profile official|faithful|ml-ssd] [--json FILE]

FOLDER holds lcb_dev.jsonl (LiveCodeBench's rows) and lcb_dev_model_outputs.jsonl (question_id,
output, code, expected, author, lcb_metadata). Programs are the published `code`, so that verdicts
are compared apart from extraction; extraction is compared on `output`. Every disagreement is
printed. docs/benchmarks.md explains those that were found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.extract import EXTRACTORS, Extractor
from benchmarks.registry import load
from sandbox.base import PROFILES, Profile
from sandbox.pool import Pool
from ssd_eval.grade import grade_programs
from ssd_eval.interchange import Program
from ssd_eval.records import Verdict

OFFICIAL_AUTHORS = ("o1-preview", "o1-mini")  # graded by the official checker's authors


def outputs(folder: Path) -> list[dict[str, Any]]:
    with (folder / "lcb_dev_model_outputs.jsonl").open() as file:
        return [json.loads(line) for line in file]


def extraction(rows: list[dict[str, Any]], name: Extractor) -> list[tuple[int, str, str]]:
    """(row, rule, difference) where the extractor's program is not the published one."""
    different = []
    for number, row in enumerate(rows):
        found = EXTRACTORS[name](row["output"])
        if (found.code or "") != row["code"]:
            different.append((number, found.rule, difference(found.code or "", row["code"])))
    return different


def difference(ours: str, published: str) -> str:
    if ours.strip() == published.strip():
        return "white space at the ends"
    if not ours:
        return f"we find none, published {len(published)} characters"
    if not published:
        return f"published empty, ours {len(ours)} characters"
    lines = [ours.splitlines(), published.splitlines()]
    first = next((i for i, (a, b) in enumerate(zip(*lines, strict=False)) if a != b), None)
    return f"{len(lines[0])} lines, published {len(lines[1])}, first other line {first}"


def verdicts(
    folder: Path, rows: list[dict[str, Any]], profile: Profile, workers: int
) -> dict[int, Verdict]:
    problems = {each.id: each for each in load(str(folder / "lcb_dev.jsonl")).problems()}
    programs = (
        Program(row["question_id"], number, row["code"] or None, "given")
        for number, row in sorted(enumerate(rows), key=lambda pair: pair[1]["question_id"])
    )
    with Pool(workers) as pool:
        graded = grade_programs(programs, problems, pool, profile=profile)
        return {each.key.sample: each for each in graded}


def report(rows: list[dict[str, Any]], found: dict[int, Verdict], profile: Profile) -> list[Any]:
    """Prints the agreement by author and every disagreement; gives those back."""
    total: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    wrong = []
    for number, row in enumerate(rows):
        verdict = found[number]
        total[row["author"]] += 1
        if verdict.passed == (row["expected"] == "pass"):
            agreed[row["author"]] += 1
        else:
            wrong.append((number, row, verdict))
    print(f"profile {profile}: {sum(agreed.values())} of {len(rows)} agree")
    for author, count in total.items():
        mark = " *" if author.startswith(OFFICIAL_AUTHORS) else ""
        print(f"  {author}: {agreed[author]} of {count}{mark}")
    for number, row, verdict in wrong:
        print(
            f"row {number} {row['question_id']} {row['author']}: published {row['expected']} "
            f"{row['lcb_metadata'][:200]} | ours {verdict.status}: {verdict.detail} "
            f"(test {verdict.failed_test}, {verdict.cpu_s:.2f} s CPU)"
        )
    return [
        {"row": number, "id": row["question_id"], "author": row["author"],
         "published": row["expected"], "metadata": row["lcb_metadata"], "ours": verdict.to_json()}
        for number, row, verdict in wrong
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", choices=PROFILES, default="official")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", metavar="ID,...", help="problems; for a second look")
    parser.add_argument("--json", type=Path, help="write the disagreements there")
    parser.add_argument("--extraction-only", action="store_true")
    options = parser.parse_args()
    rows = outputs(options.folder)
    if options.only:
        rows = [each for each in rows if each["question_id"] in options.only.split(",")]
    extractors: tuple[Extractor, ...] = ("ours", "official")  # the published one is `official`
    for name in extractors:
        other = extraction(rows, name)
        print(f"extractor {name}: {len(rows) - len(other)} of {len(rows)} as published")
        for number, rule, what in other:
            row = rows[number]
            print(f"  row {number} {row['question_id']} {row['author']}: {rule}; {what}")
    if options.extraction_only:
        return
    found = verdicts(options.folder, rows, options.profile, options.workers)
    wrong = report(rows, found, options.profile)
    if options.json:
        options.json.write_text(json.dumps(wrong, indent=1))


if __name__ == "__main__":
    main()
