"""Sequences: the token ids to analyse, from completions, references or a file, checked.

Stored ids are used as they are; text is encoded only for reference solutions, which have no ids.
Runs no models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import Problem
from benchmarks.prompts import TEXT, messages
from ssd_eval.checkpoint import chat_template, thinking_mode
from ssd_eval.errors import UsageError
from ssd_eval.metrics import cluster

if TYPE_CHECKING:
    from ssd_eval.backends.base import Request
    from ssd_eval.records import Completion
    from ssd_eval.sample import Prompting

FENCE = "```python\n{}\n```"


@dataclass(frozen=True)
class Tokens:
    """One sequence. `answer_ids`: the tokens whose predictions are analysed, end token included."""

    problem: str
    cluster: str
    sample: int
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    decoding: str = ""

    def __post_init__(self) -> None:
        where = f"sample {self.sample} of problem {self.problem}"
        if not self.answer_ids:
            raise UsageError(f"{where} is empty: there is no token to analyse; leave it out")
        if not self.prompt_ids:
            raise UsageError(f"{where} has no prompt ids: its first token has no context; add them")

    @property
    def ids(self) -> tuple[int, ...]:
        return self.prompt_ids + self.answer_ids


def of_completions(
    pairs: Iterable[tuple[Request, Completion]], problems: Mapping[str, Problem], end_id: int
) -> Iterator[Tokens]:
    """Sampled completions; one that finished has its end token again, but at a stop rule."""
    for request, completion in pairs:
        problem = completion.key.problem_id
        cut = any(stop in completion.text for stop in request.stops)
        end = (end_id,) if completion.finish == "stop" and not cut else ()
        if completion.token_ids or end:
            yield Tokens(
                problem,
                cluster(problems[problem]),
                completion.key.sample,
                request.prompt_ids,
                completion.token_ids + end,
                str(completion.decoding),
            )


def of_references(
    problems: Sequence[Problem],
    tokenizer: Any,
    end_id: int,
    most: int,
    prompting: Prompting | None = None,
) -> Iterator[Tokens]:
    """At most `most` reference solutions of each problem, in a fenced block after its prompt.

    Raises UsageError where no problem has one.
    """
    prompting = prompting or {"prompt_style": "simple", "system": None, "thinking": None}
    found = False
    for problem in problems:
        prompt_ids = encoded(tokenizer, problem, prompting)
        for sample, source in enumerate(problem.references[:most]):
            found = True
            answer = tokenizer.encode(FENCE.format(source), add_special_tokens=False)
            yield Tokens(problem.id, cluster(problem), sample, prompt_ids, (*answer, end_id))
    if not found:
        raise UsageError(
            "no problem of this benchmark has a reference solution; use --tokens base or a file"
        )


def encoded(tokenizer: Any, problem: Problem, prompting: Prompting) -> tuple[int, ...]:
    """The problem's prompt; its bare text where the tokenizer has no chat template."""
    turns = messages(problem, prompting["prompt_style"], prompting["system"])
    template = getattr(tokenizer, "chat_template", None)
    if not template or [each["role"] for each in turns] == [TEXT]:
        return tuple(tokenizer.encode("\n".join(each["content"] for each in turns)))
    text = tokenizer.apply_chat_template(
        turns,
        add_generation_prompt=True,
        tokenize=False,
        **thinking_mode(chat_template(tokenizer), prompting["thinking"]),
    )
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def of_file(path: Path, problems: Mapping[str, Problem]) -> Iterator[Tokens]:
    """JSONL: {"problem_id", "prompt_ids", "token_ids"}; "sample" and "decoding" if you like.

    A problem that the benchmark lacks is a cluster of its own. Raises UsageError, naming the line.
    """
    seen: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _of_line(line, f"{path}, line {number}", problems, seen)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if not seen:
        raise UsageError(f"{path} holds no sequences; give one JSON object a line")


def _of_line(
    line: str, where: str, problems: Mapping[str, Problem], seen: dict[str, int]
) -> Tokens:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise UsageError("is no JSON object")
        return _of_row(row, problems, seen)
    except ValueError as error:
        raise UsageError(f"{where}: is no JSON ({error})") from error
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _of_row(row: dict[str, Any], problems: Mapping[str, Problem], seen: dict[str, int]) -> Tokens:
    if "token_ids" not in row:
        raise UsageError(
            'lacks "token_ids": text is never encoded again; give the ids that were sampled'
        )
    if "prompt_ids" not in row:
        raise UsageError('lacks "prompt_ids": the ids that the completion was sampled after')
    name = str(row.get("problem_id", ""))
    if not name:
        raise UsageError('lacks "problem_id"; intervals are taken over problems')
    sample = seen.get(name, 0)
    seen[name] = sample + 1
    return Tokens(
        name,
        cluster(problems[name]) if name in problems else name,
        int(row.get("sample", sample)),
        _ids(row, "prompt_ids"),
        _ids(row, "token_ids"),
        str(row.get("decoding", "")),
    )


def _ids(row: dict[str, Any], name: str) -> tuple[int, ...]:
    values = row[name]
    if not isinstance(values, list) or not all(type(each) is int for each in values):
        raise UsageError(f'"{name}" is no list of token ids (whole numbers)')
    return tuple(values)


def check_tokenizers(base: Any, distilled: Any, names: tuple[str, str]) -> None:
    """The two checkpoints must mean the same by every token id. Raises UsageError with a reason."""
    mine, theirs = base.get_vocab(), distilled.get_vocab()
    if mine == theirs:
        return
    reason = f"{len(mine)} and {len(theirs)} tokens"
    by_id = {place: token for token, place in theirs.items()}
    for token, place in sorted(mine.items(), key=lambda item: item[1]):
        if place in by_id and by_id[place] != token:
            reason = f"token {place} is {token!r} in one and {by_id[place]!r} in the other"
            break
    raise UsageError(
        f"{names[0]} and {names[1]} have different vocabularies ({reason}); positions can only be "
        "compared between checkpoints that share a tokenizer"
    )
