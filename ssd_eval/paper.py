"""The paper's published numbers (arXiv 2604.01193), beside which ours can be set.

LiveCodeBench pass@1 and pass@5 in percent, by preset. Only its own windows count: `paper-v6` and
`paper-v5`; other sets called v6 hold other problems. Formats nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GROUPS = ("all", "easy", "medium", "hard")
BASE, SSD = "base", "+SSD"

_V6 = {
    "qwen3-4b-thinking-2507": (
        "54.5/97.4/59.2/29.7; 67.5/100/75.4/45.8",
        "57.8/98.7/62.8/33.8; 71.4/100/77.3/53.1",
    ),
    "qwen3-30b-a3b-thinking-2507": (
        "66.1/99.8/73.0/41.5; 76.7/100/84.7/59.7",
        "68.2/100/76.4/46.7; 80.2/100/87.1/65.8",
    ),
    "gpt-oss-20b": (
        "69.1/93.2/80.8/57.8; 86.1/100/94.8/73.7",
        "74.4/96.5/80.0/59.5; 88.0/100/94.7/77.7",
    ),
    "llama-3.1-8b-instruct": (
        "12.7/46.8/5.4/0.0; 23.0/76.7/15.1/0.8",
        "16.2/52.6/10.0/1.6; 24.0/73.3/17.1/3.3",
    ),
    "qwen3-4b-instruct-2507": (
        "34.0/79.7/34.4/10.5; 41.0/90.0/40.5/16.5",
        "41.5/86.5/45.1/16.2; 56.8/98.1/59.7/34.1",
    ),
    "qwen3-30b-a3b-instruct-2507": (
        "42.4/84.5/46.8/18.3; 53.5/93.3/56.8/31.1",
        "55.3/91.0/61.0/33.6; 71.6/99.9/76.4/54.1",
    ),
}
_V5 = {  # pass@1 over all problems
    "qwen3-4b-thinking-2507": ("59.6", "63.1"),
    "qwen3-30b-a3b-thinking-2507": ("69.1", "69.9"),
    "gpt-oss-20b": ("67.6", "70.7"),
    "llama-3.1-8b-instruct": ("12.7", "13.5"),
    "qwen3-4b-instruct-2507": ("34.3", "45.7"),
    "qwen3-30b-a3b-instruct-2507": ("45.8", "54.3"),
}
_PROBLEMS = {"paper-v6": 131, "paper-v5": 374}
Published = Mapping[tuple[str, int, str], float]  # (base or +SSD, k, group) -> share of 1


def _rows(pair: tuple[str, str]) -> Published:
    found = {}
    for label, text in zip((BASE, SSD), pair, strict=True):
        for k, numbers in zip((1, 5), text.split(";"), strict=False):
            for group, number in zip(GROUPS, numbers.split("/"), strict=False):
                found[label, k, group] = float(number) / 100
    return found


_BY_WINDOW = MappingProxyType(
    {
        "paper-v6": {name: _rows(pair) for name, pair in _V6.items()},
        "paper-v5": {name: _rows(pair) for name, pair in _V5.items()},
    }
)


def published(model: str, window: str, problems: int) -> Published:
    """Empty where the paper has no number for this model and window, whole.

    `model` is a hub id, a folder of that name, or a preset's name.
    """
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    if _PROBLEMS.get(window) != problems:
        return {}
    return _BY_WINDOW[window].get(name, {})
