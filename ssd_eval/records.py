"""The versioned wire format: what a run folder's JSONL files hold, one record a line.

Plain frozen values with exact JSON round trips. Files and folders belong to `store`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from sandbox.base import Profile, Status
from ssd_eval.decoding import DecodingConfig

FORMAT_VERSION = 1
FinishReason = Literal["stop", "length"]


class SampleKey(NamedTuple):
    """What makes a completion unique within a run. `checkpoint` is a fingerprint."""

    checkpoint: str
    problem_id: str
    decoding: str  # DecodingConfig + stop rules + max tokens + prompt hash + fingerprint, hashed
    sample: int

    def text(self) -> str:
        return "/".join((self.checkpoint, self.decoding, str(self.sample), self.problem_id))


@dataclass(frozen=True)
class Completion:
    """One sampled text. `token_ids` leave out the end token; `finish` tells whether it came."""

    key: SampleKey
    text: str
    token_ids: tuple[int, ...]
    finish: FinishReason
    prompt_tokens: int
    decoding: DecodingConfig  # as requested; backends may serve a different effective T
    effective_temperature: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "key": list(self.key), "token_ids": list(self.token_ids)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Completion:
        return cls(
            **{
                **row,
                "key": SampleKey(*row["key"]),
                "token_ids": tuple(row["token_ids"]),
                "decoding": DecodingConfig(**row["decoding"]),
            }
        )


@dataclass(frozen=True)
class Verdict:
    """The graded program of one completion. `rule` is the extraction rule that fired."""

    key: SampleKey
    status: Status
    detail: str
    rule: str
    cpu_s: float
    tests_passed: int
    tests: int
    failed_test: int | None = None
    flaky: bool = False
    profile: Profile = "faithful"  # whose rules decided; part of what makes a verdict unique

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "key": list(self.key)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Verdict:
        return cls(**{**row, "key": SampleKey(*row["key"])})
