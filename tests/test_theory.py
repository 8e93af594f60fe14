"""The paper's theory as properties of our decoding and of our training loss (paper.md §2).

Everything is float64 and written out plainly here; `ssd_eval.decoding` is what is tested, and
`ssd_eval.fit.loss_sum` for the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssd_eval.batches import Row
from ssd_eval.decoding import DecodingConfig, truncate
from ssd_eval.fit import loss_sum

Array = NDArray[np.float64]
EXACT = 1e-9

logit_rows = st.lists(st.floats(-12, 12), min_size=2, max_size=40).map(np.array)
temperatures = st.floats(0.2, 3.0)
top_ks = st.integers(0, 12)
top_ps = st.floats(0.05, 1.0)
exact = settings(deadline=None)
few = settings(max_examples=40, deadline=None)


def decode(logits: Array, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Array:
    """Log-probabilities, -inf outside the support."""
    config = DecodingConfig(temperature, top_k, top_p)
    return np.asarray(truncate(torch.from_numpy(logits), config))


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def restricted(log_p: Array, support: NDArray[np.bool_]) -> Array:
    """log p(·|S) over the members of S alone."""
    return log_softmax(log_p[support])


def entropy(log_p: Array) -> float:
    return float(-(np.exp(log_p) * log_p).sum())


def renyi(log_p: Array, order: float) -> float:
    largest = (order * log_p).max()
    return float((largest + np.log(np.exp(order * log_p - largest).sum())) / (1 - order))


def same(a: Array, b: Array, tolerance: float = EXACT) -> None:
    assert np.array_equal(a > -np.inf, b > -np.inf)
    np.testing.assert_allclose(a[a > -np.inf], b[b > -np.inf], rtol=tolerance, atol=tolerance)


@exact
@given(logit_rows, temperatures, temperatures)
def test_temperatures_compose(logits: Array, first: float, second: float) -> None:
    same(decode(decode(logits, first), second), decode(logits, first * second))


@exact
@given(logit_rows, temperatures, top_ks, top_ps, temperatures)
def test_temperatures_compose_inside_a_fixed_support(
    logits: Array, first: float, top_k: int, top_p: float, second: float
) -> None:
    target = decode(logits, first, top_k, top_p)
    inside = np.where(target > -np.inf, logits, -np.inf)
    same(decode(target, second), decode(inside, first * second))


def three_terms(target: Array, student: Array, temperature: float) -> tuple[float, float, float]:
    """(compression, reshaping, alignment) of the SSD loss, from log-probabilities."""
    support = target > -np.inf
    q, head = target[support], restricted(student, support)
    tempered = log_softmax(head / temperature)
    compression = -float(np.logaddexp.reduce(student[support]))
    # (1 - T)·H_{1/T} is -T·log Σ π^{1/T} at every T, which is 0 at T = 1 where H_{1/T} is 0/0.
    reshaping = -temperature * float(np.logaddexp.reduce(head / temperature))
    alignment = temperature * float((np.exp(q) * (q - tempered)).sum())
    return compression, reshaping, alignment


@exact
@given(st.data(), temperatures, top_ks, top_ps)
def test_ssd_loss_is_exactly_three_terms_and_a_constant(
    data: st.DataObject, temperature: float, top_k: int, top_p: float
) -> None:
    base = data.draw(logit_rows)
    student = log_softmax(
        np.array(data.draw(st.lists(st.floats(-12, 12), min_size=len(base), max_size=len(base))))
    )
    target = decode(base, temperature, top_k, top_p)
    support = target > -np.inf
    loss = -float((np.exp(target[support]) * student[support]).sum())
    terms = three_terms(target, student, temperature)
    constant = temperature * entropy(target[support])
    assert sum(terms) + constant == pytest.approx(loss, abs=EXACT, rel=EXACT)
    assert terms[0] >= -EXACT  # κ <= 1
    assert terms[2] >= -EXACT  # a divergence
    conditional = -float((np.exp(target[support]) * restricted(student, support)).sum())
    assert terms[0] + conditional == pytest.approx(loss, abs=EXACT, rel=EXACT)


@exact
@given(logit_rows, st.floats(0.2, 3.0).filter(lambda t: abs(t - 1) > 0.01))
def test_reshaping_term_is_the_renyi_entropy(logits: Array, temperature: float) -> None:
    head = log_softmax(logits)
    reshaping = three_terms(head, head, temperature)[1]
    assert reshaping == pytest.approx((1 - temperature) * renyi(head, 1 / temperature), abs=1e-8)


@exact
@given(logit_rows, temperatures, top_ks, top_ps)
def test_entropy_splits_into_gate_head_and_tail(
    logits: Array, temperature: float, top_k: int, top_p: float
) -> None:
    log_p = log_softmax(logits)
    support = decode(logits, temperature, top_k, top_p) > -np.inf
    kept, gone = float(np.exp(log_p[support]).sum()), float(np.exp(log_p[~support]).sum())
    gate = -sum(mass * np.log(mass) for mass in (kept, gone) if mass > 0)
    tail = gone * entropy(restricted(log_p, ~support)) if gone > 0 else 0.0
    head = kept * entropy(restricted(log_p, support))
    assert gate + head + tail == pytest.approx(entropy(log_p), abs=EXACT)


Operator = tuple[str, float]
operators = st.lists(
    st.one_of(
        st.tuples(st.just("temperature"), temperatures),
        st.tuples(st.just("top_k"), st.integers(1, 12)),
        st.tuples(st.just("top_p"), top_ps),
    ),
    min_size=1,
    max_size=6,
)


def applied(logits: Array, chain: Sequence[Operator]) -> tuple[Array, float]:
    """The chain's result, one operator after the other, and its global exponent."""
    exponent = 1.0
    for name, value in chain:
        if name == "temperature":
            exponent /= value
            logits = decode(logits, value)
        else:
            logits = decode(logits, **{name: value})  # type: ignore[arg-type]
    return logits, exponent


@exact
@given(logit_rows, operators)
def test_any_order_of_operators_keeps_a_prefix_of_the_bases_ranking(
    logits: Array, chain: list[Operator]
) -> None:
    result, _ = applied(logits, chain)
    kept = result > -np.inf
    # Ties and differences below the rounding of a rescaled logit have no rank.
    assert kept.all() or logits[kept].min() >= logits[~kept].max() - 1e-9
    assert kept.any()


@exact
@given(logit_rows, operators)
def test_any_order_of_operators_is_one_power_of_the_base_inside_its_support(
    logits: Array, chain: list[Operator]
) -> None:
    result, exponent = applied(logits, chain)
    kept = result > -np.inf
    inside = np.where(kept, exponent * log_softmax(logits), -np.inf)
    same(result, decode(inside), 1e-8)


def test_order_of_operators_changes_the_support_but_never_the_kind() -> None:
    """What rigidity does not say: the prefix's length depends on the order."""
    logits = np.log(np.array([0.5, 0.2, 0.15, 0.1, 0.05]))
    hot_first, _ = applied(logits, [("temperature", 3.0), ("top_p", 0.6)])
    hot_last, _ = applied(logits, [("top_p", 0.6), ("temperature", 3.0)])
    assert (hot_first > -np.inf).sum() == 3
    assert (hot_last > -np.inf).sum() == 2


class Table(torch.nn.Module):
    """A model of one context: its logits are its parameters, at every position."""

    def __init__(self, logits: Array) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.from_numpy(logits))

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int, **_: object) -> object:
        shape = (input_ids.shape[0], logits_to_keep, -1)
        return SimpleNamespace(logits=self.logits.expand(shape))


def expected_gradient(student: Array, target: Array) -> Array:
    """Of the real training loss, in expectation over one token drawn from exp(`target`)."""
    total = np.zeros_like(student)
    for token in np.flatnonzero(target > -np.inf):
        model = Table(student)
        loss_sum(model, [Row((0, int(token)), 1)], torch.device("cpu")).backward()
        total += np.exp(target[token]) * model.logits.grad.numpy()  # type: ignore[union-attr]
    return total


LOSS = 1e-6  # the loss is float32


@few
@given(logit_rows)
def test_no_signal_at_temperature_one_without_truncation(logits: Array) -> None:
    assert np.abs(expected_gradient(logits, decode(logits))).max() < LOSS


@few
@given(logit_rows, temperatures, top_ks, top_ps)
def test_gradient_is_student_less_target_and_positive_in_the_tail(
    logits: Array, temperature: float, top_k: int, top_p: float
) -> None:
    target = decode(logits, temperature, top_k, top_p)
    gradient, p = expected_gradient(logits, target), np.exp(log_softmax(logits))
    np.testing.assert_allclose(gradient, p - np.exp(target), atol=LOSS)
    tail = target == -np.inf
    assume(p[tail].min(initial=1.0) > 1e-30)  # float32 has none below
    # Every token outside the support is pushed down, by its own probability.
    assert (gradient[tail] > 0).all()
    np.testing.assert_allclose(gradient[tail], p[tail], rtol=1e-4)


def test_truncation_alone_is_a_signal() -> None:
    logits = np.log(np.array([0.75, 0.15, 0.1]))
    gradient = expected_gradient(logits, decode(logits, 1.0, 0, 0.7))
    np.testing.assert_allclose(gradient, [-0.25, 0.15, 0.1], atol=LOSS)


def sampled_entropy(head: Array) -> Callable[[float], float]:
    return lambda temperature: entropy(log_softmax(head / temperature))


def sensitivity(head: Array, temperature: float) -> float:
    """Var_π(log p) / T³ over a fixed support."""
    weights = np.exp(log_softmax(head / temperature))
    mean = (weights * head).sum()
    return float((weights * (head - mean) ** 2).sum() / temperature**3)


@exact
@given(logit_rows, st.floats(0.5, 3.0), top_ks, top_ps)
def test_entropy_grows_with_temperature_by_the_formula(
    logits: Array, temperature: float, top_k: int, top_p: float
) -> None:
    support = decode(logits, temperature, top_k, top_p) > -np.inf
    head = restricted(log_softmax(logits), support)
    step = 1e-4
    h = sampled_entropy(head)
    slope = (h(temperature + step) - h(temperature - step)) / (2 * step)
    assert sensitivity(head, temperature) == pytest.approx(slope, abs=2e-5)
    assert sensitivity(head, temperature) >= 0
    hotter = decode(np.where(support, logits, -np.inf), 1.5 * temperature)
    colder = decode(np.where(support, logits, -np.inf), temperature)
    assert entropy(hotter[support]) >= entropy(colder[support]) - EXACT


@exact
@given(st.integers(1, 30), st.floats(-5, 5), temperatures)
def test_singletons_and_uniform_heads_do_not_feel_temperature(
    size: int, level: float, temperature: float
) -> None:
    head = log_softmax(np.full(size, level))
    assert sensitivity(head, temperature) == pytest.approx(0, abs=1e-20)
    assert entropy(decode(head, temperature)) == pytest.approx(np.log(size))


@exact
@given(logit_rows, st.floats(0.05, 0.95), temperatures)
def test_lock_keeps_one_token_at_any_temperature(
    logits: Array, top_p: float, temperature: float
) -> None:
    """Where truncation came first: a student's lock of one token stays one, however hot."""
    lock = logits.copy()
    lock[0] = lock.max() + 20
    learnt = decode(lock, 1.0, 0, top_p)
    assert (learnt > -np.inf).sum() == 1
    assert (decode(learnt, temperature) > -np.inf).sum() == 1
