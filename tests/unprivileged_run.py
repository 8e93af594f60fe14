"""Run by tests as another user: the table in one tier, outcomes as JSON on standard output.

Standard library only. Arguments: the tier and a JSON object of words to fill in.
"""

import json
import os
import sys
from dataclasses import asdict

from hostile_attempts import ATTEMPTS
from hostile_programs import PROGRAMS

from sandbox.base import Job, Limits, SandboxError, Test
from sandbox.pool import Pool

ALL = PROGRAMS | ATTEMPTS
LIMITS = Limits(cpu_s=0.5, memory_mb=192, output_mb=4, box_mb=4)


def job(name: str, words: dict[str, str]) -> Job:
    attempt = ALL[name]
    source = attempt.source
    for word, value in words.items():
        source = source.replace(word, value)
    kind = "functional" if attempt.kind == "functional" else "stdin"
    test = Test(kind, attempt.given, attempt.expected)
    return Job(name, source, (test,), entry_point="solve", limits=LIMITS)


def main() -> None:
    tier, words = sys.argv[1], json.loads(sys.argv[2])
    words["@PID@"] = str(os.getpid())
    try:
        with Pool(2, LIMITS, tier=tier) as pool:  # type: ignore[arg-type]
            outcomes = [asdict(each) for each in pool.run(job(name, words) for name in ALL)]
    except SandboxError as error:
        print(json.dumps({"refused": str(error)}))
        return
    print(json.dumps({"uid": os.getuid(), "outcomes": outcomes}))


if __name__ == "__main__":
    main()
