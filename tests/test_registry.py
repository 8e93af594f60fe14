"""Benchmarks by name."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from benchmarks import registry
from benchmarks.base import Benchmark, BenchmarkError, Problem
from benchmarks.registry import known, load


@dataclass(frozen=True)
class Plugged:
    name: str = "plugged"
    description: str = ""
    window: str = ""

    def problems(self) -> tuple[Problem, ...]:
        return ()

    def prompts(self) -> tuple[Problem, ...]:
        return ()


def plugged(*, data_dir: str | None) -> Plugged:
    return Plugged(window=str(data_dir))


def broken(*, data_dir: str | None) -> Plugged:
    raise RuntimeError("out of order")


def without_data(*, data_dir: str | None) -> Plugged:
    raise BenchmarkError("no data; pass --data-dir")


def not_a_benchmark(*, data_dir: str | None) -> str:
    return "surprise"


@dataclass(frozen=True)
class Dist:
    name: str
    version: str = "1.2"


def point(name: str, target: str, dist: str = "plugin-pack") -> EntryPoint:
    # `dist` is how importlib.metadata itself attaches the distribution.
    made = EntryPoint(name, f"{__name__}:{target}", registry.GROUP)
    return made._for(Dist(dist))  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    return points


def test_micro_is_built_in() -> None:
    assert known()[0] == "micro"
    benchmark = load("micro")
    assert isinstance(benchmark, Benchmark)
    assert benchmark.name == "micro"


def test_an_unknown_name_lists_the_known(plugins: list[EntryPoint]) -> None:
    plugins += [point("zeta", "plugged"), point("alpha", "plugged")]
    with pytest.raises(BenchmarkError, match=r"'micor'; known: micro, .*alpha, zeta; .*\.jsonl"):
        load("micor")


def test_a_plugin_is_found_and_gets_the_data_dir(plugins: list[EntryPoint]) -> None:
    plugins.append(point("plugged", "plugged"))
    assert load("plugged", data_dir="/data").window == "/data"


def test_a_built_in_wins_over_a_plugin_of_its_name(plugins: list[EntryPoint]) -> None:
    plugins.append(point("micro", "broken"))
    assert known() == (*registry.BUILT_INS, *registry.windows())
    assert load("micro").name == "micro"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("broken", "RuntimeError: out of order"),
        ("absent", "AttributeError: "),
        ("not_a_benchmark", "it gave a str"),
    ],
)
def test_a_failing_plugin_is_named_with_its_distribution(
    plugins: list[EntryPoint], target: str, reason: str
) -> None:
    plugins.append(point("odd", target))
    with pytest.raises(
        BenchmarkError, match=rf"'odd' of plugin-pack 1\.2 does not load \({reason}"
    ):
        load("odd")


def test_a_plugins_own_message_passes(plugins: list[EntryPoint]) -> None:
    plugins.append(point("odd", "without_data"))
    with pytest.raises(BenchmarkError, match=r"^no data; pass --data-dir$"):
        load("odd")


def test_a_failing_plugin_does_not_hide_the_names(plugins: list[EntryPoint]) -> None:
    plugins.append(point("odd", "absent"))
    assert known() == (*registry.BUILT_INS, *registry.windows(), "odd")


def test_two_plugins_of_one_name_are_both_named(plugins: list[EntryPoint]) -> None:
    plugins += [point("x", "plugged", "one"), point("x", "plugged", "two")]
    with pytest.raises(BenchmarkError, match=r"one 1\.2, two 1\.2; uninstall"):
        load("x")


def test_a_file_is_a_benchmark_also_below_the_data_dir(tmp_path: Path) -> None:
    test = {"kind": "stdin", "input": "", "expected": ""}
    row = {"id": "p", "statement": "", "tests": [test]}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row))
    assert load(str(tmp_path / "mine.jsonl")).problems()[0].id == "p"
    assert load("mine.jsonl", data_dir=str(tmp_path)).problems()[0].id == "p"


def test_importing_the_registry_imports_no_benchmark() -> None:
    check = "import sys, benchmarks.registry as r; r.known(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"benchmarks.micro", "benchmarks.jsonl", "pydantic", "numpy", "torch"}
