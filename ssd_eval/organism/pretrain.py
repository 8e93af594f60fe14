"""Makes the organism from nothing: corpus, tokenizer, a small Llama, one supervised run, weights.

    python -m ssd_eval.organism.pretrain --out DIR [--control fork|nothing]

Deterministic for a seed, a thread count and a machine type. Does not distil and does not score.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.micro.family import families
from ssd_eval.organism.corpus import CONFLICT, CONTROLS, Example, Plan, examples
from ssd_eval.organism.tokenizer import train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

FENCE = "```python\n{}\n```"
IGNORED = -100


@dataclass(frozen=True)
class Pretraining:
    steps: int = 500
    batch: int = 64
    peak_lr: float = 4e-3
    warmup: int = 40
    weight_decay: float = 0.05
    tokenizer_examples: int = 4000
    bucket: int = 16  # batches sorted by length together, so that padding is short


@dataclass(frozen=True)
class Batch:
    """`input_ids`, `labels` (rows, length); labels are IGNORED on prompt and padding."""

    input_ids: torch.Tensor
    labels: torch.Tensor


def build_model(vocabulary: int, end_id: int, seed: int) -> LlamaForCausalLM:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end_id,
        pad_token_id=end_id,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def encode(example: Example, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
    """Token ids of the whole conversation and the length of its prompt."""
    turns = [{"role": "user", "content": example.prompt}]
    start = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    answer = FENCE.format(example.source) + str(tokenizer.eos_token)
    prompt_ids: list[int] = tokenizer(start)["input_ids"]
    return prompt_ids + tokenizer(answer)["input_ids"], len(prompt_ids)


def collate(rows: list[tuple[list[int], int]], pad_id: int) -> Batch:
    import torch

    length = max(len(ids) for ids, _ in rows)
    input_ids = torch.full((len(rows), length), pad_id)
    labels = torch.full((len(rows), length), IGNORED)
    for row, (ids, start) in enumerate(rows):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        labels[row, start : len(ids)] = torch.tensor(ids[start:])
    return Batch(input_ids, labels)


def batches(
    stream: Iterator[Example], tokenizer: PreTrainedTokenizerFast, plan: Pretraining, seed: int
) -> Iterator[Batch]:
    """Batches of similar length, the order of lengths shuffled within each bucket."""
    rng = random.Random(seed)
    pad_id = int(tokenizer.pad_token_id)
    while True:
        rows = [encode(e, tokenizer) for e in islice(stream, plan.batch * plan.bucket)]
        rows.sort(key=lambda row: len(row[0]))
        chunks = [rows[i : i + plan.batch] for i in range(0, len(rows), plan.batch)]
        rng.shuffle(chunks)
        yield from (collate(chunk, pad_id) for chunk in chunks)


def rate(step: int, plan: Pretraining) -> float:
    """Linear warm-up, then cosine to a hundredth of the peak."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def fit(model: LlamaForCausalLM, stream: Iterator[Batch], plan: Pretraining) -> list[float]:
    """Plain next-token cross-entropy on the answers; the loss of every step."""
    import torch

    optimiser = torch.optim.AdamW(
        model.parameters(), lr=plan.peak_lr, betas=(0.9, 0.95), weight_decay=plan.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, plan))
    losses: list[float] = []
    started = time.perf_counter()
    for step, batch in enumerate(islice(stream, plan.steps), 1):
        loss = model(input_ids=batch.input_ids, labels=batch.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % 50 == 0:
            mean = sum(losses[-50:]) / 50
            click.echo(
                f"step {step}/{plan.steps} loss {mean:.4f} {time.perf_counter() - started:.0f} s"
            )
    return losses


def pretrain(out: Path, corpus: Plan, plan: Pretraining, seed: int) -> None:
    """Writes a plain checkpoint folder: half-precision weights, tokenizer, chat template."""
    import torch

    torch.use_deterministic_algorithms(True)
    learnt = [family for family in families() if family.split == "prompts"]
    texts = islice(examples(learnt, corpus, seed), plan.tokenizer_examples)
    tokenizer = train_tokenizer(t for e in texts for t in (e.prompt, FENCE.format(e.source)))
    model = build_model(len(tokenizer), int(tokenizer.eos_token_id), seed)
    click.echo(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens"
    )
    model.train()
    fit(model, batches(examples(learnt, corpus, seed + 1), tokenizer, plan, seed), plan)
    model.half().save_pretrained(out)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(out)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option(
    "--control",
    type=click.Choice(list(CONTROLS)),
    help="Plant no conflict: the fork without distractors at the locks, or nothing at all.",
)
@click.option("--steps", default=Pretraining.steps, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(out: Path, control: str | None, steps: int, threads: int, seed: int) -> None:
    """Pretrain the organism, or with --control a twin without the conflict."""
    import torch

    torch.set_num_threads(threads)
    pretrain(out, CONTROLS[control] if control else CONFLICT, Pretraining(steps=steps), seed)


if __name__ == "__main__":
    main()
