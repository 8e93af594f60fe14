"""Lanes that are processes: what they draw, how they end, and what they must not keep open."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from ssd_eval.backends import forked
from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.forked import ForkedLane, run_forked
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import BackendError, UsageError
from ssd_eval.records import SampleKey

pytestmark = pytest.mark.skipif(not forked.AVAILABLE, reason="forks are for Linux")
ROOT = Path(__file__).parent.parent


def request(number: int) -> Request:
    key = SampleKey("fp", "p", "T1", number)
    return Request(key, (1, 2), DecodingConfig(1.0), max_tokens=4, stream=number)


class Echo:
    """Draws its own pid; `act` sees each request first."""

    def __init__(self, act: Callable[[Request], object] = lambda request: None) -> None:
        self._act = act

    def run(self, requests: Iterable[Request]) -> Iterator[Generation]:
        for each in requests:
            self._act(each)
            yield Generation(each.key, (os.getpid(), each.stream), "stop", 1.0)


def drawn(lanes: int, count: int, act: Callable[[Request], object] = lambda _: None) -> list[int]:
    """The pids that drew."""
    found = run_forked([lambda: Echo(act)] * lanes, map(request, range(count)))
    return [each.token_ids[0] for each in found]


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def dead(pid: int) -> bool:
    """Also where nobody has waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_every_request_is_drawn_once_by_processes_that_end() -> None:
    found = list(
        run_forked([lambda: Echo(lambda _: time.sleep(0.01))] * 2, map(request, range(40)))
    )
    assert sorted(each.token_ids[1] for each in found) == list(range(40))
    pids = {each.token_ids[0] for each in found}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert all(map(ended, pids))


def test_the_organism_draws_the_same_in_forks_as_in_one_lane() -> None:
    from ssd_eval import backends
    from ssd_eval.backends.hf import HFBackend

    one = backends.load("hf", "organism", device="cpu", dtype="auto", batch_size=16)
    assert isinstance(one, HFBackend)
    prompts = [one.encode([{"role": "user", "content": text}]) for text in ("a", "sum of a list")]
    wanted = [
        Request(
            SampleKey(one.fingerprint, f"p{i % 2}", "T0.9", i),
            prompts[i % 2],
            DecodingConfig(0.9, 20, 0.8),
            max_tokens=24,
            stream=i,
        )
        for i in range(24)
    ]
    two = HFBackend(one._model, one._chat._tokenizer, one.fingerprint, batch_size=8, lanes=2)
    expected = {each.key: each for each in one.generate(wanted)}
    assert {each.key: each for each in two.generate(wanted)} == expected


def test_what_a_lane_raises_is_raised_here_with_its_place() -> None:
    def refuse(request: Request) -> None:
        if request.stream == 3:
            raise UsageError("the prompt of problem p is too long")

    with pytest.raises(UsageError, match="too long") as error:
        drawn(2, 9, refuse)
    assert "in refuse" in "".join(error.value.__notes__)


def test_an_error_that_cannot_travel_keeps_its_words() -> None:
    class Odd(Exception):  # local: no other process can name it
        pass

    def refuse(request: Request) -> None:
        raise Odd("of its own kind")

    with pytest.raises(RuntimeError, match="Odd: of its own kind"):
        drawn(2, 9, refuse)


def test_a_killed_process_says_what_to_lower() -> None:
    def die(request: Request) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(BackendError, match="lower --sampling-batch"):
        drawn(2, 9, die)


def stuck(request: Request) -> None:
    """Draws one sample, then computes and computes."""
    time.sleep(30 * (request.stream > 1))


def test_closing_early_ends_processes_in_the_middle_of_a_step() -> None:
    results = run_forked([lambda: Echo(stuck)] * 2, map(request, range(9)))
    pids = {next(results).token_ids[0] for _ in range(2)}
    assert not any(map(ended, pids))
    started = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 20
    assert all(map(ended, pids))


def test_a_request_is_pulled_only_when_a_lane_wants_it() -> None:
    pulled = []

    def lazily() -> Iterator[Request]:
        for number in range(50):
            pulled.append(number)
            yield request(number)

    results = ForkedLane(Echo).run(lazily())
    next(results)
    time.sleep(0.2)
    assert len(pulled) <= 2
    results.close()  # type: ignore[attr-defined]


def test_a_fork_keeps_no_descriptor_of_its_parent_open() -> None:
    """A sandbox ends when the last copy of its socket is closed."""
    reads, writes = os.pipe()
    results = ForkedLane(Echo).run(map(request, range(9)))
    next(results)  # the fork lives
    os.close(writes)
    assert select.select([reads], [], [], 5)[0]
    assert os.read(reads, 1) == b""
    os.close(reads)
    results.close()  # type: ignore[attr-defined]


def test_forks_die_with_a_parent_that_is_killed() -> None:
    script = """
        import sys
        sys.path[:0] = [{root!r}, {root!r} + "/tests"]
        from test_forked import Echo, request, run_forked, stuck
        for each in run_forked([lambda: Echo(stuck)] * 2, map(request, range(10**6))):
            print(each.token_ids[0], flush=True)
    """
    code = textwrap.dedent(script.format(root=str(ROOT)))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = {int(parent.stdout.readline()) for _ in range(2)}
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 1
        while not all(map(dead, pids)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert pids
        assert all(map(dead, pids))
