"""Large inputs: kept once, read by every program, changed by none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sandbox.base import Job, Limits, SandboxError, Test, Tier
from sandbox.inputs import SHARED_FROM, Inputs
from sandbox.pool import Pool

LINES = [str(number * 7919 % 1_000_003) for number in range(400_000)]
LARGE = "\n".join(LINES) + "\n"
TOTAL = str(sum(map(int, LINES)))
STDIN = Test("stdin", LARGE, TOTAL)
FUNCTIONAL = Test("functional", json.dumps([list(map(int, LINES))]), TOTAL)
SMALL = Test("stdin", "1\n2\n", "3")
SUM = "import sys\nprint(sum(map(int, sys.stdin)))"


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    tier: Tier = request.param
    try:
        opened = Pool(2, Limits(), tier=tier)
    except SandboxError as error:
        pytest.skip(f"tier {tier} is not to be had here: {error}")
    with opened:
        yield opened


def statuses(pool: Pool, sources: list[str], *tests: Test, entry: str | None = None) -> list[str]:
    """In the order of the sources."""
    jobs = [Job(str(n), source, tests, entry_point=entry) for n, source in enumerate(sources)]
    found = {each.key: f"{each.status} {each.detail}".strip() for each in pool.run(jobs)}
    return [found[job.key] for job in jobs]


def test_the_inputs_of_this_page_are_large() -> None:
    assert min(len(STDIN.input), len(FUNCTIONAL.input)) > SHARED_FROM


def test_every_program_reads_all_of_it_from_its_start(pool: Pool) -> None:
    sources = [f"{SUM}  # {number}" for number in range(6)]
    assert statuses(pool, sources, STDIN, SMALL, STDIN) == ["passed"] * 6


def test_large_arguments_arrive_whole(pool: Pool) -> None:
    source = "def total(values): return sum(values)"
    assert statuses(pool, [source], FUNCTIONAL, FUNCTIONAL, entry="total") == ["passed"]


def test_by_name_it_is_the_same(pool: Pool) -> None:
    source = "print(sum(map(int, open('/dev/stdin'))))"
    assert statuses(pool, [source], STDIN, STDIN) == ["passed"]


def test_a_program_that_touches_its_folder_gets_its_other_tests(pool: Pool) -> None:
    source = f"open('made', 'w').write('x')\n{SUM}"
    assert statuses(pool, [source], STDIN, STDIN, SMALL) == ["passed"]


VANDALS = [
    "import os\nos.write(0, b'9')",
    "import os\nos.ftruncate(0, 0)",
    "import os\nos.fchmod(0, 0o777)",
    "import os\nos.setxattr(0, 'user.note', b'42')",
    "open('/proc/self/fd/0', 'r+b').write(b'9')",
    "import mmap\nmmap.mmap(0, 0)[0] = 57",
    "import fcntl\nfcntl.lockf(0, fcntl.LOCK_EX)",
]


@pytest.mark.parametrize("vandal", VANDALS)
def test_no_program_changes_or_marks_it(pool: Pool, vandal: str) -> None:
    harmed = f"try:\n    {vandal.replace(chr(10), chr(10) + '    ')}\nexcept Exception: pass\n"
    refused = f"{harmed}else:\n    print('done')\n"
    told, *after = statuses(pool, [refused, SUM, SUM], STDIN)
    assert after == ["passed", "passed"]
    assert told.startswith("wrong_answer"), told
    seen = "import os\nprint(os.getxattr(0, 'user.note'))"
    assert "passed" not in statuses(pool, [seen], Test("stdin", LARGE, "b'42'"))


def test_the_input_is_none_of_the_programs_memory(pool: Pool) -> None:
    (outcome,) = pool.run([Job("k", "print(3)", (Test("stdin", "7" * 40_000_000, "3"),))])
    assert outcome.status == "passed"
    if pool.tier == "A":
        assert outcome.memory_mb < 20


def test_files_are_kept_once_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.inputs.HELD_BYTES", 3 * SHARED_FROM)
    kept = Inputs()
    tests = [Test("stdin", str(n) * SHARED_FROM, "") for n in range(5)]
    for test in [*tests, tests[4], tests[3]]:
        with kept.opened(test):
            pass
    assert [each for each, _, _ in kept._files.values()] == [tests[2], tests[4], tests[3]]
    kept.close()
    assert not kept._files
