"""What the report's page shows of problems, as compact JSON: an index, and a block each.

A block is JSON, compressed, in base64: nothing that a model or a problem wrote can leave it, and
the page unpacks one when its problem is opened. Knows no HTML.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssd_eval.finished import ROLES, Role

if TYPE_CHECKING:
    from benchmarks.base import Problem
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.recorded import RecordedRun
    from ssd_eval.records import Completion
    from ssd_eval.results import SweepResult

TEST_CHARACTERS = 2000  # shown of a failing test's input and of its expected output
Drawn = Mapping[str, Mapping[Role, list["Completion"]]]


class Distinct:
    """Values with their places; equal ones share one, as many samples of a prompt do."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, value: str) -> int:
        return self._places.setdefault(value, len(self._places))

    @property
    def values(self) -> list[str]:
        return list(self._places)


@dataclass(frozen=True)
class Shown:
    """A run's graded completions by problem and role, and the decodings of either role."""

    run: RecordedRun
    drawn: Drawn
    decodings: tuple[DecodingConfig, ...]

    @property
    def characters(self) -> int:
        """Of all completions together."""
        sides = (side for roles in self.drawn.values() for side in roles.values())
        return sum(len(each.text) for side in sides for each in side)


def shown(run: RecordedRun) -> Shown:
    drawn: dict[str, dict[Role, list[Completion]]] = defaultdict(lambda: defaultdict(list))
    for role in ROLES:
        for each in run.scored(role):
            drawn[each.key.problem_id][role].append(each)
    found = {each.decoding for roles in drawn.values() for side in roles.values() for each in side}
    ordered = sorted(found, key=lambda each: (each.temperature, each.top_k, each.top_p))
    return Shown(run, drawn, tuple(ordered))


def index(page: Shown, result: SweepResult) -> dict[str, Any]:
    """Every problem's counts at each decoding, and its scores in the main table."""
    main = result.main[0]
    sides = (main.base.scores, main.distilled.scores)
    usual = max(main.distilled.decodings, key=main.distilled.decodings.count, default=None)
    return {
        "k": main.k,
        "decodings": [str(each) for each in page.decodings],
        "usual": page.decodings.index(usual) if usual in page.decodings else 0,
        "problems": [
            {
                "id": problem.id,
                "title": problem.title,
                "difficulty": problem.difficulty,
                "main": [side.get(problem.id) for side in sides],
                "counts": [_counts(page, page.drawn[problem.id].get(role, ())) for role in ROLES],
            }
            for problem in page.run.problems
            if problem.id in page.drawn
        ],
    }


def block(page: Shown, problem: Problem) -> str:
    """Statement, distinct texts, and a row for each sample, packed."""
    texts, words = Distinct(), Distinct()
    rows, failed = [], set()
    places = {decoding: place for place, decoding in enumerate(page.decodings)}
    for side, role in enumerate(ROLES):
        for each in page.drawn[problem.id].get(role, ()):
            verdict = page.run.store.verdicts[each.key]
            failed.add(verdict.failed_test)
            rows.append(
                [
                    side,
                    places[each.decoding],
                    each.key.sample,
                    texts.place(each.text),
                    words.place(verdict.status),
                    words.place(verdict.detail),
                    words.place(verdict.rule),
                    verdict.failed_test,
                    verdict.tests_passed,
                    verdict.tests,
                    int(each.finish == "length"),
                    int(verdict.flaky),
                ]
            )
    value = {
        "statement": problem.statement,
        "starter": problem.starter_code,
        "texts": texts.values,
        "words": words.values,
        "rows": rows,
        "tests": _tests(problem, sorted(place for place in failed if place is not None)),
    }
    return packed(value)


def packed(value: object) -> str:
    """The same value gives the same text."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _counts(page: Shown, completions: Iterable[Completion]) -> list[list[int]]:
    """Passed and graded at each decoding; an infra_error is no sample."""
    found: dict[DecodingConfig, list[int]] = {each: [0, 0] for each in page.decodings}
    for each in completions:
        verdict = page.run.store.verdicts[each.key]
        if verdict.status != "infra_error":
            found[each.decoding][0] += verdict.passed
            found[each.decoding][1] += 1
    return list(found.values())


def _tests(problem: Problem, places: list[int]) -> dict[str, list[str]]:
    """The tests that some sample failed at; none beyond those that the problem has now."""
    if not places:
        return {}
    tests = tuple(problem.tests)
    chosen = {place: tests[place] for place in places if place < len(tests)}
    return {str(place): [_cut(each.input), _cut(each.expected)] for place, each in chosen.items()}


def _cut(text: str) -> str:
    if len(text) <= TEST_CHARACTERS:
        return text
    return f"{text[:TEST_CHARACTERS]} … ({len(text):,} characters)"
