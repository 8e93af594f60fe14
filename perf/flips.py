"""How often rounding turns a token: the same seeds drawn another way, text by text.

    python perf/flips.py --problems 24 --samples 4

The reference is batch 64 on one thread by the backend's own decode step. Beside it: batches of 1
and 7, the order reversed, two threads (none of which may turn a token), and transformers' own
modules, whose sums run in another order. A text counts up to its first other token, behind which
nothing is comparable. Where two texts part, the gap of the two tokens' logits tells why: tokens are
laid out by falling probability, so two that are alike to the last digits may swap places.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
Texts = dict[Any, tuple[int, ...]]


@dataclass(frozen=True)
class Way:
    name: str
    batch: int
    threads: int = 1
    reverse: bool = False
    modules: bool = False


REFERENCE = Way("batch 64", 64)
WAYS = (
    Way("batch 1", 1),
    Way("batch 7, reversed", 7, reverse=True),
    Way("two threads", 64, threads=2),
    Way("batch 1, two threads", 1, threads=2),
    Way("transformers' modules", 64, modules=True),
)


def main() -> None:
    import torch

    from benchmarks.micro import Micro
    from ssd_eval.backends import hf
    from ssd_eval.decoding import DecodingConfig
    from ssd_eval.sample import plan

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--base", default="organism")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    backend = hf.load(given.base, batch_size=64)
    print(f"{'config':<20}{'way':<24}{'texts':>7}{'tokens':>9}{'turned':>8}   gaps of logits")
    for decoding in (
        DecodingConfig(0.0),
        DecodingConfig(1.0, 20, 0.8),
        DecodingConfig(1.6, 0, 0.95),
        DecodingConfig(1.0),
    ):
        asked = plan(
            Micro().problems()[: given.problems], decoding, seed=1, backend=backend,
            samples=1 if decoding.temperature == 0 else given.samples,
            max_tokens=given.max_tokens,
        )  # fmt: skip
        expected = drawn(given.base, asked, REFERENCE)
        for way in WAYS:
            found = drawn(given.base, asked, way)
            gaps, tokens = parted(backend, asked, expected, found)
            gap = f"   {min(gaps):.1e} to {max(gaps):.1e}" if gaps else ""
            print(
                f"{decoding!s:<20}{way.name:<24}{len(asked):>7}{tokens:>9}{len(gaps):>8}{gap}",
                flush=True,
            )


def drawn(base: str, asked: Sequence[Any], way: Way) -> Texts:
    import torch

    from ssd_eval.backends import hf

    backend = hf.load(base, batch_size=way.batch)
    if way.modules:
        backend._decoder = None
    torch.set_num_threads(way.threads)
    try:
        ordered = list(reversed(asked)) if way.reverse else asked
        return {each.key: each.token_ids for each in backend.generate(ordered)}
    finally:
        torch.set_num_threads(1)


def parted(
    backend: Any, asked: Sequence[Any], expected: Texts, found: Texts
) -> tuple[list[float], int]:
    """(gap of the two tokens' logits for each text that parts, tokens that were compared)."""
    import torch

    end = min(backend._chat.end_ids)
    gaps, tokens = [], 0
    for request in asked:
        one, other = expected[request.key], found[request.key]
        both = zip((*one, end), (*other, end), strict=False)
        at = next((i for i, (a, b) in enumerate(both) if a != b), None)
        tokens += len(one) if at is None else at + 1
        if at is not None:
            ids = torch.tensor([request.prompt_ids + one[:at]])
            with torch.inference_mode():
                logits = backend._model(input_ids=ids, use_cache=False).logits[0, -1]
            gaps.append(float((logits[(*one, end)[at]] - logits[(*other, end)[at]]).abs()))
    return gaps, tokens


if __name__ == "__main__":
    main()
