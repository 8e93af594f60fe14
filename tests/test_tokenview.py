"""The token view's page: whole, closed to what models write, and faithful to the positions."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import cli
from ssd_eval import positions, tokenview
from ssd_eval.decoding import truncate
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.locks import Rule
from tests.token_positions import HEADER, HOSTILE, WORDS, folder, sequence, word

RULE = Rule("nucleus")


@pytest.fixture(scope="module")
def page() -> str:
    return tokenview.page(HEADER, [sequence(0), sequence(1)], RULE, word)


class Elements(HTMLParser):
    """Tags with their attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts.append(data)


def embedded(page: str) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    value: dict[str, Any] = json.loads(text)
    return value


def test_no_text_of_a_model_becomes_markup(page: str) -> None:
    tags = [tag for tag, _ in Elements(page).found]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert "i" not in tags
    assert tags.count("title") == 1
    for text in HOSTILE[:3]:
        assert text not in page


def test_every_text_arrives_unchanged(page: str) -> None:
    value = embedded(page)
    first = sequence(0)
    assert value["sequences"][0]["pieces"] == list(first.pieces)
    assert value["sequences"][0]["prompt"] == first.prompt
    assert set(value["vocabulary"].values()) == set(WORDS)
    assert value["base"] == HEADER.base


def test_page_refers_to_nothing_outside(page: str) -> None:
    for tag, attributes in Elements(page).found:
        for name in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(name) is None, tag
    style, script = ((tokenview.TEMPLATES / f"tokenview.{e}").read_text() for e in ("css", "js"))
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|innerHTML|insertAdjacent|eval\(", script)


def test_policy_admits_the_pages_own_script_and_style_alone(page: str) -> None:
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    style, script = Elements(page).texts[0], Elements(page).texts[-1]
    expected = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                for name, text in (("script", script), ("style", style))}  # fmt: skip
    assert html.unescape(policy) == (
        f"default-src 'none'; script-src 'sha256-{expected['script']}'; "
        f"style-src 'sha256-{expected['style']}'"
    )


def test_probabilities_after_truncation_are_those_of_the_canonical_decoding() -> None:
    """As the script computes them: a prefix of `support` tokens, log p / T - power."""
    rng = np.random.default_rng(5)
    logits = torch.from_numpy(rng.normal(size=(6, len(WORDS))) * 2)
    from ssd_eval.measures import measure

    rows = measure(logits, logits, torch.zeros(6, dtype=torch.int64), HEADER.decodings)
    each = positions.Sequence("p", "c", 0, "", 1, "", tuple("abcdef"), rows)
    model = tokenview.data(HEADER, [each], RULE, word)["sequences"][0]["base"]
    for c, decoding in enumerate(HEADER.decodings):
        q = truncate(logits, decoding).exp()
        for i in range(6):
            for place, token in enumerate(model["top_ids"][i]):
                after = 0.0
                if place < model["support"][i][c]:
                    t = max(decoding.temperature, 0.01)
                    after = float(np.exp(model["top_logprob"][i][place] / t - model["power"][i][c]))
                    after = 1.0 if decoding.temperature == 0 else after
                assert after == pytest.approx(float(q[i, token]), abs=2e-3)


def test_json_holds_no_infinity_for_tokens_that_do_not_exist() -> None:
    each = sequence(0)
    each.rows["base"]["top_ids"][:, 5:] = -1
    each.rows["base"]["top_logprob"][:, 5:] = -np.inf
    text = tokenview.page(HEADER, [each], RULE, word)
    assert "Infinity" not in embedded(text)["sequences"]
    assert embedded(text)["sequences"][0]["base"]["top_logprob"][0][5] == tokenview.LOWEST


def test_few_completions_show_many_problems(tmp_path: Path) -> None:
    shown = [each.problem for each in tokenview.spread(folder(tmp_path))]
    assert shown == ["p0", "p1", "p2", "p0", "p1", "p2"]


def test_a_page_stays_small_enough_to_open() -> None:
    each = sequence(0)
    count = len(each.rows)
    assert len(list(tokenview.within([each] * 9, 3 * count))) == 3
    assert len(list(tokenview.within([each] * 9, 1))) == 1


def test_command_writes_the_page_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenview, "_pieces", lambda _: word)
    folder(tmp_path / "positions")
    done = CliRunner().invoke(cli.cli, ["view", str(tmp_path), "--limit", "4", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "file": str(tmp_path / "tokens.html"), "shown": 4, "found": 6,
    }  # fmt: skip
    assert len(embedded((tmp_path / "tokens.html").read_text())["sequences"]) == 4


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="ssd-eval positions"):
        tokenview.write(tmp_path, None)
    place = folder(tmp_path / "positions")
    with pytest.raises(UsageError, match="nucleus"):
        tokenview.write(place, None, rule="nope")
    with pytest.raises(UsageError, match="--limit 0"):
        tokenview.write(place, None, limit=0)
