"""Attempts that once got through or misjudged an honest program, each with what must happen now."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from sandbox.base import Job, Limits, Outcome, Test
from sandbox.compare import compare_stdout
from sandbox.pool import Pool
from sandbox.tiers import probe

LIMITS = Limits(cpu_s=1.0, memory_mb=192, output_mb=4, box_mb=4)
AVAILABLE = {offer.tier: offer for offer in probe()}


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    offer = AVAILABLE[request.param]
    if not offer.available:
        pytest.skip(f"tier {offer.tier}: {offer.reason}")
    with Pool(1, LIMITS, tier=request.param) as opened:
        yield opened


def run(pool: Pool, source: str, data: str = "", expected: str = "1\n") -> Outcome:
    [outcome] = pool.run([Job("job", source, (Test("stdin", data, expected),), limits=LIMITS)])
    return outcome


def call(pool: Pool, source: str, arguments: str = "[1]", expected: str = "1") -> Outcome:
    test = Test("functional", arguments, expected)
    [outcome] = pool.run([Job("job", source, (test,), entry_point="solve", limits=LIMITS)])
    return outcome


BY_NAME = {
    "truncate": "os.truncate(path, 0)",
    "open to truncate": "os.open(path, os.O_RDONLY | os.O_TRUNC)",
    "chmod": "os.chmod(path, 0o777)",
    "utime": "os.utime(path, (1, 1))",
    "setxattr": "os.setxattr(path, 'user.x', b'y')",
    "chown": "os.chown(path, os.getuid(), os.getgid())",
    "unlink": "os.unlink(path)",
    "rename": "os.rename(path, 'x')",
}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_file_outside_cannot_be_changed_by_name(pool: Pool, name: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.chmod(victim, 0o644)
    before = victim.stat()
    outcome = run(pool, f"import os\npath = {str(victim)!r}\n{BY_NAME[name]}\nprint(1)")
    assert outcome.status == "runtime_error", outcome
    assert victim.read_text() == "precious"
    after = victim.stat()
    assert (after.st_mode, after.st_mtime, after.st_ctime) == (
        before.st_mode,
        before.st_mtime,
        before.st_ctime,
    )


def test_asynchronous_input_cannot_kill_the_sandbox(pool: Pool) -> None:
    """F_SETOWN and F_SETSIG once made a wrong program an infra_error, which no score counts."""
    source = (
        "import fcntl, os, time\nr, w = os.pipe()\n"
        "fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid() or 2)\n"
        "fcntl.fcntl(r, 10, 9)\nfcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\n"
        "os.write(w, b'x')\ntime.sleep(0.1)"
    )
    assert run(pool, source).status == "runtime_error"


@pytest.mark.parametrize("command", [6, 37, 1024])
def test_no_lock_and_no_lease_on_a_shared_file(pool: Pool, command: int) -> None:
    source = (
        "import fcntl, os, struct\nf = open(os.__file__)\n"
        f"fcntl.fcntl(f, {command}, struct.pack('hhqqi4x', 0, 0, 0, 0, 0) if {command} < 99 else 0)"
    )
    outcome = run(pool, source)
    assert outcome.status == "runtime_error"
    assert "PermissionError" in outcome.detail


def test_no_marker_is_left_beside_the_box(pool: Pool) -> None:
    outcome = run(pool, "open('../marker', 'w').write('x')\nprint(1)")
    assert outcome.status == "runtime_error", outcome


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_pair_of_sockets_reaches_no_server_of_the_host(pool: Pool, kind: str) -> None:
    """socketpair is allowed for asyncio; a datagram socket could be pointed elsewhere."""
    address = f"\0ssd-eval-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.setblocking(False)
        for reach in (f"a.sendto(b'x', {address!r})", f"a.connect({address!r}); a.send(b'x')"):
            source = f"import socket\na, b = socket.socketpair(1, socket.{kind})\n{reach}\n"
            assert run(pool, source).status == "runtime_error"
        with pytest.raises(BlockingIOError):
            server.recv(1)


HONEST = {
    "asyncio": "import asyncio\nasync def main(): print(1)\nasyncio.run(main())",
    "no arguments": "import sys\nprint(len(sys.argv))",
    "raised stack": "import resource as r\n"
    "r.setrlimit(r.RLIMIT_STACK, (1 << 28, r.getrlimit(r.RLIMIT_STACK)[1]))\nprint(1)",
    "closed stdout": "import sys\nprint(1)\nsys.stdout.close()",
    "at exit": "import atexit\natexit.register(lambda: print(1))",
    "stdout by star import": "stdout.write('1')",
    "temporary file": "import tempfile\n"
    "with tempfile.TemporaryFile() as f: f.write(b'x')\nprint(1)",
    "temporary folder": "import tempfile\nwith tempfile.TemporaryDirectory() as f: print(1)",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_program_passes(pool: Pool, name: str) -> None:
    outcome = run(pool, HONEST[name])
    assert outcome.status == "passed", outcome


def test_whole_numbers_of_any_length_pass_in_and_out(pool: Pool) -> None:
    digits = "1" + "0" * 5000
    assert call(pool, "def solve(x): return 10**5000", "[1]", digits).status == "passed"
    assert call(pool, "def solve(x): return 10**5000 + 1", "[1]", digits).status == "wrong_answer"
    assert call(pool, "def solve(x): return x % 7", f"[{digits}]", "2").status == "passed"


def test_a_name_of_the_prelude_is_no_solution(pool: Pool) -> None:
    job = Job("j", "x = 1", (Test("functional", "[[1, 2], 0]", "1"),), "getitem", LIMITS)
    [outcome] = pool.run([job])
    assert outcome.status == "runtime_error", outcome


def test_a_job_without_tests_never_passes(pool: Pool) -> None:
    [outcome] = pool.run([Job("j", "print(1)", ())])
    assert outcome.status == "infra_error"


def test_source_that_explodes_in_the_compiler_is_a_compile_error(pool: Pool) -> None:
    """Each `finally` body is compiled twice: 2^19 copies, once an infra_error and gigabytes."""
    depth = 19
    lines = [f"{' ' * n}try:\n{' ' * (n + 1)}pass\n{' ' * n}finally:" for n in range(depth)]
    outcome = run(pool, "\n".join([*lines, " " * depth + "print(1, 2, 3)"]))
    assert outcome.status == "compile_error", outcome


def test_dev_stdin_holds_more_than_the_box(pool: Pool) -> None:
    source = "print(len(open('/dev/stdin').read()))"
    outcome = run(pool, source, "a" * 20_000_000, "20000000\n")
    assert outcome.status == "passed", outcome


def test_a_flood_is_compared_without_gigabytes() -> None:
    """A wrong program may print 64 MB; the evaluator holds the comparison in its own memory."""
    import tracemalloc

    for flood, right in ((b"x" + b"\n" * 8_000_000 + b"y", "x"), (b"1 " * 4_000_000, "1 2")):
        tracemalloc.start()
        assert compare_stdout(flood, right) is not None
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5 * len(flood)


@pytest.mark.skipif(find_spec("sortedcontainers") is None, reason="sortedcontainers is not here")
def test_an_allowed_package_is_found_where_its_folder_may_not_be_listed(pool: Pool) -> None:
    outcome = run(pool, "from sortedcontainers import SortedList\nprint(SortedList([1])[0])")
    assert outcome.status == "passed", outcome


def test_a_program_pins_no_other_process(pool: Pool) -> None:
    if pool.tier == "A":
        pytest.skip("it sees no other process")
    source = "import os\nos.sched_setaffinity(os.getppid(), {0})\nprint(1)"
    assert run(pool, source).status == "runtime_error"
