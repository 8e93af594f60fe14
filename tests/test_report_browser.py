"""The report's page in a real headless Chromium: `make test-browser`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded_run import hostile, made

from ssd_eval import recorded, report
from ssd_eval.sweep_sheets import sweep_sheets

pytestmark = [pytest.mark.browser, pytest.mark.slow]
webdriver = pytest.importorskip("selenium.webdriver")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("no chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module", params=[10**9, 10], ids=["whole", "split"])
def file(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    run = made(folder, problems=250, text=hostile)
    result = recorded.result(run)
    return report.write(run, result, sweep_sheets(result), folder, most=request.param)


@pytest.fixture
def page(chromium: Any, file: Path) -> Any:
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    chromium.get(file.as_uri())
    return chromium


def do(page: Any, script: str, *arguments: object) -> Any:
    return page.execute_script(script, *arguments)


def opened(page: Any, place: int) -> None:
    """The problem in that row, with all its pairs of samples unfolded."""
    do(page, f"document.querySelectorAll('#list tbody button')[{place}].click()")
    for _ in range(100):
        if do(page, "return document.querySelectorAll('#samples > details').length"):
            break
        time.sleep(0.05)
    do(page, "document.querySelectorAll('#samples details').forEach(each => { each.open = true })")
    time.sleep(0.3)


def rows(page: Any) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#list tbody tr')].map(r => r.cells[0].innerText)"
    )
    found: list[str] = do(page, script)
    return found


def test_hostile_texts_are_shown_and_not_run(page: Any, file: Path) -> None:
    opened(page, 2)
    codes = do(page, "return [...document.querySelectorAll('pre.code')].map("
               "pre => [...pre.children].map(line => line.textContent).join('\\n'))")  # fmt: skip
    expected = [hostile(role, 2, i) for i in range(3) for role in ("base", "distilled")]
    assert codes == expected
    assert do(page, "return window.hacked === undefined")
    assert do(page, "return document.querySelectorAll('main img').length") == 0
    assert do(page, "return document.getElementById('problem').textContent.includes('<img src=x')")


def test_nothing_is_requested_but_the_opened_problem_and_nothing_complains(
    page: Any, file: Path
) -> None:
    opened(page, 1)
    messages = [json.loads(row["message"])["message"] for row in page.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages
             if m["method"] == "Network.requestWillBeSent"}  # fmt: skip
    side = file.parent / report.SIDE / "1.js"
    assert asked == {file.as_uri(), *([side.as_uri()] if side.exists() else [])}
    assert page.get_log("browser") == []


def test_search_filter_and_sort_show_what_they_say(page: Any) -> None:
    assert len(rows(page)) == 200  # drawn in steps
    do(page, "document.getElementById('more').click()")
    assert len(rows(page)) == 250
    fill = ("const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input'))")  # fmt: skip
    do(page, fill, "search", "P024")
    assert rows(page) == [f"p{n:04}" for n in range(240, 250)]
    do(page, fill, "difficulty", "hard")
    assert rows(page) == ["p0242", "p0245", "p0248"]
    do(page, "document.querySelector('#list th button').click()")
    assert rows(page) == ["p0248", "p0245", "p0242"]
    do(page, fill, "change", "better")
    assert rows(page) == []


def test_lines_of_one_side_alone_are_marked(page: Any) -> None:
    opened(page, 0)
    marked = do(page, "return [...document.querySelectorAll('.code .gone, .code .new')].map("
                "line => line.textContent)")  # fmt: skip
    assert marked[:2] == ["print(x + 0)  # base", "print(x + 0)  # distilled"]
    assert len(marked) == 6


def test_missing_side_file_is_said(page: Any, file: Path) -> None:
    side = file.parent / report.SIDE / "3.js"
    if not side.exists():
        pytest.skip("the page holds everything")
    side.unlink()
    do(page, "document.querySelectorAll('#list tbody button')[3].click()")
    time.sleep(0.5)
    assert "3.js is missing" in do(page, "return document.getElementById('summary').textContent")
