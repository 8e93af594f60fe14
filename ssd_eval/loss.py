"""Loss: the SSD loss of a position in its three terms, exactly (paper.md §2), and T_eff.

The training target is q ∝ p0^(1/T) on the base's support S at the training decoding.
For a model p

    E_q[-log p] = -log KeptMass + (1-T)·H_{1/T}(p(·|S)) + T·KL(q ‖ Temper_T[p(·|S)]) + T·H(q)
                  compression     reshaping               alignment                  constant

Works on log-probabilities of S alone, in float64. Decides no supports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Terms:
    """One model's terms, float64 [rows]. `residual`: cross_entropy less the sum of all four."""

    cross_entropy: Tensor
    compression: Tensor
    reshaping: Tensor
    alignment: Tensor
    residual: Tensor


@dataclass(frozen=True)
class Target:
    """q on S. `log_q`: float64 [rows, width], -inf outside S; `constant`: T·H(q), [rows]."""

    temperature: float
    inside: Tensor  # bool [rows, width]
    q: Tensor
    log_q: Tensor
    constant: Tensor


def target(logp: Tensor, inside: Tensor, temperature: float) -> Target:
    """`logp`: the base's log-probabilities, float64 [rows, width]; `inside`: S."""
    import torch

    log_q = _restricted(logp / temperature, inside)
    q = log_q.exp()
    constant = -temperature * _expected(q, log_q, inside)
    return Target(temperature, inside, q, torch.where(inside, log_q, -torch.inf), constant)


def terms(target: Target, logp: Tensor) -> Terms:
    """`logp`: this model's log-probabilities of the target's tokens, float64 [rows, width]."""
    t, inside, q = target.temperature, target.inside, target.q
    log_kept = _total(logp, inside)
    power = _total(logp / t, inside)  # log of the sum of p^(1/T) over S
    compression = -log_kept
    reshaping = log_kept - t * power
    aligned = target.log_q - logp / t + power[:, None]
    alignment = t * _expected(q, aligned, inside)
    cross_entropy = -_expected(q, logp, inside)
    total = compression + reshaping + alignment + target.constant
    return Terms(cross_entropy, compression, reshaping, alignment, cross_entropy - total)


def composition(target: Target, base: Tensor, distilled: Tensor, temperatures: Tensor) -> Tensor:
    """KL of the distilled model at each T_eval from the base at T_train·T_eval, both on S.

    Log-probabilities float64 [rows, width], `temperatures` float64 [decodings]; the result is
    [rows, decodings], NaN for T_eval = 0. Zero where the student fits its target (Temper composes).
    """
    import torch

    t = temperatures[None, :, None]
    inside = target.inside[:, None, :].expand(-1, len(temperatures), -1)
    student = _restricted(distilled[:, None, :] / t, inside)
    teacher = _restricted(base[:, None, :] / (t * target.temperature), inside)
    divergence = _expected(student.exp(), student - teacher, inside).clamp(min=0)
    return torch.where(temperatures > 0, divergence, torch.nan)


def _total(logs: Tensor, inside: Tensor) -> Tensor:
    """log of the sum of exp over S."""
    import torch

    return torch.where(inside, logs, -torch.inf).logsumexp(-1)


def _restricted(logs: Tensor, inside: Tensor) -> Tensor:
    """Log-probabilities renormalised on S, -inf outside."""
    import torch

    logs = torch.where(inside, logs, -torch.inf)
    return logs - logs.logsumexp(-1, keepdim=True)


def _expected(weights: Tensor, values: Tensor, inside: Tensor) -> Tensor:
    """Sum of weights·values over S. A weight of 0 cancels any value, as 0·log 0 = 0 does."""
    import torch

    return torch.where(inside & (weights > 0), weights * values, 0.0).sum(-1)
