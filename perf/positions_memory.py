"""Peak memory of the analysis, of the bare passes, and of the naive way: `positions.py` runs this.

    python perf/positions_memory.py SHAPE WAY TOKENS SEQUENCES THREADS

One process for each figure, in MiB of resident memory above both loaded models, which have passed
16 tokens: `above` is all of it, `work` what is beyond the same way's 16 tokens, so without the
library code that a first use maps. Bare: one model, since the other one needs no more. Naive (each
sequence on its own): the shared way with one T_eval, which needs no less than eight.
Medians and ranges of `ROUNDS` processes: a heap of a few MiB is never twice the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # before perf/, which has a sandbox.py

import naive_positions
from positions_work import (
    TOP_K,
    bare,
    decodings,
    random_sequence,
    teachers,
)

from ssd_eval import analysis

WAYS = ("bare", "ours", "naive")
ROUNDS = {"organism": 7}  # else 1


def memories(shape: str, longest: int, longest_naive: int, threads: int) -> dict[str, Any]:
    """By sequence length; bare and naive up to `longest_naive`, whose logits exist at once.

    The organism's context ends at 512, so it also gets eight sequences.
    """
    context = 510 if shape == "organism" else longest
    cases = [
        (length, 1) for length in sorted({min(context, each) for each in (256, 1024, longest)})
    ]
    found: dict[str, Any] = {}
    for length, count in [*cases, (context, 8)] if shape == "organism" else cases:
        ways = WAYS if length <= longest_naive else ("ours",)
        name = f"{count} x {length}"
        found[name] = {way: _several(shape, way, length, count, threads) for way in ways}
    return found


def _several(shape: str, way: str, *numbers: int) -> dict[str, Any]:
    every = [_child(shape, way, *numbers) for _ in range(ROUNDS.get(shape, 1))]
    for each in every:
        if "failed" in each:
            return each
    columns = {name: [each[name] for each in every] for name in every[0]}
    return {name: [median(each), min(each), max(each)] for name, each in columns.items()}


def _child(shape: str, way: str, *numbers: int) -> dict[str, Any]:
    command = [sys.executable, __file__, shape, way, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(way: str, pair: Sequence[Any], texts: Sequence[Any]) -> None:
    """Keeps no rows, as the command, which writes them away."""
    if way == "bare":
        bare(pair[:1], texts)
    elif way == "ours":
        for batch in analysis._batches(texts):
            analysis.read(*pair, batch, decodings(TOP_K))
    else:
        for each in texts:
            naive_positions.sequence(pair, each, decodings(TOP_K)[:2], True)


def main() -> None:
    import torch

    shape, way = sys.argv[1:3]
    tokens, count, threads = map(int, sys.argv[3:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    pair = teachers(shape)
    vocabulary = pair[0].vocabulary
    texts = [random_sequence(vocabulary, tokens) for _ in range(count)]
    short = [random_sequence(vocabulary, 16)]
    bare(pair, short)
    loaded = _status("VmRSS")
    run(way, pair, short)
    warm = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    run(way, pair, texts)
    peak = _status("VmHWM")
    print(json.dumps({"above": round(peak - loaded, 1), "work": round(peak - warm, 1)}))


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


if __name__ == "__main__":
    main()
