"""Positions of a few made-up completions whose texts attack the page that shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ssd_eval import positions
from ssd_eval.decoding import DecodingConfig
from ssd_eval.measures import measure

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror='window.hacked=2'>",
    "<!--<script>",
    "]]>&amp;&lt;",
    "\u2028\u2029\x00\x1b[31m",
    "{{ 7 * 7 }}",
    "`${window.hacked=3}`",
    '"\\"\n',
)
WORDS = (*HOSTILE, "def", " solve", "(", "a", ")", ":", "\n    ", "return", " a", "\n", "é", "")
HEADER = positions.Header(
    base="<b>base</b>",
    base_fingerprint="0" * 16,
    distilled="out/</title>distilled",
    distilled_fingerprint="1" * 16,
    vocabulary=len(WORDS),
    tokens="base samples",
    training=DecodingConfig(1.0, 20, 0.85),
    evaluation=(DecodingConfig(0.0), DecodingConfig(0.7, 10, 0.8), DecodingConfig(1.5, 0, 0.9)),
)


def word(token: int) -> str:
    return WORDS[token]


def sequence(seed: int, problem: str = "p</option>") -> positions.Sequence:
    """Random sharp and flat positions; the distilled model is the base, sharper."""
    rng = np.random.default_rng(seed)
    tokens = rng.permutation(len(WORDS))
    sharp = rng.choice([0.3, 4.0], size=(len(tokens), 1))
    base = torch.from_numpy(rng.normal(size=(len(tokens), len(WORDS))) * sharp)
    rows = measure(base, 1.7 * base, torch.from_numpy(tokens), HEADER.decodings)
    rows["planted"][0] = 1
    return positions.Sequence(
        problem=problem,
        cluster="c",
        sample=seed,
        prompt=f"Do <i>it</i>. {HOSTILE[0]}",
        prompt_tokens=3,
        decoding="T=1",
        pieces=tuple(map(word, tokens)),
        rows=rows,
    )


def folder(place: Path, problems: int = 3, samples: int = 2) -> Path:
    positions.write_header(place, HEADER)
    for index in range(problems):
        held = [sequence(10 * index + s, f"p{index}") for s in range(samples)]
        positions.write_problem(place, index, held)
    return place
