"""Is sampling with grading beside it as fast as two cores allow?

Draws the organism's completions alone and grades them alone, then both at once, then apart again:
each in its own process, from nothing. Two ratios of the overlapped wall time, each to CPU seconds /
cores: to its own CPU seconds (1 means that no core ever waited), and to those of the same work
apart, the mean of the runs before and after (which also counts that processes beside each other
share caches). Checks that all runs drew the same completions and gave the same verdicts. Goal: 1.1.
Run it on a quiet machine:

    python perf/overlap.py --rounds 5 --problems 24
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # before the script named sandbox

from sandbox.pool import Pool
from ssd_eval.config import cores
from ssd_eval.progress import Silent
from ssd_eval.store import RunStore

SAMPLES, TEMPERATURES, MAX_TOKENS = 10, (0.5, 0.9, 1.2, 1.5), 512


def cpu_seconds() -> tuple[float, float]:
    """Of this process, and of its children that have ended: lanes that sampled."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def digest(store: RunStore) -> str:
    """Over texts and verdicts, whatever their order."""
    texts = sorted((each.key, each.text) for each in store.completions.values())
    statuses = sorted((each.key, each.status) for each in store.verdicts.values())
    return hashlib.sha256(json.dumps([texts, statuses]).encode()).hexdigest()[:16]


def work(store: RunStore, pool: Pool, problems: int, apart: bool) -> list[tuple[float, float]]:
    """(wall clock, CPU) at the start, after sampling where that is apart, and at the end."""
    from benchmarks.micro import Micro
    from ssd_eval import backends, stages
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.sample import plan
    from ssd_eval.sweep import LIMITS

    chosen = Micro().problems()[:problems]
    grid = [DecodingConfig(t, 20, 0.8) for t in TEMPERATURES]
    backend = backends.load("hf", "organism", device="cpu", dtype="auto", batch_size=None)
    asked = plan(chosen, grid, samples=SAMPLES, max_tokens=MAX_TOKENS, seed=0, backend=backend)
    stages.draw(store, backend, asked[:8], Silent(), "warm-up")
    scoring = stages.Scoring(pool, {each.id: each for each in chosen}, LIMITS)
    marks = [_mark()]
    if apart:
        stages.draw(store, backend, asked, Silent(), "sample base")
    marks.append(_mark())
    stages.score(store, backend, asked, scoring, Silent(), "base")
    return [*marks, _mark()]


def _mark() -> tuple[float, float]:
    """CPU of all but the sandbox's processes, which live as long as the pool."""
    return time.perf_counter(), sum(cpu_seconds())


def one_round(problems: int, workers: int, apart: bool) -> dict[str, object]:
    """In this process, from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        with (
            Pool(workers) as pool,
            RunStore.open(Path(folder) / "run", digest="perf", manifest={}) as store,
        ):
            starting = pool.cpu_seconds()
            start, middle, end = work(store, pool, problems, apart)
            lanes = cpu_seconds()[1]
            found = {
                "completions": len(store.completions),
                "digest": digest(store),
                "time_limits": sum(v.status == "time_limit" for v in store.verdicts.values()),
                "tried_again": sum(v.flaky for v in store.verdicts.values()),
            }
        sandbox = cpu_seconds()[1] - lanes - starting
    return {
        **found,
        "wall_s": end[0] - start[0],
        "sampling_wall_s": middle[0] - start[0],
        "sampling_cpu_s": middle[1] - start[1],
        "grading_wall_s": end[0] - middle[0],
        "grading_cpu_s": end[1] - middle[1] + sandbox,
        "sandbox_cpu_s": sandbox,
    }


def started(arguments: argparse.Namespace, kind: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--round", kind, "--problems", str(arguments.problems)]
    command += ["--workers", str(arguments.workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--round", choices=("apart", "beside"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.round:
        apart = arguments.round == "apart"
        print(json.dumps(one_round(arguments.problems, arguments.workers, apart)))
        return
    before = started(arguments, "apart")
    digests = {before["digest"]}
    of_own, of_apart = [], []
    for number in range(arguments.rounds):
        beside, after = started(arguments, "beside"), started(arguments, "apart")
        digests |= {beside["digest"], after["digest"]}
        own, apart = cpu(beside), (cpu(before) + cpu(after)) / 2
        of_own.append(beside["wall_s"] * cores() / own)
        of_apart.append(beside["wall_s"] * cores() / apart)
        print(
            f"round {number}: {beside['completions']} completions in {beside['wall_s']:.1f} s "
            f"({own:.1f} CPU); apart: sampling {after['sampling_wall_s']:.1f} s, grading "
            f"{after['grading_wall_s']:.1f} s, {apart:.1f} CPU before and after; ratio "
            f"{of_own[-1]:.2f} to its own CPU, {of_apart[-1]:.2f} to that apart",
            flush=True,
        )
        before = after
    same = "the same" if len(digests) == 1 else f"DIFFERENT ({len(digests)} digests)"
    print(f"medians on {cores()} cores: {statistics.median(of_own):.2f} to its own CPU, "
          f"{statistics.median(of_apart):.2f} to that apart; completions and verdicts of all runs "
          f"are {same}")  # fmt: skip


def cpu(run: dict[str, float]) -> float:
    return run["sampling_cpu_s"] + run["grading_cpu_s"]


if __name__ == "__main__":
    main()
