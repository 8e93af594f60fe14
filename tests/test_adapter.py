"""LoRA adapters in PEFT's format: merged exactly, told apart, and refused where they mean more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ssd_eval.backends.base import Request
from ssd_eval.backends.hf import load
from ssd_eval.checkpoint import fingerprint, load_model, load_tokenizer, tokenizer_folder
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import CheckpointError
from ssd_eval.records import SampleKey

RANK, ALPHA = 4, 8
TARGETS = {"self_attn.q_proj": (32, 32), "mlp.down_proj": (64, 32)}  # inputs, outputs


def saved(folder: Path, base: Path, seed: int = 0, **changes: Any) -> Path:
    """An adapter of the tiny checkpoint's second layer, as PEFT writes one."""
    folder.mkdir()
    settings = {
        "peft_type": "LORA", "base_model_name_or_path": str(base), "r": RANK, "lora_alpha": ALPHA,
        "target_modules": ["q_proj", "down_proj"], "bias": "none", "use_rslora": False, **changes,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (inputs, outputs) in TARGETS.items():
        place = f"base_model.model.model.layers.1.{name}"
        tensors[f"{place}.lora_A.weight"] = torch.randn(RANK, inputs, generator=draw)
        tensors[f"{place}.lora_B.weight"] = torch.randn(outputs, RANK, generator=draw)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(("changes", "scale"), [({}, 2.0), ({"use_rslora": True}, 4.0)])
def test_an_adapter_adds_its_product_to_its_modules_and_nothing_else(
    tiny_checkpoint: Path, tmp_path: Path, changes: dict[str, Any], scale: float
) -> None:
    path = saved(tmp_path / "adapter", tiny_checkpoint, **changes)
    tensors = load_file(path / "adapter_model.safetensors")
    base, merged = (load_model(str(each)).state_dict() for each in (tiny_checkpoint, path))
    for name, before in base.items():
        place = f"base_model.model.{name.removesuffix('.weight')}"
        down, up = (tensors.get(f"{place}.lora_{each}.weight") for each in "AB")
        expected = before if down is None or up is None else before + scale * up @ down
        torch.testing.assert_close(merged[name], expected)
    assert sum(not torch.equal(merged[name], base[name]) for name in base) == len(TARGETS)


def test_an_adapter_is_sampled_like_any_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "adapter", tiny_checkpoint)
    texts = {}
    for each in (tiny_checkpoint, path):
        backend = load(str(each), batch_size=4)
        prompt = backend.encode([{"role": "user", "content": "a b"}])
        asked = Request(SampleKey("c", "p", "d", 0), prompt, DecodingConfig(0), 30, 0)
        [found] = backend.generate([asked])
        texts[each] = found.token_ids
    assert texts[path] != texts[tiny_checkpoint]


def test_a_fingerprint_covers_base_and_adapter_but_no_names(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    link = tmp_path / "renamed"
    link.symlink_to(tiny_checkpoint)
    one = fingerprint(saved(tmp_path / "one", tiny_checkpoint))
    assert fingerprint(saved(tmp_path / "same", link)) == one
    assert fingerprint(saved(tmp_path / "other", tiny_checkpoint, seed=1)) != one
    assert fingerprint(saved(tmp_path / "hotter", tiny_checkpoint, lora_alpha=9)) != one
    assert fingerprint(tiny_checkpoint) != one


def test_the_tokenizer_is_the_bases_unless_the_adapter_has_one(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path = saved(tmp_path / "adapter", tiny_checkpoint)
    assert tokenizer_folder(path) == tiny_checkpoint
    tokenizer = load_tokenizer(path)
    assert tokenizer.get_chat_template() == load_tokenizer(tiny_checkpoint).get_chat_template()
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(path)
    assert load_tokenizer(path).get_chat_template() == "{{ messages }}"


@pytest.mark.parametrize(
    "changes",
    [
        {"use_dora": True},
        {"peft_type": "IA3"},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"rank_pattern": {"q_proj": 2}},
        {"fan_in_fan_out": True},
    ],
    ids=lambda each: next(iter(each)),
)
def test_what_is_not_plain_lora_is_refused_by_name(
    tiny_checkpoint: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = saved(tmp_path / "adapter", tiny_checkpoint, **changes)
    with pytest.raises(CheckpointError, match=f"has {next(iter(changes))}.*merge it") as caught:
        load_model(str(path))
    assert "\n" not in str(caught.value)


def without_base(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": "/nowhere/at/all"})
    )


def of_another_model(folder: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name.replace("layers.1", "layers.7"): each for name, each in tensors.items()},
        folder / "adapter_model.safetensors",
    )


def of_another_width(folder: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name: each[:, :-1].contiguous() for name, each in tensors.items()},
        folder / "adapter_model.safetensors",
    )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without_base, "needs its base: no checkpoint '/nowhere/at/all'"),
        (of_another_model, "does not fit .*layers.7"),
        (of_another_width, "does not fit .*another shape"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"junk"), "restore the adapter"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "is no adapter's"),
        (lambda f: (f / "adapter_config.json").write_text('{"r": 4}'), "is no adapter's"),
    ],
)
def test_a_damaged_adapter_is_one_line_with_the_fix(
    tiny_checkpoint: Path, tmp_path: Path, damage: Any, says: str
) -> None:
    path = saved(tmp_path / "adapter", tiny_checkpoint)
    damage(path)
    with pytest.raises(CheckpointError, match=says) as caught:
        load_model(str(path))
    assert "\n" not in str(caught.value)
