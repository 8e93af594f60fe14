"""The order of requests: every request once, the longest expected first."""

from __future__ import annotations

import random
import threading

from ssd_eval.backends.base import Request
from ssd_eval.backends.schedule import LongestFirst
from ssd_eval.decoding import DecodingConfig
from ssd_eval.records import SampleKey


def requests(prompts: int, samples: int) -> list[Request]:
    return [
        Request(SampleKey("c", f"p{p}", "d", s), (p,) * (p + 1), DecodingConfig(1.0), 9, p)
        for p in range(prompts)
        for s in range(samples)
    ]


def test_one_request_of_each_prompt_goes_first() -> None:
    order = list(LongestFirst(requests(5, 3)))
    assert [each.key.problem_id for each in order[:5]] == ["p4", "p3", "p2", "p1", "p0"]


def test_every_request_comes_once_whatever_comes_back_when() -> None:
    rng = random.Random(0)
    for _ in range(50):
        asked = requests(rng.randint(1, 6), rng.randint(1, 6))
        schedule, taken, running = LongestFirst(asked), [], []
        for request in schedule:
            taken.append(request.key)
            running.append(request)
            while running and rng.random() < 0.5:
                schedule.finished(running.pop(rng.randrange(len(running))), rng.randint(0, 99))
        assert sorted(taken, key=str) == sorted((each.key for each in asked), key=str)


def test_the_prompt_with_the_longest_completions_goes_on() -> None:
    schedule = LongestFirst(requests(3, 4))
    lengths = {"p0": 50, "p1": 300, "p2": 10}
    for request in [next(schedule) for _ in range(3)]:
        schedule.finished(request, lengths[request.key.problem_id])
    rest = [request.key.problem_id for request in schedule]
    assert rest == ["p1"] * 3 + ["p0"] * 3 + ["p2"] * 3


def test_a_prompt_nothing_is_known_of_counts_as_the_mean() -> None:
    schedule = LongestFirst(requests(3, 2))
    first = {request.key.problem_id: request for request in (next(schedule) for _ in range(3))}
    schedule.finished(first["p0"], 100)
    schedule.finished(first["p1"], 10)
    assert [request.key.problem_id for request in schedule] == ["p0", "p2", "p1"]


def test_threads_share_one_schedule() -> None:
    schedule, taken = LongestFirst(requests(40, 20)), []

    def pull() -> None:
        for request in schedule:
            taken.append(request.key)
            schedule.finished(request, request.key.sample)

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == len(taken) == 800
