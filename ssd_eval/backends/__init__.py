"""Sampling engines behind one protocol (`base`), found by name.

Built-ins first, then entry points in the group `ssd_eval.backends`. An entry point names a
function `load(checkpoint, *, device, dtype, batch_size) -> Backend`, which may take some of OPTIONS
too and is called with those that were given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import cast

from ssd_eval.backends.base import Backend
from ssd_eval.errors import SsdEvalError, UsageError

GROUP = "ssd_eval.backends"
BUILT_IN = {
    "hf": "ssd_eval.backends.hf",
    "vllm": "ssd_eval.backends.vllm",
    "openai": "ssd_eval.backends.openai",
    "fake": "ssd_eval.backends.fake",
}
FOLDERS = frozenset({"hf", "vllm"})  # engines that read a Hugging Face folder themselves
# What some engines take beside device, dtype and batch size. Defaults are the engines' own.
OPTIONS = (
    "tensor_parallel",
    "data_parallel",
    "gpu_memory_utilization",
    "max_model_len",
    "base_url",
)


def known() -> tuple[str, ...]:
    """Names that `load` accepts, built-ins first."""
    return (*BUILT_IN, *sorted({each.name for each in _plugins()} - BUILT_IN.keys()))


def load(
    name: str,
    checkpoint: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    **options: object,
) -> Backend:
    """The backend `name` with `checkpoint` loaded.

    `device`: auto, cpu, cuda, cuda:1, mps. `dtype`: auto, float32, bfloat16, float16. `batch_size`
    is the number of rows decoded at once; None takes the backend's default. `options`: OPTIONS;
    None counts as not given. Raises UsageError for an unknown or failing backend or an option that
    it does not have, CheckpointError for a checkpoint that does not load.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch size {batch_size} is not positive; use 1 or more")
    build = _loader(name)
    given = {option: value for option, value in options.items() if value is not None}
    _check_options(name, build, given)
    return build(checkpoint, device=device, dtype=dtype, batch_size=batch_size, **given)


def _check_options(name: str, build: Callable[..., Backend], given: Iterable[str]) -> None:
    taken = signature(build).parameters
    if any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        return
    for option in given:
        if option not in taken:
            flag = option.replace("_", "-")
            raise UsageError(f"backend {name!r} has no --{flag}; leave it out or use another")


def _plugins() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def _loader(name: str) -> Callable[..., Backend]:
    if name in BUILT_IN:
        return cast("Callable[..., Backend]", import_module(BUILT_IN[name]).load)
    for plugin in _plugins():
        if plugin.name == name:
            return _load_plugin(plugin)
    raise UsageError(f"unknown backend {name!r}; known: {', '.join(known())}")


def _load_plugin(plugin: EntryPoint) -> Callable[..., Backend]:
    try:
        return cast("Callable[..., Backend]", plugin.load())
    except SsdEvalError:
        raise
    except Exception as error:  # whatever a stranger's module raises at import
        source = plugin.dist.name if plugin.dist is not None else "an unknown distribution"
        raise UsageError(
            f"backend {plugin.name!r} of {source} does not load: {type(error).__name__}: {error}; "
            "fix or uninstall that distribution"
        ) from error
