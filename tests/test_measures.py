"""Every field of a position equals its definition, taken over plain float64 distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ssd_eval import decoding, measures
from ssd_eval.decoding import DecodingConfig
from ssd_eval.passes import NotFinite

LIMITED = [DecodingConfig(t, 20, 0.8) for t in (0.9, 0.0, 0.4, 1.0, 2.0)]
NUCLEUS = [DecodingConfig(t, 0, 0.8) for t in (1.3, 0.0, 0.4, 1.0, 2.0)]
WHOLE = [DecodingConfig(1.2, 0, 1.0), *LIMITED[1:3], DecodingConfig(1.5, 0, 0.95)]
TIGHT = [DecodingConfig(0.9, 1, 1.0), DecodingConfig(1.0, 400, 0.99)]


def h(p: Tensor) -> float:
    p = p[p > 0]
    return float(-(p * p.log()).sum())


def renyi(p: Tensor, order: float) -> float:
    return float((p**order).sum().log() / (1 - order))


def kl(p: Tensor, q: Tensor) -> float:
    here = p > 0
    return float((p[here] * (p[here] / q[here]).log()).sum())


def normal(p: Tensor) -> Tensor:
    return p / p.sum()


def plain(logits: Tensor, token: int, configs: list[DecodingConfig]) -> dict[str, Any]:
    """One model's fields from their definitions."""
    p = logits.double().softmax(-1)
    order = p.sort(descending=True).values
    logs = p.clamp(min=1e-320).log()
    out: dict[str, Any] = {
        "logprob": float(logits.double().log_softmax(-1)[token]),
        "rank": 1 + int((logits > logits[token]).sum()),
        "top1": float(order[0]),
        "top20": float(order[:20].sum()),
        "entropy": h(p),
        "renyi_half": renyi(p, 0.5),
        "renyi_2": renyi(p, 2),
        "renyi_inf": -math.log(float(order[0])),
        "dh_dt": float((p * logs**2).sum() - (p * logs).sum() ** 2),
        "beyond": [float(order[r:].sum()) for r in range(1, 61)],
    }
    for config in configs:
        kept = decoding.support(logits, config)
        mass = float(p[kept].sum())
        tail = normal(p[~kept]) if bool((p[~kept] > 0).any()) else torch.ones(1)
        sampled = decoding.truncate(logits, config).exp()
        t = decoding.effective_temperature(config)
        pi = sampled[kept]
        var = float((pi * logs[kept] ** 2).sum() - (pi * logs[kept]).sum() ** 2)
        gate = h(torch.tensor([mass, float(p[~kept].sum())], dtype=torch.float64))
        values = {
            "support": int(kept.sum()),
            "kept": mass,
            "gate": gate,
            "head": h(normal(p[kept])),
            "tail": h(tail),
            "sampled": h(sampled),
            "sensitivity": var / t**3 if t else 0.0,
            "power": float((logs[kept] / t).logsumexp(0)) if t else 0.0,
        }
        for name, value in values.items():
            out.setdefault(name, []).append(value)
    return out


def lose(base: Tensor, other: Tensor, config: DecodingConfig) -> dict[str, float]:
    """The training loss and its terms from their definitions; `other`: the model."""
    q = decoding.truncate(base, config).exp()
    kept = q > 0
    p, t = other.double().softmax(-1), config.temperature
    inner = normal(p[kept])
    return {
        "cross_entropy": float(-(q[kept] * p[kept].log()).sum()),
        "compression": -math.log(float(p[kept].sum())),
        "reshaping": 0.0 if t == 1 else (1 - t) * renyi(inner, 1 / t),
        "alignment": t * kl(q[kept], normal(inner ** (1 / t))),
    }


def check(base: Tensor, distilled: Tensor, configs: list[DecodingConfig], tolerance: float) -> None:
    tokens = torch.randint(0, base.shape[1], (len(base),))
    rows = measures.measure(base, distilled, tokens, configs)
    train = configs[0]
    for i, row in enumerate(rows):
        pair = {"base": base[i], "distilled": distilled[i]}
        for name, logits in pair.items():
            expected = plain(logits, int(tokens[i]), configs) | lose(base[i], logits, train)
            for field, value in expected.items():
                np.testing.assert_allclose(
                    row[name][field], value, tolerance, tolerance, err_msg=f"{name} {field} {i}"
                )
        p, p0 = distilled[i].double().softmax(-1), base[i].double().softmax(-1)
        assert row["kl"] == pytest.approx(kl(p0, p), rel=tolerance, abs=tolerance)
        q = decoding.truncate(base[i], train).exp()
        assert row["constant"] == pytest.approx(train.temperature * h(q), rel=1e-5, abs=1e-6)
        for value, each in zip(row["teff"], configs[1:], strict=True):
            if each.temperature == 0:
                assert math.isnan(value)
                continue
            a = normal(p[q > 0] ** (1 / each.temperature))
            b = normal(p0[q > 0] ** (1 / each.temperature / train.temperature))
            assert value == pytest.approx(kl(a, b), rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("configs", [LIMITED, NUCLEUS, WHOLE, TIGHT], ids="kpwt")
@pytest.mark.parametrize(("vocabulary", "spread"), [(30, 2.0), (1500, 3.0), (1500, 8.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_fields_are_their_definitions(
    configs: list[DecodingConfig], vocabulary: int, spread: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(vocabulary)
    base = torch.randn(6, vocabulary, dtype=torch.float64) * spread
    base[0, 3] += 40  # a lock: all but one token hold next to nothing
    base[1] = 0.0  # nothing but ties
    distilled = base + torch.randn(6, vocabulary)
    check(base.to(dtype), distilled.to(dtype), configs, 2e-5)


@pytest.mark.parametrize("configs", [LIMITED, NUCLEUS, WHOLE], ids="kpw")
def test_residual_of_the_float64_path_is_below_1e_9(configs: list[DecodingConfig]) -> None:
    torch.manual_seed(0)
    base = torch.randn(40, 2000, dtype=torch.float64) * 4
    rows = measures.measure(base, torch.randn_like(base) * 4, torch.arange(40), configs)
    for name in ("base", "distilled"):
        assert np.abs(rows[name]["residual"]).max() < 1e-9


@pytest.mark.parametrize("configs", [LIMITED, NUCLEUS, WHOLE], ids="kpw")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spread", [0.5, 4.0, 12.0])
def test_residual_of_fast_logits_is_below_1e_4_of_the_loss(
    configs: list[DecodingConfig], dtype: torch.dtype, spread: float
) -> None:
    """As computed, and of the four terms as they are stored, in float32."""
    torch.manual_seed(1)
    base, distilled = (torch.randn(40, 2000).mul_(spread).to(dtype) for _ in range(2))
    rows = measures.measure(base, distilled, torch.arange(40), configs)
    for name in ("base", "distilled"):
        loss = rows[name]["cross_entropy"]
        assert (np.abs(rows[name]["residual"]) < 1e-4 * loss).all()
        terms = [rows[name][each] for each in ("compression", "reshaping", "alignment")]
        assert (np.abs(loss - sum(terms) - rows["constant"]) < 1e-4 * loss).all()


def test_tail_of_a_sharp_position_is_not_lost_in_float32() -> None:
    """Kept mass 1 - 1e-9 rounds to 1; the tail's mass and entropy are still those it has."""
    logits = torch.full((1, 1000), -21.0)
    logits[0, 0] = 7.0
    row = measures.measure(logits, logits, torch.tensor([5]), [DecodingConfig(1, 1, 1)])[0]
    assert row["base"]["beyond"][0] == pytest.approx(999 * math.exp(-28), rel=1e-5)
    assert row["base"]["tail"][0] == pytest.approx(math.log(999), rel=1e-5)


def test_impossible_tokens_have_no_mass_and_do_no_harm() -> None:
    torch.manual_seed(3)
    base = torch.randn(4, 300)
    base[:, 50:] = -math.inf
    distilled = torch.randn(4, 300)
    distilled[:, 50:] = -math.inf
    check(base, distilled, WHOLE, 2e-5)
    row = measures.measure(base, distilled, torch.full((4,), 60), WHOLE)[0]
    assert row["base"]["logprob"] == -math.inf
    assert row["base"]["support"][0] == 50


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("model", [0, 1])
def test_first_position_that_is_not_finite_is_named(bad: float, model: int) -> None:
    logits = [torch.zeros(9, 200_000), torch.zeros(9, 200_000)]  # several blocks
    logits[model][7, 5] = bad
    with pytest.raises(NotFinite) as caught:
        measures.measure(*logits, torch.zeros(9, dtype=torch.int64), LIMITED)
    assert caught.value.row == 7
    assert caught.value.model == model
