"""A run's settings: defaults, preset, --quick, TOML file, environment, flags; one frozen value.

Validates and remembers where each value came from. Reads no checkpoints and starts nothing.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from benchmarks.base import Chosen
from benchmarks.extract import Extractor
from sandbox.base import Profile
from ssd_eval import backends
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import UsageError
from ssd_eval.presets import PRESETS, Preset, preset
from ssd_eval.recipe import Recipe

ForkRule = Literal["nucleus", "support", "entropy-quantile", "threshold"]
PREFIX = "SSD_EVAL_"
# Where this project's own tests find their data, and where LiveCodeBench's files are.
NO_SETTINGS = frozenset({"SSD_EVAL_SHARED_DATA", "SSD_EVAL_LCB_DIR"})
DEFAULT_PRESET = "organism"
# A run may be continued with other values of these: every record keeps its own key, so what exists
# stays true. All other settings decide what a record means, and name the run.
EXTENSIBLE = frozenset(
    {"t_eval", "top_k", "top_p", "samples", "k", "limit", "profile"}
    | {"tokens", "position_samples", "rule", "threshold"}
)
# How fast and where, never what.
INCIDENTAL = frozenset(
    {"device", "sampling_batch", "unsafe", "data_dir", "allow_overlap", *backends.OPTIONS}
)
QUICK: Mapping[str, object] = {
    "t_eval": (0.7, 1.0, 1.5),
    "limit": 24,
    "samples": 5,
    "samples_per_prompt": 2,
    "epochs": 1,
}


class RunConfig(BaseModel):
    """Everything that decides a sweep's numbers, and how it is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field("organism", description="frozen model: a folder, hub id or shipped name")
    distilled: str | None = Field(None, description="checkpoint to score instead of training one")
    preset: str = Field(DEFAULT_PRESET, description="named settings of a model")
    backend: str = Field("hf", description="sampling engine")
    device: str = Field("auto", description="auto, cpu, cuda, ...")
    dtype: str = Field("auto", description="auto, float32, bfloat16 or float16")
    tensor_parallel: int | None = Field(None, ge=1, description="vllm: devices of one replica")
    data_parallel: int | None = Field(None, ge=1, description="vllm: replicas")
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="vllm: share of each device's memory"
    )
    max_model_len: int | None = Field(None, ge=2, description="vllm: longest prompt + completion")
    base_url: str | None = Field(None, description="openai: the server, http://host:port/v1")
    benchmark: str = Field("micro", description="name, LiveCodeBench window or .jsonl file")
    data_dir: str | None = Field(None, description="where benchmark files are")
    tests: Chosen = Field("both", description="which tests count: public, private or both")
    exclude_errata: bool = Field(False, description="leave out what LiveCodeBench's errata list")
    prompt: str = Field("simple", description="style of prompts: simple, official, paper or a file")
    system: bool | None = Field(None, description="system message; none: as the style has it")
    thinking: bool | None = Field(None, description="the chat template's thinking mode")
    limit: int | None = Field(None, ge=1, description="score the first so many problems")
    t_eval: tuple[float, ...] = Field(
        (0.5, 0.7, 0.9, 1.0, 1.2, 1.5, 1.8), description="evaluation temperatures"
    )
    top_k: int = Field(20, description="evaluation top-k; 0 keeps all")
    top_p: float = Field(0.8, description="evaluation top-p; 1 keeps all")
    samples: int = Field(10, ge=1, description="completions of each problem at each temperature")
    k: tuple[int, ...] = Field((1, 5), description="the k of pass@k")
    t_train: float = Field(description="sampling temperature for training data")
    train_top_k: int = Field(description="its top-k")
    train_top_p: float = Field(description="its top-p")
    samples_per_prompt: int = Field(ge=1, description="training completions of each prompt")
    prompts: str | None = Field(
        None, description="SSD prompts: a file or hub:OWNER/NAME/PATH; none: the benchmark's own"
    )
    prompts_field: str | None = Field(None, description="the field that holds them")
    allow_overlap: bool = Field(False, description="train on prompts that are scored too")
    prompts_limit: int | None = Field(None, ge=1, description="sample the first so many prompts")
    epochs: int | None = Field(None, ge=1, description="passes over the training data")
    iterations: int | None = Field(None, ge=1, description="optimiser steps, instead of epochs")
    lr: float = Field(gt=0, description="peak learning rate")
    batch_size: int = Field(ge=1, description="training examples of one optimiser step")
    drop_truncated: bool = Field(False, description="train on finished completions only")
    drop_shortest: float = Field(0.0, ge=0, lt=1, description="share of shortest to leave out")
    max_tokens: int = Field(ge=1, description="longest completion")
    sampling_batch: int | None = Field(None, ge=1, description="rows decoded at once")
    seed: int = Field(0, ge=0, description="seeds sampling, training and resampling")
    extractor: Extractor = Field("ours", description="whose rules find the program in an answer")
    tokens: str = Field(
        "base", description="whose tokens positions are: base, distilled, reference, a file, none"
    )
    position_samples: int = Field(1, ge=1, description="completions of each problem among them")
    rule: ForkRule = Field("nucleus", description="what tells forks from locks")
    threshold: float | None = Field(None, ge=0, description="nats, of the rule `threshold`")
    profile: Profile = Field("faithful", description="whose rules decide verdicts")
    unsafe: bool = Field(False, description="allow a sandbox with resource limits only")

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """TOML's `seed = true` is a slip, not a 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation not in (
            bool,
            bool | None,
        ):
            raise ValueError("is true or false; give a number or a text")
        return value

    @field_validator("t_eval", "k", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            return (value,)
        if isinstance(value, str):
            return [part for part in value.split(",") if part.strip()]
        return value

    @field_validator("base", "distilled")
    @classmethod
    def _one_spelling(cls, value: str | None) -> str | None:
        """`folder/`, as shells complete it, names the same run as `folder`."""
        if value is None:
            return None
        if not value.strip():
            raise ValueError("is empty; give a folder, hub id or shipped name")
        return value.rstrip("/") or value

    @field_validator("t_eval", "k")
    @classmethod
    def _distinct(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values:
            raise ValueError("is empty; give at least one value")
        if len(set(values)) != len(values):
            raise ValueError("has a value twice; give each once")
        return tuple(sorted(values))

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        if min(self.k) < 1:
            raise ValueError(f"k {min(self.k)} is not positive; use 1 or more")
        if max(self.k) > self.samples:
            raise ValueError(
                f"pass@{max(self.k)} needs at least {max(self.k)} samples of each problem, not "
                f"{self.samples}; raise --samples or lower --k"
            )
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give epochs or iterations, and not both")
        if self.threshold is not None and self.rule != "threshold":
            raise ValueError("--threshold belongs to --rule threshold; leave it out or ask for it")
        if self.position_samples > self.samples:
            raise ValueError(
                f"positions of {self.position_samples} samples need as many of each problem, not "
                f"{self.samples}; raise --samples or lower --position-samples"
            )
        self.grid(), self.recipe()
        try:
            self.generation()
        except UsageError as error:
            raise UsageError(f"decoding for training: {error}") from error
        return self

    def grid(self) -> tuple[DecodingConfig, ...]:
        return tuple(DecodingConfig(t, self.top_k, self.top_p) for t in self.t_eval)

    def generation(self) -> DecodingConfig:
        return DecodingConfig(self.t_train, self.train_top_k, self.train_top_p)

    def baseline(self) -> DecodingConfig | None:
        """The decoding that the preset prescribes for the base; None: the best is cross-fitted."""
        return preset(self.preset).baseline

    def evaluation(self) -> DecodingConfig | None:
        """The same for the distilled checkpoint."""
        return preset(self.preset).evaluation

    def engine(self) -> dict[str, Any]:
        """What `backends.load` takes beside the checkpoint."""
        return {
            "device": self.device,
            "dtype": self.dtype,
            "batch_size": self.sampling_batch,
            **{name: getattr(self, name) for name in backends.OPTIONS},
        }

    def recipe(self) -> Recipe:
        of_preset = preset(self.preset).recipe
        scale = self.lr / of_preset.peak_lr
        return replace(
            of_preset,
            epochs=self.epochs,
            iterations=self.iterations,
            peak_lr=self.lr,
            floor_lr=of_preset.floor_lr * scale,
            batch_size=self.batch_size,
            micro_batch=min(of_preset.micro_batch, self.batch_size),
            seed=self.seed,
        )

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """8 hex digits over the settings that a run cannot change on its way."""
        kept = {
            name: value
            for name, value in self.to_json().items()
            if name not in EXTENSIBLE | INCIDENTAL
        }
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Resolved:
    """`sources` names, for each setting, where its value came from."""

    config: RunConfig
    sources: Mapping[str, str]


def resolve(
    flags: Mapping[str, Any], *, config_file: Path | None = None, environ: Mapping[str, str]
) -> Resolved:
    """Later sources win: defaults, preset, quick, file, environment, flags.

    Raises UsageError, in one line, for an unknown setting or a value that makes no sense.
    """
    given = dict(flags)
    quick = given.pop("quick", False)
    layers = [
        (f"file {config_file}", _from_file(config_file)),
        ("environment", _from_environment(environ)),
        ("flag", given),
    ]
    asked = [layer for _, layer in layers]
    named = _last(asked, "preset")
    chosen = preset(_preset_for(_last(asked, "base")) if named is None else str(named))
    layers[:0] = [(f"preset {chosen.name}", _of_preset(chosen))]
    layers[1:1] = [("quick", dict(QUICK))] if quick else []
    values: dict[str, Any] = {}
    sources = dict.fromkeys(RunConfig.model_fields, "default")
    for source, layer in layers:
        for length, other in (("epochs", "iterations"), ("iterations", "epochs")):
            if length in layer:
                values.pop(other, None)
                sources[other] = source
        values |= layer
        sources |= dict.fromkeys(layer, source)
    return Resolved(_validated(values, sources), sources)


def _preset_for(base: Any) -> str:
    """The preset of the checkpoint itself. Raises UsageError where there is none."""
    name = str(base or DEFAULT_PRESET).rstrip("/").rsplit("/", 1)[-1].lower()
    if name not in PRESETS:
        raise UsageError(
            f"no preset is known for the checkpoint {base!r}; say whose settings to start from: "
            f"--preset {'|'.join(PRESETS)}"
        )
    return name


def _of_preset(chosen: Preset) -> dict[str, Any]:
    recipe = chosen.recipe
    length = {"epochs": recipe.epochs} if recipe.epochs else {"iterations": recipe.iterations}
    return {
        "preset": chosen.name,
        "base": chosen.model,
        "t_train": chosen.generation.temperature,
        "train_top_k": chosen.generation.top_k,
        "train_top_p": chosen.generation.top_p,
        "samples_per_prompt": chosen.samples_per_prompt,
        "max_tokens": chosen.max_tokens,
        "lr": recipe.peak_lr,
        "batch_size": recipe.batch_size,
        **length,
    }


def _last(layers: list[dict[str, Any]], name: str) -> Any:
    return next((layer[name] for layer in reversed(layers) if name in layer), None)


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        text = path.read_text()
        values = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {path} is no TOML: {error}") from error
    for name in values:
        if name not in RunConfig.model_fields:
            raise UsageError(
                f"config file {path}{_line_of(name, text)}: unknown setting {name!r}; "
                + _meant(name, list(RunConfig.model_fields))
            )
    return values


def _line_of(name: str, text: str) -> str:
    """Where the file first gives `name`, as far as a line tells it; tomllib does not."""
    found = re.search(rf"^[ \t\[\"']*{re.escape(name)}\b", text, re.MULTILINE)
    return f", line {text.count(chr(10), 0, found.start()) + 1}" if found else ""


def _meant(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """An empty variable counts as unset, as shells have it."""
    names = {PREFIX + name.upper(): name for name in RunConfig.model_fields}
    given = {key: value for key, value in environ.items() if key.startswith(PREFIX)}
    for unknown in sorted(given.keys() - names.keys() - NO_SETTINGS):
        raise UsageError(
            f"{unknown} in the environment is no setting; "
            + _meant(unknown.removeprefix(PREFIX).lower(), list(RunConfig.model_fields))
        )
    return {names[key]: value for key, value in given.items() if key in names and value}


def _validated(values: Mapping[str, Any], sources: Mapping[str, str]) -> RunConfig:
    try:
        return RunConfig(**values)
    except ValidationError as error:
        raise UsageError("; ".join(_explained(error, sources))) from error


def _explained(error: ValidationError, sources: Mapping[str, str]) -> Iterator[str]:
    for each in error.errors():
        message = each["msg"].removeprefix("Value error, ")
        name = ".".join(str(part) for part in each["loc"][:1])
        if not name:
            yield message
        else:
            where = _spelt(name, sources.get(name, ""))
            yield f"{where} {each['input']!r}: {message[0].lower()}{message[1:]}"


def _spelt(name: str, source: str) -> str:
    """The setting as the user wrote it there."""
    if source == "environment":
        return PREFIX + name.upper()
    if source.startswith("file "):
        return f"config {source}: {name}"
    return f"--{name.replace('_', '-')}"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
