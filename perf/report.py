"""How long the largest report takes to write and to open: 1,000 problems x 20 x 10 x 2.

    python perf/report.py [FOLDER]

Prints seconds, and the page's and side files' sizes; with selenium and a chromium also what a user
waits for: opening the page, a problem, a sort. Numbers are of this machine; nothing is asserted.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # before perf/, which has a sandbox.py
from ssd_eval import recorded, report
from ssd_eval.sweep_sheets import sweep_sheets
from tests.recorded_run import made

TEMPERATURES = tuple(round(0.2 * step, 1) for step in range(1, 11))
RANDOM = random.Random(0)


def text(role: str, problem: int, sample: int) -> str:
    """About 800 characters, all different: nothing is stored once for several samples."""
    lines = "".join(f"    value = solve(value, {RANDOM.getrandbits(64)})\n" for _ in range(17))
    return f"```python\ndef main(value):  # {role} {problem} {sample}\n{lines}    return value\n```"


def write(folder: Path, problems: int) -> Path:
    run = made(folder, problems=problems, samples=20, temperatures=TEMPERATURES, text=text)
    started = time.perf_counter()
    result = recorded.result(run)
    print(f"statistics {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    page = report.write(run, result, sweep_sheets(result), folder)
    sides = list((folder / report.SIDE).glob("*.js"))
    size = sum(path.stat().st_size for path in sides)
    taken = time.perf_counter() - started
    print(
        f"page of {len(run.store.completions):,} completions {taken:.1f} s, "
        f"{page.stat().st_size / 1e6:.2f} MB; {len(sides)} side files {size / 1e6:.1f} MB"
    )
    return page


def browse(page: Path) -> None:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        for name, script in (("open the page", None), *STEPS):
            started = time.perf_counter()
            if script is None:
                driver.get(page.resolve().as_uri())
            else:
                driver.execute_async_script(script)
            print(f"{name} {time.perf_counter() - started:.2f} s")
    finally:
        driver.quit()


STEPS = (
    ("open a problem", "const done = arguments[0]; open(500).then(done)"),
    ("sort and draw", "state.sort = 'change'; drawList(); arguments[0]()"),
    ("search", "document.getElementById('search').value = '77'; drawList(); arguments[0]()"),
)

if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "report-perf")
    page = write(place, 1000)
    if shutil.which("chromedriver"):
        browse(page)
