"""Support: which tokens survive each of several decodings, for many positions at once.

Equal to `ssd_eval.decoding` exactly (same order, ties and float64 sums), but one ranking of a row's
likeliest tokens serves all decodings, and full-vocabulary sums are taken in the logits' own
precision. Where that leaves a cut in doubt (a nucleus wider than the ranking, ties at its end, a
sum too near the threshold) the row is not `sure`, and the caller repeats it wider and in float64.
Computes no entropies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssd_eval.decoding import MASS_SLACK, DecodingConfig, effective_temperature

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ROUNDINGS = 50  # of exp and of a sum, with room to spare
FLOOR = -1e4  # stands for -inf: exp of it is 0, and 0 times it is 0


@dataclass(frozen=True)
class Ranked:
    """The likeliest tokens of each row by falling logit, the highest id first among equals."""

    ids: Tensor  # int64 [rows, width]
    shifted: Tensor  # float64 [rows, width]: logit less the row's largest; -inf where it is -inf
    largest: Tensor  # float64 [rows]: the logit that others are less by
    complete: bool  # the ranking holds the whole vocabulary

    @property
    def width(self) -> int:
        return self.shifted.shape[1]


@dataclass(frozen=True)
class Cut:
    """What each decoding keeps: the first `size` tokens of the ranking. All [rows, decodings].

    `mass`, `first`, `second`: sums over the kept tokens of w, w·s and w·s², where s is the shifted
    logit and w = exp(s / T).
    """

    size: Tensor  # int64
    mass: Tensor  # float64
    first: Tensor
    second: Tensor
    sure: Tensor  # bool


@dataclass(frozen=True)
class Outside:
    """The tokens outside the ranking.

    `sums`: float64 [rows, decodings], of exp(s / T), for decodings that are `summed`; `error`:
    its absolute error.
    """

    sums: Tensor
    error: Tensor


def error(sums: Tensor, vocabulary: int, dtype: torch.dtype) -> Tensor:
    """How far off sums of exp(s / T) over up to `vocabulary` tokens can be, taken in `dtype`.

    Each exponent is off by up to four roundings of its own size. Of all weights with a given sum,
    equal ones suffer most: their exponents are log(vocabulary / sum). exp itself and the addition,
    which torch does in blocks, cost some roundings more.
    """
    import torch

    unit = torch.finfo(dtype).eps / 2
    exponent = (vocabulary / sums.clamp(min=torch.finfo(sums.dtype).tiny)).log()
    return sums * unit * (4 * exponent + ROUNDINGS)


def rank(logits: Tensor, width: int) -> Ranked:
    """`logits`: [rows, vocabulary], float32 or float64; `width`: at most the vocabulary."""
    values, ids = logits.topk(width)
    values, ids = _settle(values, ids)
    largest = values[:, :1].double()
    return Ranked(ids, values.double() - largest, largest[:, 0], width == logits.shape[1])


def unranked(logits: Tensor) -> Ranked:
    """The whole vocabulary by id: enough, and cheap, for decodings that keep every token."""
    import torch

    ids = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape)
    largest = logits.amax(-1, keepdim=True).double()
    return Ranked(ids, logits.double() - largest, largest[:, 0], True)


def holds(ranked: Ranked, size: Tensor) -> Tensor:
    """bool [rows]: whether the ranking's first `size` tokens are certain.

    Which of several equal tokens `topk` picks for its last places is left to chance.
    """
    last = ranked.shifted.gather(1, (size.clamp(max=ranked.width) - 1)[:, None])[:, 0]
    return (size <= ranked.width) & (ranked.complete | (last > ranked.shifted[:, -1]))


def keeps_all(decoding: DecodingConfig, vocabulary: int) -> bool:
    return unlimited(decoding, vocabulary) and decoding.top_p == 1


def _settle(values: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Equal neighbours by falling id, which topk does not promise; only rows that have any."""
    tied = (values[:, 1:] == values[:, :-1]).any(-1)
    if not bool(tied.any()):
        return values, ids
    picked, order = ids[tied].sort(dim=-1, descending=True)
    sorted_values, again = values[tied].gather(1, order).sort(dim=-1, descending=True, stable=True)
    values, ids = values.clone(), ids.clone()
    values[tied], ids[tied] = sorted_values, picked.gather(1, again)
    return values, ids


def columns(decodings: Sequence[DecodingConfig], vocabulary: int) -> int:
    """How many ranked tokens decide these decodings, where no nucleus is wider. See `cut`."""
    widths = [each.top_k + 1 for each in decodings if limited(each, vocabulary)]
    return min(vocabulary, max(widths, default=1))


def limited(decoding: DecodingConfig, vocabulary: int) -> bool:
    """Whether top-k bites."""
    return decoding.temperature > 0 and 0 < decoding.top_k < vocabulary


def unlimited(decoding: DecodingConfig, vocabulary: int) -> bool:
    """Whether a nucleus may be as wide as the vocabulary."""
    return decoding.temperature > 0 and not limited(decoding, vocabulary)


def summed(decoding: DecodingConfig, vocabulary: int) -> bool:
    """Whether `cut` asks for it."""
    return unlimited(decoding, vocabulary) and decoding.top_p < 1


def cut(
    ranked: Ranked, decodings: Sequence[DecodingConfig], vocabulary: int, outside: Outside
) -> Cut:
    """Where all decodings keep everything (top-p = 1, no top-k) the ranking need not be sorted."""
    import torch

    s = ranked.shifted[:, None, :]
    device = s.device
    t = _column([max(effective_temperature(each), 1e-2) for each in decodings], device)
    p = _column([each.top_p for each in decodings], device)
    alive = _alive(ranked, decodings, vocabulary)
    weights = (s / t).exp_().mul_(alive)
    cumulative = weights.cumsum(-1)
    total = cumulative[..., -1:] + outside.sums[..., None]
    enough = torch.where(p == 1, torch.inf, (p - MASS_SLACK) * total)
    above = torch.nn.functional.pad(cumulative[..., :-1], (1, 0))
    keep = alive & (above < enough)
    greedy = torch.tensor([each.temperature == 0 for each in decodings], device=device)
    keep[:, greedy] = False
    keep[..., 0] |= greedy | (p < 1)[..., 0]
    size = keep.sum(-1)
    sums = weights.mul_(keep) @ _powers(ranked.shifted)
    sure = _sure(ranked, decodings, vocabulary, cumulative, enough, size, outside.error)
    return Cut(size, sums[..., 0], sums[..., 1], sums[..., 2], sure | greedy)


def _column(values: list[float], device: object) -> Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float64).to(device)[None, :, None]  # type: ignore[call-overload,no-any-return]


def _powers(shifted: Tensor) -> Tensor:
    """[rows, width, 3]: 1, s, s²; a logit of -inf has weight 0 and must not turn it into NaN."""
    import torch

    s = shifted.clamp(min=FLOOR)
    return torch.stack((torch.ones_like(s), s, s * s), -1)


def _alive(ranked: Ranked, decodings: Sequence[DecodingConfig], vocabulary: int) -> Tensor:
    """bool [rows, decodings, width]: finite and not strictly below the k-th largest."""
    import torch

    s = ranked.shifted
    ks = [each.top_k if limited(each, vocabulary) else 0 for each in decodings]
    ranks = torch.tensor(ks, device=s.device)
    floor = s[:, (ranks - 1).clamp(min=0)].masked_fill(ranks == 0, -torch.inf)
    return (s[:, None, :] >= floor[..., None]) & (s[:, None, :] > -torch.inf)


def _sure(
    ranked: Ranked,
    decodings: Sequence[DecodingConfig],
    vocabulary: int,
    cumulative: Tensor,
    enough: Tensor,
    size: Tensor,
    error: Tensor,
) -> Tensor:
    """bool [rows, decodings]: whether the ranking, and sums with this error, decide the cut."""
    import torch

    if ranked.complete:
        return torch.ones_like(size, dtype=torch.bool)
    s = ranked.shifted
    floors = [each.top_k if limited(each, vocabulary) else 0 for each in decodings]
    picked = torch.tensor([max(k - 1, 0) for k in floors], device=s.device)
    tied = (s[:, picked] == s[:, -1:]) & (s[:, picked] > -torch.inf)
    is_limited = torch.tensor([k > 0 for k in floors], device=s.device)
    if bool(is_limited.all()):
        return ~tied
    ends_inside = s.gather(1, size - 1) > s[:, -1:]
    margin = ((cumulative - enough).abs() > error[..., None]).all(-1)
    return torch.where(is_limited, ~tied, ends_inside & margin)
