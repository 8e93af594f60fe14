"""LiveCodeBench's files: how fast they load and unpack, and in how much memory.

    python perf/loading.py [--megabytes 1000] [--rows 400] [--json FILE]

Writes a file of that size in LiveCodeBench's schema (in a temporary folder), then measures, each in
a process of its own: the time to the first problem and to all of them, the time to unpack every
private test, and the peak memory of each; beside the least that a loader must do, which is reading
lines and parsing JSON, and unpacking with a pickle that is trusted. Rates are by CPU time, as the
machine may be shared.
"""

from __future__ import annotations

import argparse
import base64
import json
import pickle
import random
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAYLOADS = 12  # distinct private tests; rows take them in turn
START = """
import base64, json, pickle, re, sys, time, zlib
from pathlib import Path
path, begun, busy = Path(sys.argv[1]), time.perf_counter(), time.process_time()
def tell(**found):
    # Not ru_maxrss, which a process inherits from the one that started it.
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    wall, cpu = time.perf_counter() - begun, time.process_time() - busy
    print(json.dumps({"seconds": wall, "cpu_s": cpu, "peak_mib": peak, **found}))
"""
WORK = {
    "read lines": "with path.open('rb') as file:\n    for line in file: pass\ntell()",
    "parse JSON": "with path.open('rb') as file:\n    for line in file: json.loads(line)\ntell()",
    "our imports": "from benchmarks import lcb_rows\ntell()",
    "our first problem": "from benchmarks import lcb_rows\nnext(lcb_rows.rows(path))\ntell()",
    "our load": "from benchmarks import lcb_rows\ntell(problems=len(list(lcb_rows.rows(path))))",
    "trusted unpacking": "with path.open('rb') as file:\n    for line in file:\n"
    "        packed = json.loads(line)['private_test_cases']\n"
    "        json.loads(pickle.loads(zlib.decompress(base64.b64decode(packed))))\ntell()",
    "our load and unpacking": "from benchmarks import lcb_rows\ncharacters = 0\n"
    "for _, problem in list(lcb_rows.rows(path)):\n"
    "    for test in problem.tests: characters += len(test.input) + len(test.expected)\n"
    "tell(characters=characters)",
}


def payload(packed_bytes: int, seed: int) -> str:
    """Private tests of about that many bytes when packed: numbers, which zlib halves."""
    draw = random.Random(seed)
    size = int(packed_bytes * 0.75 / 0.47 / 8)  # tests of an eighth each; base64, then zlib
    tests = []
    for _ in range(8):
        text = draw.randbytes(size // 2).hex()
        digits = text.translate(str.maketrans("abcdef", "012345"))
        tests.append({"input": digits + "\n", "output": "0\n", "testtype": "stdin"})
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)), 1)).decode()


def write(path: Path, megabytes: int, rows: int) -> None:
    """Rows from a tenth to three times the average size."""
    average = megabytes * 1_000_000 / rows
    sizes = [average * (0.1 + 1.9 * index / (PAYLOADS - 1)) for index in range(PAYLOADS)]
    payloads = [payload(int(size), seed) for seed, size in enumerate(sizes)]
    public = json.dumps([{"input": "1\n", "output": "1\n", "testtype": "stdin"}])
    with path.open("w") as file:
        for number in range(rows):
            row = {
                "question_title": f"row {number}",
                "question_content": "Words of a statement. " * 100,
                "platform": "atcoder",
                "question_id": f"abc{number}_a",
                "contest_id": f"abc{number}",
                "contest_date": "2024-05-04T00:00:00",
                "starter_code": "",
                "difficulty": "hard",
                "public_test_cases": public,
                "private_test_cases": payloads[number % PAYLOADS],
                "metadata": "{}",
            }
            file.write(json.dumps(row) + "\n")


def measured(name: str, path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", START + WORK[name], str(path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.jsonl"
        write(path, options.megabytes, options.rows)
        size = path.stat().st_size
        print(f"{size / 1e6:,.0f} MB in {options.rows} rows")
        measured("read lines", path)  # so that each finds the file in the page cache
        found = {name: measured(name, path) for name in WORK}
    for name, each in found.items():
        rate = size / 1e6 / each["cpu_s"]
        print(
            f"{name:24} {each['seconds']:7.2f} s {each['cpu_s']:7.2f} s CPU {rate:8,.0f} MB/s "
            f"{each['peak_mib']:7,.0f} MiB"
        )
    load, parse = found["our load"]["cpu_s"], found["parse JSON"]["cpu_s"]
    ours, trusted = (found[n]["cpu_s"] for n in ("our load and unpacking", "trusted unpacking"))
    print(f"load / parse JSON {load / parse:.2f}; load and unpack / trusted {ours / trusted:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"bytes": size, **found}, indent=1))


if __name__ == "__main__":
    main()
