"""One vLLM engine, stepped: requests in as it has room, generations out as they finish."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from ssd_eval.adapter import Adapter
from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.schedule import LongestFirst
from ssd_eval.decoding import DecodingConfig, effective_temperature
from ssd_eval.errors import BackendError

AHEAD = 2  # requests handed to the engine, as a multiple of those it decodes at once
SEED_BITS = 63  # what SamplingParams takes
LOWER = (
    "lower --gpu-memory-utilization, --max-model-len or --sampling-batch and repeat the command: "
    "what was finished is kept"
)


class Replica:
    """`settings` are vLLM's EngineArgs; `visible`, CUDA_VISIBLE_DEVICES of its process; `lora`,
    what is added to the model for every request.

    Raises BackendError where the engine does not start. `schedule` hears what has finished.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        end_ids: frozenset[int],
        *,
        visible: str | None = None,
        lora: Adapter | None = None,
    ) -> None:
        from vllm import EngineArgs, LLMEngine

        self.schedule: LongestFirst | None = None
        self._end_ids = end_ids
        self._lora = lora
        self._window = AHEAD * int(settings["max_num_seqs"])
        self._added = 0
        try:
            with _environment("CUDA_VISIBLE_DEVICES", visible):
                self._engine = LLMEngine.from_engine_args(EngineArgs(**settings))
        except Exception as error:
            # vLLM, torch and the engine process each raise their own; its log has the cause.
            text = " ".join((str(error) or type(error).__name__).split())[:300]
            raise BackendError(
                f"vLLM did not start ({text}); see its log (VLLM_LOGGING_LEVEL=INFO), or {LOWER}"
            ) from error
        self.context_length = int(self._engine.model_config.max_model_len)
        _watch(self._engine.engine_core)

    def run(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Every request's generation, in the order in which they finish."""
        waiting, running = iter(requests), dict[str, Request]()
        try:
            while True:
                while len(running) < self._window and (request := next(waiting, None)) is not None:
                    running[self._add(request)] = request
                if not running:
                    return
                for output in self._step():
                    if output.finished:
                        yield self._generation(running.pop(output.request_id), output)
        finally:
            if running:
                self._abort(list(running))

    def close(self) -> None:
        self._engine.engine_core.shutdown()

    def _add(self, request: Request) -> str:
        from vllm.inputs import TokensPrompt

        self._added += 1
        name = str(self._added)
        prompt = TokensPrompt(prompt_token_ids=list(request.prompt_ids))
        with _engine_errors():
            self._engine.add_request(
                name,
                prompt,
                sampling_params(request, self._end_ids),
                lora_request=_lora_request(self._lora),
            )
        return name

    def _step(self) -> list[Any]:
        with _engine_errors():
            return list(self._engine.step())

    def _abort(self, names: list[str]) -> None:
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            self._engine.abort_request(names)
        except EngineDeadError:
            return  # nothing runs there any more

    def _generation(self, request: Request, output: Any) -> Generation:
        [drawn] = output.outputs
        tokens = tuple(drawn.token_ids)
        if drawn.finish_reason not in ("stop", "length"):
            raise BackendError(
                f"vLLM ended a completion of problem {request.key.problem_id} with "
                f"{drawn.finish_reason!r}; {LOWER}"
            )
        stopped = drawn.finish_reason == "stop"
        if stopped and tokens and tokens[-1] in self._end_ids:
            tokens = tokens[:-1]
        if self.schedule is not None:
            self.schedule.finished(request, len(tokens))
        return Generation(
            key=request.key,
            token_ids=tokens,
            finish="stop" if stopped else "length",
            effective_temperature=effective_temperature(request.decoding),
        )


def _lora_request(lora: Adapter | None) -> Any:
    from vllm.lora.request import LoRARequest

    return None if lora is None else LoRARequest("adapter", 1, str(lora.path))


def sampling_params(request: Request, end_ids: Iterable[int]) -> Any:
    """The request in vLLM's terms; every field that a model's generation_config might set is."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    stops = list(request.stops)
    return SamplingParams(
        **decoding_fields(request.decoding),
        max_tokens=request.max_tokens,
        seed=request.stream % 2**SEED_BITS,
        stop_token_ids=sorted(end_ids),
        stop=stops,
        include_stop_str_in_output=True,
        detokenize=bool(stops),  # here, too, for stops alone
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def decoding_fields(decoding: DecodingConfig) -> dict[str, float]:
    """DecodingConfig as vLLM spells it (top_k 0 keeps all there too); all else is off."""
    return {
        "temperature": effective_temperature(decoding),
        "top_k": decoding.top_k,
        "top_p": decoding.top_p,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def _watch(client: Any) -> None:
    """Wakes a waiting `step` when the engine's process dies.

    vLLM 0.32 notices a process that was killed (out of memory, say), but leaves whoever waits for
    its next output waiting for ever.
    """
    from vllm.v1.engine.exceptions import EngineDeadError

    sentinels = [process.sentinel for process in client.resources.engine_manager.processes]
    outputs = client.outputs_queue

    def watch() -> None:
        connection.wait(sentinels)
        outputs.put(EngineDeadError())

    threading.Thread(target=watch, name="engine-watch", daemon=True).start()


@contextmanager
def _engine_errors() -> Iterator[None]:
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        yield
    except EngineDeadError as error:
        raise BackendError(f"the vLLM engine died (see its log above); {LOWER}") from error


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """Engine processes inherit it; None changes nothing."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            os.environ.pop(name) if before is None else os.environ.__setitem__(name, before)
