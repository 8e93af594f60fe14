"""DecodingConfig and the one canonical truncation: temperature, then top-k, then top-p.

The reference for every backend (paper.md §1, vLLM's order). The rules, where they need words:

- T = 0 is greedy: the largest logit, the lowest id among equals; top-k and top-p do not apply.
- 0 < T < 0.01 is served as 0.01 (`effective_temperature`), as vLLM does.
- top-k keeps every token whose logit is not strictly below the k-th largest, so ties stay.
- top-p drops from the smallest while the kept mass stays at or above p. Among equal logits the
  lower id is dropped first: vLLM sorts ascending and stably and cuts a prefix. Masses within
  `MASS_SLACK` of p count as equal to p, so that rounding does not decide exact ties.
- A logit of -inf is never in the support. NaN, +inf or no finite logit is a BackendError.

Probabilities are float64 and every sum runs in rank order within its own row, so a row's result
does not depend on the rows beside it. torch is imported on use, not with this module.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ssd_eval.errors import BackendError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MIN_TEMPERATURE = 0.01
MASS_SLACK = 1e-12
NUCLEUS_WIDTH = 1024  # first guess of how many tokens a top-p nucleus without top-k holds
LAST_UNIFORM = 1 - 2.0**-52  # times a mass this stays strictly below the mass, also when rounded

Kind = Literal["greedy", "plain", "limited", "nucleus"]


@dataclass(frozen=True)
class DecodingConfig:
    """Temperature (0 is greedy), top_k (0 keeps all), top_p in (0, 1] (1 keeps all)."""

    temperature: float
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(
                f"temperature {self.temperature} is not a number >= 0; use 0 for greedy decoding"
            )
        if self.top_k < 0:
            raise UsageError(f"top_k {self.top_k} is negative; use 0 to keep every token")
        if self.top_k != int(self.top_k):
            raise UsageError(f"top_k {self.top_k} is not a whole number; use 0 to keep every token")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p {self.top_p} is outside (0, 1]; use 1 to keep every token")
        # 1 and 1.0 are one setting: digests must not tell them apart.
        object.__setattr__(self, "temperature", float(self.temperature))
        object.__setattr__(self, "top_k", int(self.top_k))
        object.__setattr__(self, "top_p", float(self.top_p))

    def __str__(self) -> str:
        k = self.top_k or "none"
        return f"T={self.temperature:g} k={k} p={self.top_p:g}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> DecodingConfig:
        return cls(**row)

    def digest(self) -> str:
        """16 hex digits over T, k and p as requested."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def effective_temperature(config: DecodingConfig) -> float:
    """The temperature that is served: 0 stays 0, the rest is at least `MIN_TEMPERATURE`."""
    if config.temperature == 0:
        return 0.0
    return max(config.temperature, MIN_TEMPERATURE)


def draws(stream: int) -> np.random.Generator:
    """A sample's own uniforms: counter-based, keyed by its 128-bit stream, one per token."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=stream))


@dataclass(frozen=True)
class _Group:
    """Rows of one kind and their settings. `index`: which rows of the whole; None for all."""

    kind: Kind
    index: Tensor | None
    temperature: Tensor  # float64 [rows, 1]
    top_k: Tensor  # int64 [rows, 1]
    top_p: Tensor  # float64 [rows, 1]
    widest: int  # the largest top_k among the rows


@dataclass(frozen=True)
class Arrangement:
    """A batch's configs, sorted by kind and laid out as tensors; see `arrange`."""

    rows: int
    groups: tuple[_Group, ...]


def arrange(
    config: DecodingConfig | Sequence[DecodingConfig], *, rows: int, vocabulary: int, device: Any
) -> Arrangement:
    """What `sample_token` makes of its configs at every call; a decode loop keeps it instead."""
    configs = [config] * rows if isinstance(config, DecodingConfig) else list(config)
    if len(configs) != rows:
        raise ValueError(f"{len(configs)} decoding configs for {rows} rows of logits")
    members: dict[Kind, list[int]] = {}
    for row, each in enumerate(configs):
        members.setdefault(_kind(each, vocabulary), []).append(row)
    groups = (_group(kind, chosen, configs, device) for kind, chosen in members.items())
    return Arrangement(rows, tuple(groups))


def truncate(logits: Tensor, config: DecodingConfig | Sequence[DecodingConfig]) -> Tensor:
    """Log-probabilities after truncation, float64, -inf outside the support.

    `logits`: [vocabulary] or [rows, vocabulary]. One config serves all rows, a sequence gives one
    for each. Raises BackendError on NaN or +inf logits.
    """
    import torch

    table = logits.unsqueeze(0) if logits.ndim == 1 else logits
    groups = _arranged(table, config).groups
    if len(groups) == 1:
        out = _truncate_group(groups[0], table)
    else:
        out = torch.empty(table.shape, dtype=torch.float64, device=table.device)
        for group in groups:
            out[group.index] = _truncate_group(group, table[group.index])
    return out[0] if logits.ndim == 1 else out


def support(logits: Tensor, config: DecodingConfig | Sequence[DecodingConfig]) -> Tensor:
    """True where a token survives truncation; shapes and errors as `truncate`."""
    return truncate(logits, config) > -math.inf


def sample_token(
    logits: Tensor,
    config: DecodingConfig | Sequence[DecodingConfig] | Arrangement,
    uniforms: Tensor,
) -> Tensor:
    """Token ids, int64 [rows], by inverse CDF from one uniform in [0, 1) a row.

    `logits`: [rows, vocabulary]; `uniforms`: float64 [rows]. Tokens are laid out on the unit
    interval by falling probability; without any truncation by id. Raises BackendError on NaN or
    +inf logits.
    """
    import torch

    groups = _arranged(logits, config).groups
    if len(groups) == 1:
        return _sample_group(groups[0], logits, uniforms)
    out = torch.empty(logits.shape[0], dtype=torch.int64, device=logits.device)
    for group in groups:
        index = group.index
        out[index] = _sample_group(group, logits[index], uniforms[index])
    return out


@dataclass(frozen=True)
class _Ranked:
    """Candidate tokens of each row by falling logit, highest id first among equals."""

    ids: Tensor  # int64 [rows, width]
    scaled: Tensor  # float64 [rows, width]: (logit - largest logit) / T
    cumulative: Tensor  # float64 [rows, width]: running sum of exp(scaled)
    keep: Tensor  # bool [rows, width], true for a prefix
    mass: Tensor  # float64 [rows, 1]: sum of exp(scaled) over the kept tokens


def _kind(config: DecodingConfig, vocabulary: int) -> Kind:
    if config.temperature == 0:
        return "greedy"
    if 0 < config.top_k < vocabulary:
        return "limited"
    return "plain" if config.top_p == 1 else "nucleus"


def _arranged(
    logits: Tensor, config: DecodingConfig | Sequence[DecodingConfig] | Arrangement
) -> Arrangement:
    if isinstance(config, Arrangement):
        return config
    rows, vocabulary = logits.shape
    return arrange(config, rows=rows, vocabulary=vocabulary, device=logits.device)


def _group(kind: Kind, chosen: list[int], configs: Sequence[DecodingConfig], device: Any) -> _Group:
    import torch

    picked = [configs[row] for row in chosen]
    numbers = torch.tensor(
        [(effective_temperature(each), each.top_p, each.top_k) for each in picked],
        dtype=torch.float64,
    ).to(device)
    everything = len(chosen) == len(configs)
    return _Group(
        kind=kind,
        index=None if everything else torch.tensor(chosen, device=device),
        temperature=numbers[:, 0:1],
        top_k=numbers[:, 2:3].to(torch.int64),
        top_p=numbers[:, 1:2],
        widest=max(each.top_k for each in picked),
    )


def _check(largest: Tensor) -> None:
    """`largest`: each row's maximum; NaN wins every maximum, so this sees the whole row."""
    if not bool(largest.isfinite().all()):
        raise BackendError(
            "the model gave NaN or infinite logits; load it in float32 (--dtype float32), "
            "or check that the checkpoint is not damaged"
        )


def _truncate_group(group: _Group, logits: Tensor) -> Tensor:
    import torch

    if group.kind == "plain":
        scaled, cumulative = _plain(group, logits)
        return scaled - cumulative[:, -1:].log()
    out = torch.full(logits.shape, -math.inf, dtype=torch.float64, device=logits.device)
    if group.kind == "greedy":
        return out.scatter_(1, _greedy(group, logits).unsqueeze(1), 0.0)
    ranked = _ranked(group, logits)
    kept = (ranked.scaled - ranked.mass.log()).masked_fill_(~ranked.keep, -math.inf)
    return out.scatter_(1, ranked.ids, kept)


def _sample_group(group: _Group, logits: Tensor, uniforms: Tensor) -> Tensor:
    if group.kind == "greedy":
        return _greedy(group, logits)
    at = uniforms.clamp(max=LAST_UNIFORM).unsqueeze(1)
    if group.kind == "plain":
        _, cumulative = _plain(group, logits)
        return (cumulative <= at * cumulative[:, -1:]).sum(-1)
    ranked = _ranked(group, logits)
    chosen = (ranked.cumulative <= at * ranked.mass).sum(-1, keepdim=True)
    return ranked.ids.gather(1, chosen).squeeze(1)


def _greedy(group: _Group, logits: Tensor) -> Tensor:
    _check(logits.amax(-1))
    return logits.argmax(-1)  # documented: the first of equal maxima


def _plain(group: _Group, logits: Tensor) -> tuple[Tensor, Tensor]:
    """No truncation: (scaled logits, running sum of their exponentials), in id order."""
    largest = logits.amax(-1, keepdim=True)
    _check(largest)
    scaled = (logits.double() - largest) / group.temperature
    return scaled, scaled.exp().cumsum(-1)


def _ranked(group: _Group, logits: Tensor) -> _Ranked:
    if group.kind == "limited":
        return _limited(group, logits)
    return _nucleus(group, logits)


def _limited(group: _Group, logits: Tensor) -> _Ranked:
    """top-k first, on a `torch.topk` just wide enough for the ties at the k-th value."""
    vocabulary = logits.shape[1]
    width = min(vocabulary, group.widest + 1)
    while True:
        values, ids = logits.topk(width)
        floor = values.gather(1, (group.top_k - 1))
        cut = (values[:, -1:] == floor) & floor.isfinite()  # ties may go on beyond the candidates
        if width == vocabulary or not bool(cut.any()):
            break
        width = min(vocabulary, 4 * width)
    values, ids = _settle_ties(values, ids)
    _check(values[:, 0])
    scaled = (values.double() - values[:, :1]) / group.temperature
    cumulative = scaled.exp().masked_fill_(values < floor, 0.0).cumsum(-1)
    alive = (values >= floor) & (values > -math.inf)
    return _nucleus_of(group, ids, scaled, cumulative, alive, cumulative[:, -1:])


def _nucleus(group: _Group, logits: Tensor) -> _Ranked:
    """top-p without top-k: widen the candidates until the nucleus certainly ends inside them."""
    vocabulary = logits.shape[1]
    total = _plain(group, logits)[1][:, -1:]
    width = min(vocabulary, NUCLEUS_WIDTH)
    while True:
        values, ids = _settle_ties(*logits.topk(width))
        scaled = (values.double() - values[:, :1]) / group.temperature
        cumulative = scaled.exp().cumsum(-1)
        ranked = _nucleus_of(group, ids, scaled, cumulative, values > -math.inf, total)
        last = values.gather(1, ranked.keep.sum(-1, keepdim=True) - 1)
        # A kept value equal to the smallest candidate may have equals beyond the candidates.
        if width == vocabulary or bool((last > values[:, -1:]).all()):
            return ranked
        width = min(vocabulary, 4 * width)


def _nucleus_of(
    group: _Group, ids: Tensor, scaled: Tensor, cumulative: Tensor, alive: Tensor, total: Tensor
) -> _Ranked:
    """The top-p cut. Dropping from the smallest while p is kept = stop once p lies above."""
    above = cumulative.roll(1, -1)
    above[:, 0] = 0.0
    enough = ((group.top_p - MASS_SLACK) * total).masked_fill(group.top_p == 1, math.inf)
    keep = alive & (above < enough)
    keep[:, 0] = True
    mass = cumulative.gather(1, keep.sum(-1, keepdim=True) - 1)
    return _Ranked(ids, scaled, cumulative, keep, mass)


def _settle_ties(values: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Equal neighbours by falling id; topk promises no order among them."""
    if not bool((values[:, 1:] == values[:, :-1]).any()):
        return values, ids
    ids, order = ids.sort(dim=-1, descending=True)
    values, order = values.gather(1, order).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(1, order)
