"""Which of the article's claims hold in a run: one sentence and one word for each.

Reads `claims.Measured`; computes no statistics. "Holds" and "does not hold" need a difference that
the run could tell from none; everything else is inconclusive, and says how small an effect it could
have seen.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ssd_eval import arms, stats, wording
from ssd_eval.claims import STRESSED, Measured, Student

Answer = Literal["holds", "does not hold", "inconclusive", "measured"]
FLAT = 0.03  # of pass@1: the largest spread that the paper reports for a base curve
NOTHING = 0.02  # of pass@k: a gain of new ability below this is called none


@dataclass(frozen=True)
class Finding:
    """`claim` in the article's sense, `reading` in this run's numbers.

    `limit`, of an inconclusive one: how small an effect could have been seen.
    """

    claim: str
    answer: Answer
    reading: str
    limit: str | None = None

    @property
    def word(self) -> str:
        return self.answer if self.limit is None else f"{self.answer} ({self.limit})"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def findings(measured: Measured) -> tuple[Finding, ...]:
    """In the order of paper.md §4; those of students only where some were trained."""
    found = [_flat(measured), _temperature(measured)]
    if (stressed := measured.student(STRESSED)) is not None:
        found.append(_stress(stressed))
    found += [_ensemble(measured), _ability(measured)]
    loop = [s for name in (arms.RAN, arms.PASSED) if (s := measured.student(name)) is not None]
    found += [_loop(student) for student in loop]
    if (ssd := measured.student("SSD")) is not None:
        found.append(Finding("it costs next to nothing", "measured", cost_in_words(ssd)))
    return tuple(found)


def _flat(measured: Measured) -> Finding:
    claim = f"the base's temperature hardly matters (at most {_pp(FLAT)})"
    spread = measured.sweep.base.flatness(1)
    if spread is None or spread.low is None or spread.high is None:
        reason = "no scores" if spread is None else spread.reason
        return Finding(claim, "inconclusive", reason or "no interval")
    answer: Answer = "inconclusive"
    if spread.high <= FLAT:
        answer = "holds"
    elif spread.low > FLAT:
        answer = "does not hold"
    limits = f"[{100 * spread.low:.1f}, {100 * spread.high:.1f}]"
    limit = f"{_pp(FLAT)} lies within its interval" if answer == "inconclusive" else None
    return Finding(claim, answer, f"best minus worst: {_pp(spread.naive)} {limits}", limit)


def _temperature(measured: Measured) -> Finding:
    """Both at cross-fitted temperatures."""
    difference = measured.sweep.main[0].margin.fitted
    return _judged(
        "no temperature of the base reaches the distilled checkpoint",
        _better(difference),
        f"pass@1 {in_words(difference)} over the base's best",
        difference,
    )


def _stress(student: Student) -> Finding:
    share = ""
    if student.no_code is not None and student.passed is not None:
        share = f"; {student.no_code:.0%} of its texts hold no code, {student.passed:.0%} pass"
    return _judged(
        "gibberish still teaches (T_train 2, no truncation)",
        _better(student.over_base),
        f"pass@1 {in_words(student.over_base)} over the base{share}",
        student.over_base,
    )


def _ensemble(measured: Measured) -> Finding:
    """A draw is no proof of equality: only a clear lead decides, either way."""
    row = measured.majority[-1]
    word = row.difference.verdict
    answer: Answer = "inconclusive"
    if word == "better":
        answer = "holds"
    elif word == "worse":
        answer = "does not hold"
    voted = "–" if row.base.mean is None else f"{100 * row.base.mean:.1f} %"
    return _judged(
        f"one distilled sample is worth a vote of {row.n} of the base's",
        answer,
        f"vote {voted}; distilled pass@1 {in_words(row.difference)} over it",
        row.difference,
    )


def _ability(measured: Measured) -> Finding:
    last = measured.reach.steps[-1]
    gain = last.difference
    answer: Answer = "inconclusive"
    if gain.verdict == "better":
        answer = "does not hold"
    elif gain.high is not None and gain.high <= NOTHING:
        answer = "holds"
    crossed = measured.reach.crossing
    where = "no crossing" if crossed is None else f"the base is level by k = {crossed}"
    alone = f"{len(measured.reach.only_distilled)} solved by +SSD only"
    other = f"{len(measured.reach.only_base)} by the base only"
    return _judged(
        f"it creates no ability (pass@{last.k} gains less than {_pp(NOTHING)})",
        answer,
        f"pass@{last.k} {in_words(gain)}; {where}; {alone}, {other}",
        gain,
    )


def _loop(student: Student) -> Finding:
    difference = student.over_any
    if difference is None:
        return Finding(student.name, "inconclusive", "not measured")
    share = "" if student.qualified is None else f" ({student.qualified:.0%} of all)"
    return _judged(
        f"a closed loop is better: {student.name}{share}",
        _better(difference),
        f"pass@1 {in_words(difference)} over as many tokens of {arms.ANY}",
        difference,
    )


def cost_in_words(student: Student) -> str:
    """Tokens and seconds for each point of pass@1 gained; no ratio where the gain may be none."""
    tokens = student.tokens_sampled + student.tokens_trained
    gain = student.over_base
    seconds = "" if student.seconds is None else f" and {student.seconds:,.0f} s"
    spent = f"{tokens:,} tokens{seconds}"
    if gain.mean is None or gain.low is None or gain.high is None or gain.low <= 0:
        return f"{spent}; the gain may be none, so that a point has no price"
    per, most, least = (tokens / (100 * each) for each in (gain.mean, gain.low, gain.high))
    return f"{spent}: {per:,.0f} tokens a point [{least:,.0f}, {most:,.0f}]"


def in_words(difference: stats.Difference) -> str:
    if difference.mean is None:
        return difference.reason or "–"
    found = wording.measured(difference)
    if difference.low is None or difference.high is None:
        return f"{found} ({difference.reason})"
    return found


def _judged(claim: str, answer: Answer, reading: str, difference: stats.Difference) -> Finding:
    limit = wording.smallest(difference) if answer == "inconclusive" else None
    return Finding(claim, answer, reading, limit)


def _better(difference: stats.Difference) -> Answer:
    words: dict[str, Answer] = {"better": "holds", "worse": "does not hold"}
    return words.get(difference.verdict, "inconclusive")


def _pp(share: float) -> str:
    return f"{100 * share:.1f} pp"
