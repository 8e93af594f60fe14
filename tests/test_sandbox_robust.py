"""What a machine does to a pool: processes die, hang and stop, evaluators are killed, several work
at once. It costs a retry, never a wrong verdict, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import sandbox.trial
from sandbox import leftovers
from sandbox.base import Job, Limits, Outcome, Test
from sandbox.pool import Pool
from sandbox.tiers import probe

LIMITS = Limits(cpu_s=1, memory_mb=128, output_mb=4, box_mb=4)
AVAILABLE = {offer.tier: offer for offer in probe()}


@pytest.fixture(params=["A", "B"])
def tier(request: pytest.FixtureRequest) -> str:
    offer = AVAILABLE[request.param]
    if not offer.available:
        pytest.skip(f"tier {offer.tier}: {offer.reason}")
    return str(request.param)


@pytest.fixture
def pool(tier: str) -> Iterator[Pool]:
    with Pool(1, LIMITS, tier=tier) as opened:  # type: ignore[arg-type]
        yield opened


def job(source: str, expected: str = "1", key: str = "j", tests: int = 1) -> Job:
    return Job(key, source, (Test("stdin", "1", expected),) * tests, limits=LIMITS)


def one(pool: Pool, source: str, expected: str = "1") -> Outcome:
    [outcome] = pool.run([job(source, expected)])
    return outcome


def parts(pool: Pool) -> list[list[int]]:
    """For each worker: the zygote, and below it one process in each generation."""
    chains = []
    for worker in pool._workers:
        chain = [worker._zygote.process.pid] if worker._zygote else []
        while chain and (below := children(chain[-1])):
            chain.append(below[0])
        chains.append(chain)
    return chains


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def state(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def soon(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not (met := bool(condition())) and time.monotonic() < end:
        time.sleep(0.02)
    return met


SLEEP = "import time\ntime.sleep(0.7)\nprint(1)"


def struck(pool: Pool, generation: int, sent: signal.Signals) -> tuple[Outcome, int]:
    """What becomes of a job if once, while it runs, a process of that generation gets a signal."""
    hit: list[int] = []

    def strike() -> None:
        if soon(lambda: len(parts(pool)[0]) > 2):
            time.sleep(0.2)
            hit.append(parts(pool)[0][generation])
            os.kill(hit[0], sent)

    thread = threading.Thread(target=strike)
    thread.start()
    outcome = one(pool, SLEEP)
    thread.join()
    return outcome, hit[0]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("generation", [0, 1])
def test_a_process_of_ours_that_dies_or_stops_costs_one_retry(
    pool: Pool, generation: int, sent: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.trial, "GRACE_SECONDS", -1.5)  # 2.5 s in all, for a test's 0.7
    monkeypatch.setattr(sandbox.trial, "COMPILE_SECONDS", 2.5)
    outcome, pid = struck(pool, generation, sent)
    assert outcome.status == "passed", outcome
    assert one(pool, "print(1)").status == "passed"
    assert soon(lambda: state(pid) in ("", "Z"))


def test_a_program_that_the_kernel_kills_for_anothers_sake_is_tried_again(pool: Pool) -> None:
    """As the killer of a machine out of memory does: it takes tests first."""
    outcome, _ = struck(pool, -1, signal.SIGKILL)
    assert (outcome.status, outcome.flaky) == ("passed", True), outcome


def test_a_test_killed_before_its_program_began_is_no_programs_fault(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, reports = sandbox.trial.protocol.receive, [1]

    def unborn(sock: socket.socket) -> tuple[dict[str, object], list[bytes]]:
        header, blobs = receive(sock)
        if "began" in header and reports:
            reports.pop()
            header |= {"began": False, "setup": "", "status": 9}
        return header, blobs

    monkeypatch.setattr(sandbox.trial.protocol, "receive", unborn)
    assert one(pool, "print(1)").status == "passed"
    assert not reports


def test_a_program_that_kills_itself_is_no_infra_error(pool: Pool) -> None:
    for source in (
        "import os\nos.kill(os.getpid(), 9)\nprint(2)",
        "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (0, 0))\nwhile True: pass",
    ):
        outcome = one(pool, source)
        assert outcome.status not in ("passed", "infra_error"), outcome
        assert not outcome.flaky


def test_a_program_that_stops_itself_is_timed(pool: Pool) -> None:
    outcome = one(pool, "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nprint(2)")
    assert outcome.status in ("time_limit", "wrong_answer"), (
        outcome
    )  # the first of a namespace can't


def belongings(pool: Pool) -> dict[str, object]:
    """All that jobs could leave, but for memory."""
    zygotes = [chain[0] for chain in parts(pool)]
    shared = [Path("/dev/shm"), Path("/dev/mqueue")]
    return {
        "processes": [children(pid) for pid in zygotes],
        "own descriptors": len(os.listdir("/proc/self/fd")),
        "descriptors": [len(os.listdir(f"/proc/{pid}/fd")) for pid in zygotes],
        "mounts": [len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()) for pid in zygotes],
        "own mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "files": sorted(str(path) for path in Path(tempfile.gettempdir()).rglob("*")),
        # Not what Python's multiprocessing makes, here or in others that run now.
        "shared memory": [
            name
            for folder in shared
            if folder.exists()
            for name in os.listdir(folder)
            if not name.startswith(("psm_", "sem.mp-", "torch_"))
        ],
        "threads": threading.active_count(),
        "ipc": [Path(f"/proc/sysvipc/{name}").read_text() for name in ("shm", "sem", "msg")],
    }


def resident_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


DIRTY = [
    "print(1)",
    "def f(:",
    "open('/dev/shm/left', 'w')",
    "import os\nos.mkdir('d'); open('d/f', 'w').write('x' * 1000)\nprint(1)",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    "print(1)",
    "import os\nos.abort()",
    "import os, mmap\nm = mmap.mmap(-1, 1 << 20)\nr, w = os.pipe()\nprint(1)",
    "x = bytearray(1 << 30)",
    "import os\ntry: os.memfd_create('x')\nexcept OSError: print(1)",
    "print('x' * (5 << 20))",
]


def leaks(tier: str, count: int) -> None:
    with Pool(2, LIMITS, tier=tier) as opened:  # type: ignore[arg-type]
        list(opened.run(job(source, key=source) for source in DIRTY * 2))
        assert soon(lambda: not any(belongings(opened)["processes"]))  # type: ignore[call-overload]
        before = belongings(opened)
        sizes = [resident_kb(chain[0]) for chain in parts(opened)]
        jobs = (job(DIRTY[n % len(DIRTY)], key=str(n), tests=2) for n in range(count))
        seen = Counter(outcome.status for outcome in opened.run(jobs))
        assert seen["infra_error"] == 0
        assert seen.total() == count
        assert seen["passed"] == 5 * count // 10
        soon(lambda: belongings(opened) == before)
        assert belongings(opened) == before
        after = [resident_kb(chain[0]) for chain in parts(opened)]
        assert all(new < old + 2048 for old, new in zip(sizes, after, strict=True))
        zygotes = [chain[0] for chain in parts(opened)]
    assert all(state(pid) == "" for pid in zygotes)


@pytest.fixture
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("own_temporary")
def test_a_hundred_jobs_leak_nothing(tier: str) -> None:
    leaks(tier, 100)


@pytest.mark.slow
@pytest.mark.usefixtures("own_temporary")
def test_ten_thousand_jobs_leak_nothing(tier: str) -> None:
    leaks(tier, 10_000)


EVALUATOR = """
import sys
from sandbox.base import Job, Limits, Test
from sandbox.pool import Pool
source, count, tier = sys.argv[1:]
limits = Limits(cpu_s=5, memory_mb=512)
with Pool(2, limits, tier=tier) as pool:
    print("ready", flush=True)
    jobs = [Job(str(n), source, (Test("stdin", str(n), str(n)),) * 3, limits=limits)
            for n in range(int(count))]
    found = {outcome.key: outcome.status for outcome in pool.run(jobs)}
print(sorted(found.items()))
"""


def evaluator(tier: str, source: str, count: int, temporary: Path) -> subprocess.Popen[bytes]:
    started = subprocess.Popen(
        [sys.executable, "-c", EVALUATOR, source, str(count), tier],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
    )
    assert started.stdout
    assert started.stdout.readline() == b"ready\n"
    return started


def below(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # short-lived ones go while we look
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return [*found, *(each for child in found for each in below(child))]


def test_an_evaluator_killed_leaves_no_process_and_the_next_clears_its_folders(
    tier: str, tmp_path: Path
) -> None:
    spin = "open('f', 'w').write('x')\nwhile True: pass"
    killed = evaluator(tier, spin, 2, tmp_path)
    assert soon(lambda: len(below(killed.pid)) >= 6)  # two zygotes, two candidates, two tests
    pids = below(killed.pid)
    killed.kill()
    killed.wait()
    assert soon(lambda: all(state(pid) in ("", "Z") for pid in pids), 1.0), pids
    left = os.listdir(tmp_path)
    assert len(left) == (2 if tier == "B" else 0)
    following = evaluator(tier, "print(input())", 2, tmp_path)
    assert not set(left) & set(os.listdir(tmp_path))
    assert following.communicate(timeout=30)[0].count(b"passed") == 2
    assert os.listdir(tmp_path) == []


def test_evaluators_at_once_do_not_disturb_each_other(tier: str, tmp_path: Path) -> None:
    """Nor do they clear each other's folders away, and threads are counted apart."""
    source = (
        "import threading\nx = input()\nopen('f', 'w').write(x)\n"
        "ts = [threading.Thread(target=list, args=(range(9),)) for _ in range(20)]\n"
        "for t in ts: t.start()\nfor t in ts: t.join()\nprint(open('f').read())"
    )
    running = [evaluator(tier, source, 12, tmp_path) for _ in range(3)]
    answers = [each.communicate(timeout=60)[0] for each in running]
    assert answers == [answers[0]] * 3
    assert answers[0].count(b"passed") == 12
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives each worker a uid")
def test_workers_of_all_pools_run_programs_as_different_users() -> None:
    if not AVAILABLE["A"].available:
        pytest.skip(AVAILABLE["A"].reason)
    ask = "import os, time\ntime.sleep(0.3)\nprint(os.getuid())"
    with Pool(2, LIMITS, tier="A") as first, Pool(2, LIMITS, tier="A") as second:
        found = [each.detail for p in (first, second) for each in p.run([job(ask, "?")] * 2)]
    assert len(set(found)) == 4, found
    assert not any("'0'" in each for each in found)


def test_only_own_folders_of_dead_evaluators_are_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = leftovers.Folder()
    dead = Path(tempfile.mkdtemp(prefix=leftovers.PREFIX))
    (dead / "shut").mkdir(mode=0)
    (tmp_path / "kept").mkdir()
    (tmp_path / f"{leftovers.PREFIX}link").symlink_to("kept")
    open_to_all = tmp_path / f"{leftovers.PREFIX}open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    leftovers.clear()
    assert not dead.exists()
    assert Path(mine.path).exists()
    assert (tmp_path / "kept").exists()
    assert open_to_all.exists()
    mine.close()
    assert not Path(mine.path).exists()
