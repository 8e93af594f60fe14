"""SSD training: the loss, the schedule, exact resuming, what is written, what is refused."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn import functional
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ssd_eval import checkpoint, fit, training_folder
from ssd_eval.batches import Row, data_digest, steps, to_rows
from ssd_eval.errors import CheckpointError, RunFolderError, SsdEvalError, UsageError
from ssd_eval.train import Recipe, StepReport, TrainingExample, train

VOCABULARY, END = 24, 0
RECIPE = Recipe(
    peak_lr=1e-2,
    floor_lr=1e-3,
    warmup_steps=2,
    epochs=2,
    batch_size=8,
    micro_batch=4,
    max_sequence=64,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=END,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("base") / "tiny"
    tiny_model().half().save_pretrained(path)
    words = {"<end>": END, **{f"w{i}": i for i in range(1, VOCABULARY)}}
    core = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", chat_template="{{ messages }}"
    ).save_pretrained(path)
    return str(path)


def examples(count: int = 20, seed: int = 0) -> list[TrainingExample]:
    rng = random.Random(seed)

    def ids(least: int, most: int) -> tuple[int, ...]:
        return tuple(rng.randrange(1, VOCABULARY) for _ in range(rng.randint(least, most)))

    return [TrainingExample(f"p/{i}", ids(1, 6), ids(1, 12), i % 5 != 0) for i in range(count)]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint.load_model(path, device="cpu").state_dict())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- rows and batches


def test_only_a_finished_completion_gets_the_end_token() -> None:
    rows = to_rows(
        [TrainingExample("a", (1, 2), (3,), True), TrainingExample("b", (1, 2), (3,), False)],
        END,
        9,
    ).rows
    assert rows == (Row((1, 2, 3, END), 2), Row((1, 2, 3), 2))


def test_a_row_over_the_limit_loses_its_end_and_is_counted() -> None:
    given = [
        TrainingExample("a", (1, 2), (3, 4, 5), True),
        TrainingExample("b", (1,) * 4, (2,), True),
    ]
    result = to_rows(given, END, 4)
    assert result.rows == (Row((1, 2, 3, 4), 2),)
    assert (result.cut, result.dropped) == (1, {"prompt_too_long": 1})


def test_nothing_to_train_on_is_refused_with_counts() -> None:
    with pytest.raises(UsageError, match="no_target: 1"):
        to_rows([TrainingExample("a", (1,), (), False)], END, 8)
    with pytest.raises(UsageError, match="0 given"):
        to_rows([], END, 8)


def test_the_data_digest_ignores_order_and_follows_content() -> None:
    given = examples()
    assert data_digest(given) == data_digest(given[::-1])
    for change in ({"finished": False}, {"completion_ids": (1,)}, {"prompt_ids": (1,)}):
        assert data_digest([replace(given[1], **change), *given[2:]]) != data_digest(given[1:])


def test_every_epoch_holds_every_row_once_in_another_order() -> None:
    plan = list(steps(10, 4, 6, seed=0))
    epochs = [list(chain(*plan[:3])), list(chain(*plan[3:]))]
    assert [len(batch) for batch in plan] == [4, 4, 2, 4, 4, 2]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert plan == list(steps(10, 4, 6, seed=0)) != list(steps(10, 4, 6, seed=1))


# --- loss and gradient


def naive_loss(model: LlamaForCausalLM, row: Row) -> torch.Tensor:
    """One row at a time, no padding: minus the log-probability of each completion token."""
    log_p = functional.log_softmax(model(torch.tensor([row.ids])).logits[0].double(), dim=-1)
    picked = [log_p[i - 1, row.ids[i]] for i in range(row.start, len(row.ids))]
    return -torch.stack(picked).sum()


def test_the_loss_is_the_completions_alone_whatever_is_padded() -> None:
    model = tiny_model()
    rows = to_rows(examples(), END, 64).rows
    expected = sum(naive_loss(model, row).item() for row in rows)
    assert fit.loss_sum(model, rows, torch.device("cpu")).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_the_gradient_is_the_completions_alone_whatever_is_padded() -> None:
    """A prompt token counted as a target, or attention to padding, would show here."""
    model = tiny_model()
    rows = to_rows(examples(), END, 64).rows
    fit.loss_sum(model, rows, torch.device("cpu")).backward()
    got = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.zero_grad()
    sum((naive_loss(model, row) for row in rows), torch.zeros(())).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


def gradient(micro_batch: int, **change: Any) -> tuple[float, torch.Tensor]:
    recipe = replace(RECIPE, **change)
    session = fit.start(tiny_model(), recipe, 10, "cpu")
    rows = to_rows(examples(8), END, 64).rows
    loss = fit.accumulate(session, rows, micro_batch).loss
    return loss, torch.cat([p.grad.flatten() for p in session.model.parameters()])


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_accumulation_gives_the_whole_batchs_gradient(micro_batch: int) -> None:
    whole, parts = gradient(8), gradient(micro_batch)
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    torch.testing.assert_close(parts[1], whole[1], rtol=1e-4, atol=1e-6)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    torch.testing.assert_close(gradient(8)[1], gradient(8, gradient_checkpointing=True)[1])


def test_norms_do_not_decay_and_every_parameter_is_trained_once() -> None:
    model = tiny_model()
    matrices, rest = fit.parameter_groups(model, 0.1)
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim >= 2 for p in matrices["params"])
    found = [id(p) for group in (matrices, rest) for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters())


def test_clipping_bounds_the_gradient_and_reports_the_norm_before() -> None:
    recipe = replace(RECIPE, clip_norm=0.01)
    session = fit.start(tiny_model(), recipe, 10, "cpu")
    fit.accumulate(session, to_rows(examples(8), END, 64).rows, 8)
    assert fit.clip(session, recipe) > 0.1
    grads = [p.grad for p in session.model.parameters()]
    assert torch.nn.utils.get_total_norm(grads).item() == pytest.approx(0.01, rel=1e-3)


def sampled_gradient_norm(temperature: float, samples: int) -> float:
    """Gradient norm at the base's weights over `samples` of its own continuations."""
    model = tiny_model()
    torch.manual_seed(1)
    ids = torch.randint(1, VOCABULARY, (samples, 2))
    with torch.no_grad():
        for _ in range(4):
            p = torch.softmax(model(ids).logits[:, -1] / temperature, dim=-1)
            ids = torch.cat([ids, torch.multinomial(p, 1)], dim=1)
    rows = [Row(tuple(row), 2) for row in ids.tolist()]
    (fit.loss_sum(model, rows, torch.device("cpu")) / (4 * samples)).backward()
    return float(torch.cat([p.grad.flatten() for p in model.parameters()]).norm())


def test_untempered_samples_carry_no_signal() -> None:
    """T = 1 without truncation is a fixed point (paper.md §2): the gradient is sampling noise."""
    few, many = sampled_gradient_norm(1.0, 250), sampled_gradient_norm(1.0, 16_000)
    assert many < few / 4  # noise shrinks by 8
    assert sampled_gradient_norm(0.6, 16_000) > 5 * many


# --- schedule


def test_the_rate_rises_to_the_peak_and_ends_at_the_floor() -> None:
    total, recipe = 30, replace(RECIPE, warmup_steps=5)
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=recipe.peak_lr)
    schedule = fit.cosine(optimiser, recipe, total)
    rates = []
    for _ in range(total):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates[:5] == pytest.approx([recipe.peak_lr * i / 5 for i in range(1, 6)])
    assert rates[-1] == pytest.approx(recipe.floor_lr)
    assert all(a > b for a, b in pairwise(rates[4:]))
    middle = recipe.floor_lr + (recipe.peak_lr - recipe.floor_lr) / 2 * (
        1 + math.cos(math.pi * 10 / 25)
    )
    assert rates[14] == pytest.approx(middle)


def test_a_short_run_warms_up_for_at_most_half_of_it() -> None:
    assert fit.warmup_steps(RECIPE, 100) == 2
    assert fit.warmup_steps(RECIPE, 3) == 1
    assert fit.warmup_steps(RECIPE, 1) == 0


# --- whole runs


class Stop(Exception):
    pass


def test_training_lowers_the_loss_of_a_deterministic_target(base: str, tmp_path: Path) -> None:
    data = [TrainingExample(str(i), (1 + i % 5,), (7, 8, 9), True) for i in range(40)]
    report = train(base, data, replace(RECIPE, epochs=12), tmp_path / "out")
    assert report.losses[0] > 2
    assert report.losses[-1] < 0.2
    model = checkpoint.load_model(report.path, device="cpu")
    ids = torch.tensor([[3]])
    for _ in range(4):
        ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    assert ids[0].tolist() == [3, 7, 8, 9, END]


def test_a_run_stopped_anywhere_ends_in_the_same_bits(base: str, tmp_path: Path) -> None:
    whole = train(base, examples(), RECIPE, tmp_path / "whole")
    assert whole.steps == 6
    for kind, at in ((Stop, 1), (KeyboardInterrupt, 4)):
        out = tmp_path / f"stopped-{at}"

        def stop(report: StepReport, at: int = at, kind: type[BaseException] = kind) -> None:
            if report.step == at:
                raise kind

        with pytest.raises(kind):
            train(base, examples(), RECIPE, out, on_step=stop)
        with pytest.raises(CheckpointError, match="unfinished"):
            checkpoint.resolve(str(out))
        rest = train(base, examples()[::-1], RECIPE, out)
        assert rest.resumed_at == at
        assert rest.losses == whole.losses
        assert same(weights(out), weights(whole.path))
        assert rest.fingerprint == whole.fingerprint


CHILD = """
import sys, torch
sys.path.insert(0, {tests!r})
import test_train as t
torch.set_num_threads(1)
def slow(report):
    print(report.step, flush=True)
    import time; time.sleep(0.05)
t.train({base!r}, t.examples(), t.replace(t.RECIPE, epochs=20), t.Path({out!r}), on_step=slow,
        save_seconds=0.2)
"""


def test_a_run_killed_at_once_ends_in_the_same_bits(base: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=20)
    whole = train(base, examples(), recipe, tmp_path / "whole")
    out = tmp_path / "killed"
    code = CHILD.format(tests=str(Path(__file__).parent), base=base, out=str(out))
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 60
    while not (out / training_folder.STATE).exists():
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    rest = train(base, examples(), recipe, out)
    assert 0 < rest.resumed_at < rest.steps
    assert same(weights(out), weights(whole.path))
    assert rest.losses == whole.losses


def test_a_finished_run_is_not_redone(base: str, tmp_path: Path) -> None:
    first = train(base, examples(), RECIPE, tmp_path)
    before = {f.name: f.stat().st_mtime_ns for f in tmp_path.iterdir()}

    def never(_: StepReport) -> None:
        raise AssertionError

    again = train(base, examples(), RECIPE, tmp_path, on_step=never)
    assert again == replace(first, resumed_at=first.steps)
    assert {f.name: f.stat().st_mtime_ns for f in tmp_path.iterdir()} == before


def test_a_kill_between_the_last_step_and_the_summary_is_made_good(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(base, examples(), RECIPE, tmp_path / "whole")

    def full(*_: object) -> None:
        raise SsdEvalError("disk full")

    monkeypatch.setattr("ssd_eval.train._save_checkpoint", full)
    with pytest.raises(SsdEvalError):
        train(base, examples(), RECIPE, tmp_path / "out", save_seconds=0)
    monkeypatch.undo()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"torn")
    rest = train(base, examples(), RECIPE, tmp_path / "out")
    assert rest.fingerprint == whole.fingerprint


def test_steps_are_reported_with_what_a_display_needs(base: str, tmp_path: Path) -> None:
    seen: list[StepReport] = []
    report = train(base, examples(), RECIPE, tmp_path, on_step=seen.append)
    assert [s.step for s in seen] == [1, 2, 3, 4, 5, 6]
    assert {s.total for s in seen} == {6}
    assert tuple(s.loss for s in seen) == report.losses
    assert seen[1].lr == pytest.approx(RECIPE.peak_lr)
    assert seen[-1].lr == pytest.approx(RECIPE.floor_lr)
    assert all(s.tokens_per_s > 0 and s.grad_norm > 0 for s in seen)


def test_the_summary_says_what_was_trained_and_what_it_cost(base: str, tmp_path: Path) -> None:
    data = [*examples(), TrainingExample("none", (1,), (), False)]
    report = train(base, data, RECIPE, tmp_path, dropped={"stub": 3})
    summary = json.loads((tmp_path / "ssd.json").read_text())
    rows = to_rows(data, END, 64).rows
    assert summary["base"] == checkpoint.fingerprint(base)
    assert summary["data"] == data_digest(data)
    assert summary["recipe"] == RECIPE.to_json()
    assert summary["examples"] == {
        "kept": 20,
        "dropped": {"stub": 3, "no_target": 1},
        "unfinished": 5,
        "cut_to_max_sequence": 0,
        "problems": 21,
    }
    assert summary["schedule"] == {"steps": 6, "warmup_steps": 2}
    assert summary["cost"]["tokens_trained"] == 2 * sum(row.targets for row in rows)
    assert summary["cost"]["tokens_processed"] == 2 * sum(len(row.ids) for row in rows)
    assert summary["cost"]["seconds"] > 0
    assert summary["loss"] == list(report.losses)
    assert summary["fingerprint"] == report.fingerprint == checkpoint.fingerprint(tmp_path)
    assert not (tmp_path / training_folder.STATE).exists()


def test_the_result_is_a_plain_checkpoint(base: str, tmp_path: Path) -> None:
    train(base, examples(), replace(RECIPE, save_dtype="float16"), tmp_path)
    model = LlamaForCausalLM.from_pretrained(tmp_path)
    assert model.dtype == torch.float16
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == "{{ messages }}"


def test_two_seeds_differ_and_one_seed_repeats(base: str, tmp_path: Path) -> None:
    prints = [
        train(base, examples(), replace(RECIPE, seed=seed), tmp_path / str(i)).fingerprint
        for i, seed in enumerate((0, 0, 1))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_bfloat16_arithmetic_keeps_float32_weights(base: str, tmp_path: Path) -> None:
    exact = train(base, examples(), RECIPE, tmp_path / "a")
    rough = train(base, examples(), replace(RECIPE, precision="bfloat16"), tmp_path / "b")
    assert rough.losses != exact.losses
    assert rough.losses == pytest.approx(exact.losses, rel=0.05)
    assert {t.dtype for t in weights(rough.path).values()} == {torch.float32}


def test_training_leaves_torchs_random_state_and_settings_alone(base: str, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(base, examples(), RECIPE, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


# --- refusals


def test_another_recipe_data_or_base_in_the_folder_is_named(base: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train(base, examples(), RECIPE, out)
    other = tmp_path / "other"
    tiny_model(seed=5).save_pretrained(other)
    AutoTokenizer.from_pretrained(base).save_pretrained(other)
    for finished in (True, False):
        if not finished:
            (out / "training.json").write_text((out / "ssd.json").read_text())
            (out / "ssd.json").unlink()
        with pytest.raises(RunFolderError, match=r"peak_lr: 0\.01 -> 0\.02.*new folder"):
            train(base, examples(), replace(RECIPE, peak_lr=0.02), out)
        with pytest.raises(RunFolderError, match="training data"):
            train(base, examples(19), RECIPE, out)
        with pytest.raises(RunFolderError, match="base"):
            train(str(other), examples(), RECIPE, out)


def test_a_folder_of_other_things_is_left_alone(base: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(RunFolderError, match="not empty"):
        train(base, examples(), RECIPE, tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(base: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="writable") as caught:
        train(base, examples(), RECIPE, tmp_path / "file" / "out")
    assert "\n" not in str(caught.value)


def test_a_damaged_state_says_what_to_delete(base: str, tmp_path: Path) -> None:
    def stop(_: StepReport) -> None:
        raise Stop

    with pytest.raises(Stop):
        train(base, examples(), RECIPE, tmp_path, on_step=stop)
    state = tmp_path / training_folder.STATE
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(RunFolderError, match="delete it"):
        train(base, examples(), RECIPE, tmp_path)
    state.unlink()
    assert train(base, examples(), RECIPE, tmp_path).resumed_at == 0


def test_a_result_changed_afterwards_is_noticed(base: str, tmp_path: Path) -> None:
    train(base, examples(), RECIPE, tmp_path)
    (tmp_path / "chat_template.jinja").write_text("changed")
    with pytest.raises(RunFolderError, match="changed after training"):
        train(base, examples(), RECIPE, tmp_path)


def test_a_non_finite_loss_names_the_step_and_the_cure(base: str, tmp_path: Path) -> None:
    hot = replace(RECIPE, peak_lr=1e30, warmup_steps=0)
    with pytest.raises(SsdEvalError, match=r"step \d+: .*lower peak_lr") as caught:
        train(base, examples(), hot, tmp_path)
    assert caught.value.exit_code == 1


def test_a_foreign_token_id_is_refused(base: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="vocabulary of 24"):
        train(base, [TrainingExample("a", (1,), (VOCABULARY,), True)], RECIPE, tmp_path)


def test_an_unknown_device_is_refused(base: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        train(base, examples(), RECIPE, tmp_path, device="abacus")


def test_a_full_disk_keeps_the_last_state(tmp_path: Path) -> None:
    path = tmp_path / "state"
    training_folder.write_whole(path, lambda p: p.write_text("first"))

    def full(p: Path) -> None:
        p.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SsdEvalError, match="free disk space"):
        training_folder.write_whole(path, full)
    assert path.read_text() == "first"
    assert [f.name for f in tmp_path.iterdir()] == ["state"]
