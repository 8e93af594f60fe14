"""Plans, keys, streams and completions, on the fake backend."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator

import pytest

from benchmarks.base import Problem, TestCase
from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.fake import FakeBackend
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import BackendError, UsageError
from ssd_eval.records import Completion
from ssd_eval.sample import decoding_digest, plan, prompt_hash, sample, stream

COLD, HOT = DecodingConfig(0.2, 20, 0.8), DecodingConfig(1.5, 20, 0.8)


def problem(name: str, statement: str = "Print 1.") -> Problem:
    return Problem(name, statement, (TestCase("stdin", "", "1\n"),))


def backend(**options: int) -> FakeBackend:
    return FakeBackend(
        lambda r: f"{r.key.problem_id}/{r.key.sample}/{r.decoding.temperature}", **options
    )


def planned(**changes: object) -> list[Request]:
    settings: dict[str, object] = {
        "samples": 2,
        "max_tokens": 50,
        "seed": 0,
        "backend": backend(),
        "problems": [problem("a"), problem("b")],
        "decoding": [COLD, HOT],
        **changes,
    }
    problems, decoding = settings.pop("problems"), settings.pop("decoding")
    return plan(problems, decoding, **settings)  # type: ignore[arg-type]


def test_a_plan_holds_each_key_once_and_keeps_a_problems_prompts_together() -> None:
    requests = planned()
    assert len({r.key for r in requests}) == len(requests) == 2 * 2 * 2
    assert [r.key.problem_id for r in requests] == ["a"] * 4 + ["b"] * 4
    assert requests[0].prompt_ids is requests[3].prompt_ids
    assert {r.decoding for r in requests} == {COLD, HOT}


def test_keys_do_not_depend_on_the_seed_but_streams_do() -> None:
    one, two = planned(seed=1), planned(seed=2)
    assert [r.key for r in one] == [r.key for r in two]
    assert not {r.stream for r in one} & {r.stream for r in two}


def test_more_samples_problems_or_temperatures_extend_a_plan() -> None:
    small = {r.key: r.stream for r in planned()}
    large = {
        r.key: r.stream
        for r in planned(
            samples=5,
            problems=[problem("c"), problem("b"), problem("a")],
            decoding=[DecodingConfig(0), HOT, COLD],
        )
    }
    assert small.items() <= large.items()


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 51},
        {"decoding": [DecodingConfig(0.3, 20, 0.8), DecodingConfig(1.5, 21, 0.8)]},
        {"decoding": [DecodingConfig(0.2, 20, 0.9), DecodingConfig(1.5, 20, 1)]},
        {"problems": [problem("a", "Print 2."), problem("b", "Print 2.")]},
        {"backend": FakeBackend({}, name="other")},
        {"system": "You write Python."},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_shapes_a_completion_changes_its_key(change: dict[str, object]) -> None:
    assert not {r.key for r in planned()} & {r.key for r in planned(**change)}


def test_a_digest_covers_the_stop_rules() -> None:
    known = {"max_tokens": 5, "prompt": prompt_hash([1]), "fingerprint": "f"}
    assert decoding_digest(COLD, **known) != decoding_digest(COLD, **known, stop=("\n",))
    assert prompt_hash([1, 23]) != prompt_hash([12, 3])


def test_streams_are_128_bit_and_tell_all_their_parts_apart() -> None:
    streams = {
        stream(0, "a", "d", 0),
        stream(1, "a", "d", 0),
        stream(0, "b", "d", 0),
        stream(0, "a", "e", 0),
        stream(0, "a", "d", 1),
        stream(0, "ad", "", 0),
    }
    assert len(streams) == 6
    assert all(0 <= each < 2**128 for each in streams)
    assert max(streams) > 2**100
    # Fixed for good: other values would silently change every published run.
    assert stream(0, "a", "d", 0) == 0xD12672F864BBCC8B378BD59F2BF9B255


def test_completions_carry_text_prompt_length_and_both_temperatures() -> None:
    requests = planned(decoding=DecodingConfig(0.001))
    completion = next(sample(backend(), requests))
    assert completion.text == "a/0/0.001"
    assert completion.prompt_tokens == len(requests[0].prompt_ids)
    assert completion.decoding.temperature == 0.001
    assert completion.effective_temperature == 0.01
    assert Completion.from_json(completion.to_json()) == completion


def test_what_is_done_is_not_drawn_again() -> None:
    requests = planned()
    first = [c for c, _ in zip(sample(backend(), requests), range(3), strict=False)]
    done = {c.key for c in first}
    rest = list(sample(backend(window=2), requests, done=done))
    whole = {c.key: c for c in sample(backend(), requests)}
    assert {c.key for c in rest} == whole.keys() - done
    assert {c.key: c for c in [*first, *rest]} == whole


def test_requests_are_pulled_only_as_the_backend_asks() -> None:
    pulled: list[Request] = []

    def lazily() -> Iterator[Request]:
        for each in planned():
            pulled.append(each)
            yield each

    results = sample(backend(window=2), lazily())
    next(results)
    assert len(pulled) == 2


def test_a_dying_backend_loses_nothing_that_was_finished() -> None:
    finished: list[Completion] = []
    with pytest.raises(BackendError, match="died"):
        finished.extend(sample(backend(fail_after=3), planned()))
    assert len(finished) == 3


class Faulty(FakeBackend):
    """Hands back each generation `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__(lambda r: "x")
        self._times = times

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        for generation in super().generate(requests):
            for _ in range(self._times):
                yield generation


def test_a_backend_that_repeats_or_loses_an_answer_is_caught() -> None:
    with pytest.raises(BackendError, match="unasked or twice"):
        list(sample(Faulty(2), planned()))
    with pytest.raises(BackendError, match="left 8 requests unanswered"):
        list(sample(Faulty(0), planned()))


def test_a_prompt_that_fills_the_context_is_refused_by_name_before_any_sampling() -> None:
    problems = [problem("short"), problem("long", "x" * 500)]
    with pytest.raises(UsageError, match=r"problem long has \d+ tokens and the context 200"):
        planned(problems=problems, backend=backend(context_length=200))


@pytest.mark.parametrize("count", ["samples", "max_tokens"])
def test_counts_below_one_are_refused(count: str) -> None:
    with pytest.raises(UsageError, match="not positive"):
        planned(**{count: 0})


def test_importing_does_not_import_torch() -> None:
    code = (
        "import sys, ssd_eval.sample, ssd_eval.backends.fake, ssd_eval.backends; "
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
