"""The named settings: the paper's six models (paper.md §1, "Presets") and the organism.

A preset is a value. It loads no model and downloads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.recipe import Recipe

PAPER_MAX_TOKENS = 131_072  # "Data generation: max length 128K"


@dataclass(frozen=True)
class Preset:
    """`generation` samples the training set. `evaluation` (distilled) and `baseline` (base) are
    None where the best T is chosen by cross-fitting. `max_tokens` bounds one completion.
    """

    name: str
    model: str  # hub id, or the name of a shipped checkpoint
    generation: DecodingConfig
    evaluation: DecodingConfig | None
    baseline: DecodingConfig | None
    recipe: Recipe
    max_tokens: int
    samples_per_prompt: int = 1
    source: str = ""


def _paper_recipe(iterations: int, warmup: int) -> Recipe:
    return Recipe(
        peak_lr=5e-6,
        floor_lr=1e-6,
        warmup_steps=warmup,
        iterations=iterations,
        batch_size=32,
        max_sequence=65_536,
        precision="bfloat16",
        save_dtype="bfloat16",
        gradient_checkpointing=True,
    )


_INSTRUCT = _paper_recipe(iterations=2_500, warmup=250)
_THINKING = _paper_recipe(iterations=300, warmup=50)


def _paper(
    model: str,
    generation: DecodingConfig,
    evaluation: DecodingConfig,
    baseline: DecodingConfig,
    recipe: Recipe,
) -> Preset:
    return Preset(
        name=model.rsplit("/", 1)[-1].lower(),
        model=model,
        generation=generation,
        evaluation=evaluation,
        baseline=baseline,
        recipe=recipe,
        max_tokens=PAPER_MAX_TOKENS,
        source="arXiv 2604.01193",
    )


_D = DecodingConfig
_ALL = (
    Preset(
        name="organism",
        model="organism",
        generation=_D(1.0, 20, 0.8),
        evaluation=None,
        baseline=None,
        recipe=Recipe(
            peak_lr=3e-4,
            floor_lr=3e-5,
            warmup_steps=20,
            epochs=2,
            batch_size=32,
            micro_batch=8,  # measured on 2 cores: a quarter faster than 32
            max_sequence=512,
        ),
        max_tokens=112,  # the longest planted program has 82
        samples_per_prompt=15,  # few prompts exist
        source="this package",
    ),
    _paper(
        "meta-llama/Llama-3.1-8B-Instruct",
        _D(0.8, 20, 0.8),
        _D(0.7, 20, 0.8),
        _D(0.9, 0, 0.8),
        _INSTRUCT,
    ),
    _paper(
        "Qwen/Qwen3-4B-Instruct-2507",
        _D(1.6, 20, 0.8),
        _D(1.1, 20, 0.8),
        _D(0.7, 20, 0.8),
        _INSTRUCT,
    ),
    _paper(
        "Qwen/Qwen3-4B-Thinking-2507",
        _D(1.1, 20, 0.95),
        _D(0.7, 20, 0.95),
        _D(0.6, 20, 0.95),
        _THINKING,
    ),
    _paper(
        "Qwen/Qwen3-30B-A3B-Instruct-2507",
        _D(1.6, 20, 0.8),
        _D(0.9, 20, 0.8),
        _D(0.7, 20, 0.8),
        _INSTRUCT,
    ),
    _paper(
        "Qwen/Qwen3-30B-A3B-Thinking-2507",
        _D(1.2, 20, 0.95),
        _D(0.7, 20, 0.95),
        _D(0.6, 20, 0.95),
        _THINKING,
    ),
    _paper(
        "openai/gpt-oss-20b",
        _D(1.2, 0, 1.0),
        _D(1.0, 20, 0.95),
        _D(1.0, 0, 1.0),
        _THINKING,  # a reasoning model, run at high effort
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _ALL})


def preset(name: str) -> Preset:
    """By preset name or hub id, in any case. UsageError lists the known names."""
    found = PRESETS.get(name.rsplit("/", 1)[-1].lower())
    if found is None or ("/" in name and name.lower() != found.model.lower()):
        raise UsageError(f"unknown preset {name!r}; the known ones: {', '.join(PRESETS)}")
    return found
