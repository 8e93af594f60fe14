"""`ssd-eval positions` on a real tiny checkpoint, over every source of tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import cli
from ssd_eval import positions
from ssd_eval.checkpoint import load_tokenizer
from ssd_eval.positions import SYNTAX
from ssd_eval.records import Completion

SOLUTION = "n = int(input())\nprint(n)\n"
TESTS = [{"kind": "stdin", "input": "1", "expected": "1"}]


@pytest.fixture(scope="module")
def place(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, and a second checkpoint whose head is sharper."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("command")
    shutil.copytree(tiny_checkpoint, folder / "distilled")
    file = folder / "distilled" / "model.safetensors"
    weights = load_file(file)
    weights["lm_head.weight"] = weights["lm_head.weight"] * 1.1
    save_file(weights, file, metadata={"format": "pt"})
    rows = [
        {"id": name, "statement": f"Echo {name}.", "tests": TESTS, "references": [SOLUTION]}
        for name in ("a", "b", "c")
    ]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def run(place: Path, checkpoint: Path, out: Path, tokens: str, *more: str) -> Result:
    flags = ["positions", "--base", str(checkpoint), "--distilled", str(place / "distilled")]
    flags += ["--preset", "organism", "--benchmark", str(place / "problems.jsonl")]
    flags += [
        "--t-eval",
        "0.7,1.5",
        "--samples",
        "2",
        "--k",
        "1",
        "--max-tokens",
        "8",
        "--tokens",
        tokens,
    ]
    return CliRunner().invoke(cli.cli, [*flags, "--run-dir", str(out), *more])


def sampled(out: Path, fingerprint: str) -> dict[tuple[str, int], list[int]]:
    """The token ids that the run stored for a checkpoint."""
    lines = (out / "completions.jsonl").read_text().splitlines()
    held = [Completion.from_json(json.loads(line)) for line in lines]
    return {
        (each.key.problem_id, each.key.sample): list(each.token_ids)
        for each in held
        if each.key.checkpoint == fingerprint
    }


@pytest.mark.parametrize("source", ["base", "distilled"])
def test_stored_ids_of_either_checkpoint_are_read(
    place: Path, tiny_checkpoint: Path, tmp_path: Path, source: str
) -> None:
    done = run(place, tiny_checkpoint, tmp_path / "run", source, "--json")
    assert done.exit_code == 0, done.output
    header = positions.read_header(tmp_path / "run/positions")
    assert header.tokens == source
    stored = sampled(tmp_path / "run", getattr(header, f"{source}_fingerprint"))
    found = list(positions.read(tmp_path / "run/positions"))
    assert {each.problem for each in found} == {"a", "b", "c"}
    for each in found:
        ids = each.rows["token"].tolist()
        held = stored[each.problem, each.sample]
        assert ids[: len(held)] == held
        assert len(ids) - len(held) in (0, 1)  # the end token, where it was written
    printed: dict[str, Any] = json.loads(done.stdout)
    assert printed["positions"] == sum(len(each.rows) for each in found)


def test_references_are_encoded_after_their_prompt(
    place: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    done = run(place, tiny_checkpoint, tmp_path / "run", "reference")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    found = list(positions.read(tmp_path / "run/positions"))
    assert [each.text for each in found] == [f"```python\n{SOLUTION}\n```<end>"] * 3
    assert found[0].prompt.endswith("<assistant>")
    assert "Echo a." in found[0].prompt
    keywords = found[0].rows["syntax"] == SYNTAX.index("definition")
    assert keywords.any()  # `n` is defined there
    assert not (tmp_path / "run/completions.jsonl").read_text()  # nothing had to be sampled


def bad(**changes: Any) -> dict[str, Any]:
    return {"problem_id": "a", "prompt_ids": [7, 8, 9], "token_ids": [10, 11], **changes}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (bad(), None),
        (bad(token_ids=[]), "is empty"),
        (bad(token_ids=None), "is no list of token ids"),
        ({"problem_id": "a", "prompt_ids": [7], "text": "x"}, 'lacks "token_ids"'),
        (bad(token_ids=[10] * 200), "203 tokens exceed the context of 128"),
        (bad(token_ids=[100_000]), "token id 100000 is outside the vocabulary"),
    ],
)
def test_a_file_is_read_or_refused_in_one_line(
    place: Path, tiny_checkpoint: Path, tmp_path: Path, row: dict[str, Any], message: str | None
) -> None:
    file = tmp_path / "ids.jsonl"
    file.write_text(json.dumps(row) + "\n")
    done = run(place, tiny_checkpoint, tmp_path / "run", str(file))
    if message is None:
        assert done.exit_code == 0, done.output
        found = list(positions.read(tmp_path / "run/positions"))
        assert [each.rows["token"].tolist() for each in found] == [[10, 11]]
        assert found[0].prompt == load_tokenizer(tiny_checkpoint).decode([7, 8, 9])
    else:
        assert done.exit_code != 0
        assert message in str(done.exception)
        assert "\n" not in str(done.exception)
        assert done.exception.exit_code == 2  # type: ignore[union-attr]
