"""The analysis of positions beside two bare forward passes, and beside the naive way.

    python perf/positions.py [--shapes organism,smollm,qwen] [--tokens N] [--rounds N] [--threads N]
        [--naive-tokens N] [--memory-tokens N] [--only time,naive,memory] [--json FILE]

Shapes: the organism (its shipped weights, micro's reference programs), SmolLM2-135M's (49,152
tokens) and a Qwen2.5-0.5B's (151,936), the last two with random weights whose logits have a
standard deviation of 6, so that some tokens hold most of the mass and the rest is a long tail.

- time: `analysis.read` (both checkpoints, eight T_eval, p = 0.8, k = 20 and k = none) against the
  same sequences through both models with nothing but `model(ids).logits`, in turn, each round.
- naive: `naive_positions`, every field with full float32 logits, softmax and sort, in two ways:
  each statistic with a softmax and a sort of its own, and one of them shared by all of a decoding.
  It must agree with ours first.
- memory: peak resident memory above both loaded models for one sequence of 256, 1,024 and
  --memory-tokens tokens, each in a process of its own; of the naive (shared) way up to
  --naive-memory tokens and with one T_eval, which it needs no less memory for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # before perf/, which has a sandbox.py

import naive_positions  # noqa: E402

SHAPES: dict[str, dict[str, int]] = {
    "organism": {},
    "smollm": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "qwen": {
        "vocab_size": 151_936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
}
TEMPERATURES = (0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 1.8, 2.0)
T_TRAIN, TOP_K, TOP_P = 0.9, 20, 0.8
SPREAD = 6.0  # of random logits
MODELS = ("base", "distilled")


def decodings(top_k: int) -> list[Any]:
    from ssd_eval.decoding import DecodingConfig

    return [DecodingConfig(t, top_k, TOP_P) for t in (T_TRAIN, *TEMPERATURES)]


def teachers(shape: str) -> tuple[Any, Any]:
    """Two models of one shape whose logits differ a little."""
    import torch

    from ssd_eval import teacher

    if shape == "organism":
        pair = [teacher.load("organism") for _ in range(2)]
    else:
        pair = [teacher.Teacher(_random(shape), shape) for _ in range(2)]
        for each in pair:
            _spread(each)
    with torch.no_grad():
        weight = pair[1].model.get_output_embeddings().weight
        weight.add_(torch.randn_like(weight), alpha=float(weight.std()) * 0.1)
    return pair[0], pair[1]


def _random(shape: str) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    made = (Qwen2ForCausalLM, Qwen2Config) if shape == "qwen" else (LlamaForCausalLM, LlamaConfig)
    config = made[1](**SHAPES[shape], max_position_embeddings=8192, tie_word_embeddings=True)
    return made[0](config).train(False)


def _spread(each: Any) -> None:
    import torch

    with torch.no_grad():
        found = each.logits(each.read(list(range(100, 140)))).std()
        # The final norm's gain scales logits and leaves tied embeddings alone.
        each._body.norm.weight.mul_(SPREAD / float(found))


def sequences(shape: str, tokens: int) -> list[Any]:
    """The organism's are micro's references, as many as give so many tokens; else one, random."""
    from ssd_eval.sequences import of_references

    if shape != "organism":
        return [random_sequence(SHAPES[shape]["vocab_size"], tokens)]
    from benchmarks import registry
    from ssd_eval.checkpoint import end_token, load_tokenizer

    tokenizer = load_tokenizer("organism")
    found: list[Any] = []
    for each in of_references(
        registry.load("micro").problems(), tokenizer, end_token(tokenizer), 10
    ):
        if sum(len(one.answer_ids) for one in found) >= tokens:
            break
        found.append(each)
    return found


def random_sequence(vocabulary: int, tokens: int) -> Any:
    import torch

    from ssd_eval.sequences import Tokens

    ids = torch.randint(0, vocabulary, (tokens + 1,)).tolist()
    return Tokens("p", "p", 0, (ids[0],), tuple(ids[1:]))


def bare(pair: Sequence[Any], texts: Sequence[Any]) -> None:
    import torch

    with torch.inference_mode():
        for each in texts:
            for one in pair:
                one.model(input_ids=torch.tensor([each.ids[:-1]]), use_cache=False).logits  # noqa: B018


def ours(pair: Sequence[Any], texts: Sequence[Any], top_k: int) -> list[Any]:
    from ssd_eval import analysis

    return [
        rows
        for batch in analysis._batches(texts)
        for rows in analysis.read(pair[0], pair[1], batch, decodings(top_k))
    ]


def naive(pair: Sequence[Any], texts: Sequence[Any], top_k: int, shared: bool) -> None:
    for each in texts:
        naive_positions.sequence(pair, each, decodings(top_k), shared)


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


def seconds(run: Callable[[], None]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def time_shape(shape: str, tokens: int, rounds: int) -> dict[str, Any]:
    """Processor seconds: what waits for another process is not ours."""
    pair, texts = teachers(shape), sequences(shape, tokens)
    positions = sum(len(each.answer_ids) for each in texts)
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
    per = {name: 1000 * median(each) / positions for name, each in found.items()}
    return {
        "shape": shape,
        "positions": positions,
        "ms_per_position": per,
        "ratio": {name: median(each) for name, each in ratios.items()},
        "ratio_range": {name: [min(each), max(each)] for name, each in ratios.items()},
    }


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
    positions = sum(len(each.answer_ids) for each in texts)
    found = {name: median(each) for name, each in faster.items()}
    return {"positions": positions, "faster": found, "agreement": agreement}


def memory_of(shape: str, tokens: int, way: str) -> dict[str, Any]:
    """MiB above both models; in a process of its own, called through `--child`."""
    pair = teachers(shape)
    texts = [random_sequence(pair[0].vocabulary, tokens)]
    bare(pair, [random_sequence(pair[0].vocabulary, 16)])
    loaded = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    if way == "ours":
        ours(pair, texts, TOP_K)
    else:  # one decoding: more of them take time, not memory
        naive_positions.sequence(pair, texts[0], decodings(TOP_K)[:2], True)
    return {"loaded": loaded, "above": _status("VmHWM") - loaded}


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


def child(shape: str, tokens: int, way: str, threads: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", way, "--shapes", shape]
    command += ["--memory-tokens", str(tokens), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def memories(shape: str, options: argparse.Namespace) -> dict[str, Any]:
    """MiB above both models by sequence length; of the naive way as far as --naive-memory says."""
    context = 510 if shape == "organism" else options.memory_tokens
    lengths = {min(context, length) for length in (256, 1024, options.memory_tokens)}
    found: dict[str, Any] = {}
    for length in sorted(lengths):
        ways = ("ours", "naive") if length <= options.naive_memory else ("ours",)
        found[str(length)] = {way: child(shape, length, way, options.threads) for way in ways}
    return found


def main() -> None:
    options = _options()
    import torch

    torch.set_num_threads(options.threads)
    shapes, only = options.shapes.split(","), options.only.split(",")
    if options.child:
        print(json.dumps(memory_of(shapes[0], options.memory_tokens, options.child)))
        return
    report: list[dict[str, Any]] = []
    for shape in shapes:
        row: dict[str, Any] = {"shape": shape}
        if "time" in only:
            row["time"] = time_shape(shape, options.tokens, options.rounds)
        if "naive" in only:
            row["naive"] = naive_shape(shape, options.naive_tokens, options.naive_rounds)
        if "memory" in only:
            row["memory"] = memories(shape, options)
        report.append(row)
        print(json.dumps(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--naive-tokens", type=int, default=32)
    parser.add_argument("--naive-rounds", type=int, default=1)
    parser.add_argument("--naive-memory", type=int, default=1024)
    parser.add_argument("--memory-tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="time,naive,memory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
