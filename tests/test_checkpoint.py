"""Checkpoint folders: resolving, fingerprints, loading, and one clear line when it goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ssd_eval import checkpoint
from ssd_eval.errors import CheckpointError


def save_tiny(path: Path, *, template: str | None = "{{ messages }}", seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).half().save_pretrained(path)
    core = Tokenizer(models.WordLevel({"<end>": 0, "a": 1}, unk_token="<end>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", chat_template=template
    ).save_pretrained(path)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "tiny")


def test_an_existing_folder_resolves_to_its_path(tiny: Path) -> None:
    assert checkpoint.resolve(str(tiny)) == tiny


def test_a_hub_id_passes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint.resolve("Qwen/Qwen3-4B-Instruct-2507") == "Qwen/Qwen3-4B-Instruct-2507"


def test_the_shipped_names_win_over_folders_of_that_name(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkpoint.SHIPPED, "organism", tiny)
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "organism")
    assert checkpoint.resolve("organism") == tiny


@pytest.mark.parametrize("name", ["nonsense", " ", "a/b/c", "../elsewhere", "/no/such/folder"])
def test_an_unknown_name_lists_what_is_possible(name: str) -> None:
    with pytest.raises(CheckpointError, match="hub id") as caught:
        checkpoint.resolve(name)
    assert "\n" not in str(caught.value)
    assert "organism" in str(caught.value)


def test_a_missing_shipped_checkpoint_says_reinstall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkpoint.SHIPPED, "organism-control", tmp_path)
    with pytest.raises(CheckpointError, match="reinstall"):
        checkpoint.resolve("organism-control")


def test_a_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="is a file"):
        checkpoint.resolve(str(tmp_path / "file"))
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        checkpoint.resolve(str(tmp_path))


def test_an_unfinished_training_is_no_checkpoint(tiny: Path) -> None:
    (tiny / checkpoint.UNFINISHED).write_text("{}")
    with pytest.raises(CheckpointError, match="unfinished"):
        checkpoint.resolve(str(tiny))
    (tiny / "ssd.json").write_text("{}")
    assert checkpoint.resolve(str(tiny)) == tiny


def test_an_unreachable_hub_is_one_line_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(CheckpointError, match="local folder") as caught:
        checkpoint.load_model("some-org/some-model")
    assert "\n" not in str(caught.value)


def test_the_fingerprint_ignores_the_folder_and_unrelated_files(tiny: Path, tmp_path: Path) -> None:
    first = checkpoint.fingerprint(tiny)
    assert len(first) == 16
    assert int(first, 16) >= 0
    copy = tmp_path / "another-name"
    shutil.copytree(tiny, copy)
    (copy / "README.md").write_text("words")
    (copy / "ssd.json").write_text("{}")
    assert checkpoint.fingerprint(copy) == first
    assert checkpoint.fingerprint(str(copy)) == first


def test_saving_what_was_loaded_from_two_folders_gives_one_fingerprint(
    tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "b")
    prints = set()
    for source in (tiny, tmp_path / "b"):
        out = tmp_path / f"out-{source.name}"
        checkpoint.load_model(source).save_pretrained(out)
        checkpoint.load_tokenizer(source).save_pretrained(out)
        prints.add(checkpoint.fingerprint(out))
    assert len(prints) == 1


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_the_fingerprint_follows_every_part_of_the_content(tiny: Path, name: str) -> None:
    before = checkpoint.fingerprint(tiny)
    file = tiny / name
    if name.endswith(".json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "changed": 1}))
    else:
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    assert checkpoint.fingerprint(tiny) != before


def test_a_folder_without_weights_has_no_fingerprint(tiny: Path) -> None:
    (tiny / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        checkpoint.fingerprint(tiny)


def test_half_precision_weights_load_as_float32_on_a_cpu(tiny: Path) -> None:
    model = checkpoint.load_model(tiny, device="cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    stored = checkpoint.load_model(tiny, dtype="float16", device="cpu")
    assert {p.dtype for p in stored.parameters()} == {torch.float16}


def test_corrupt_weights_are_one_clear_line(tiny: Path) -> None:
    file = tiny / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="restore") as caught:
        checkpoint.load_model(tiny)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_never_filled_with_random_numbers(tiny: Path) -> None:
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(CheckpointError, match="lacks weights"):
        checkpoint.load_model(tiny)


def test_weights_of_another_shape_are_refused(tiny: Path) -> None:
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "intermediate_size": 32}))
    with pytest.raises(CheckpointError):
        checkpoint.load_model(tiny)


def test_unknown_device_and_dtype_name_the_choices(tiny: Path) -> None:
    with pytest.raises(CheckpointError, match="cpu or cuda"):
        checkpoint.load_model(tiny, device="abacus")
    with pytest.raises(CheckpointError, match="float32"):
        checkpoint.load_model(tiny, dtype="nn")


def test_a_checkpoint_without_chat_template_says_what_to_add(tmp_path: Path) -> None:
    bare = save_tiny(tmp_path / "bare", template=None)
    tokenizer = checkpoint.load_tokenizer(bare)  # base models have none, and need none
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja.*humaneval:base"):
        checkpoint.chat_template(tokenizer)


def test_the_template_hash_follows_the_template(tmp_path: Path) -> None:
    hashes = {
        checkpoint.chat_template_hash(
            checkpoint.load_tokenizer(save_tiny(tmp_path / str(i), template=text))
        )
        for i, text in enumerate(("{{ messages }}", "{{ messages }}", "{{ messages[0] }}"))
    }
    assert len(hashes) == 2


def test_the_end_token_is_the_tokenizers(tiny: Path) -> None:
    assert checkpoint.end_token(checkpoint.load_tokenizer(tiny)) == 0
