"""A made-up recorded run of any size, for the tests and measurements of reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.base import Problem, TestCase
from sandbox.base import Status
from ssd_eval.config import resolve
from ssd_eval.recorded import RecordedRun, Records
from ssd_eval.records import Completion, SampleKey, Verdict
from ssd_eval.store import RunStore
from ssd_eval.sweep import evaluation_problems

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>&amp;\u2028é"
Text = Callable[[str, int, int], str]  # (role, problem, sample) -> completion


def plain(role: str, problem: int, sample: int) -> str:
    return f"```python\nx = {sample}\nprint(x + {problem})  # {role}\n```"


def hostile(role: str, problem: int, sample: int) -> str:
    return f"{plain(role, problem, sample)}\n{HOSTILE}"


def made(
    folder: Path,
    *,
    problems: int = 6,
    samples: int = 3,
    temperatures: tuple[float, ...] = (0.5, 1.0),
    text: Text = plain,
    **fields: Any,
) -> RecordedRun:
    """The base passes every other sample, the distilled checkpoint all but the first."""
    given = {"base": "organism", "samples": samples, "t_eval": temperatures, "k": (1,), "seed": 0}
    config = resolve(given, environ={}).config
    asked = tuple(
        Problem(f"p{n:04}", f"Add {n}. {HOSTILE}", (TestCase("stdin", "1\n", f"{n}{HOSTILE}"),),
                title=f"adds {n} {HOSTILE}", difficulty=("easy", "medium", "hard")[n % 3])
        for n in range(problems)
    )  # fmt: skip
    completions, verdicts = {}, {}
    for role in ("base", "distilled"):
        for n, problem in enumerate(asked):
            for decoding in config.grid():
                for sample in range(samples):
                    key = SampleKey(role, problem.id, decoding.digest(), sample)
                    passed = sample % 2 == 0 if role == "base" else sample > 0
                    completions[key] = Completion(
                        key, text(role, n, sample), (1, 2), "stop", 3, decoding,
                        decoding.temperature,
                    )  # fmt: skip
                    verdicts[key] = Verdict(
                        key, "passed" if passed else "runtime_error", "" if passed else HOSTILE,
                        "python-fence", 0.1, int(passed), 1, None if passed else 0,
                    )  # fmt: skip
    held = {"sandbox": {"tier": "A"}, "argv": ["sweep", "--base", f"a {HOSTILE}"], **fields}
    benchmark: Any = SimpleNamespace(name=f"made {HOSTILE}", window="all", problems=lambda: asked)
    roles = {"base": "base", "distilled": "distilled"}
    store = Records(completions, verdicts, held)
    return RecordedRun(folder, config, store, benchmark, asked, roles, ())  # type: ignore[arg-type]


def write_run(folder: Path, passes: Mapping[str, Callable[[int, int], bool]]) -> Path:
    """A finished folder on disk: twelve problems of micro, four samples, one temperature."""
    given = {"base": "organism", "samples": 4, "t_eval": (1.0,), "k": (1,), "limit": 12}
    config = resolve(given, environ={}).config
    _, problems = evaluation_problems(config)
    fields = {"config": config.to_json(), "scored": {role: role for role in passes}}
    fields |= {"checkpoints": {}, "sandbox": {"tier": "A"}}
    [decoding] = config.grid()
    with RunStore.open(folder, digest=config.digest(), manifest=fields) as store:
        for role, passed in passes.items():
            for n, problem in enumerate(problems):
                for i in range(config.samples):
                    key = SampleKey(role, problem.id, decoding.digest(), i)
                    store.add_completion(Completion(key, "x", (1,), "stop", 1, decoding, 1.0))
                    status: Status = "passed" if passed(n, i) else "wrong_answer"
                    store.add_verdict(Verdict(key, status, "", "python-fence", 0.1, 0, 1))
        store.finish()
    return folder
