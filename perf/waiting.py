"""How OpenMP's threads wait, and what that costs: alone, and beside a process that holds a core.

    python perf/waiting.py [--threads N] [--tokens N] [--rounds N]

Wall seconds of two pieces of work on the organism with each policy: `positions` (`analysis.read`
over micro's references) and `training` (forward and backward of 16 x 128 tokens). `ssd-eval` sets
OMP_WAIT_POLICY=PASSIVE where the user sets nothing; libgomp's own default lets threads spin.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # before perf/, which has a sandbox.py

POLICIES = {"spinning": {}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}


def work(threads: int, tokens: int, rounds: int) -> dict[str, float]:
    import positions_work
    import torch

    torch.set_num_threads(threads)
    pair, texts = positions_work.teachers("organism"), positions_work.sequences("organism", tokens)
    model, ids = pair[0].model, torch.randint(6, 90, (16, 128))

    def train() -> None:
        model(input_ids=ids, labels=ids).loss.backward()

    found = {}
    works = {"positions": lambda: positions_work.ours(pair, texts, 20), "training": train}
    for name, run in works.items():
        run()
        spent = []
        for _ in range(rounds):
            began = time.perf_counter()
            run()
            spent.append(time.perf_counter() - began)
        found[name] = median(spent)
    return found


def child(policy: str, options: argparse.Namespace) -> dict[str, float]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    command = [sys.executable, __file__, "--child", "--threads", str(options.threads)]
    command += ["--tokens", str(options.tokens), "--rounds", str(options.rounds)]
    done = subprocess.run(
        command, env={**kept, **POLICIES[policy]}, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(work(options.threads, options.tokens, options.rounds)))
        return
    for busy in (0, 1):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            for policy in POLICIES:
                row = {"busy": busy, "policy": policy, **child(policy, options)}
                print(json.dumps(row), flush=True)
        finally:
            for each in others:
                each.kill()
                each.wait()


if __name__ == "__main__":
    main()
