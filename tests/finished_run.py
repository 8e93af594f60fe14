"""A finished run folder in seconds: the organism and a sharpened twin on a few micro problems."""

from __future__ import annotations

import shutil
from pathlib import Path

from ssd_eval import checkpoint, stages
from ssd_eval.backends import load
from ssd_eval.config import RunConfig, resolve
from ssd_eval.decoding import DecodingConfig
from ssd_eval.sample import plan, sample
from ssd_eval.store import RunStore
from ssd_eval.sweep import evaluation_problems

SAMPLES = 5
TEMPERATURES = (1.0, 1.5)


def sharpened(folder: Path) -> Path:
    """The organism with its logits times 1.3: what a temperature of 1 / 1.3 would make of it."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoint.folder("organism"), folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] *= 1.3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def settings(**changes: object) -> RunConfig:
    given = {"base": "organism", "samples": SAMPLES, "t_eval": TEMPERATURES, "limit": 3, **changes}
    return resolve(given, environ={}).config


def finished_run(folder: Path, **changes: object) -> Path:
    config = settings(**changes)
    _, problems = evaluation_problems(config)
    names = {"base": "organism", "distilled": str(folder / stages.DISTILLED)}
    base = {"name": "organism", "fingerprint": checkpoint.fingerprint("organism")}
    fields = {"config": config.to_json(), "checkpoints": {"base": base}}
    with RunStore.open(folder, digest=config.digest(), manifest=fields) as store:
        sharpened(folder / stages.DISTILLED)
        for name in names.values():
            backend = load("hf", name)
            requests = plan(
                problems, [DecodingConfig(t, config.top_k, config.top_p) for t in TEMPERATURES],
                samples=config.samples, max_tokens=config.max_tokens, seed=0, backend=backend,
            )  # fmt: skip
            for completion in sample(backend, requests):
                store.add_completion(completion)
        store.update(training={"fingerprint": checkpoint.fingerprint(names["distilled"])})
        store.finish()
    return folder
