"""The statistics of `ssd_eval.positions` as one writes them first: full logits, sort, softmax.

Everything is float32 and as wide as the vocabulary, for all positions of a sequence at once. Two
ways: `shared=False` makes a softmax, and a sort where it needs one, for every statistic;
`shared=True` is kinder: one softmax and one sort of a model serve all that needs no decoding, and
what a decoding keeps is found once for all of its statistics. The fields and their meaning are
those of `ssd_eval.positions`; `perf/positions.py` checks that both say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ssd_eval.positions import RANKS, TOP

TINY = 1e-30
Statistic = Callable[..., Tensor]


def sequence(
    pair: Sequence[Any], tokens: Any, decodings: Sequence[Any], shared: bool
) -> dict[str, Any]:
    """Both checkpoints over one sequence; a dictionary of tensors in the shape of its rows."""
    with torch.inference_mode():
        ids, start = torch.tensor([tokens.ids[:-1]]), len(tokens.prompt_ids) - 1
        logits = [one.model(ids, use_cache=False).logits[0, start:].float() for one in pair]
        taken, train = torch.tensor(tokens.answer_ids), decodings[0]
        q = truncated(logits[0], train)
        out: dict[str, Any] = {"constant": train.temperature * entropy(q)}
        for name, each in zip(("base", "distilled"), logits, strict=True):
            out[name] = plain(each, taken, shared)
            out[name].update(decoded(each, decodings, shared))
            out[name].update(loss(each, q if shared else truncated(logits[0], train), train))
        out.update(across(logits[0], logits[1], q, decodings))
    return out


def entropy(p: Tensor) -> Tensor:
    return -(p * p.clamp(min=TINY).log()).sum(-1)


def ordered(p: Tensor) -> tuple[Tensor, Tensor]:
    values, ids = p.sort(dim=-1, descending=True)
    return values, ids


# of p, its sort, and the token
RANKED: dict[str, Statistic] = {
    "top1": lambda p, values, ids: values[:, 0].clone(),  # a view would keep the sort
    "top20": lambda p, values, ids: values[:, :20].sum(-1),
    "beyond": lambda p, values, ids: 1 - values.cumsum(-1)[:, :RANKS],
    "top_ids": lambda p, values, ids: ids[:, :TOP].clone(),
    "top_logprob": lambda p, values, ids: values[:, :TOP].log(),
    "renyi_inf": lambda p, values, ids: -values[:, 0].log(),
}
UNRANKED: dict[str, Statistic] = {
    "logprob": lambda p, taken: p.gather(-1, taken[:, None])[:, 0].log(),
    "rank": lambda p, taken: 1 + (p > p.gather(-1, taken[:, None])).sum(-1),
    "entropy": lambda p, taken: entropy(p),
    "renyi_half": lambda p, taken: 2 * p.sqrt().sum(-1).log(),
    "renyi_2": lambda p, taken: -p.square().sum(-1).log(),
    "dh_dt": lambda p, taken: variance(p, p),
}
# of p, what is sampled from, and the temperature
DECODED: dict[str, Statistic] = {
    "support": lambda p, q, t: (q > 0).sum(-1),
    "kept": lambda p, q, t: (p * (q > 0)).sum(-1),
    "gate": lambda p, q, t: gate((p * (q > 0)).sum(-1)),
    "head": lambda p, q, t: entropy(normal(p * (q > 0))),
    "tail": lambda p, q, t: entropy(normal(p * (q == 0))),
    "sampled": lambda p, q, t: entropy(q),
    "sensitivity": lambda p, q, t: variance(q, p) / t**3,
    "power": lambda p, q, t: (p.log() / t).masked_fill(q == 0, -torch.inf).logsumexp(-1),
}


def plain(logits: Tensor, taken: Tensor, shared: bool) -> dict[str, Tensor]:
    """What needs no decoding."""
    p = logits.softmax(-1)
    both = ordered(p)
    out = {}
    for name, ranked in RANKED.items():
        p = p if shared else logits.softmax(-1)
        out[name] = ranked(p, *(both if shared else ordered(p)))
    for name, unranked in UNRANKED.items():
        out[name] = unranked(p if shared else logits.softmax(-1), taken)
    return out


def decoded(logits: Tensor, decodings: Sequence[Any], shared: bool) -> dict[str, Tensor]:
    """What each decoding keeps, the entropy split there, and what is sampled from."""
    out: dict[str, list[Tensor]] = {name: [] for name in DECODED}
    for each in decodings:
        p, q = logits.softmax(-1), truncated(logits, each)
        for name, statistic in DECODED.items():
            if not shared:
                p, q = logits.softmax(-1), truncated(logits, each)
            out[name].append(statistic(p, q, each.temperature))
    return {name: torch.stack(values, -1) for name, values in out.items()}


def truncated(logits: Tensor, decoding: Any) -> Tensor:
    """Temperature, top-k and top-p as usually written: the distribution sampled from."""
    values, order = (logits / decoding.temperature).sort(dim=-1, descending=True)
    if decoding.top_k:
        values[:, decoding.top_k :] = float("-inf")
    p = values.softmax(-1)
    p[(p.cumsum(-1) - p) >= decoding.top_p] = 0.0
    p /= p.sum(-1, keepdim=True)
    return p.new_zeros(p.shape).scatter_(1, order, p)


def normal(p: Tensor) -> Tensor:
    return p / p.sum(-1, keepdim=True).clamp(min=TINY)


def gate(kept: Tensor) -> Tensor:
    return entropy(torch.stack((kept, (1 - kept).clamp(min=0)), -1))


def variance(weights: Tensor, p: Tensor) -> Tensor:
    """Of log p."""
    logp = p.clamp(min=TINY).log()
    return (weights * logp.square()).sum(-1) - (weights * logp).sum(-1).square()


def loss(logits: Tensor, q: Tensor, train: Any) -> dict[str, Tensor]:
    """The loss and its three terms; `q`: the base's training target."""
    keep, t = q > 0, train.temperature
    logp = logits.log_softmax(-1)
    kept = (logp.exp() * keep).sum(-1)
    inner = (logp - kept.log()[:, None]).masked_fill(~keep, -torch.inf)
    power = (inner / t).logsumexp(-1)
    aligned = (q.clamp(min=TINY).log() - (inner / t - power[:, None])).masked_fill(~keep, 0.0)
    return {
        "cross_entropy": -(q * logp).sum(-1),
        "compression": -kept.log(),
        "reshaping": -t * power,
        "alignment": t * (q * aligned).sum(-1),
    }


def across(
    base: Tensor, distilled: Tensor, q: Tensor, decodings: Sequence[Any]
) -> dict[str, Tensor]:
    """KL over the whole vocabulary, and at each T_eval on the training support."""
    p, other = base.log_softmax(-1), distilled.log_softmax(-1)
    heats = [(each.temperature, each.temperature * decodings[0].temperature) for each in decodings]
    composed = [composition(base / heat, distilled / t, q > 0) for t, heat in heats[1:]]
    return {"kl": (p.exp() * (p - other)).sum(-1), "teff": torch.stack(composed, -1)}


def composition(base: Tensor, distilled: Tensor, keep: Tensor) -> Tensor:
    student = distilled.masked_fill(~keep, -torch.inf).log_softmax(-1)
    teacher = base.masked_fill(~keep, -torch.inf).log_softmax(-1)
    return (student.exp() * (student - teacher).masked_fill(~keep, 0.0)).sum(-1)
