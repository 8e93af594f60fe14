"""The token view in a real headless Chromium (`make test-browser`; skipped where there is none)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssd_eval import tokenview
from ssd_eval.locks import Rule
from tests.token_positions import HEADER, sequence, word

pytestmark = [pytest.mark.browser, pytest.mark.slow]
webdriver = pytest.importorskip("selenium.webdriver")

SEQUENCES = [sequence(0), sequence(1)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("view") / "tokens.html"
    place.write_text(tokenview.page(HEADER, SEQUENCES, Rule("nucleus"), word), encoding="utf-8")
    return place


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


@pytest.fixture
def page(chromium: Any, file: Path) -> Any:
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    chromium.get(file.as_uri())
    return chromium


def press(page: Any, keys: str) -> None:
    page.switch_to.active_element.send_keys(keys)


def chosen(page: Any, side: str = "base") -> int:
    script = f"return Number(document.querySelector('#{side} [aria-selected=true]').dataset.index)"
    return int(page.execute_script(script))


def texts(page: Any, side: str) -> list[str]:
    """Each token's text, without the signs for line ends."""
    script = (
        f"return [...document.querySelectorAll('#{side} .token')].map(node => [...node.childNodes]"
        ".filter(c => c.className !== 'sign').map(c => c.textContent).join(''))"
    )
    found: list[str] = page.execute_script(script)
    return found


def changes(index: int) -> list[int]:
    """Positions by size of change, as the page rounds."""
    mine, theirs = (
        [round(float(value), 4) for value in SEQUENCES[index].rows[side]["entropy"]]
        for side in ("base", "distilled")
    )
    by = [b - a for a, b in zip(mine, theirs, strict=True)]
    return sorted(range(len(by)), key=lambda i: (-abs(by[i]), i))


def test_hostile_texts_are_shown_and_not_run(page: Any) -> None:
    assert page.execute_script("return window.hacked === undefined")
    for side in ("base", "distilled"):
        assert texts(page, side) == list(SEQUENCES[0].pieces)
    assert page.execute_script("return document.querySelectorAll('img').length") == 0
    for index in range(len(SEQUENCES[0].pieces)):
        page.execute_script("select(arguments[0], false)", index)
    assert page.execute_script("return window.hacked === undefined")


def test_nothing_is_requested_and_nothing_complains(page: Any, file: Path) -> None:
    page.execute_script("for (const key of ['n', 'c', 'c', 'c', 'f', ']', 'd']) KEYS[key]()")
    messages = [json.loads(row["message"])["message"] for row in page.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages
             if m["method"] == "Network.requestWillBeSent"}  # fmt: skip
    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}
    assert page.get_log("browser") == []


def test_opens_at_the_largest_change_and_n_p_walk_by_size(page: Any) -> None:
    order = changes(0)
    assert chosen(page) == order[0]
    press(page, "nn")
    assert chosen(page) == order[2]
    press(page, "p")
    assert chosen(page) == chosen(page, "distilled") == order[1]
    assert page.execute_script("return document.activeElement.dataset.index") == str(order[1])


def test_arrows_walk_over_tokens_and_lines(page: Any) -> None:
    page.execute_script("select(4, true)")
    press(page, "\ue014")
    assert chosen(page) == 5
    press(page, "\ue012\ue012")
    assert chosen(page) == 3
    top = "return document.querySelector('#base [aria-selected=true]').getBoundingClientRect().top"
    before = page.execute_script(top)
    press(page, "\ue015")
    assert page.execute_script(top) > before


def test_filter_dims_the_others_and_keys_skip_them(page: Any) -> None:
    forks = Rule("nucleus").forks(SEQUENCES[0].rows)
    press(page, "ff")
    script = "return [...document.querySelectorAll('#base .token')].map(n => n.matches('.dim'))"
    assert page.execute_script(script) == [not fork for fork in forks]
    for _ in range(3):
        press(page, "n")
        assert forks[chosen(page)]


def test_colour_follows_the_chosen_measure(page: Any) -> None:
    colours = (
        "return [...document.querySelectorAll('#base .token')].map(n => n.style.backgroundColor)"
    )
    seen = {tuple(page.execute_script(colours))}
    for _ in range(3):
        press(page, "c")
        seen.add(tuple(page.execute_script(colours)))
    assert len(seen) == 4


def test_detail_shows_probabilities_that_sum_to_one_after_truncation(page: Any) -> None:
    script = (
        "return [...document.querySelectorAll('#detail .base tr')].slice(1)"
        ".map(row => row.children[2].textContent)"
    )
    for index in range(len(SEQUENCES[0].pieces)):
        page.execute_script("select(arguments[0], false)", index)
        after = [float(cell) for cell in page.execute_script(script) if cell != "cut"]
        support = int(SEQUENCES[0].rows["base"]["support"][index, 0])
        if support <= len(page.execute_script(script)):
            assert len(after) == support
            assert sum(after) == pytest.approx(100, abs=0.6)


def test_both_sides_and_every_completion_are_reached_by_keyboard(page: Any) -> None:
    press(page, "b")
    active = "return document.activeElement.parentElement.id"
    assert page.execute_script(active) == "distilled"
    press(page, "]")
    assert texts(page, "base") == list(SEQUENCES[1].pieces)


def test_hover_shows_the_token_on_both_sides(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    [node] = page.find_elements("css selector", "#distilled .token[data-index='7']")
    ActionChains(page).move_to_element(node).perform()
    assert chosen(page) == 7
    assert page.execute_script("return document.querySelector('#base .twin').dataset.index") == "7"


def test_dark_and_light_are_readable(page: Any) -> None:
    """Contrast of text on the page and on the strongest colour is at least 4.5 in both."""
    script = """
      const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      const weights = [0.2126, 0.7152, 0.0722];
      const light = (c) => weights.reduce((sum, w, i) => sum + w * linear(c[i] / 255), 0);
      const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
      const ratio = (a, b) => {
        const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05);
      };
      const style = getComputedStyle(document.querySelector('.code'));
      const card = rgb(style.backgroundColor), ink = rgb(style.color);
      const hot = ['--heat', '--less'].map(name => getComputedStyle(document.documentElement)
        .getPropertyValue(name).split(',').map((v, i) => 0.75 * Number(v) + 0.25 * card[i]));
      return [card, ...hot].map(back => ratio(ink, back));
    """
    for _ in range(2):
        assert min(page.execute_script(script)) >= 4.5
        press(page, "d")
