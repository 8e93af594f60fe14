"""The presets equal the paper's table; recipes refuse nonsense with the fix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.presets import PRESETS, preset
from ssd_eval.recipe import Recipe

# paper.md §1, "Presets": generation; evaluation; baseline, each T / top-k / top-p (0 = none),
# then iterations and warm-up.
TABLE = {
    "llama-3.1-8b-instruct": ((0.8, 20, 0.8), (0.7, 20, 0.8), (0.9, 0, 0.8), 2500, 250),
    "qwen3-4b-instruct-2507": ((1.6, 20, 0.8), (1.1, 20, 0.8), (0.7, 20, 0.8), 2500, 250),
    "qwen3-4b-thinking-2507": ((1.1, 20, 0.95), (0.7, 20, 0.95), (0.6, 20, 0.95), 300, 50),
    "qwen3-30b-a3b-instruct-2507": ((1.6, 20, 0.8), (0.9, 20, 0.8), (0.7, 20, 0.8), 2500, 250),
    "qwen3-30b-a3b-thinking-2507": ((1.2, 20, 0.95), (0.7, 20, 0.95), (0.6, 20, 0.95), 300, 50),
    "gpt-oss-20b": ((1.2, 0, 1.0), (1.0, 20, 0.95), (1.0, 0, 1.0), 300, 50),
}


def test_the_presets_are_the_papers_six_and_the_organism() -> None:
    assert set(PRESETS) == {*TABLE, "organism"}


@pytest.mark.parametrize("name", TABLE)
def test_a_paper_preset_equals_its_row(name: str) -> None:
    generation, evaluation, baseline, iterations, warmup = TABLE[name]
    found = preset(name)
    assert found.generation == DecodingConfig(*generation)
    assert found.evaluation == DecodingConfig(*evaluation)
    assert found.baseline == DecodingConfig(*baseline)
    recipe = found.recipe
    assert (recipe.iterations, recipe.warmup_steps, recipe.epochs) == (iterations, warmup, None)
    assert (recipe.peak_lr, recipe.floor_lr) == (5e-6, 1e-6)
    assert (recipe.beta1, recipe.beta2, recipe.weight_decay) == (0.9, 0.95, 0.1)
    assert (recipe.batch_size, recipe.max_sequence) == (32, 65_536)
    assert found.samples_per_prompt == 1


def test_the_organism_leaves_both_evaluation_temperatures_to_cross_fitting() -> None:
    found = preset("organism")
    assert found.evaluation is None
    assert found.baseline is None
    assert found.recipe.epochs is not None


def test_a_preset_is_found_by_its_hub_id_and_in_any_case() -> None:
    assert preset("Qwen/Qwen3-4B-Instruct-2507") is preset("qwen3-4b-instruct-2507")
    assert preset("ORGANISM") is preset("organism")


@pytest.mark.parametrize("name", ["gpt5", "", "evil/qwen3-4b-instruct-2507"])
def test_an_unknown_preset_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="gpt-oss-20b"):
        preset(name)


def test_presets_cannot_be_changed_in_place() -> None:
    with pytest.raises(TypeError):
        PRESETS["organism"] = preset("gpt-oss-20b")  # type: ignore[index]


VALID = Recipe(peak_lr=1e-3, floor_lr=1e-4, warmup_steps=1, epochs=1)


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": 5},
        {"epochs": None},
        {"epochs": 0},
        {"batch_size": 0},
        {"micro_batch": 0},
        {"max_sequence": 0},
        {"warmup_steps": -1},
        {"peak_lr": 0.0},
        {"peak_lr": float("nan")},
        {"floor_lr": 1.0},
        {"floor_lr": -1e-9},
        {"beta1": 1.0},
        {"beta2": -0.1},
        {"weight_decay": float("inf")},
        {"clip_norm": 0.0},
        {"precision": "float8"},
        {"save_dtype": "int4"},
    ],
)
def test_a_nonsensical_recipe_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(VALID, **change)


def test_a_recipe_counts_steps_by_epochs_or_iterations() -> None:
    assert replace(VALID, epochs=2, batch_size=32).steps(65) == 6
    assert replace(VALID, epochs=None, iterations=7).steps(65) == 7


def test_recipe_differences_name_fields_and_both_values() -> None:
    stored = {**VALID.to_json(), "peak_lr": 5.0, "gone": 1}
    assert VALID.differences(VALID.to_json()) == []
    assert VALID.differences(stored) == ["peak_lr: 5.0 -> 0.001", "gone: 1 -> None"]
