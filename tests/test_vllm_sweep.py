"""Whole runs on a real vLLM, by the command line (`make test-vllm`): numbers and ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.micro import Micro
from ssd_eval import backends
from ssd_eval.decoding import DecodingConfig, truncate
from ssd_eval.sample import plan

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]
ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "import cli; cli.main()"]
PROBLEMS = Micro().problems()
TEMPERATURES = (0.6, 1.0, 1.4)
SCORED = 32  # problems whose pass@1 is compared
ROWS = 64  # texts scored at once


def command(name: str, run_dir: Path, *more: str) -> list[str]:
    return [
        *COMMAND, name, "--backend", "vllm", "--sampling-batch", "32", "--json", "--limit", "6",
        "--k", "1", "--t-eval", "1.0", "--run-dir", str(run_dir), *more,
    ]  # fmt: skip


def answered(words: list[str]) -> Any:
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_sweep_runs_end_to_end(tmp_path: Path) -> None:
    result = answered(
        command(
            "sweep", tmp_path / "run", "--samples", "4", "--prompts-limit", "8",
            "--samples-per-prompt", "1", "--epochs", "1", "--batch-size", "4",
        )
    )  # fmt: skip
    [group] = [each for each in result["main"][0]["groups"] if each["group"] == "all"]
    assert group["base"]["problems"] == group["distilled"]["problems"] == 6


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Of either engine the run folder and the scores of 2,048 samples at each temperature."""
    found = {}
    for engine in ("vllm", "hf"):
        folder = tmp_path_factory.mktemp(engine) / "run"
        more = (
            "--samples", "64", "--t-eval", ",".join(map(str, TEMPERATURES)),
            "--limit", str(SCORED), "--sampling-batch", "64", "--backend", engine,
        )  # fmt: skip
        found[engine] = folder, answered(command("eval", folder, *more))["cells"]
    return found


def test_pass_at_1_over_a_sweep_is_that_of_the_hf_backend(
    curves: dict[str, tuple[Path, Any]],
) -> None:
    """At each temperature either engine's mean lies within the other's 95 % interval."""
    ours, theirs = curves["hf"][1], curves["vllm"][1]
    assert len(ours) == len(theirs) == len(TEMPERATURES)
    for mine, other in zip(ours, theirs, strict=True):
        a, b = mine["pass@1"], other["pass@1"]
        print(f"{mine['decoding']['temperature']}: hf {a['mean']:.4f}, vllm {b['mean']:.4f}")
        assert a["low"] <= b["mean"] <= a["high"]
        assert b["low"] <= a["mean"] <= b["high"]


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_vllms_tokens_were_drawn_from_our_distribution(
    curves: dict[str, tuple[Path, Any]], temperature: float
) -> None:
    """Wherever there was a choice, over whole texts: places in the exact distribution are uniform.

    Chi-square of 20 bins; Holm over the temperatures, for its first.
    """
    import numpy as np
    from scipy.stats import chisquare

    records = [json.loads(each) for each in (curves["vllm"][0] / "completions.jsonl").open()]
    mine = [each for each in records if each["effective_temperature"] == temperature]
    found = np.concatenate(list(places_of(mine, DecodingConfig(temperature, 20, 0.8))))
    missing = int(np.isnan(found).sum())
    bins = np.histogram(found[~np.isnan(found)], 20, (0, 1))[0]
    value = chisquare(bins).pvalue
    print(f"{temperature}: {len(found)} choices, {missing} that ours never takes, p = {value:.3f}")
    assert len(found) > 500
    assert missing <= len(found) / 1000  # at a top-p boundary rounding decides
    assert value > 0.01 / len(TEMPERATURES)


def places_of(records: list[Any], decoding: DecodingConfig) -> Iterator[Any]:
    """For each text, of each token a uniform number from its stretch of [0, 1]; nan if it has none.

    The stretches lie by falling probability. Left out are tokens where one has 0.9 and more: they
    would hide the others. The end token counts where a text has one.
    """
    import numpy as np
    import torch

    loaded: Any = backends.load("hf", "organism")
    end = min(loaded._chat.end_ids)
    asked = plan(PROBLEMS[:SCORED], decoding, samples=1, max_tokens=9, seed=0, backend=loaded)
    prompts = {each.key.problem_id: list(each.prompt_ids) for each in asked}
    draw = torch.Generator().manual_seed(0)
    records = sorted(records, key=lambda each: len(each["token_ids"]))
    for start in range(0, len(records), ROWS):
        some = records[start : start + ROWS]
        before = [prompts[each["key"][1]] for each in some]
        drawn = [each["token_ids"] + [end] * (each["finish"] == "stop") for each in some]
        whole = [torch.tensor(a + b) for a, b in zip(before, drawn, strict=True)]
        with torch.inference_mode():
            logits = loaded._model(torch.nn.utils.rnn.pad_sequence(whole, True)).logits.double()
        for row, prompt, tokens in zip(logits, before, drawn, strict=True):
            first = len(prompt) - 1
            each = truncate(row[first : first + len(tokens)], decoding).exp()
            chosen = torch.tensor(tokens)[:, None]
            share = each.gather(1, chosen)
            within = torch.rand(len(tokens), generator=draw, dtype=torch.float64)
            place = (each * (each > share)).sum(1) + share[:, 0] * within
            choice = (each.amax(1) < 0.9) | (share[:, 0] == 0)
            yield np.where(share[:, 0] > 0, place, np.nan)[choice]


def engines(pid: int) -> list[Any]:
    """The engine processes of a run. Graders come and go meanwhile."""
    import psutil

    found = []
    for each in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            if "EngineCore" in each.name() or "EngineCore" in " ".join(each.cmdline()):
                found.append(each)
    return found


def test_a_run_goes_on_after_its_engine_was_killed(tmp_path: Path) -> None:
    """Enough samples that the engine is certainly at work when it is killed."""
    words = command("eval", tmp_path / "run", "--samples", "400")
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    records = tmp_path / "run" / "completions.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if records.exists() and records.read_bytes().count(b"\n") > 20:
            break
        time.sleep(0.05)
    victims = engines(process.pid)
    assert victims, "no engine process found"
    for each in victims:
        each.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    kept = records.read_bytes()
    assert 20 < kept.count(b"\n") < 6 * 400
    assert process.returncode == 1, errors
    assert "the vLLM engine died" in errors
    answered(words)
    assert records.read_bytes().startswith(kept)
    assert records.read_bytes().count(b"\n") == 6 * 400
