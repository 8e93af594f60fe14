"""Two checkpoints over stored tokens: rows land on their tokens, bad input is named."""

from __future__ import annotations

import json
import math
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssd_eval import analysis, figure6, locks, positions, sequences, teacher
from ssd_eval.analysis import Readers
from ssd_eval.checkpoint import load_tokenizer
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import CheckpointError, UsageError
from ssd_eval.measures import measure
from ssd_eval.positions import Header
from ssd_eval.sequences import Tokens

CONFIGS = [DecodingConfig(0.9, 5, 0.8), DecodingConfig(0.5, 5, 0.8), DecodingConfig(1.5, 5, 0.8)]
HEADER = Header("a", "1", "b", "2", 261, "file", CONFIGS[0], tuple(CONFIGS[1:]))


@pytest.fixture(scope="module")
def readers(tiny_checkpoint: Path) -> Readers:
    base, distilled = (teacher.load(str(tiny_checkpoint)) for _ in range(2))
    with torch.no_grad():
        distilled.model.lm_head.weight.mul_(0.5)
    distilled.name = "the distilled one"
    return Readers(base, distilled, load_tokenizer(tiny_checkpoint))


def tokens(problem: str = "p", sample: int = 0, prompt: int = 3, answer: int = 6) -> Tokens:
    ids = torch.randint(6, 90, (prompt + answer,), generator=torch.manual_seed(sample)).tolist()
    return Tokens(problem, problem, sample, tuple(ids[:prompt]), tuple(ids[prompt:]))


def test_rows_are_those_of_the_full_logits(readers: Readers) -> None:
    many = [tokens(sample=0), tokens(sample=1, prompt=1, answer=1), tokens(sample=2, answer=40)]
    found = analysis.read(readers.base, readers.distilled, many, CONFIGS)
    for each, rows in zip(many, found, strict=True):
        at = slice(len(each.prompt_ids) - 1, -1)
        with torch.inference_mode():
            mine, theirs = (
                reader.model(torch.tensor([each.ids])).logits[0, at]
                for reader in (readers.base, readers.distilled)
            )
        expected = measure(mine, theirs, torch.tensor(each.answer_ids), CONFIGS)
        assert rows["token"].tolist() == list(each.answer_ids)
        for name in ("entropy", "logprob", "cross_entropy", "sampled"):
            np.testing.assert_allclose(rows["base"][name], expected["base"][name], 1e-4, 1e-4)
        np.testing.assert_allclose(rows["kl"], expected["kl"], 1e-4, 1e-4)


def test_problems_become_shards_and_are_not_done_again(
    readers: Readers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [tokens("x", 0), tokens("x", 1), tokens("y", 0)]
    seen: list[int] = []
    analysis.analyse(tmp_path, HEADER, readers, many, on_sequence=seen.append)
    held = list(positions.read(tmp_path))
    assert [(each.problem, each.sample) for each in held] == [("x", 0), ("x", 1), ("y", 0)]
    assert sum(seen) == sum(len(each.rows) for each in held) == 18
    positions.shard(tmp_path, 1).unlink()
    calls: list[int] = []
    read = analysis.read
    monkeypatch.setattr(
        analysis, "read", lambda a, b, batch, c: calls.append(len(batch)) or read(a, b, batch, c)
    )
    analysis.analyse(tmp_path, HEADER, readers, many)
    assert calls == [1]
    analysis.analyse(tmp_path, HEADER, readers, [*many[:2], tokens("z", 7)])
    assert calls == [1, 1]
    assert [each.problem for each in positions.read(tmp_path)] == ["x", "x", "z"]
    changed = replace(HEADER, evaluation=HEADER.evaluation[:1])
    analysis.analyse(tmp_path, changed, readers, many[:1])
    assert [len(each.rows["teff"][0]) for each in positions.read(tmp_path)] == [1]


@pytest.mark.parametrize("together", [1, 7, 1000])
def test_batching_changes_nothing_that_matters(
    readers: Readers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    many = [tokens(str(n), n, answer=3 + n) for n in range(4)]
    alone = [analysis.read(readers.base, readers.distilled, [each], CONFIGS)[0] for each in many]
    monkeypatch.setattr(analysis, "TOGETHER", together)
    analysis.analyse(tmp_path, HEADER, readers, many)
    for mine, each in zip(alone, positions.read(tmp_path), strict=True):
        assert mine["base"]["support"].tolist() == each.rows["base"]["support"].tolist()
        np.testing.assert_allclose(mine["kl"], each.rows["kl"], 1e-4, 1e-5)


@pytest.mark.parametrize("measured", [7, 1000])
def test_few_logits_exist_at_once_and_how_many_changes_nothing_that_matters(
    readers: Readers, monkeypatch: pytest.MonkeyPatch, measured: int
) -> None:
    many = [tokens(str(n), n, answer=3 + n) for n in range(6)]
    expected = analysis.read(readers.base, readers.distilled, many, CONFIGS)
    seen: list[int] = []
    logits = readers.base.logits
    monkeypatch.setattr(
        readers.base, "logits", lambda part: seen.append(part.shape[1]) or logits(part)
    )
    monkeypatch.setattr(analysis, "MEASURED", measured)
    found = analysis.read(readers.base, readers.distilled, many, CONFIGS)
    assert seen == ([7, 7, 7, 7, 5] if measured == 7 else [33])
    for mine, each in zip(expected, found, strict=True):
        assert mine["base"]["support"].tolist() == each["base"]["support"].tolist()
        np.testing.assert_allclose(mine["kl"], each["kl"], 1e-4, 1e-5)


def test_short_sequences_share_a_pass_up_to_a_number_of_tokens() -> None:
    lengths = [200, 90, 100, 700, 95, 3]
    parts = list(analysis._passes(lengths))
    assert sorted(place for part in parts for place in part) == list(range(6))
    assert parts == [[5, 1, 4, 2], [0], [3]]


def test_memory_does_not_grow_with_the_corpus(
    readers: Readers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the stage but torch's tensors: of a problem its name and its file's are kept."""
    monkeypatch.setattr(analysis, "TOGETHER", 32)
    peaks = {}
    for count in (5, 10, 80):  # the first one pays for what is loaded once
        folder = tmp_path / str(count)
        tracemalloc.start()
        corpus = (tokens(f"p{place}", answer=8) for place in range(count))
        analysis.analyse(folder, HEADER, readers, corpus)
        rule = locks.fitted("entropy-quantile", folder)
        assert figure6.collect(folder, rule).problems == count
        locks.judged(folder, [rule])
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert 8 * positions.row_dtype(len(CONFIGS)).itemsize > 7000  # rows of one sequence
    assert peaks[80] - peaks[10] < 70 * 2000


def test_nan_names_model_position_problem_and_layer(readers: Readers) -> None:
    layer = readers.distilled.model.model.layers[1].mlp
    hook = layer.register_forward_hook(
        lambda _m, _g, out: out.index_fill(1, torch.tensor(4), math.nan)
    )
    many = [tokens("a"), tokens("b", 3), tokens("c", answer=1)]
    try:
        with pytest.raises(CheckpointError) as caught:
            analysis.read(readers.base, readers.distilled, many, CONFIGS)
    finally:
        hook.remove()
    for part in ("the distilled one", "token 4 of sample 0 of problem a", "model.layers.1.mlp "):
        assert part in str(caught.value)
    assert caught.value.exit_code == 2


def test_sequence_beyond_the_context_is_named(readers: Readers) -> None:
    with pytest.raises(UsageError, match="sample 0 of problem p: 201 tokens exceed the context"):
        analysis.check(readers, tokens(answer=198))


def test_checkpoints_of_other_vocabularies_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, readers: Readers
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_checkpoint, other)
    file = other / "tokenizer.json"
    words = json.loads(file.read_text())
    vocabulary = words["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    file.write_text(json.dumps(words))
    pair = load_tokenizer(tiny_checkpoint), load_tokenizer(other)
    with pytest.raises(UsageError, match=r"token .* is 'a' in one and 'b' in the other"):
        sequences.check_tokenizers(*pair, ("mine", "theirs"))
    sequences.check_tokenizers(pair[0], load_tokenizer(tiny_checkpoint), ("mine", "mine"))
    smaller = teacher.load(str(tiny_checkpoint))
    smaller.model.resize_token_embeddings(200)
    smaller = teacher.Teacher(smaller.model, "smaller")
    with pytest.raises(UsageError, match="have different vocabularies"):
        Readers(readers.base, smaller, readers.tokenizer)


def test_pieces_join_to_the_text_whatever_the_bytes(readers: Readers) -> None:
    text = "x = '日本 é' # ü🎉\n" * 3
    ids = readers.tokenizer.encode(text, add_special_tokens=False)
    assert len(ids) > len(text)  # bytes, most characters span several tokens
    assert "".join(analysis.texts(readers.tokenizer, ids)) == text
    torn = analysis.texts(readers.tokenizer, ids[:7])
    assert len(torn) == 7
    assert "".join(torn) == readers.tokenizer.decode(ids[:7])


ROW: dict[str, Any] = {"problem_id": "p", "prompt_ids": [1, 2], "token_ids": [3, 4]}


def test_file_of_sequences_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in (ROW, {**ROW, "token_ids": [5]})) + "\n\n")
    found = list(sequences.of_file(file, {}))
    assert [(each.sample, each.ids) for each in found] == [(0, (1, 2, 3, 4)), (1, (1, 2, 5))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "token_ids": []}, "line 1: sample 0 of problem p is empty"),
        ({**ROW, "prompt_ids": []}, "has no prompt ids"),
        ({"problem_id": "p", "prompt_ids": [1], "text": "x"}, 'lacks "token_ids"'),
        ({"problem_id": "p", "token_ids": [1]}, 'lacks "prompt_ids"'),
        ({"prompt_ids": [1], "token_ids": [1]}, 'lacks "problem_id"'),
        ({**ROW, "token_ids": [1, "2"]}, "is no list of token ids"),
        ({**ROW, "token_ids": [True]}, "is no list of token ids"),
        ([1], "is no JSON object"),
    ],
)
def test_bad_sequence_is_named_with_its_line(tmp_path: Path, row: Any, message: str) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=message):
        list(sequences.of_file(file, {}))


@pytest.mark.parametrize("text", ["", "{not json}\n"])
def test_file_without_sequences_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"s\.jsonl"):
        list(sequences.of_file(file, {}))
    with pytest.raises(UsageError, match="cannot read"):
        list(sequences.of_file(tmp_path / "absent.jsonl", {}))
