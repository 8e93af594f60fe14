"""What a sampled token costs: the hf backend beside other engines, in one run, on the same work.

    python perf/generation.py --shape organism --vllm-python VLLM/bin/python \\
        --trl-python TRL/bin/python

Every engine is a process that stays loaded (`generation_engines.py`); rounds go round the engines,
so that a slower machine slows them all. Lengths are geometric (mean 100, at most 512) and forced:
end tokens are off and each request has a limit of its own. The first, shorter round warms up and
does not count. The floor is what the arithmetic alone would take: see `floor`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rates import Floor, rates

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
ORGANISM = ROOT / "ssd_eval" / "organism" / "weights"
MEAN, LONGEST = 100, 512
SMOL = {  # config.json of HuggingFaceTB/SmolLM2-135M, where it shapes the arithmetic
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49152, "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"}, "hidden_act": "silu",
    "tie_word_embeddings": True, "max_position_embeddings": 8192, "eos_token_id": 0,
    "pad_token_id": 0, "bos_token_id": None, "initializer_range": 0.04,
}  # fmt: skip


@dataclass
class Engine:
    """A loaded engine and its seconds, one for each round."""

    name: str
    process: subprocess.Popen[str]
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = checkpoint(given.shape, Path(scratch))
        work = requests(given.prompts, given.samples, seed=1)
        engines = [started(name, folder, given) for name in given.engines.split(",")]
        print(
            f"{given.shape}: {len(work['limits'])} requests of {given.prompts} prompts, "
            f"{sum(work['limits'])} tokens, longest {max(work['limits'])}",
            flush=True,
        )
        for engine in engines:
            asked(engine, requests(4, 1, seed=2))
        for number in range(given.rounds):
            for engine in engines:
                engine.seconds.append(asked(engine, work))
                print(f"round {number + 1} {engine.name} {engine.seconds[-1]:.2f} s", flush=True)
        for engine in engines:
            engine.process.stdin.close()  # type: ignore[union-attr]
            engine.process.wait(60)
        print(table(engines, work, floor(folder, work, given.rows)))


def checkpoint(shape: str, scratch: Path) -> Path:
    """The organism with room for 512 tokens beyond any prompt, or random weights; one tokenizer."""
    folder = scratch / shape
    shutil.copytree(ORGANISM, folder)
    if shape == "organism":
        config = json.loads((folder / "config.json").read_text())
        config["max_position_embeddings"] = 1024
        (folder / "config.json").write_text(json.dumps(config))
        return folder
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(LlamaConfig(**SMOL)).save_pretrained(folder)
    return folder


def requests(prompts: int, samples: int, seed: int) -> dict[str, Any]:
    """Real prompts of micro, each `samples` times side by side, with geometric lengths."""
    from benchmarks.micro import Micro
    from benchmarks.prompts import messages
    from ssd_eval.backends.chat import ChatTokenizer
    from ssd_eval.checkpoint import load_tokenizer

    chat = ChatTokenizer(load_tokenizer(str(ORGANISM)), None)
    draw = random.Random(seed)
    problems = Micro().problems()[:prompts]
    ids = [list(chat.encode(messages(each))) for each in problems]
    asked = [row for row in ids for _ in range(samples)]
    limits = [min(LONGEST, 1 + int(draw.expovariate(1 / MEAN))) for _ in asked]
    return {"prompts": asked, "limits": limits}


def started(name: str, folder: Path, given: argparse.Namespace) -> Engine:
    """`name`: an engine of generation_engines.py, how many rows at once, how many threads.

    `generate:64:1` is `generate` with 64 rows on one OpenMP thread; what is left out is the
    engine's own choice.
    """
    kind, rows, threads = (*name.split(":"), "", "")[:3]
    python = {"vllm": given.vllm_python, "trl": given.trl_python}.get(kind, sys.executable)
    count = {"continuous": "blocks", "vllm": "rows"}.get(kind, "batch")
    options = {count: int(rows)} if rows else {}
    command = [python, str(ROOT / "perf" / "generation_engines.py"), kind, str(folder)]
    library = Path(python).parents[1] / "lib" / "libiomp5.so"
    preload = {"LD_PRELOAD": str(library)} if kind == "vllm" and library.exists() else {}
    process = subprocess.Popen(
        [*command, json.dumps(options)],
        env={**os.environ, **preload, **({"OMP_NUM_THREADS": threads} if threads else {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if given.verbose else subprocess.DEVNULL,
        text=True,
    )
    return Engine(name, process)


def asked(engine: Engine, work: dict[str, Any]) -> float:
    """Seconds for the work. Exits where an engine failed or wrote other lengths than asked."""
    assert engine.process.stdin is not None
    assert engine.process.stdout is not None
    engine.process.stdin.write(json.dumps(work) + "\n")
    engine.process.stdin.flush()
    line = engine.process.stdout.readline()
    if not line:
        sys.exit(f"{engine.name} failed; --verbose shows why")
    answer = json.loads(line)
    if answer["tokens"] != work["limits"]:
        sys.exit(f"{engine.name} wrote other lengths than were asked for")
    return float(answer["seconds"])


def floor(folder: Path, work: dict[str, Any], rows: int) -> Floor:
    """Two operations a weight and token, attention over the tokens before; one prefill a prompt.

    Bytes: the weights once for each step of `rows` full rows, and each token's keys and values.
    Softmax, norms, sampling and Python count as nothing.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    weights = AutoModelForCausalLM.from_pretrained(folder).num_parameters()  # tied: counted once
    tokens = sum(work["limits"])
    once = {tuple(prompt) for prompt in work["prompts"]}
    seen = sum(
        limit * len(prompt) + limit * (limit - 1) / 2
        for prompt, limit in zip(work["prompts"], work["limits"], strict=True)
    )
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    attention = 4 * layers * heads * config.head_dim * seen
    kept = 8 * layers * config.num_key_value_heads * config.head_dim * seen
    flop = 2 * weights * (tokens + sum(map(len, once))) + attention
    flop_rate, copy_rate = rates()
    return Floor(flop, 4 * weights * tokens / rows + kept, flop_rate, copy_rate)


def table(engines: list[Engine], work: dict[str, Any], least: Floor) -> str:
    """Ratios are of the same round, against the first engine; their range is over rounds."""
    tokens = sum(work["limits"])
    first = engines[0].seconds
    lines = [f"{'engine':<16}{'tokens/s':>10}{'seconds':>9}{'x ' + engines[0].name:>9}   range"]
    for engine in engines:
        ratios = [one / base for one, base in zip(engine.seconds, first, strict=True)]
        middle = statistics.median(engine.seconds)
        lines.append(
            f"{engine.name:<16}{tokens / middle:>10.0f}{middle:>9.2f}"
            f"{statistics.median(ratios):>9.2f}   {min(ratios):.2f}-{max(ratios):.2f}"
        )
    lines.append(
        f"{'floor':<16}{tokens / least.seconds:>10.0f}{least.seconds:>9.2f}"
        f"{least.seconds / statistics.median(first):>9.2f}   "
        f"{least.flop / 1e9:.0f} GFLOP at {least.flop_rate / 1e9:.0f}/s = "
        f"{least.flop / least.flop_rate:.2f} s; {least.moved / 1e9:.1f} GB at "
        f"{least.copy_rate / 1e9:.1f}/s = {least.moved / least.copy_rate:.2f} s"
    )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--shape", choices=("organism", "smol"), default="organism")
    parser.add_argument("--engines", default="ours,generate:64:1,continuous::1,trl:64:1,vllm:128")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rows", type=int, default=64, help="rows of a step, for the floor's bytes"
    )
    parser.add_argument("--vllm-python", default=sys.executable)
    parser.add_argument("--trl-python", default=sys.executable)
    parser.add_argument("--verbose", action="store_true", help="the engines' own output")
    return parser.parse_args()


if __name__ == "__main__":
    main()
