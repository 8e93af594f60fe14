"""The transformers backend on random Llamas: exact, independent of batches, within its limits.

`organism` has the shipped organism's shape. `plainly` is the slow truth: one sequence at a time,
the whole sequence through the model for every token, transformers' own attention, no cache.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from ssd_eval import backends
from ssd_eval.backends.alike import FEWEST, FULL, alike_from
from ssd_eval.backends.attention import NAME, grouped_attention
from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.batch import BLOCK
from ssd_eval.backends.chat import ChatTokenizer
from ssd_eval.backends.decoder import decoder
from ssd_eval.backends.hf import HFBackend, load
from ssd_eval.backends.prefill import Prefill
from ssd_eval.backends.rows import DecoderRows, ModelRows
from ssd_eval.backends.slots import STRIDE, attention_kinds
from ssd_eval.checkpoint import load_tokenizer
from ssd_eval.decoding import DecodingConfig, draws, sample_token
from ssd_eval.errors import BackendError, CheckpointError, UsageError
from ssd_eval.records import SampleKey
from ssd_eval.sample import plan, stream

CONFIGS = (
    DecodingConfig(0),
    DecodingConfig(0.7, 20, 0.8),
    DecodingConfig(1.3, 5),
    DecodingConfig(1.0),
    DecodingConfig(1.6, 0, 0.95),
)


ENDS = list(range(8))  # enough of 512 that random texts meet one


class EndToken:
    """As much of a tokenizer as `generate` needs."""

    eos_token_id = 0


def random_llama(**changes: Any) -> Any:
    torch.manual_seed(0)
    shape = {
        "vocab_size": 512,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 5,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": 0,
        "initializer_range": 0.08,
        **changes,
    }
    model = LlamaForCausalLM(LlamaConfig(**shape)).eval()
    model.generation_config.eos_token_id = ENDS
    return model


@pytest.fixture(scope="module")
def organism() -> Any:
    return random_llama()


def requests(count: int, *, longest: int = 60, vocabulary: int = 512) -> list[Request]:
    """Ragged prompts shared by a few samples each, all decoding configs, ragged limits."""
    made = []
    for i in range(count):
        prompt = np.random.default_rng(i // 3).integers(1, vocabulary, 1 + (i // 3 * 13) % 58)
        key = SampleKey("fp", f"p{i // 3}", "d", i % 3)
        made.append(
            Request(
                key=key,
                prompt_ids=tuple(prompt.tolist()),
                decoding=CONFIGS[i % len(CONFIGS)],
                max_tokens=1 + (i * 17) % longest,
                stream=stream(0, key.problem_id, "d", i),
            )
        )
    return made


def texts(
    model: Any, wanted: list[Request], batch_size: int = 16, lanes: int = 1, modules: bool = False
) -> dict[SampleKey, tuple[tuple[int, ...], str]]:
    """`modules`: by transformers' own modules, as models that the decoder does not know."""
    backend = HFBackend(model, EndToken(), "fp", batch_size=batch_size, lanes=lanes)
    if modules:
        backend._decoder = None
    return {g.key: (g.token_ids, g.finish) for g in backend.generate(wanted)}


@torch.inference_mode()
def plainly(
    model: Any, request: Request, ends: frozenset[int] = frozenset(ENDS)
) -> tuple[tuple[int, ...], str]:
    ids, drawn = list(request.prompt_ids), draws(request.stream)
    for count in range(request.max_tokens):
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[:, -1]
        token = sample_token(logits, request.decoding, torch.from_numpy(drawn.random(1))).item()
        if token in ends:
            return tuple(ids[len(ids) - count :]), "stop"
        ids.append(int(token))
    return tuple(ids[len(request.prompt_ids) :]), "length"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 6, "num_hidden_layers": 1},
        {"num_key_value_heads": 1, "attention_bias": True, "num_hidden_layers": 1},
        {"attn_implementation": "eager", "num_hidden_layers": 1},
    ],
    ids=["organism", "ungrouped", "one key head", "eager"],
)
def test_completions_equal_the_plain_reference(changes: dict[str, Any]) -> None:
    wanted = requests(18)
    plain = random_llama(**changes)
    expected = {r.key: plainly(plain, r) for r in wanted}
    for modules in (True, False):
        found = texts(random_llama(**changes), wanted, modules=modules)
        other = [each for each in wanted if found[each.key] != expected[each.key]]
        assert len(other) <= 1
        assert all(swapped(plain, r, found[r.key][0], expected[r.key][0]) for r in other)
        assert {finish for _, finish in found.values()} == {"stop", "length"}


@torch.inference_mode()
def swapped(model: Any, request: Request, one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two texts part at tokens so alike that rounding decides which is ranked first."""
    at = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    ids = torch.tensor([request.prompt_ids + one[:at]])
    logits = model(input_ids=ids, use_cache=False).logits[0, -1]
    return bool((logits[one[at]] - logits[other[at]]).abs() < 1e-4)


@pytest.mark.parametrize("kind", ["mistral", "qwen2", "qwen3", "gpt_oss"])
def test_other_architectures_equal_the_plain_reference(kind: str) -> None:
    """Sliding windows shorter than the texts, mixed layer kinds, attention sinks."""
    wanted = requests(15, longest=40)
    expected = {r.key: plainly(_architecture(kind), r) for r in wanted}
    assert texts(_architecture(kind), wanted) == expected


@pytest.mark.parametrize(
    ("kind", "known"),
    [("qwen3", True), ("mistral", False), ("qwen2", False), ("gpt_oss", False), ("gemma", False)],
)
def test_only_models_with_the_decoders_own_logits_are_decoded_by_it(kind: str, known: bool) -> None:
    """Windows and sinks are not; nor is Gemma, whose modules have the same names."""
    assert (decoder(_architecture(kind)) is not None) is known


def test_a_model_that_computes_otherwise_is_left_to_its_own_modules(organism: Any) -> None:
    assert decoder(organism) is not None
    hook = organism.model.layers[2].register_forward_hook(lambda *each: 1.001 * each[2])
    try:
        assert decoder(organism) is None
    finally:
        hook.remove()


def test_joined_weights_are_held_once_and_still_the_models_own() -> None:
    model = random_llama(num_hidden_layers=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert decoder(model) is not None
    attention = model.model.layers[0].self_attn
    held = {
        each.weight.untyped_storage().data_ptr() for each in (attention.q_proj, attention.k_proj)
    }
    assert len(held) == 1
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def _architecture(kind: str) -> Any:
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 256,
        "initializer_range": 0.15,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    mixed = ["sliding_attention", "full_attention"]
    config = {
        "mistral": lambda: transformers.MistralConfig(**shape, sliding_window=24),
        "qwen2": lambda: transformers.Qwen2Config(
            **shape, use_sliding_window=True, sliding_window=24, layer_types=mixed
        ),
        "gemma": lambda: transformers.GemmaConfig(**shape),
        "qwen3": lambda: transformers.Qwen3Config(**shape),
        "gpt_oss": lambda: transformers.GptOssConfig(
            **shape,
            sliding_window=24,
            layer_types=mixed,
            num_local_experts=4,
            num_experts_per_tok=2,
        ),
    }[kind]()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.eos_token_id = ENDS
    return model


@pytest.mark.parametrize("modules", [False, True], ids=["decoder", "modules"])
def test_order_neighbours_and_batch_size_change_nothing(organism: Any, modules: bool) -> None:
    wanted = requests(30)
    expected = texts(organism, wanted, modules=modules)
    shuffled = random.Random(5).sample(wanted, len(wanted))
    for order in (wanted[::-1], shuffled):
        assert texts(organism, order, modules=modules) == expected
    for batch_size in (1, 7, 64):
        assert texts(organism, wanted, batch_size, modules=modules) == expected
    for alone in wanted[::11]:
        assert texts(organism, [alone], modules=modules) == {alone.key: expected[alone.key]}


@pytest.mark.slow
def test_the_shipped_organisms_texts_stay_at_any_batch_size_order_and_thread_count() -> None:
    """Greedy and sampled: tokens, not only most of them."""
    from benchmarks.micro import Micro

    def drawn(batch_size: int, threads: int, reverse: bool = False) -> dict[SampleKey, Any]:
        backend = load("organism", batch_size=batch_size)
        wanted = plan(
            Micro().problems()[:12],
            [DecodingConfig(0.0), DecodingConfig(1.0, 20, 0.8), DecodingConfig(1.6)],
            samples=2, max_tokens=150, seed=1, backend=backend,
        )  # fmt: skip
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            asked = wanted[::-1] if reverse else wanted
            return {each.key: each.token_ids for each in backend.generate(asked)}
        finally:
            torch.set_num_threads(before)

    expected = drawn(64, 1)
    assert drawn(1, 1) == expected
    assert drawn(7, 1, reverse=True) == expected
    assert drawn(64, 2) == expected
    assert drawn(7, 2) == expected


def test_what_was_left_of_a_killed_run_continues_exactly(organism: Any) -> None:
    wanted = requests(40)
    expected = texts(organism, wanted)
    results = HFBackend(organism, EndToken(), "fp", batch_size=8).generate(wanted)
    finished = {g.key: (g.token_ids, g.finish) for g, _ in zip(results, range(11), strict=False)}
    results.close()  # type: ignore[attr-defined]
    rest = texts(organism, [r for r in wanted if r.key not in finished])
    assert finished | rest == expected


# Lanes


def test_threads_draw_the_same_and_share_prefills(
    organism: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssd_eval.backends.forked.AVAILABLE", False)
    wanted = requests(45)
    expected = texts(organism, wanted)
    backend = HFBackend(organism, EndToken(), "fp", batch_size=8, lanes=3)
    found = [(g.key, (g.token_ids, g.finish)) for g in backend.generate(wanted)]
    assert len(found) == len(expected)
    assert dict(found) == expected
    assert backend._prefill is not None
    assert backend._prefill.computed == sum(
        len(ids) > 1 for ids in {each.prompt_ids for each in wanted}
    )


def lanes_alive() -> int:
    return sum(thread.name.startswith("lane-") for thread in threading.enumerate())


def test_closing_early_stops_the_lanes_and_gives_the_threads_back(organism: Any) -> None:
    torch.set_num_threads(2)
    try:
        results = HFBackend(organism, EndToken(), "fp", batch_size=8, lanes=2).generate(
            requests(60)
        )
        next(results)
        assert lanes_alive() == 2
        results.close()  # type: ignore[attr-defined]
        assert lanes_alive() == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_lanes_failure_reaches_the_reader_and_ends_the_others(organism: Any) -> None:
    def endless() -> Iterator[Request]:
        yield from requests(20)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(HFBackend(organism, EndToken(), "fp", batch_size=8, lanes=2).generate(endless()))
    assert lanes_alive() == 0


def test_lanes_wait_for_a_slow_reader(organism: Any) -> None:
    pulled: list[Request] = []

    def lazily() -> Iterator[Request]:
        for each in requests(90, longest=4):
            pulled.append(each)
            yield each

    results = HFBackend(organism, EndToken(), "fp", batch_size=8, lanes=2).generate(lazily())
    next(results)
    time.sleep(1.0)
    assert len(pulled) <= 1 + 2 * 8 + 2 * 2 + 2 * 8  # read, in slots, queued, finished but unread
    assert len(list(results)) == 89


def test_only_small_cpu_models_at_the_default_batch_size_get_lanes(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert load(str(tiny_checkpoint))._lanes == 2
    assert load(str(tiny_checkpoint), batch_size=64)._lanes == 1
    monkeypatch.setattr("ssd_eval.backends.hf.SMALL", 10)
    assert load(str(tiny_checkpoint))._lanes == 1


def recorded(run: Callable[[], Any]) -> list[torch.Tensor]:
    """The logits of every decode step of `run`, [slots, vocabulary] each."""
    seen: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in (DecoderRows, ModelRows):

            def kept(rows: Any, *given: Any, plain: Any = kind.logits) -> torch.Tensor:
                seen.append(plain(rows, *given))
                return seen[-1]

            patch.setattr(kind, "logits", kept)
        run()
    return seen


@pytest.mark.parametrize("modules", [False, True], ids=["decoder", "modules"])
def test_a_rows_logits_keep_every_bit_among_any_neighbours(organism: Any, modules: bool) -> None:
    """Not the tokens but the bits: slot, batch size, neighbours and attended length all change."""
    subject = Request(
        SampleKey("fp", "subject", "d", 0),
        tuple(range(1, 40)),
        DecodingConfig(1.0, 20),
        40,
        stream(0, "subject", "d", 0),
    )
    long = Request(SampleKey("fp", "long", "d", 0), tuple(range(3, 203)), CONFIGS[3], 50, 3)

    alone = recorded(lambda: texts(organism, [subject], 8, modules=modules))
    assert len(alone) > STRIDE  # the attended length changes on the way

    def among(company: list[Request], batch_size: int, slot: int) -> bool:
        """Whether the subject's logits are a row of each step; its slot may change on the way."""
        wanted = [*company[:slot], subject, *company[slot:]]
        steps = recorded(lambda: texts(organism, wanted, batch_size, modules=modules))
        assert len(steps) >= len(alone)
        return all(
            any(torch.equal(row, expected[0]) for row in logits)
            for logits, expected in zip(steps, alone, strict=False)
        )

    crowd = [r for r in requests(90, longest=60) if r.key.problem_id != "p0"]
    assert among(crowd[:15], 16, 7)
    assert among([long, *crowd[:62]], 64, 33)
    assert among([long], 8, 1)


@pytest.mark.parametrize(("alike", "found"), [(14, {16, 32}), (1000, {FEWEST})])
def test_rows_that_round_otherwise_are_found(
    organism: Any, monkeypatch: pytest.MonkeyPatch, alike: int, found: set[int]
) -> None:
    """A product that adds in another order below so many rows, as some processors' kernels do."""
    plain = torch.nn.functional.linear

    def picky(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        other = len(x) < alike and len(x) != FULL
        return plain(x.flip(1), weight.flip(1)) if other else plain(x, weight)

    monkeypatch.setattr(torch.nn.functional, "linear", picky)
    assert alike_from(organism) in found


def test_idle_slots_go_when_no_request_is_left(
    organism: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tail of few long rows is not paid for at the width of the whole batch."""
    wanted = [replace(r, max_tokens=60 if i == 20 else 9) for i, r in enumerate(requests(64))]
    plain = organism.generation_config
    organism.generation_config = type(plain)(eos_token_id=None)
    monkeypatch.setattr(EndToken, "eos_token_id", None)
    found: dict[SampleKey, tuple[tuple[int, ...], str]] = {}
    steps = recorded(lambda: found.update(texts(organism, wanted, 64)))
    widths = [len(logits) for logits in steps]
    alone = texts(organism, [wanted[20]], 8)
    organism.generation_config = plain
    assert widths == [64] * 9 + [alike_from(organism)] * 51
    assert alone.items() <= found.items()


def test_grouped_attention_equals_sdpa() -> None:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    torch.manual_seed(1)
    module = torch.nn.Module()
    module.num_key_value_groups = 3  # type: ignore[assignment]
    query, key, value = torch.randn(4, 6, 1, 8), torch.randn(4, 2, 50, 8), torch.randn(4, 2, 50, 8)
    mask = torch.zeros(4, 1, 1, 50)
    mask[1, ..., 7:] = mask[2, ..., :30] = -torch.inf
    mine, _ = grouped_attention(module, query, key, value, mask, scaling=0.3, dropout=0.0)
    theirs, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(mine, theirs)


def test_a_cpu_model_uses_grouped_attention_and_other_implementations_stay() -> None:
    model = random_llama(num_hidden_layers=1)
    HFBackend(model, EndToken(), "fp")
    assert model.config._attn_implementation == NAME
    eager = random_llama(num_hidden_layers=1, attn_implementation="eager")
    HFBackend(eager, EndToken(), "fp")
    assert eager.config._attn_implementation == "eager"


def test_a_prompt_is_prefilled_once_for_all_its_samples_and_temperatures(organism: Any) -> None:
    calls: list[int] = []

    def count(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if kwargs["input_ids"].shape[0] == 1:
            calls.append(kwargs["input_ids"].shape[1])

    backend = HFBackend(organism, EndToken(), "fp")
    hook = organism.register_forward_pre_hook(count, with_kwargs=True)
    prompt = tuple(range(1, 31))
    wanted = [
        Request(SampleKey("fp", "p", "d", i), prompt, CONFIGS[i % 5], 5, i) for i in range(40)
    ]
    assert len(list(backend.generate(wanted))) == 40
    hook.remove()
    assert calls == [29]


def test_kept_prompts_are_bounded_in_bytes_and_the_oldest_goes(organism: Any) -> None:
    per_token = 5 * 2 * 3 * 32 * 4
    prefill = Prefill(organism, max_bytes=25 * per_token)
    a, b, c = (tuple(range(start, start + 11)) for start in (1, 100, 200))
    for prompt in (a, b, a, c, a):
        prefill(prompt)
    assert prefill.computed == 3  # c pushed out b, not a
    prefill(b)
    assert prefill.computed == 4
    prefill(tuple(range(1, 100)))  # larger than the bound: served all the same
    assert prefill.computed == 5


def test_finished_rows_are_replaced_at_once_and_requests_pulled_lazily(organism: Any) -> None:
    pulled: list[int] = []

    def lazily() -> Iterator[Request]:
        for i, each in enumerate(requests(90)):
            pulled.append(i)
            yield each

    results = HFBackend(organism, EndToken(), "fp", batch_size=32).generate(lazily())
    finished = 0
    for _ in results:
        finished += 1
        assert len(pulled) <= finished + 32
    assert finished == len(pulled) == 90


def test_ragged_lengths_cost_no_padding_steps(organism: Any) -> None:
    """The steps are those of perfect packing, up to the tail of the last rows."""
    longest = 30
    found: dict[SampleKey, tuple[tuple[int, ...], str]] = {}
    wanted = requests(100, longest=longest)
    steps = len(recorded(lambda: found.update(texts(organism, wanted, 32))))
    drawn = sum(len(ids) + (why == "stop") for ids, why in found.values())
    assert steps <= drawn / 32 + longest


def test_one_uniform_a_token_beyond_the_drawn_ahead_block() -> None:
    small = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    model = random_llama(**small, **heads, max_position_embeddings=1024, eos_token_id=None)
    model.generation_config.eos_token_id = None
    request = Request(
        SampleKey("fp", "p", "d", 0), (5,), DecodingConfig(1.0, 20), 2 * BLOCK + 20, 7
    )
    backend = HFBackend(model, type("NoEnd", (), {"eos_token_id": None})(), "fp")
    (generation,) = backend.generate([request])
    assert len(generation.token_ids) == 2 * BLOCK + 20
    assert generation.token_ids == plainly(model, request, frozenset())[0]


def test_a_completion_ends_with_the_context(organism: Any) -> None:
    request = Request(SampleKey("fp", "p", "d", 0), (9,) * 250, CONFIGS[2], 100, 1)
    (generation,) = HFBackend(organism, EndToken(), "fp").generate([request])
    assert (len(generation.token_ids), generation.finish) == (6, "length")


def test_several_end_tokens_stop_and_none_is_in_the_result(organism: Any) -> None:
    wanted = requests(30)
    free = texts(organism, wanted)
    common = max(range(8, 512), key=lambda t: sum(t in ids for ids, _ in free.values()))
    organism.generation_config.eos_token_id = [*ENDS, common]
    try:
        found = texts(organism, wanted)
    finally:
        organism.generation_config.eos_token_id = ENDS
    for key, (ids, finish) in free.items():
        if common in ids:
            assert found[key] == (ids[: ids.index(common)], "stop")
        else:
            assert found[key] == (ids, finish)


def test_sampling_fields_of_generation_config_are_ignored(organism: Any) -> None:
    wanted = requests(10)
    expected = texts(organism, wanted)
    plain = organism.generation_config
    organism.generation_config = type(plain)(
        eos_token_id=ENDS, temperature=9.0, top_k=1, repetition_penalty=5.0, do_sample=True
    )
    assert texts(organism, wanted) == expected
    organism.generation_config = plain


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ((7,) * 256, "256 tokens and the context 256"),
        ((), "is empty"),
        ((1, 512), "outside the model's vocabulary"),
        ((-1, 5), "outside the model's vocabulary"),
    ],
)
def test_a_prompt_that_cannot_run_is_refused_by_name(
    organism: Any, prompt: tuple[int, ...], fault: str
) -> None:
    request = Request(SampleKey("fp", "sum-9", "d", 0), prompt, CONFIGS[0], 10, 1)
    with pytest.raises(UsageError, match=f"problem sum-9.*{fault}"):
        list(HFBackend(organism, EndToken(), "fp").generate([request]))


def test_nan_logits_are_an_error_not_a_sample() -> None:
    model = random_llama(num_hidden_layers=1)
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(BackendError, match="NaN"):
        texts(model, requests(3))


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_out_of_memory_names_the_knob(fault: Exception) -> None:
    model = random_llama(num_hidden_layers=1)

    def fail(*_: Any) -> None:
        raise fault

    model.register_forward_pre_hook(fail)
    with pytest.raises(BackendError, match="with 16 rows decoded at once; lower --sampling-batch"):
        texts(model, requests(3))


STARVED = """
import resource, sys
from pathlib import Path
from ssd_eval.backends.base import Request
from ssd_eval.backends.hf import load
from ssd_eval.decoding import DecodingConfig
from ssd_eval.records import SampleKey
backend = load("organism", batch_size=16384)
one = Request(SampleKey("c", "p", "d", 0), (5, 6, 7), DecodingConfig(0), 4, 0)
print(len(list(backend.generate([one]))))
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 200 * 2**20, -1))
asked = [Request(SampleKey("c", "p", "d", i), (5, 6, 7), one.decoding, 4, i) for i in range(16384)]
try:
    print(len(list(backend.generate(asked))))
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_memory_that_really_runs_out_names_the_knob() -> None:
    done = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "1",
        "BackendError: out of memory with 16384 rows decoded at once; lower --sampling-batch or "
        "--max-tokens and repeat the command: what was finished is kept",
    ], done.stderr


def test_too_little_memory_for_the_weights_is_no_damaged_checkpoint(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(BackendError, match=r"out of memory while loading .*--dtype bfloat16"):
        load(str(tiny_checkpoint))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere/to/be/found", "no checkpoint 'nowhere/to/be/found': give a folder, a hub id"),
        ("organizm", "no checkpoint 'organizm': .*one of organism"),
    ],
)
def test_a_missing_model_is_named_with_what_there_is(name: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=says) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_layers_that_keep_another_state_are_refused() -> None:
    config = type("C", (), {"layer_types": ["linear_attention", "full_attention"]})()
    config.model_type = "hybrid"
    with pytest.raises(BackendError, match=r"linear_attention layers \(hybrid\)"):
        attention_kinds(config)


# From a folder on disk


def test_a_checkpoint_loads_by_name_and_speaks_the_protocol(tiny_checkpoint: Path) -> None:
    backend = backends.load("hf", str(tiny_checkpoint), batch_size=4)
    prompt = backend.encode([{"role": "user", "content": "a b"}])
    assert backend.decode(prompt) == "a b"  # special tokens are left out
    key = SampleKey(backend.fingerprint, "p", "d", 0)
    (generation,) = backend.generate([Request(key, prompt, DecodingConfig(0), 12, 0)])
    assert isinstance(generation, Generation)
    assert 0 < len(generation.token_ids) <= 12
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        list(backend.generate([]))


def test_messages_render_exactly_as_the_chat_template_says(tiny_checkpoint: Path) -> None:
    backend = load(str(tiny_checkpoint))
    tokenizer = load_tokenizer(str(tiny_checkpoint))
    both = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    rendered = tokenizer.convert_ids_to_tokens(list(backend.encode(both)))
    assert "".join(rendered) == "<system>S<end><user>U<end><assistant>"


def test_a_template_that_refuses_a_role_is_one_clear_line(tiny_checkpoint: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_checkpoint))
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    with pytest.raises(CheckpointError, match=r"system.*no system role.*leave out"):
        ChatTokenizer(tokenizer, None).encode([{"role": "system", "content": "S"}])


def test_both_ends_of_a_checkpoint_count(tiny_checkpoint: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_checkpoint))
    for stated, ends in ((None, set()), (7, {7}), ([7, 9], {7, 9})):
        assert ChatTokenizer(tokenizer, stated).end_ids == ends | {tokenizer.eos_token_id}


def copied(checkpoint: Path, folder: Path) -> Path:
    shutil.copytree(checkpoint, folder)
    return folder


def test_the_fingerprint_is_the_checkpoints_content(tiny_checkpoint: Path, tmp_path: Path) -> None:
    same = copied(tiny_checkpoint, tmp_path / "same")
    other = copied(tiny_checkpoint, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    prints = [load(str(each)).fingerprint for each in (tiny_checkpoint, same, other)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 16


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda f: (f / "config.json").unlink(), "config.json"),
        (lambda f: (f / "model.safetensors").write_bytes(b"junk"), "cannot be loaded"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer"),
    ],
)
def test_a_damaged_checkpoint_is_one_line_with_the_fix(
    tiny_checkpoint: Path, tmp_path: Path, damage: Callable[[Path], object], fault: str
) -> None:
    folder = copied(tiny_checkpoint, tmp_path / "broken")
    damage(folder)
    with pytest.raises(CheckpointError, match=fault) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)


def test_without_a_chat_template_plain_text_is_encoded_and_chat_refused(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = copied(tiny_checkpoint, tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    backend = load(str(folder))
    ids = backend.encode([{"role": "text", "content": "def f(x):\n"}])
    assert backend.decode(ids) == "def f(x):\n"
    with pytest.raises(CheckpointError, match="no chat template"):
        backend.encode([{"role": "user", "content": "hi"}])


def test_an_unknown_dtype_or_device_lists_the_choices(tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="use auto, float32"):
        load(str(tiny_checkpoint), dtype="float31")
    with pytest.raises(CheckpointError, match="use auto, cpu"):
        load(str(tiny_checkpoint), device="toaster")
