"""Benchmarks by name: built-ins, LiveCodeBench's windows, plugins (entry points), files.

A plugin is an entry point of the group `ssd_eval.benchmarks` that resolves to a callable
`factory(*, data_dir: str | None) -> Benchmark`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from benchmarks.base import Benchmark, BenchmarkError, Chosen

GROUP = "ssd_eval.benchmarks"


def load(
    name: str,
    *,
    data_dir: str | None = None,
    tests: Chosen = "both",
    exclude_errata: bool = False,
) -> Benchmark:
    """The benchmark called `name`, or the one in the file `name` (.jsonl, .jsonl.gz, .json).

    `data_dir` is where LiveCodeBench's files are, where a relative file is looked for when it is
    not in the working directory, and is passed on to plugins. `tests` says which tests count,
    `exclude_errata` leaves out what LiveCodeBench's errata list. Raises BenchmarkError for an
    unknown name (listing the known ones), a plugin that fails (naming its distribution), and bad
    data.
    """
    whole = _whole(name, data_dir)
    if tests == "both" and not exclude_errata and not _is_window(name):
        return whole
    from benchmarks.selection import Selection

    return Selection(whole, tests, exclude_errata)


def _whole(name: str, data_dir: str | None) -> Benchmark:
    if name.endswith((".jsonl", ".jsonl.gz", ".json")):
        return _file(name, data_dir)
    if _is_window(name):
        from benchmarks import lcb

        return lcb.load(name.partition(":")[2], data_dir)
    if name in BUILT_INS:
        return BUILT_INS[name]()
    plugins = [point for point in entry_points(group=GROUP) if point.name == name]
    if not plugins:
        raise BenchmarkError(
            f"unknown benchmark {name!r}; known: {', '.join(known())}; or give a .jsonl file"
        )
    if len(plugins) > 1:
        owners = ", ".join(map(_distribution, plugins))
        raise BenchmarkError(f"benchmark {name!r} is offered by {owners}; uninstall all but one")
    return _plugin(plugins[0], data_dir)


def windows() -> tuple[str, ...]:
    """LiveCodeBench's windows that have a name; slices and dates are accepted too."""
    from benchmarks.lcb_windows import NAMED

    return tuple(f"lcb:{name}" for name in NAMED)


def _is_window(name: str) -> bool:
    return name == "lcb" or name.startswith("lcb:")


def known() -> tuple[str, ...]:
    """Names that `load` accepts: built-ins first, LiveCodeBench's windows, plugins by name."""
    plugins = {point.name for point in entry_points(group=GROUP)} - BUILT_INS.keys()
    return (*BUILT_INS, *windows(), *sorted(plugins))


def _micro() -> Benchmark:
    from benchmarks.micro import Micro

    return Micro(seed=0)


def _humaneval(window: str) -> Callable[[], Benchmark]:
    def build() -> Benchmark:
        from benchmarks.humaneval import load

        return load(window)

    return build


BUILT_INS: dict[str, Callable[[], Benchmark]] = {
    "micro": _micro,
    "humaneval": _humaneval("chat"),
    "humaneval:base": _humaneval("base"),
}


def _file(name: str, data_dir: str | None) -> Benchmark:
    from benchmarks.jsonl import read

    path = Path(name)
    if data_dir is not None and not path.exists():
        path = Path(data_dir) / name
    return read(path)


def _plugin(point: EntryPoint, data_dir: str | None) -> Benchmark:
    try:
        benchmark: object = point.load()(data_dir=data_dir)
    except BenchmarkError:
        raise  # bad data, explained by the plugin itself
    except Exception as error:
        raise BenchmarkError(_failure(point, f"{type(error).__name__}: {error}")) from error
    if not isinstance(benchmark, Benchmark):
        raise BenchmarkError(_failure(point, f"it gave a {type(benchmark).__name__}"))
    return benchmark


def _failure(point: EntryPoint, reason: str) -> str:
    return (
        f"benchmark {point.name!r} of {_distribution(point)} does not load ({reason}); "
        "update or uninstall that distribution"
    )


def _distribution(point: EntryPoint) -> str:
    if point.dist is None:
        return f"an unknown distribution ({point.value})"
    return f"{point.dist.name} {point.dist.version}"
