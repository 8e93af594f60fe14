"""The numbered hostile programs, each with its verdict, and what must not have happened outside."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hostile_attempts import ATTEMPTS
from hostile_programs import PROGRAMS, Attempt

import sandbox
from sandbox.base import Job, Limits, Outcome, Test
from sandbox.pool import Pool
from sandbox.tiers import probe

LIMITS = Limits(cpu_s=0.5, memory_mb=192, output_mb=4, box_mb=4)
AVAILABLE = {offer.tier: offer for offer in probe()}
SECRET = "the secret"
ALL = PROGRAMS | ATTEMPTS
HONEST = Job("honest", "print(int(input()))", (Test("stdin", "1", "1"),), limits=LIMITS)


@dataclass(frozen=True)
class Surroundings:
    """What programs try to reach: a world-readable folder, servers, this process."""

    folder: Path
    tcp: socket.socket
    unix: socket.socket

    def words(self) -> dict[str, str]:
        return {
            "@SECRET@": repr(str(self.folder / "secret")),
            "@REDUCED@": repr(str(self.folder / "reduced")),
            "@FOLDER@": repr(str(self.folder)),
            "@PACKAGE@": repr(str(Path(sandbox.__file__).parent)),
            "@PORT@": str(self.tcp.getsockname()[1]),
            "@ADDRESS@": repr(self.unix.getsockname().decode()),
        }

    def filled(self, source: str) -> str:
        for word, value in {**self.words(), "@PID@": str(os.getpid())}.items():
            source = source.replace(word, value)
        return source

    def changes(self) -> list[str]:
        found = [f"{name} is new" for name in os.listdir(self.folder) if name != "secret"]
        if (self.folder / "secret").read_text() != SECRET:
            found.append("the secret was written")
        for server in (self.tcp, self.unix):
            try:
                found.append(f"somebody connected: {server.accept()}")
            except BlockingIOError:
                continue
        return found


@pytest.fixture(scope="module")
def surroundings() -> Iterator[Surroundings]:
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    folder.chmod(0o755)
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o666)
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0hostile-{os.getpid()}")
        unix.listen()
        tcp.setblocking(False)
        unix.setblocking(False)
        os.environ["SECRET"] = SECRET
        yield Surroundings(folder, tcp, unix)
        del os.environ["SECRET"]
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest, surroundings: Surroundings) -> Iterator[Pool]:
    offer = AVAILABLE[request.param]
    if not offer.available:
        pytest.skip(f"tier {offer.tier}: {offer.reason}")
    with Pool(1, LIMITS, tier=request.param) as opened:
        yield opened
        assert surroundings.changes() == []


def run(pool: Pool, surroundings: Surroundings, attempt: Attempt) -> Outcome:
    test = Test("functional" if attempt.kind == "functional" else "stdin", attempt.given,
                attempt.expected)  # fmt: skip
    source = surroundings.filled(attempt.source)
    [outcome] = pool.run([Job("job", source, (test,), entry_point="solve", limits=LIMITS)])
    return outcome


def test_the_tables_share_no_name() -> None:
    assert len(ALL) == len(PROGRAMS) + len(ATTEMPTS)
    assert len(ATTEMPTS) >= 40


def test_every_number_of_the_specification_is_here() -> None:
    elsewhere = {13, 67}  # below
    assert {int(name[:2]) for name in PROGRAMS} | elsewhere == set(range(1, 83))


@pytest.mark.parametrize("name", ALL)
def test_hostile_program_gets_its_verdict(
    pool: Pool, surroundings: Surroundings, name: str
) -> None:
    before = _descendants(os.getpid())
    outcome = run(pool, surroundings, ALL[name])
    assert outcome.status in ALL[name].allowed, outcome
    end = time.monotonic() + 2  # the candidate's process ends after its outcome is told
    while (left := _descendants(os.getpid()) - before) and time.monotonic() < end:
        time.sleep(0.01)
    assert left == set(), "alive after the program"


@pytest.mark.parametrize("name", ["43 old gate", "44 x32 getpid"])
def test_calls_of_other_architectures_end_the_program(
    pool: Pool, surroundings: Surroundings, name: str
) -> None:
    if name not in PROGRAMS:
        pytest.skip("of x86_64 only")
    assert run(pool, surroundings, PROGRAMS[name]).detail == "killed by SIGSYS"


MARKER = (
    "import os, builtins\nnames = [folder + '/hostile-marker' for folder in "
    "('.', '/tmp', '/dev/shm', '..', '/var/tmp', '/run', '/dev', '/', @FOLDER@)]\n"
    "found = [name for name in names if os.path.exists(name)]\n"
    "found += [each for each in (builtins, os) if hasattr(each, 'marker')]\n"
    "for name in names:\n    try: open(name, 'w').close()\n    except OSError: pass\n"
    "builtins.marker = os.marker = 1\nprint(found)"
)


def test_no_marker_of_another_test_or_program_is_found(
    pool: Pool, surroundings: Surroundings
) -> None:
    """13."""
    source, tests = surroundings.filled(MARKER), (Test("stdin", "", "[]"),) * 3
    for outcome in pool.run([Job(str(n), source, tests, limits=LIMITS) for n in range(2)]):
        assert outcome.tests_passed == 3, outcome


def test_twenty_memory_hogs_at_once_leave_the_evaluator_alone(pool: Pool) -> None:
    """67."""
    hog = "a = []\nwhile 1: a.append(bytearray(10**6))"
    limits = replace(LIMITS, memory_mb=96)
    with Pool(4, LIMITS, tier=pool.tier) as opened:
        jobs = [Job(str(n), hog, HONEST.tests, limits=limits) for n in range(20)]
        assert [outcome.status for outcome in opened.run(jobs)] == ["memory_limit"] * 20
        assert next(iter(opened.run([HONEST]))).status == "passed"


PATCHES = (
    "import builtins, json, os, sys, random\nbuiltins.print = builtins.int = builtins.type = None\n"
    "json.dumps = json.loads = os.write = os._exit = None\nsys.setrecursionlimit(10)\n"
    "sys.path[:] = []\nsys.modules.clear()\nos.environ['X'] = 'y'\nos.chdir('/')\n"
)


def test_patches_reach_no_later_test_or_program(pool: Pool) -> None:
    """76."""
    tests = HONEST.tests * 2
    patcher = Job("patcher", PATCHES, tests, limits=LIMITS, all_tests=True)
    outcomes = {each.key: each for each in pool.run([patcher, HONEST])}
    assert outcomes["patcher"].status in ("wrong_answer", "runtime_error")
    assert outcomes["honest"].status == "passed"
    source = "import os\nif input() == '1': os._exit = os.write = None\nprint(1)"
    tests = (Test("stdin", "1", "1"), Test("stdin", "2", "1"), Test("stdin", "2", "1"))
    [outcome] = pool.run([Job("j", source, tests, limits=LIMITS, all_tests=True)])
    assert outcome.tests_passed >= 2, outcome


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it may end while we look
            for child in map(int, task.read_text().split()):
                found |= {child} | _descendants(child)
    return found


def test_the_pool_still_grades_after_all_of_that(pool: Pool) -> None:
    assert next(iter(pool.run([HONEST]))).status == "passed"


def _python_for_all() -> str:
    """An interpreter that every user can run; skips where there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            subprocess.run(probe, user=65534, group=65534, extra_groups=[], cwd="/", check=True)
            return os.path.realpath(python)
        except (OSError, subprocess.CalledProcessError):
            continue
    pytest.skip("no interpreter that every user can run")


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("tier", ["A", "B"])
def test_hostile_programs_get_their_verdicts_without_root(
    surroundings: Surroundings, tier: str
) -> None:
    python, here = _python_for_all(), Path(__file__).parent
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o755)
        (home / "tmp").mkdir(mode=0o777)
        (home / "tmp").chmod(0o777)
        shutil.copytree(Path(sandbox.__file__).parent, home / "sandbox",
                        ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
        for script in ("hostile_programs.py", "hostile_attempts.py", "unprivileged_run.py"):
            shutil.copy(here / script, home)
        command = [python, "-B", "unprivileged_run.py", tier, json.dumps(surroundings.words())]
        result = subprocess.run(
            command, cwd=home, env={"TMPDIR": str(home / "tmp"), "SECRET": SECRET}, user=65534,
            group=65534, extra_groups=[], capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert os.listdir(home / "tmp") == []
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    if "refused" in said:
        pytest.skip(said["refused"])
    assert said["uid"] == 65534
    assert len(said["outcomes"]) == len(ALL)
    wrong = [o for o in said["outcomes"] if o["status"] not in ALL[o["key"]].allowed]
    assert wrong == []
    assert surroundings.changes() == []
