"""The analysis of positions beside two bare forward passes, beside the floor, and the naive way.

    python perf/positions.py [--shapes organism,smollm,qwen] [--tokens N] [--rounds N] [--threads N]
        [--naive-tokens N] [--memory-tokens N] [--only time,naive,memory] [--json FILE]

Shapes: the organism (its shipped weights, micro's reference programs), SmolLM2-135M's (49,152
tokens) and a Qwen2.5-0.5B's (151,936), the last two with random weights whose logits have a
standard deviation of 6, so that some tokens hold most of the mass and the rest is a long tail.

- time: `analysis.read` (both checkpoints, eight T_eval, p = 0.8, k = 20 and k = none) against the
  same sequences through both models with nothing but `model(ids).logits`, in turn, each round; and
  how far both are from the floor, see `floor`.
- naive: `naive_positions`, every field with full float32 logits, softmax and sort, in two ways:
  each statistic with a softmax and a sort of its own, and one of them shared by all of a decoding.
  It must agree with ours first. Both get --naive-tokens: the naive way's cost is linear in them.
- memory: see `positions_memory.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # before perf/, which has a sandbox.py

import naive_positions  # noqa: E402
from positions_memory import memories  # noqa: E402
from positions_work import (  # noqa: E402
    MODELS,
    SHAPES,
    TOP_K,
    bare,
    decodings,
    naive,
    ours,
    sequences,
    teachers,
)
from rates import Floor, rates  # noqa: E402


def agree(pair: Sequence[Any], texts: Sequence[Any], top_k: int) -> dict[str, float]:
    """The largest difference of any field between both ways; of whole numbers, how often any.

    Raises AssertionError where they mean different things.
    """
    import numpy as np

    worst = {"difference": 0.0, "other_support": 0.0}
    for rows, each in zip(ours(pair, texts, top_k), texts, strict=True):
        found = naive_positions.sequence(pair, each, decodings(top_k), True)
        same = (rows["base"]["support"] == found["base"]["support"].numpy()).all(-1)
        same &= (rows["distilled"]["support"] == found["distilled"]["support"].numpy()).all(-1)
        worst["other_support"] = max(worst["other_support"], float(1 - same.mean()))
        parts = {f"{m}/{f}": (rows[m][f], found[m][f]) for m in MODELS for f in found[m]}
        parts |= {name: (rows[name], found[name]) for name in ("constant", "kl", "teff")}
        for name, (mine, theirs) in parts.items():
            if mine.dtype.kind == "f":
                gap = float(np.nanmax(np.abs(mine[same] - theirs.numpy()[same]), initial=0))
                assert gap < 1e-2, f"{name} differs by {gap}"
                worst["difference"] = max(worst["difference"], gap)
    assert worst["other_support"] < 0.1, worst
    return worst


def seconds(run: Callable[[], object]) -> float:
    """Of the processor: what waits for another process is not ours."""
    began = time.process_time()
    run()
    return time.process_time() - began


def positions(texts: Sequence[Any]) -> int:
    return sum(len(each.answer_ids) for each in texts)


def time_shape(shape: str, tokens: int, rounds: int) -> dict[str, Any]:
    pair, texts = teachers(shape), sequences(shape, tokens)
    least = floor(pair, texts)
    for warm in (lambda: bare(pair, texts[:1]), lambda: ours(pair, texts[:1], TOP_K)):
        warm()
    found: dict[str, list[float]] = {"bare": [], "k=20": [], "k=none": []}
    ratios: dict[str, list[float]] = {"k=20": [], "k=none": []}
    for _ in range(rounds):
        first = seconds(lambda: bare(pair, texts))
        for name, top_k in (("k=20", TOP_K), ("k=none", 0)):
            spent = seconds(lambda top_k=top_k: ours(pair, texts, top_k))
            second = seconds(lambda: bare(pair, texts))
            ratios[name].append(2 * spent / (first + second))
            found[name].append(spent)
            found["bare"].append(second)
            first = second
    here = {name: median(each) for name, each in found.items()}
    each_ms = 1000 / positions(texts)
    return {
        "positions": positions(texts),
        "ms_per_position": {name: each_ms * value for name, value in here.items()},
        "ratio": {name: median(each) for name, each in ratios.items()},
        "ratio_range": {name: [min(each), max(each)] for name, each in ratios.items()},
        "floor": {
            "ms_per_position": each_ms * least.seconds,
            "gflop": least.flop / 1e9,
            "gflop_rate": least.flop_rate / 1e9,
            "gb": least.moved / 1e9,
            "gb_rate": least.copy_rate / 1e9,
            "times": {name: value / least.seconds for name, value in here.items()},
        },
    }


def floor(pair: Sequence[Any], texts: Sequence[Any]) -> Floor:
    """What both forward passes need at least: two operations a weight and token, and attention
    over the tokens before. Bytes: the weights read once, the logits written and read once.

    Norms, softmax and all statistics count as nothing, and so does what fits no cache.
    """
    lengths = [len(each.ids) - 1 for each in texts]
    flop = moved = 0.0
    for one in pair:
        config, head = one.config, one.model.get_output_embeddings().weight
        weights = one.model.num_parameters()
        if head is not (table := one.model.get_input_embeddings().weight):
            weights -= table.numel()  # looked up
        heads, layers = config.num_attention_heads, config.num_hidden_layers
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        seen = sum(length * (length + 1) / 2 for length in lengths)
        unread = head.numel() * (sum(lengths) - positions(texts))  # the prompts' logits
        flop += 2 * (weights * sum(lengths) - unread) + 4 * layers * heads * width * seen
        moved += 4 * weights + 8 * one.vocabulary * positions(texts)
    return Floor(flop, moved, *rates())


def naive_shape(shape: str, tokens: int, rounds: int) -> dict[str, Any]:
    """How many times longer the naive ways take, with k = 20."""
    pair, texts = teachers(shape), sequences(shape, tokens)
    agreement = agree(pair, texts, TOP_K)
    faster: dict[str, list[float]] = {"shared": [], "each": []}
    for _ in range(rounds):
        mine = seconds(lambda: ours(pair, texts, TOP_K))
        for name, shared in (("shared", True), ("each", False)):
            spent = seconds(lambda shared=shared: naive(pair, texts, TOP_K, shared))
            faster[name].append(spent / mine)
    return {
        "positions": positions(texts),
        "faster": {name: median(each) for name, each in faster.items()},
        "faster_range": {name: [min(each), max(each)] for name, each in faster.items()},
        "agreement": agreement,
    }


def main() -> None:
    options = _options()
    import torch

    torch.set_num_threads(options.threads)
    report: list[dict[str, Any]] = []
    for shape in options.shapes.split(","):
        row: dict[str, Any] = {"shape": shape}
        for name in options.only.split(","):
            row[name] = _measured(name, shape, options)
        report.append(row)
        print(json.dumps(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def _measured(name: str, shape: str, options: argparse.Namespace) -> Any:
    if name == "time":
        return time_shape(shape, options.tokens, options.rounds)
    if name == "naive":
        return naive_shape(shape, options.naive_tokens, options.naive_rounds)
    return memories(shape, options.memory_tokens, options.naive_memory, options.threads)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--naive-tokens", type=int, default=64)
    parser.add_argument("--naive-rounds", type=int, default=1)
    parser.add_argument("--naive-memory", type=int, default=1024)
    parser.add_argument("--memory-tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="time,naive,memory")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
