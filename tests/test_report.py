"""The report's page: whole, closed to what models and problems write, and true to the records."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from recorded_run import HOSTILE, hostile, made

from ssd_eval import recorded, report
from ssd_eval.recorded import RecordedRun
from ssd_eval.sweep_sheets import sweep_sheets
from ssd_eval.tokenview import TEMPLATES


def written(run: RecordedRun, folder: Path, **more: Any) -> str:
    result = recorded.result(run)
    return report.write(run, result, sweep_sheets(result), folder, **more).read_text()


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    found: list[tuple[str, dict[str, str | None]]] = []

    class Elements(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Elements().feed(text)
    return found


def index(text: str) -> dict[str, Any]:
    [found] = re.findall(r'<script type="application/json" id="index">(.*?)</script>', text, re.S)
    value: dict[str, Any] = json.loads(found)
    return value


def blocks(text: str) -> list[dict[str, Any]]:
    found = re.findall(r'id="block-\d+">([A-Za-z0-9+/=]*)<', text)
    return [unpacked(each) for each in found]


def unpacked(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
    return value


def test_no_text_of_a_model_or_problem_becomes_markup(tmp_path: Path) -> None:
    text = written(made(tmp_path, text=hostile), tmp_path)
    found = [tag for tag, _ in tags(text)]
    assert found.count("script") == 2 + 6  # index, the page's own, a block each
    assert "img" not in found
    assert HOSTILE not in text
    assert "<script>window" not in text


def test_every_completion_arrives_unchanged_with_its_verdict(tmp_path: Path) -> None:
    run = made(tmp_path, text=hostile)
    text = written(run, tmp_path)
    problems = index(text)["problems"]
    seen = 0
    for problem, block in zip(problems, blocks(text), strict=True):
        for side, cell, sample, at, status, detail, _, failed, *_ in block["rows"]:
            [key] = [k for k, c in run.store.completions.items()
                     if (k.checkpoint, k.problem_id, k.sample) ==
                     (("base", "distilled")[side], problem["id"], sample)
                     and c.decoding == run.config.grid()[cell]]  # fmt: skip
            verdict = run.store.verdicts[key]
            assert block["texts"][at] == run.store.completions[key].text
            assert (block["words"][status], block["words"][detail]) == (
                verdict.status, verdict.detail,
            )  # fmt: skip
            assert failed == verdict.failed_test
            assert failed is None or HOSTILE in block["tests"][str(failed)][1]
            seen += 1
    assert seen == len(run.store.completions)


def test_index_counts_passes_as_the_records_do(tmp_path: Path) -> None:
    for problem in index(written(made(tmp_path), tmp_path))["problems"]:
        assert problem["counts"] == [[[2, 3], [2, 3]], [[2, 3], [2, 3]]]
        assert problem["main"] == pytest.approx([2 / 3, 2 / 3])


def test_page_asks_for_nothing_outside_and_admits_its_own_script_alone(tmp_path: Path) -> None:
    text = written(made(tmp_path), tmp_path)
    for tag, attributes in tags(text):
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "#")[0] == "#", tag
    script, style = ((TEMPLATES / f"report.{e}").read_text() for e in ("js", "css"))
    assert not re.search(r"fetch\(|XMLHttpRequest|innerHTML|insertAdjacent|eval\(", script)
    assert "url(" not in style
    assert "default-src &#39;none&#39;" in text


def test_large_runs_are_split_into_side_files_that_hold_the_same(tmp_path: Path) -> None:
    run = made(tmp_path, text=hostile)
    whole = written(run, tmp_path / "whole")
    split = written(run, tmp_path / "split", most=10)
    assert "block-0" not in split
    assert len(split) < len(whole)
    for place, block in enumerate(blocks(whole)):
        side = (tmp_path / "split" / report.SIDE / f"{place}.js").read_text()
        [(number, text)] = re.findall(r'^ssdEvalBlock\((\d+),"([A-Za-z0-9+/=]+)"\)\n$', side)
        assert (int(number), unpacked(text)) == (place, block)
    written(run, tmp_path / "split")
    assert list((tmp_path / "split" / report.SIDE).iterdir()) == []


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(made(tmp_path), tmp_path / "a") == written(made(tmp_path), tmp_path / "b")


def test_verdict_command_and_pictures_stand_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "sweep.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    earlier = [{"argv": ["sweep", "--limit", "2"]}]
    text = written(made(tmp_path, earlier=earlier), tmp_path)
    assert 'id="headline" class="inconclusive"' in text
    assert "pass@1: inconclusive" in text
    assert "ssd-eval sweep --limit 2\nssd-eval sweep --base &#39;a &lt;/script&gt;" in text
    assert text.count('<img src="data:image/svg+xml;base64,') == 1
