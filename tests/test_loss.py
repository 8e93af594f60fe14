"""The loss's identity, its limits, and what self-distillation's fixed points make of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ssd_eval import loss

WIDTH = 9
LOGITS = st.lists(st.floats(-12, 12), min_size=WIDTH, max_size=WIDTH)


def logs(values: list[float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64).log_softmax(-1)


def support(size: int) -> Tensor:
    return (torch.arange(WIDTH) < size)[None]


def renyi(p: Tensor, order: float) -> float:
    """From its definition; Shannon's at order 1."""
    p = p[p > 0]
    if order == 1:
        return float(-(p * p.log()).sum())
    return float((p**order).sum().log() / (1 - order))


@settings(max_examples=200, deadline=None)
@given(
    LOGITS,
    LOGITS,
    st.integers(1, WIDTH),
    st.floats(0.2, 4).filter(lambda t: t == 1 or abs(t - 1) > 1e-3),
)
def test_terms_are_their_definitions_and_sum_to_the_cross_entropy(
    base: list[float], student: list[float], size: int, t: float
) -> None:
    p0, p = logs(base), logs(student)
    found = loss.target(p0, support(size), t)
    terms = loss.terms(found, p)
    q = (p0[0, :size] / t).softmax(-1)
    kept = p[0, :size].exp().sum()
    inner = p[0, :size].softmax(-1)
    tempered = (p[0, :size] / t).softmax(-1)
    expected = {
        "cross_entropy": -(q * p[0, :size]).sum(),
        "compression": -kept.log(),
        "reshaping": (1 - t) * renyi(inner, 1 / t),
        "alignment": t * (q * (q / tempered).log()).nan_to_num(0).sum(),
    }
    for name, value in expected.items():
        assert float(getattr(terms, name)[0]) == pytest.approx(float(value), rel=1e-9, abs=1e-9)
    assert float(found.constant[0]) == pytest.approx(t * renyi(q, 1), rel=1e-9, abs=1e-9)
    assert abs(float(terms.residual[0])) < 1e-9


def test_base_is_aligned_with_its_own_target() -> None:
    p0 = logs([3, 2, 1, 0, 0, -1, -2, -3, -9])
    terms = loss.terms(loss.target(p0, support(4), 0.9), p0)
    assert abs(float(terms.alignment[0])) < 1e-12
    assert float(terms.compression[0]) > 0


def test_no_truncation_at_temperature_one_leaves_entropy_alone() -> None:
    """The fixed point of paper.md §2: no term has anything to gain."""
    p0 = logs([3, 2, 1, 0, 0, -1, -2, -3, -9])
    found = loss.target(p0, support(WIDTH), 1.0)
    terms = loss.terms(found, p0)
    for each in (terms.compression, terms.reshaping, terms.alignment):
        assert abs(float(each[0])) < 1e-12
    assert float(found.constant[0]) == pytest.approx(float(terms.cross_entropy[0]))


@settings(max_examples=50, deadline=None)
@given(LOGITS, st.integers(1, WIDTH), st.floats(0.3, 3), st.floats(0.3, 3))
def test_ideal_student_composes_temperatures(
    base: list[float], size: int, t_train: float, t_eval: float
) -> None:
    p0 = logs(base)
    found = loss.target(p0, support(size), t_train)
    student = found.log_q.masked_fill(found.log_q.isinf(), -700)  # all on S, finite elsewhere
    divergence = loss.composition(found, p0, student, torch.tensor([t_eval, 0.0]).double())
    assert float(divergence[0, 0]) < 1e-12
    assert bool(divergence[0, 1].isnan())


def test_composition_is_a_divergence_of_the_two_tempered_heads() -> None:
    p0, p = logs([3, 2, 1, 0, 0, -1, -2, -3, -9]), logs([1, 2, 3, 0, 4, -1, -2, -3, 5])
    found = loss.target(p0, support(3), 0.8)
    divergence = loss.composition(found, p0, p, torch.tensor([1.3]).double())
    a, b = (p[0, :3] / 1.3).softmax(-1), (p0[0, :3] / 1.3 / 0.8).softmax(-1)
    assert float(divergence[0, 0]) == pytest.approx(float((a * (a / b).log()).sum()))


def test_impossible_tokens_outside_the_support_do_no_harm() -> None:
    p0 = torch.tensor([[-0.5, -0.93, -torch.inf]], dtype=torch.float64)
    inside = torch.tensor([[True, True, False]])
    terms = loss.terms(loss.target(p0, inside, 1.5), p0)
    assert abs(float(terms.residual[0])) < 1e-12
