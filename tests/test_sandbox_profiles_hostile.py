"""Other checkers' rules, the same isolation: hostile programs under `official` and `ml-ssd`."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_programs import FILES, KERNEL, NETWORK, PROCESSES, TAMPERING, Attempt

import sandbox
from sandbox.base import Job, Limits, Outcome, Profile, Test
from sandbox.pool import Pool
from sandbox.tiers import probe

LIMITS = Limits(cpu_s=1.0, memory_mb=192, output_mb=4, box_mb=4)
AVAILABLE = {offer.tier: offer for offer in probe()}
ESCAPES = FILES | NETWORK | PROCESSES | KERNEL
OTHERS: tuple[Profile, ...] = ("official", "ml-ssd")
# What these checkers pass rightly by their own rules: exit codes mean nothing to them, standard
# output is text in memory, descriptor 3 is not the result's, and texts are compared, not values.
PASS_THERE = {
    *("69 failure after the output", "78 two results", "79 lone surrogate", "79 NaN"),
    "81 closed descriptor",
}


@pytest.fixture(scope="module", params=["A", pytest.param("B", marks=pytest.mark.slow)])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    offer = AVAILABLE[request.param]
    if not offer.available:
        pytest.skip(f"tier {offer.tier}: {offer.reason}")
    with Pool(2, LIMITS, tier=request.param) as opened:
        yield opened


def job(name: str, attempt: Attempt, profile: Profile, words: dict[str, str]) -> Job:
    source = attempt.source
    for word, value in words.items():
        source = source.replace(word, value)
    test = Test(attempt.kind, attempt.given, attempt.expected)  # type: ignore[arg-type]
    entry = "solve" if attempt.kind == "functional" else None
    return Job(name, source, (test,), entry, limits=LIMITS, profile=profile)


def one(
    pool: Pool, source: str, profile: Profile, *tests: Test, entry: str | None = None
) -> Outcome:
    (outcome,) = pool.run([Job("j", source, tests, entry, limits=LIMITS, profile=profile)])
    return outcome


def test_escapes_fail_under_official_as_under_ours(pool: Pool) -> None:
    """`official` alone: there a program has the real `open`."""
    with tempfile.TemporaryDirectory(prefix="profiles-") as folder:
        secret = Path(folder, "secret")
        secret.write_text("secret")
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"\0profiles-{os.getpid()}")
            unix.listen()
            words = {
                "@SECRET@": repr(str(secret)),
                "@FOLDER@": repr(folder),
                "@PACKAGE@": repr(str(Path(sandbox.__file__).parent)),
                "@PORT@": str(tcp.getsockname()[1]),
                "@ADDRESS@": repr(unix.getsockname().decode()),
                "@PID@": str(os.getpid()),
            }
            jobs = [job(name, each, "official", words) for name, each in ESCAPES.items()]
            passed = {each.key for each in pool.run(jobs) if each.status == "passed"}
        assert secret.read_text() == "secret"
        assert os.listdir(folder) == ["secret"]
    assert {name for name in passed if "passed" not in ESCAPES[name].allowed} == set()


@pytest.mark.parametrize("profile", OTHERS)
def test_no_verdict_is_forged(pool: Pool, profile: Profile) -> None:
    words = {"@REDUCED@": repr("/nowhere/x")}
    jobs = [job(name, each, profile, words) for name, each in TAMPERING.items()]
    outcomes = {each.key: each for each in pool.run(jobs)}
    forged = {
        name
        for name, each in outcomes.items()
        if each.status == "passed" and "passed" not in TAMPERING[name].allowed
    }
    assert forged <= PASS_THERE
    assert not [each for each in outcomes.values() if each.status == "infra_error"]


def test_object_that_equals_everything_is_a_named_refusal(pool: Pool) -> None:
    source = "class Sly:\n    def __eq__(self, other): return True\ndef f(x): return [Sly()]\n"
    outcome = one(pool, source, "official", Test("functional", "[1]", "[5]"), entry="f")
    assert outcome.status == "wrong_answer"
    assert outcome.detail == "refused: an object of its class Sly, which says itself what it equals"


FRAMES = (
    "import os, struct\nfor fd in range(3, 300):\n    try: os.write(fd, {frames})\n"
    "    except OSError: pass\nos._exit(0)"
)


@pytest.mark.parametrize("profile", OTHERS)
@pytest.mark.parametrize(
    "frames",
    [
        "struct.pack('!cI', b'D', 0)",
        "struct.pack('!cI', b'D', 0) * 9",
        "struct.pack('!cI', b'O', 2) + b'5\\n' + struct.pack('!cI', b'D', 0)",
        "struct.pack('!cI', b'V', 1) + b'5'",
        "struct.pack('!cI', b'V', 3) + b'[[['",
        "struct.pack('!cI', b'X', 4) + b'{}[]'",
        "struct.pack('!cI', b'X', 10) + b'[\"passed\"]'",
        "struct.pack('!cI', b'?', 0)",
        "struct.pack('!cI', b'O', 2**32 - 1)",
        "b'x'",
    ],
)
def test_frames_of_ones_own_win_nothing(pool: Pool, profile: Profile, frames: str) -> None:
    source = FRAMES.format(frames=frames)
    outcome = one(pool, source, profile, Test("stdin", "", "6"), Test("stdin", "", "6"))
    assert outcome.status in ("wrong_answer", "runtime_error", "output_limit")


@pytest.mark.parametrize("profile", OTHERS)
@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("x = bytearray(8 << 30)", {"memory_limit"}),
        ("x = []\nwhile True: x.append(bytes(10**6))", {"memory_limit"}),
        ("while True: print('x' * 10**6)", {"memory_limit", "time_limit"}),
        ("for _ in range(6): print('x' * 10**6)", {"output_limit"}),
        ("import os\nwhile True: os.write(1, b'x' * 10**6)", {"runtime_error", "time_limit"}),
        ("import time\ntime.sleep(100)", {"time_limit"}),
    ],
)  # fmt: skip
def test_resources_end(pool: Pool, profile: Profile, source: str, allowed: set[str]) -> None:
    if profile == "ml-ssd" and allowed == {"time_limit"}:
        pytest.skip("its one limit is for all tests together, and long")
    outcome = one(pool, source, profile, Test("stdin", "", "1"))
    assert outcome.status in allowed, outcome
    assert one(pool, "print(1)", profile, Test("stdin", "", "1")).status == "passed"


@pytest.mark.parametrize("profile", OTHERS)
def test_tests_share_a_process_but_programs_do_not(pool: Pool, profile: Profile) -> None:
    leaves = "import builtins, os\nbuiltins.left = getattr(builtins, 'left', 0) + 1\n"
    leaves += "open('left', 'w').close()\nprint(builtins.left)\n"
    tests = (Test("stdin", "", "1"), Test("stdin", "", "2"))
    for _ in range(3):
        assert one(pool, leaves, profile, *tests).status == "passed"
