"""What tests of one program share, or could: nothing that one leaves is seen by the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.base import Job, Outcome, Test, Tier
from sandbox.pool import Pool

# The program runs `LEAVE` in the first test, and in each prints what `LOOK` finds.
LEFT = {
    "a file": ("open('mark', 'w').write('x')", "os.listdir('.')", "[]"),
    "a file made and removed": (
        "open('mark', 'w').close(); os.remove('mark')",
        "(os.listdir('.'), os.stat('.').st_nlink)",
        "([], 2)",
    ),
    "a folder": ("os.makedirs('a/b')", "os.path.exists('a')", "False"),
    "a symbolic link": ("os.symlink('/', 'link')", "os.path.lexists('link')", "False"),
    "a mode of the working folder": (
        "suppress(lambda: os.chmod('.', 0o701))",
        "oct(os.stat('.').st_mode & 0o777) in ('0o777', '0o700')",
        "True",
    ),
    "times of the working folder": (
        "suppress(lambda: os.utime('.', (5, 5)))",
        "os.stat('.').st_mtime > 5 and os.stat('.').st_atime > 5",
        "True",
    ),
    "attributes of the working folder": (
        "suppress(lambda: os.setxattr('.', 'user.mark', b'x'))",
        "attributes()",
        "[]",
    ),
    "times of a device": (
        "open('/dev/null', 'w').write('x')",
        "suppress(lambda: os.utime('/dev/null') or print('changed'))",
        "None",
    ),
    "a file in shared memory": (
        "suppress(lambda: open('/dev/shm/mark', 'w'))",
        "os.path.exists('/dev/shm/mark')",
        "False",
    ),
    "an environment variable": ("os.environ['MARK'] = 'x'", "dict(os.environ)", "{}"),
    "a working folder": ("os.mkdir('a'); os.chdir('a')", "os.getcwd() == here", "True"),
    "a file mode mask": ("os.umask(0o77)", "os.umask(0o77) == 0o77", "False"),
    "a limit": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
        "(128, 128)",
    ),
    "a timer": (
        "signal.setitimer(signal.ITIMER_REAL, 100)",
        "signal.getitimer(signal.ITIMER_REAL)",
        "(0.0, 0.0)",
    ),
    "a signal handler": (
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "signal.getsignal(signal.SIGUSR1).name",
        "SIG_DFL",
    ),
    "a blocked signal": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [10])",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [])",
        "set()",
    ),
    "a descriptor": (
        "os.dup(1), os.pipe()",
        "[fd for fd in range(4, 128) if is_open(fd)]",
        "[]",
    ),
    "a descriptor that does not wait": (
        "os.set_blocking(0, False), os.set_blocking(1, False)",
        "[os.get_blocking(fd) for fd in (0, 1, 2)]",
        "[True, True, True]",
    ),
    "a read position": ("os.lseek(0, 0, 2)", "os.lseek(0, 0, 1) <= 2", "True"),
    "a thread": (
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "threading.active_count()",
        "1",
    ),
    "a module": ("sys.modules['mark'] = sys", "'mark' in sys.modules", "False"),
    "a patched module": ("json.loads = None", "json.loads is None", "False"),
    "a global": ("globals()['mark'] = 1", "'mark' in globals()", "False"),
    "a random state": ("random.seed(5)", "random.random()", "0.8444218515250481"),
    "a recursion limit": ("sys.setrecursionlimit(99)", "sys.getrecursionlimit()", "50000"),
    "a collector that is off": ("gc.disable()", "gc.isenabled()", "True"),
    "a session": ("None", "os.getsid(0) == os.getpid()", "True"),
}
PROGRAM = """\
import gc, os, resource, signal, threading, time
here = os.getcwd()
def suppress(attempt):
    try:
        attempt()
    except OSError:
        pass
def is_open(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
def attributes():
    try:
        return os.listxattr('.')
    except OSError:
        return []
number = int(input())
if number > 0:
    print(LOOK)
if number == 0 or number == 1:
    LEAVE
"""


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    tier: Tier = request.param
    with Pool(workers=1, tier=tier) as pool:
        yield pool


def outcome(pool: Pool, source: str, *tests: tuple[str, str]) -> Outcome:
    each = tuple(Test("stdin", given, expected) for given, expected in tests)
    (result,) = pool.run([Job("k", source, each)])
    return result


@pytest.mark.parametrize("what", LEFT)
def test_what_one_test_leaves_the_next_does_not_see(pool: Pool, what: str) -> None:
    leave, look, expected = LEFT[what]
    source = PROGRAM.replace("LOOK", look).replace("LEAVE", leave)
    result = outcome(pool, source, ("1", expected), ("1", expected), ("2", expected), ("0", ""))
    assert result.status == "passed", (what, result)


def test_a_program_that_writes_in_some_tests_finds_its_folder_empty_in_all(pool: Pool) -> None:
    source = (
        "import os\nprint(sorted(os.listdir('.')))\n"
        "for name in input().split():\n    open(name, 'w').write(name)\n"
        "print(sorted(os.listdir('.')))\n"
    )
    tests = [
        (" ".join(names) + "\n", f"[]\n{sorted(names)}")
        for names in ([], ["a"], ["a", "b"], [], ["b"], [], [], ["c"])
    ]
    assert outcome(pool, source, *tests).status == "passed"


def test_a_full_folder_is_empty_in_the_next_test(pool: Pool) -> None:
    source = (
        "import os\nfree = os.statvfs('.').f_bfree\nassert not os.listdir('.')\n"
        "open('big', 'wb').write(bytes(40 << 20))\nprint('ok')\n"
    )
    assert outcome(pool, source, *[("", "ok")] * 3).status == "passed"


def test_a_test_after_one_that_was_killed_starts_as_any(pool: Pool) -> None:
    source = (
        "import os, time\nn = int(input())\nopen(str(n), 'w')\n"
        "if n == 1:\n    os.write(1, b'half')\n    os.abort()\nprint(os.listdir('.'))\n"
    )
    job = Job(
        "k",
        source,
        tuple(Test("stdin", str(n), f"['{n}']") for n in range(4)),
        all_tests=True,
    )
    (result,) = pool.run([job])
    assert (result.status, result.tests_passed, result.failed_test) == ("runtime_error", 3, 1)


def test_no_process_of_a_test_can_be_seen_or_reached_by_the_next(pool: Pool) -> None:
    source = (
        "import os, threading, time\n"
        "reached = 0\n"
        "for pid in range(2, 400):\n"
        "    try:\n        os.kill(pid, 0)\n        reached += pid != os.getpid()\n"
        "    except OSError:\n        pass\n"
        "print(reached, flush=True)\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "os._exit(0) if input() else None\n"
    )
    result = outcome(pool, source, ("1", "0"), ("1", "0"), ("1", "0"))
    assert result.status == "passed", result


def test_new_processes_are_refused_to_programs_by_any_flags(pool: Pool) -> None:
    """The parent of tests may make one kind; programs lack the capability that it needs."""
    source = (
        "import ctypes, platform\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "number = {'x86_64': 56, 'aarch64': 220}[platform.machine()]\n"
        "found = set()\n"
        "for flags in (17, 0x20000011, 0x20001011, 0x20001000, 0x10000011, 0x30001011):\n"
        "    fd = ctypes.c_int(-1)\n"
        "    pid = libc.syscall(number, ctypes.c_ulong(flags), 0, ctypes.byref(fd), 0, 0)\n"
        "    found.add((pid, ctypes.get_errno()))\n"
        "print(found)\n"
    )
    result = outcome(pool, source, ("", "{(-1, 1)}"), ("", "{(-1, 1)}"))
    assert result.status == "passed", result


def test_capabilities_and_the_hidden_folder_stay_behind(pool: Pool) -> None:
    source = (
        "import ctypes, os, struct\nlibc = ctypes.CDLL(None)\n"
        "data = ctypes.create_string_buffer(24)\n"
        "libc.capget(struct.pack('Ii', 0x20080522, 0), data)\n"
        "print(struct.unpack('6I', data.raw))\n"
        "print([fd for fd in range(4, 128) if os.path.exists(f'/dev/fd/{fd}')])\n"
    )
    result = outcome(pool, source, ("", "(0, 0, 0, 0, 0, 0)\n[]"))
    assert result.status == "passed", result
