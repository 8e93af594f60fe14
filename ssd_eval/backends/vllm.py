"""Sampling with vLLM: all requests of a sweep in one stream, the longest expected first.

`LLM.generate` would block until all are done; here each replica's engine is stepped, and what
finishes is handed out at once. Data parallelism is replicas, an engine process each. Loads vLLM
when asked for (extra `vllm`); of generation_config only the end tokens count.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from ssd_eval.adapter import Adapter
from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.chat import ChatBackend, ChatTokenizer
from ssd_eval.backends.lanes import run_lanes
from ssd_eval.backends.replica import Replica
from ssd_eval.backends.schedule import LongestFirst
from ssd_eval.checkpoint import fingerprint, load_tokenizer, stated_ends, whole
from ssd_eval.errors import BackendError, UsageError

MAX_SEQUENCES = 256  # vLLM's own default for requests decoded at once
MAX_TEMPERATURE = 2.0  # SamplingParams refuses more
DTYPES = ("auto", "float32", "bfloat16", "float16")
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vllm.config.lora.MaxLoRARanks
INSTALL = "install it with: pip install 'ssd-eval[vllm]' (CUDA), or see docs/vllm.md for a CPU"


class VLLMBackend(ChatBackend):
    """Engines behind the Backend protocol, one for each replica."""

    def __init__(self, replicas: list[Replica], chat: ChatTokenizer, fingerprint: str) -> None:
        self._replicas = replicas
        super().__init__(chat, fingerprint)

    @property
    def context_length(self) -> int:
        return self._replicas[0].context_length

    def generate(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Pulls every request before the first is drawn: order and limits want them all."""
        if not self._replicas:
            raise BackendError("the vllm backend is closed; load it again")
        asked = list(requests)
        for request in asked:
            _check(request, self.context_length)
        schedule = LongestFirst(asked)
        for replica in self._replicas:
            replica.schedule = schedule
        yield from run_lanes(self._replicas, schedule)

    def close(self) -> None:
        for replica in self._replicas:
            replica.close()
        self._replicas = []


def load(
    checkpoint: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    tensor_parallel: int = 1,
    data_parallel: int = 1,
    gpu_memory_utilization: float | None = None,
    max_model_len: int | None = None,
) -> VLLMBackend:
    """Starts `data_parallel` engines of `tensor_parallel` devices each.

    `batch_size`: requests that an engine decodes at once. Raises UsageError where vLLM is missing
    or does not fit the settings, BackendError where an engine does not start.
    """
    platform = _platform()
    if device not in ("auto", platform):
        raise UsageError(
            f"this vLLM runs on {platform}; leave out --device, and choose devices with "
            "CUDA_VISIBLE_DEVICES"
        )
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}; use auto, float32, bfloat16 or float16")
    path, lora = whole(checkpoint)
    chat = ChatTokenizer(load_tokenizer(checkpoint), stated_ends(path))
    settings: dict[str, Any] = {
        "model": str(path),
        "dtype": "float32" if dtype == "auto" and platform == "cpu" else dtype,
        "max_num_seqs": batch_size or MAX_SEQUENCES,
        "tensor_parallel_size": tensor_parallel,
        "max_model_len": max_model_len,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "generation_config": "vllm",
    }
    if lora is not None:
        settings |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(lora)}
    if gpu_memory_utilization is not None:
        settings["gpu_memory_utilization"] = gpu_memory_utilization
    if platform == "cpu":
        # vLLM 0.32 turns a seeded request's generator back after half a prompt, which a CPU's
        # can't: the engine would die.
        settings["enable_chunked_prefill"] = False
    places = _devices(data_parallel, tensor_parallel) if platform == "cuda" else None
    replicas: list[Replica] = []
    try:
        for index in range(data_parallel):
            visible = places[index] if places else None
            replicas.append(Replica(settings, chat.end_ids, visible=visible, lora=lora))
    except BaseException:
        for replica in replicas:
            replica.close()
        raise
    return VLLMBackend(replicas, chat, fingerprint(checkpoint))


def _platform() -> str:
    """Imports vLLM, quiet and with its log on standard error; cpu, cuda, ..."""
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    # A forked engine would inherit the sandbox's pipes and hold them open.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    try:
        from vllm.platforms import current_platform
    except ImportError as error:
        raise UsageError(f"vLLM cannot be imported ({error}); {INSTALL}") from error
    return str(current_platform.device_type)


def _rank(lora: Adapter) -> int:
    """The least of the ranks that vLLM makes room for."""
    fitting = [each for each in RANKS if each >= lora.rank]
    if not fitting:
        raise UsageError(
            f"vLLM takes adapters up to rank {RANKS[-1]}, this one has {lora.rank}; merge it into "
            "its checkpoint or use --backend hf"
        )
    return fitting[0]


def _devices(data_parallel: int, tensor_parallel: int) -> list[str]:
    """CUDA_VISIBLE_DEVICES for each replica. Raises UsageError where there are too few."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    wanted = data_parallel * tensor_parallel
    if wanted > len(names):
        raise UsageError(
            f"--data-parallel {data_parallel} x --tensor-parallel {tensor_parallel} needs {wanted} "
            f"devices, {len(names)} are visible; lower one of them"
        )
    return [
        ",".join(names[start : start + tensor_parallel])
        for start in range(0, wanted, tensor_parallel)
    ]


def _check(request: Request, context: int) -> None:
    temperature = request.decoding.temperature
    if temperature > MAX_TEMPERATURE:
        raise UsageError(
            f"vLLM serves no temperature above {MAX_TEMPERATURE:g}, asked for {temperature:g}; "
            "lower it or use --backend hf"
        )
    if len(request.prompt_ids) >= context:
        raise UsageError(
            f"the prompt of problem {request.key.problem_id} has {len(request.prompt_ids)} tokens "
            f"and the context {context}: no room to answer; leave the problem out or raise "
            "--max-model-len"
        )
