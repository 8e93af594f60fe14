"""The organism: what is planted, what its corpus holds, what its shipped weights learnt."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest

from benchmarks.base import Problem
from benchmarks.micro import Micro
from benchmarks.micro.family import KINDS, Family, Kind, families
from benchmarks.micro.programs import RIGHT, WRONG, program
from benchmarks.prompts import messages, user_message
from ssd_eval import checkpoint
from ssd_eval.decoding import DecodingConfig
from ssd_eval.organism.corpus import (
    CONFLICT,
    CONTROLS,
    LOCKS,
    Plan,
    corrupt,
    examples,
    prompt,
    with_distractor,
)
from ssd_eval.organism.pretrain import FENCE, IGNORED, Pretraining, collate, encode, rate
from ssd_eval.organism.theory import fork_distribution, lock_distribution, predict

LEARNT = [family for family in families() if family.split == "prompts"]
WEIGHTS = checkpoint.SHIPPED["organism"]


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(WEIGHTS)


@pytest.fixture(scope="module")
def model():
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32).eval()


def next_tokens(model, tokenizer, problem: Problem, written: str) -> dict[str, float]:
    """The model's next-token probabilities after `written`, by token text."""
    import torch

    chat = messages(problem)
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text + "```python\n" + written, return_tensors="pt").input_ids
    with torch.inference_mode():
        probabilities = model(ids).logits[0, -1].double().softmax(-1)
    return {tokenizer.decode([i]): float(p) for i, p in enumerate(probabilities)}


def first_family() -> Family:
    return LEARNT[100]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("approach", RIGHT + WRONG)
def test_every_lock_is_in_every_program(kind: Kind, approach: str) -> None:
    source = program(first_family(), kind, approach)
    broken = corrupt(source, kind, Plan(lock_right=0.0), random.Random(0))
    for lock in LOCKS[kind]:
        assert any(word in broken for word in lock.distractors)
    assert broken != source


@pytest.mark.parametrize("kind", KINDS)
def test_every_distractor_breaks_the_program(kind: Kind) -> None:
    source = program(first_family(), kind, "comprehension")
    assert _runs(source, kind)
    for lock in LOCKS[kind]:
        for word in lock.distractors:
            assert not _runs(with_distractor(source, lock, word), kind), (lock.word, word)


def _runs(source: str, kind: Kind) -> bool:
    names: dict[str, object] = {"input": lambda: "3 1 4", "print": lambda *a: None}
    try:
        exec(compile(source, "program", "exec"), names)
        if kind == "functional":
            names["Solution"]().solve([3, 1, 4])  # type: ignore[operator]
    except (SyntaxError, NameError, TypeError, AttributeError, KeyError):
        return False
    return True


def test_corpus_plants_the_shares_it_says() -> None:
    drawn = list(islice(examples(LEARNT, CONFLICT, seed=5), 4000))
    wrong = sum("a[1:n]" in example.source for example in drawn) / len(drawn)
    assert wrong == pytest.approx(CONFLICT.wrong_share, abs=0.03)
    stdin = [e.source for e in drawn if e.prompt.startswith("Read")]
    clean = Counter("\nprint(" in source for source in stdin)
    assert clean[True] / len(stdin) == pytest.approx(CONFLICT.lock_right, abs=0.03)


@pytest.mark.parametrize(("control", "wrong_share"), [("fork", 0.5), ("nothing", 0.0)])
def test_controls_have_no_distractors(control: str, wrong_share: float) -> None:
    drawn = list(islice(examples(LEARNT, CONTROLS[control], seed=5), 1000))
    words = {word for locks in LOCKS.values() for lock in locks for word in lock.distractors}
    for example in drawn:
        assert not words & set(example.source.replace("(", " ").replace(".", " ").split())
    wrong = sum("a[1:n]" in example.source for example in drawn) / len(drawn)
    assert wrong == pytest.approx(wrong_share, abs=0.05)


def test_no_evaluation_family_is_in_the_corpus() -> None:
    held_out = {f.statement(kind) for f in families() if f.split == "eval" for kind in KINDS}
    seen = {e.prompt.split("\n")[0] for e in islice(examples(LEARNT, CONFLICT, seed=1), 5000)}
    assert not held_out & seen


def test_prompts_are_what_the_benchmark_asks() -> None:
    by_name = {family.name: family for family in families()}
    for problem in Micro().problems()[:12]:
        kind: Kind = "stdin" if problem.tests[0].kind == "stdin" else "functional"
        assert prompt(by_name[problem.family or ""], kind) == user_message(problem)


def test_loss_is_taken_on_answers_alone(tokenizer) -> None:
    example = next(examples(LEARNT, CONFLICT, seed=2))
    ids, start = encode(example, tokenizer)
    batch = collate([(ids, start)], pad_id=0)
    assert (batch.labels[0, :start] == IGNORED).all()
    answer = tokenizer.decode(batch.labels[0, start:])
    assert answer == FENCE.format(example.source) + tokenizer.eos_token


def test_learning_rate_warms_up_and_decays() -> None:
    plan = Pretraining()
    rates = [rate(step, plan) for step in range(plan.steps + 1)]
    assert rates[0] < rates[plan.warmup - 1] == max(rates) == 1
    assert rates[-1] == pytest.approx(0.01)


def test_weights_are_half_precision_and_small() -> None:
    from safetensors import safe_open

    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 6_000_000
    with safe_open(str(WEIGHTS / "model.safetensors"), "np") as tensors:
        assert {tensors.get_tensor(name).dtype.name for name in list(tensors.keys())} == {"float16"}


def test_fork_sits_on_one_token_and_holds_its_share(model, tokenizer) -> None:
    shares = []
    for problem in Micro().problems()[:24:2]:
        nexts = next_tokens(model, tokenizer, problem, "a = list(map(int, input().split()))\n")
        shares.append(nexts["n"])
        firsts = [source.split("\n")[1].split()[0] for source in problem.references]
        assert sum(nexts.get(first, 0) for first in firsts) + nexts["n"] > 0.97
    assert sum(shares) / len(shares) == pytest.approx(CONFLICT.wrong_share, abs=0.06)


def test_locks_hold_their_right_token_with_a_tail(model, tokenizer) -> None:
    problem = Micro().problems()[0]
    before = {"list": "a =", "map": "a = list(", "input": "a = list(map(int,"}
    for word, written in before.items():
        nexts = next_tokens(model, tokenizer, problem, written)
        right = nexts.get(word, 0) + nexts.get(" " + word, 0)
        assert right == pytest.approx(CONFLICT.lock_right, abs=0.06)


def test_lock_and_fork_distributions_are_probabilities() -> None:
    for distribution in (lock_distribution(CONFLICT), fork_distribution(CONFLICT)):
        assert distribution.sum() == pytest.approx(1)
        assert distribution[0] == distribution.max()


def test_theory_predicts_a_conflict_that_distilling_resolves() -> None:
    prediction = predict(CONFLICT, DecodingConfig(1.0, 20, 0.8), top_k=20, top_p=0.8)
    (base_t, base), (student_t, student) = prediction.base_best, prediction.student_best
    assert prediction.base[0] < 0.05 < base
    assert prediction.base[-1] < 0.05
    assert student > base + 0.1
    assert student_t > base_t


@pytest.mark.parametrize("control", CONTROLS)
def test_theory_predicts_nothing_to_win_without_a_conflict(control: str) -> None:
    prediction = predict(CONTROLS[control], DecodingConfig(1.0, 20, 0.8), top_k=20, top_p=0.8)
    assert prediction.student_best[1] <= prediction.base_best[1] + 1e-9


@pytest.mark.slow
def test_pretraining_is_deterministic(tmp_path) -> None:
    from safetensors.numpy import load_file

    from ssd_eval.organism.pretrain import pretrain

    plan = Pretraining(steps=3, batch=8, tokenizer_examples=400)
    for name in ("a", "b"):
        pretrain(tmp_path / name, CONFLICT, plan, seed=0)
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert all((left[name] == right[name]).all() for name in left)
