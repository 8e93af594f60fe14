"""The `ssd-eval` command: parses, calls the library, prints. Holds no logic of its own.

Tables and JSON go to standard output, everything else to standard error. Exit codes: 0 done, 1 the
run itself failed, 2 wrong input, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from ssd_eval.config import RunConfig
    from ssd_eval.results import SweepResult

Command = Callable[..., Any]
INTERRUPTED = 130


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """A comma-separated list of numbers."""

    name = "NUMBER,..."

    def __init__(self, of: type[int] | type[float]) -> None:
        self._of = of

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._of(part) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of numbers", param, ctx)


def _stack(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def _profile_option(**more: Any) -> Callable[[Command], Command]:
    return click.option(
        "--profile",
        type=click.Choice(["faithful", "official", "ml-ssd"]),
        help="Whose rules decide verdicts: ours, LiveCodeBench's checker, the paper's scorer.",
        **more,
    )


def _extractor_option(**more: Any) -> Callable[[Command], Command]:
    return click.option(
        "--extractor",
        type=click.Choice(["ours", "official", "ml-ssd"]),
        help="Whose rules find the program in an answer.",
        **more,
    )


def _data_options(*, alone: bool) -> Callable[[Command], Command]:
    """`alone`: of a command that resolves no settings, so that click fills in what is not given."""
    tests: dict[str, Any] = {"envvar": "SSD_EVAL_TESTS", "default": "both"} if alone else {}
    folder: dict[str, Any] = {"envvar": "SSD_EVAL_DATA_DIR"} if alone else {}
    errata: dict[str, Any] = {"envvar": "SSD_EVAL_EXCLUDE_ERRATA"} if alone else {}
    return _stack(
        click.option("--data-dir", metavar="DIR", help="Where benchmark files are.", **folder),
        click.option(
            "--tests",
            type=click.Choice(["both", "public", "private"]),
            help="Which tests count.",
            **tests,
        ),
        click.option(
            "--exclude-errata/--with-errata",
            default=False if alone else None,
            help="Without the problems that LiveCodeBench's errata list.",
            **errata,
        ),
    )


output_options = _stack(
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no tables."),
    click.option("--no-color", is_flag=True, help="Plain text (also: NO_COLOR=1)."),
)
model_options = _stack(
    click.option(
        "--base", metavar="CHECKPOINT", help="Frozen model: a folder, hub id or organism."
    ),
    click.option("--backend", metavar="NAME", help="Sampling engine."),
    click.option("--device", metavar="NAME", help="auto, cpu, cuda, ..."),
    click.option("--dtype", metavar="NAME", help="auto, float32, bfloat16 or float16."),
    click.option("--tensor-parallel", type=int, help="vLLM: devices of one replica."),
    click.option("--data-parallel", type=int, help="vLLM: replicas."),
    click.option("--gpu-memory-utilization", type=float, help="vLLM: share of a device's memory."),
    click.option("--max-model-len", type=int, help="vLLM: longest prompt and completion together."),
    click.option("--base-url", metavar="URL", help="openai: the server, http://host:port/v1."),
    click.option("--preset", metavar="NAME", help="Settings of the paper; see `ssd-eval presets`."),
    click.option("--sampling-batch", type=int, help="Rows decoded at once."),
    click.option("--max-tokens", type=int, help="Longest completion."),
    click.option("--seed", type=int, help="Seeds sampling, training and resampling."),
)
benchmark_options = _stack(
    click.option("--benchmark", metavar="NAME|FILE", help="See `ssd-eval benchmarks`."),
    _extractor_option(),
    _data_options(alone=False),
    click.option("--limit", type=int, help="Score the first so many problems."),
    click.option("--prompt", metavar="STYLE|FILE", help="simple, official, paper or a template."),
    click.option("--system/--no-system", default=None, help="LiveCodeBench's system message."),
    click.option("--thinking/--no-thinking", default=None, help="The template's thinking mode."),
    click.option("--t-eval", type=Numbers(float), help="Evaluation temperatures, 0.7,1.0,..."),
    click.option("--top-k", type=int, help="Evaluation top-k; 0 keeps all."),
    click.option("--top-p", type=float, help="Evaluation top-p; 1 keeps all."),
    click.option("--samples", type=int, help="Completions of each problem at each temperature."),
    click.option("--k", type=Numbers(int), help="The k of pass@k, 1,5."),
)
_recipe_options = _stack(
    click.option("--train-top-k", type=int, help="Its top-k."),
    click.option("--train-top-p", type=float, help="Its top-p."),
    click.option("--samples-per-prompt", type=int, help="Training completions of each prompt."),
    click.option("--prompts", metavar="FILE|hub:...", help="What SSD samples from; any file."),
    click.option("--prompts-field", metavar="NAME", help="The field that holds them."),
    click.option("--allow-overlap/--refuse-overlap", default=None, help="With scored problems."),
    click.option("--prompts-limit", type=int, help="Sample the first so many prompts."),
    click.option("--epochs", type=int, help="Passes over the training data."),
    click.option("--iterations", type=int, help="Optimiser steps, instead of --epochs."),
    click.option("--lr", type=float, help="Peak learning rate."),
    click.option("--batch-size", type=int, help="Training examples of one optimiser step."),
    click.option("--drop-truncated/--keep-truncated", default=None, help="Unfinished completions."),
    click.option("--drop-shortest", type=float, help="Share of shortest completions to leave out."),
)
training_options = _stack(
    click.option("--t-train", type=float, help="Sampling temperature for training data."),
    _recipe_options,
)
sandbox_options = _stack(
    click.option("--workers", type=click.IntRange(1), help="Programs graded at once."),
    click.option("--unsafe/--safe", default=None, help="Allow a sandbox with rlimits only."),
)
position_options = _stack(
    click.option("--tokens", metavar="SOURCE|FILE", help="base, distilled, reference or a file."),
    click.option("--position-samples", type=int, help="Completions of each problem among them."),
    click.option("--rule", metavar="NAME", help="nucleus, support, entropy-quantile or threshold."),
    click.option("--threshold", type=float, help="Nats, of the rule threshold."),
)
run_options = _stack(
    click.option("--run-dir", type=click.Path(path_type=Path), help="Folder of this run."),
    click.option(
        "--config", type=click.Path(path_type=Path), help="TOML file with these settings."
    ),
    click.option("--quick", is_flag=True, default=None, help="Small but real, within a minute."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ssd-eval", message="%(version)s")
def cli() -> None:
    """Run, score and explain Simple Self-Distillation of code models."""


@cli.command()
@click.option("--distilled", metavar="CHECKPOINT", help="Score this one instead of training.")
@model_options
@benchmark_options
@training_options
@position_options
@sandbox_options
@_profile_option()
@run_options
@click.option("--paper-numbers", is_flag=True, help="Set the paper's beside ours where they match.")
@output_options
def sweep(
    run_dir: Path | None, paper_numbers: bool, as_json: bool, no_color: bool, **flags: Any
) -> None:
    """Sample, distil, score base and distilled over temperatures, print the tables."""
    from ssd_eval import recorded
    from ssd_eval.sweep import run

    out, err = _consoles(no_color)
    with _opened(flags, run_dir, err) as job:
        result = run(job)
        published = _published(job.config, result, err) if paper_numbers else {}
        page = _rendered(recorded.of(job), result, published, job.store.folder)
    if as_json:
        _print_run(result, job.store.folder)
        return
    from ssd_eval.tables import report

    out.print(report(result, out.width, published))
    if (job.store.folder / "positions").is_dir():
        from ssd_eval.examination import summary

        out.print(summary(job.config, job.store))
    err.print(f"run folder {job.store.folder}; open {page}", highlight=False)


@cli.command()
@click.option("--distilled", metavar="CHECKPOINT", help="Score this one instead of training.")
@click.option("--large-k", type=click.IntRange(1), default=64, show_default=True)
@model_options
@benchmark_options
@training_options
@sandbox_options
@run_options
@output_options
def claims(large_k: int, run_dir: Path | None, as_json: bool, no_color: bool, **flags: Any) -> None:
    """Measure what the article claims about SSD, in the run folder of `sweep`."""
    from ssd_eval import recorded
    from ssd_eval.claim_tables import claim_sheets, report, to_json
    from ssd_eval.claims import measure
    from ssd_eval.reach_plot import reach_plot

    out, err = _consoles(no_color)
    with _opened(flags, run_dir, err) as job:
        measured = measure(job, large_k)
        _written(job.store.folder, claim_sheets(measured))
        names = str(measured.decoding), str(measured.distilled_decoding)
        reach_plot(measured.reach, names, job.store.folder / "plots", "large-k")
        page = _rendered(recorded.of(job), measured.sweep, {}, job.store.folder)
    if as_json:
        _print_json({**to_json(measured), "run": str(job.store.folder)})
    else:
        out.print(report(measured, out.width))
        err.print(f"open {page}", highlight=False)


@cli.command()
@click.option(
    "--t-train",
    "t_trains",
    type=Numbers(float),
    default=(0.5, 1.0, 1.5),
    help="Temperatures; 0.5,1,1.5.",
)
@click.option(
    "--untruncated/--no-untruncated", default=True, help="Also students of untruncated samples."
)
@model_options
@benchmark_options
@_recipe_options
@sandbox_options
@run_options
@output_options
def grid(
    t_trains: tuple[float, ...],
    untruncated: bool,
    run_dir: Path | None,
    as_json: bool,
    no_color: bool,
    **flags: Any,
) -> None:
    """Train a student for each T_train and score T_train x T_eval, in the run folder of `sweep`."""
    from ssd_eval import recorded
    from ssd_eval.grid import measure
    from ssd_eval.grid_plot import grid_plot
    from ssd_eval.grid_sheets import grid_sheets, report

    out, err = _consoles(no_color)
    with _opened(flags, run_dir, err) as job:
        found = measure(job, t_trains, untruncated=untruncated)
        _written(job.store.folder, grid_sheets(found))
        grid_plot(found, job.store.folder / "plots")
        page = _rendered(recorded.of(job), found.sweep, {}, job.store.folder)
    if as_json:
        _print_json({**found.to_json(), "run": str(job.store.folder)})
    else:
        out.print(report(found, out.width))
        err.print(f"open {page}", highlight=False)


@cli.command()
@click.option("--distilled", metavar="CHECKPOINT", help="Read this one instead of training.")
@model_options
@benchmark_options
@training_options
@position_options
@sandbox_options
@run_options
@output_options
def positions(run_dir: Path | None, as_json: bool, no_color: bool, **flags: Any) -> None:
    """Locks and forks, base against distilled, position by position on the same tokens.

    Does what it needs of `sweep` in the same run folder: samples for --tokens base or distilled,
    and the training where --distilled is not given.
    """
    from ssd_eval.sweep import examine

    out, err = _consoles(no_color)
    with _opened(flags, run_dir, err) as job:
        found = examine(job)
    if as_json:
        _print_json({**found.to_json(), "run": str(job.store.folder)})
        return
    from ssd_eval.figure6_tables import report

    out.print(report(found.sums, found.judged))
    err.print(f"positions in {found.folder}; picture {found.pictures[0]}", highlight=False)


@cli.command()
@model_options
@benchmark_options
@training_options
@sandbox_options
@run_options
@output_options
def sample(run_dir: Path | None, as_json: bool, no_color: bool, **flags: Any) -> None:
    """Sample the base for SSD; the first stage of `sweep`, in the same run folder."""
    from ssd_eval.sweep import sample_training

    out, err = _consoles(no_color)
    with _opened(flags, run_dir, err) as job:
        summary = sample_training(job)
    _print_summary(summary, as_json, out)


@cli.command()
@model_options
@benchmark_options
@training_options
@sandbox_options
@run_options
@output_options
def train(run_dir: Path | None, as_json: bool, no_color: bool, **flags: Any) -> None:
    """Sample where needed and distil; the stages of `sweep` up to the checkpoint."""
    from ssd_eval.sweep import train_distilled

    out, err = _consoles(no_color)
    with _opened(flags, run_dir, err) as job:
        summary = train_distilled(job)
    _print_summary(summary, as_json, out)


@cli.command("eval")
@model_options
@benchmark_options
@sandbox_options
@_profile_option()
@run_options
@output_options
def evaluate(run_dir: Path | None, as_json: bool, no_color: bool, **flags: Any) -> None:
    """Score one checkpoint (--base) over temperatures."""
    from ssd_eval.sweep import score_base

    out, err = _consoles(no_color)
    with _opened(flags, run_dir, err) as job:
        curve = score_base(job)
    if as_json:
        place = {"run": str(job.store.folder), "profile": job.config.profile}
        _print_json({**curve.to_json(), **place, "benchmark": job.scored})
        return
    from ssd_eval.tables import curve_table

    on = f"{job.benchmark.name} ({job.benchmark.window})"
    out.print(curve_table(curve, job.config.profile, on))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--benchmark", required=True, metavar="NAME|FILE")
@_data_options(alone=True)
@click.option("--all-tests", is_flag=True, help="Run every test, not up to the first failure.")
@click.option("--k", type=Numbers(int), default=(1, 5), help="The k of pass@k, 1,5.")
@click.option("--cpu-limit", type=float, default=6.0, show_default=True, help="Seconds per test.")
@click.option("--memory-limit", type=int, default=1024, show_default=True, help="MiB per test.")
@sandbox_options
@_profile_option(envvar="SSD_EVAL_PROFILE", default="faithful")
@click.option(
    "--float-tolerance", type=float, default=0.0, help="Of returned floats; 0, exact, unless given."
)
@_extractor_option(envvar="SSD_EVAL_EXTRACTOR", default="ours")
@click.option("--compare-extractors", is_flag=True, help="What each extractor would score.")
@click.option("--skip-others", is_flag=True, help="Leave out entries of problems not in NAME.")
@output_options
def score(file: Path, as_json: bool, no_color: bool, **settings: Any) -> None:
    """Grade a generations FILE against a benchmark.

    FILE is LiveCodeBench's [{"question_id", "code_list"}], or JSONL with "problem_id" and "text"
    or "code".
    """
    from ssd_eval.scoring import score_file

    out, err = _consoles(no_color)
    scored = score_file(file, progress=_bars(err), **settings)
    if as_json:
        _print_json(scored.to_json())
        return
    from ssd_eval.scoring import score_table

    out.print(score_table(scored))


@cli.command()
@click.argument("root", type=click.Path(path_type=Path), default=Path("runs"))
@output_options
def runs(root: Path, as_json: bool, no_color: bool) -> None:
    """List the run folders below ROOT (runs/): status, model, benchmark, what they found."""
    from ssd_eval.runs import listed, runs_table

    rows = listed(root)
    if as_json:
        _print_json([row.to_json() for row in rows])
    else:
        _consoles(no_color)[0].print(runs_table(rows))


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write there and not into RUN.")
@click.option("--paper-numbers", is_flag=True, help="Set the paper's beside ours where they match.")
@output_options
def report(run: Path, out: Path | None, paper_numbers: bool, as_json: bool, no_color: bool) -> None:
    """Render a finished RUN's tables, pictures and page again, with nothing sampled or graded."""
    from ssd_eval import recorded

    console, err = _consoles(no_color)
    read = recorded.read(run)
    result = recorded.result(read)
    if read.changed:
        err.print(
            f"{len(read.changed)} problems have changed since the run, {read.changed[0]} first"
        )
    published = _published(read.config, result, err) if paper_numbers else {}
    page = _rendered(read, result, published, out or run)
    if as_json:
        _print_run(result, run)
        return
    from ssd_eval.tables import report as tables

    console.print(tables(result, console.width, published))
    err.print(f"open {page}", highlight=False)


@cli.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option("--intersect", is_flag=True, help="Compare what they share; say what was dropped.")
@output_options
def compare(run_a: Path, run_b: Path, intersect: bool, as_json: bool, no_color: bool) -> None:
    """Compare the checkpoints of two finished runs, paired over the same problems.

    RUN_B may be another tool's results: LiveCodeBench's eval_all.json, human-eval's results JSONL.
    """
    from ssd_eval.run_comparison import compared, report

    found = compared(run_a, run_b, intersect=intersect)
    if as_json:
        _print_json(found.to_json())
        return
    out = _consoles(no_color)[0]
    out.print(report(found, out.width))


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--t-eval", type=float, help="Temperature of the samples; the nearest to 1.")
@click.option("--problem", metavar="ID", help="Whose code is shown; the one that parts most.")
@click.option("--partings", default=8, show_default=True, help="Rows of `they part here`.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, ...")
@click.option("--dtype", default="auto", show_default=True, help="Of the models' weights.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw a .png, .svg or .pdf file.")
@output_options
def redundancy(run: Path, as_json: bool, no_color: bool, **settings: Any) -> None:
    """Show where samples of one prompt agree and part, in a finished RUN folder."""
    from ssd_eval.agreement import analysed

    out, err = _consoles(no_color)
    analysis = analysed(run, progress=_bars(err), **settings)
    if as_json:
        _print_json(analysis.result.to_json())
    else:
        out.print(analysis.report())


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "style", type=click.Choice(["lcb", "human-eval", "jsonl"]), required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option("--checkpoint", metavar="NAME", help="base, distilled or a fingerprint.")
@click.option("--t-eval", "temperature", type=float, help="The evaluation temperature.")
@output_options
def export(as_json: bool, no_color: bool, run: Path, **choice: Any) -> None:
    """Write a RUN's completions as LiveCodeBench's, human-eval's or our own file."""
    from ssd_eval.export import export as write

    _print_summary(write(run, **choice), as_json, _consoles(no_color)[0])


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File; RUN/tokens.html.")
@click.option("--rule", default="nucleus", show_default=True, help="What makes a fork.")
@click.option("--threshold", type=float, help="Nats above which --rule threshold finds forks.")
@click.option("--limit", default=40, show_default=True, help="Completions shown at most.")
@output_options
def view(run: Path, out: Path | None, as_json: bool, no_color: bool, **settings: Any) -> None:
    """Write one HTML page of RUN's tokens, base and distilled side by side; works offline.

    RUN is a run folder with positions (`ssd-eval positions`), or the folder of positions itself.
    """
    from ssd_eval.tokenview import write

    written = write(run, out, **settings)
    if as_json:
        _print_json({"file": str(written.file), "shown": written.shown, "found": written.found})
        return
    text = f"{written.file}: {written.shown} of {written.found} completions"
    _consoles(no_color)[0].print(text, soft_wrap=True)


@cli.command()
@click.option("--root", type=Numbers(float), help="Head probabilities at the root.")
@click.option("--fork", type=Numbers(float), help="At the fork; token 0 passes.")
@click.option("--lock", type=Numbers(float), help="At a lock; token 0 passes.")
@click.option("--paths", type=int, help="Root tokens that pass, the first so many.")
@click.option("--locks", type=int, help="Locks in a row.")
@click.option("--vocabulary", type=int, help="Tokens; those beyond a head share its rest.")
@click.option("--ratio", type=float, help="Of the geometric tail that they form.")
@click.option("--t-train", default=0.9, show_default=True, help="Of the student's training data.")
@click.option("--train-top-k", default=0, show_default=True, help="Its top-k; 0 keeps all.")
@click.option("--train-top-p", default=0.85, show_default=True, help="Its top-p.")
@click.option("--top-k", default=0, show_default=True, help="Evaluation top-k; 0 keeps all.")
@click.option("--top-p", default=0.8, show_default=True, help="Evaluation top-p.")
@click.option("--top-ps", type=Numbers(float), help="Compared beside it, 0.65,0.7,...")
@click.option("--temperatures", type=Numbers(float), help="Range of T_eval, LOW,HIGH.")
@click.option("--points", type=int, help="Temperatures on the curve's grid.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw a .png, .svg or .pdf file.")
@output_options
def toy(as_json: bool, no_color: bool, plot: Path | None, **flags: Any) -> None:
    """Solve the paper's closed-form machine: what decoding alone cannot do, and SSD can."""
    from ssd_eval.toy import solved
    from ssd_eval.toy_report import draw, report

    out, err = _consoles(no_color)
    result = solved({name: value for name, value in flags.items() if value is not None})
    if plot:
        draw(result, plot)
        err.print(f"picture {plot}", highlight=False)
    if as_json:
        _print_json(result.to_json())
    else:
        out.print(report(result))


@cli.command()
@click.option("--problems", type=int, required=True, help="Problems of the benchmark.")
@click.option("--samples", type=int, required=True, help="Completions of each problem.")
@click.option("--base", type=float, required=True, help="The base's pass@1, 0.42 say.")
@click.option("--spread", type=float, default=0.5, show_default=True, help="0: problems alike.")
@click.option("--agreement", type=float, default=0.9, show_default=True, help="Before and after.")
@click.option("--tests", type=int, default=1, show_default=True, help="Tests that Holm corrects.")
@output_options
def power(as_json: bool, no_color: bool, **plan: Any) -> None:
    """How large a gain a comparison could see: plan it before you pay for it."""
    from ssd_eval.power import Plan, power_curve, power_sheet

    found = power_curve(Plan(**plan))
    if as_json:
        _print_json(found.to_json())
        return
    from ssd_eval.table_formats import printed

    _consoles(no_color)[0].print(printed(power_sheet(found)))


@cli.command()
@click.option(
    "--data-dir", metavar="DIR", envvar="SSD_EVAL_DATA_DIR", help="Where benchmark files are."
)
@output_options
def benchmarks(as_json: bool, no_color: bool, data_dir: str | None) -> None:
    """List the benchmarks: counts, windows, hashes, and where the data is or would come from."""
    from ssd_eval.listing import benchmark_rows, benchmark_table

    rows = benchmark_rows(data_dir)
    if as_json:
        _print_json(rows)
    else:
        _consoles(no_color)[0].print(benchmark_table(rows))


@cli.command()
@output_options
def presets(as_json: bool, no_color: bool) -> None:
    """List the presets: decoding and training settings by model."""
    from ssd_eval.listing import preset_rows

    _print_rows(preset_rows(), as_json, _consoles(no_color)[0])


@cli.command()
@click.argument("name")
@_data_options(alone=True)
@click.option("--limit", type=int, help="Check the first so many problems.")
@sandbox_options
@output_options
def validate(name: str, as_json: bool, no_color: bool, **settings: Any) -> None:
    """Prove a benchmark's grader: references pass, empty and cheating programs fail."""
    from ssd_eval.validate import validate as prove

    out, err = _consoles(no_color)
    proof = prove(name, progress=_bars(err), **settings)
    if as_json:
        _print_json(proof.to_json())
    else:
        out.print(proof.table())
    sys.exit(0 if proof.ok else 1)


@cli.command()
@output_options
def doctor(as_json: bool, no_color: bool) -> None:
    """Check the installation, the sandbox and the machine."""
    from ssd_eval.doctor import diagnose
    from ssd_eval.listing import check_rows

    checks = diagnose()
    _print_rows(check_rows(checks), as_json, _consoles(no_color)[0])
    sys.exit(0 if all(check.ok for check in checks) else 1)


def _consoles(no_color: bool) -> tuple[Console, Console]:
    from rich.console import Console

    color = True if no_color else None
    return Console(no_color=color, highlight=False), Console(stderr=True, no_color=color)


def _bars(console: Console) -> Any:
    from ssd_eval.progress import Bars

    return Bars(console)


def _opened(flags: dict[str, Any], run_dir: Path | None, err: Console) -> Any:
    """The run of these flags: settings resolved, sandbox up, folder open."""
    import os

    from ssd_eval.config import cores, resolve
    from ssd_eval.launch import default_folder, opened

    workers = flags.pop("workers", None) or cores()
    given = {name: value for name, value in flags.items() if value is not None}
    file = given.pop("config", None)
    config: RunConfig = resolve(given, config_file=file, environ=os.environ).config
    folder = run_dir or default_folder(config)
    err.print(f"run folder {folder}", highlight=False)
    _Interrupted.hint = "repeat the command to continue"
    return opened(config, folder, argv=sys.argv[1:], progress=_bars(err), workers=workers)


def _rendered(run: Any, result: Any, published: Any, folder: Path) -> Path:
    """Tables, pictures and page of a sweep's result, with what `claims` left; the page's file."""
    from ssd_eval.plots import sweep_plot
    from ssd_eval.problem_plots import problems_plot
    from ssd_eval.reach import of_sweep
    from ssd_eval.reach_plot import reach_plot
    from ssd_eval.report import carried, write
    from ssd_eval.sweep_sheets import sweep_sheets
    from ssd_eval.table_formats import read

    sheets = sweep_sheets(result, published)
    others = read(run.folder / "tables", but={each.slug for each in sheets})
    _written(folder, [*sheets, *others])
    plots = folder / "plots"
    pictures = {*carried(run.folder / "plots", plots)}
    pictures |= {*sweep_plot(result, plots), *problems_plot(result, plots)}
    if found := of_sweep(result):
        pictures |= {*reach_plot(*found, plots, "pass-at-k")}
    return write(run, result, [*sheets, *others], folder, pictures=pictures)


def _written(folder: Path, sheets: Sequence[Any]) -> None:
    from ssd_eval.table_formats import write

    write(sheets, folder / "tables")


def _published(config: RunConfig, result: Any, err: Console) -> Any:
    from ssd_eval.paper import published

    setup = result.setup
    found = published(config.base, setup.window, setup.problems)
    if not found:
        err.print(
            f"--paper-numbers: the paper has none for {config.base} on {setup.window} with "
            f"{setup.problems} problems",
            highlight=False,
        )
    return found


def _print_run(result: SweepResult, folder: Path) -> None:
    from ssd_eval.examination import written

    more = {"positions": written(folder), "run": str(folder)}
    _print_json({**result.to_json(), **more})


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, allow_nan=False))


def _print_summary(summary: dict[str, object], as_json: bool, out: Console) -> None:
    if as_json:
        _print_json(summary)
        return
    for name, value in summary.items():
        out.print(f"{name}: {value}")


def _print_rows(rows: Sequence[dict[str, object]], as_json: bool, out: Console) -> None:
    if as_json:
        _print_json(list(rows))
        return
    from ssd_eval.listing import table

    out.print(table(rows))


class _Interrupted:
    """What to tell a user who pressed Ctrl-C; a run in a folder says how it continues."""

    hint = "nothing was lost"


def _failed(error: BaseException) -> int:
    """Prints one line for an expected error, a traceback's place for another; the exit code."""
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        click.echo(f"ssd-eval: {error}", err=True)
        return code
    log = Path("ssd-eval-error.log")
    try:
        log.write_text("".join(traceback.format_exception(error)))
        place = f"traceback in {log}"
    except OSError:
        traceback.print_exception(error)
        place = "traceback above"
    click.echo(f"ssd-eval: {type(error).__name__}: {error} ({place}); please report it", err=True)
    return 1


def main() -> None:
    """The console script."""
    # Read when torch loads OpenMP: threads that wait by spinning take forty times longer as soon as
    # another process holds a core (perf/waiting.py).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = cli.main(prog_name="ssd-eval", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"ssd-eval: interrupted; {_Interrupted.hint}", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        sys.exit(_failed(error))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
