"""Agreement on real samples against plain forward passes, and calibration where it is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

import cli
from ssd_eval import finished
from ssd_eval.agreement import Analysis, analysed
from ssd_eval.checkpoint import load_model
from ssd_eval.decoding import DecodingConfig, truncate
from ssd_eval.errors import SsdEvalError, UsageError
from ssd_eval.prefix_tree import END, Node
from ssd_eval.progress import Silent
from ssd_eval.ratios import change, ratio
from ssd_eval.redundancy import NUCLEUS, entropy_among
from ssd_eval.redundancy_report import draw
from tests.finished_run import SAMPLES, finished_run

SETTINGS = {"problem": None, "partings": 8, "device": "cpu", "dtype": "auto", "plot": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    return analysed(folder, t_eval=1.0, progress=Silent(), **SETTINGS)  # type: ignore[arg-type]


def test_every_choice_equals_a_plain_forward_pass(folder: Path, analysis: Analysis) -> None:
    from ssd_eval.backends import load

    run = finished.read(folder)
    prompts = run.prompts(load("hf", "organism"))
    models = {role: load_model(run.checkpoints[role][0]) for role in finished.ROLES}
    for role in finished.ROLES:
        samples = run.samples[role, DecodingConfig(1.0, 20, 0.8)]
        for choice in analysis.result.sides[role].choices[::17]:
            sampled = samples[choice.problem][choice.node.members[0]]
            ids = prompts[choice.problem] + sampled.token_ids[: choice.node.depth]
            with torch.inference_mode():
                logits, base = (
                    models[name](torch.tensor([ids])).logits[0, -1].double()
                    for name in (role, "base")
                )
            p, q = logits.softmax(-1), truncate(logits, sampled.decoding).exp()
            assert choice.entropy == pytest.approx(float(-(p * p.log()).sum()), abs=1e-4)
            assert choice.collision == pytest.approx(float((q**2).sum()), abs=1e-4)
            assert choice.unanimity == pytest.approx(
                float((q**choice.node.samples).sum()), abs=1e-4
            )
            assert all(choice.likeliest[t] > 0 for t in choice.node.counts if t != END)
            kept = int((truncate(base, NUCLEUS) > -torch.inf).sum())
            assert choice.kind == ("lock" if kept <= 2 else "fork")


def test_agreement_is_higher_at_locks_than_at_forks(analysis: Analysis) -> None:
    for side in analysis.result.sides.values():
        lock, fork = (side.kinds[kind].pairs.mean for kind in ("lock", "fork"))
        assert lock is not None
        assert fork is not None
        assert lock > fork + 0.2
        assert sum(part.nodes for part in side.kinds.values()) == side.all.nodes
        assert sum(band.nodes for band in side.bands) == len(side.choices)


def test_where_one_token_is_left_all_samples_take_it(analysis: Analysis) -> None:
    for side in analysis.result.sides.values():
        singles = [c for c in side.choices if c.collision == 1.0]
        assert singles
        assert all(c.node.unanimous for c in singles)


def test_pairs_of_draws_estimate_the_collision_probability() -> None:
    """The estimator is unbiased at any number of samples: here exactly, over all outcomes of 3."""
    q = np.array([0.5, 0.3, 0.2])
    expected = 0.0
    for outcome in np.ndindex(3, 3, 3):
        counts = {int(t): outcome.count(t) for t in set(outcome)}
        node = Node(0, (0, 1, 2), counts)
        expected += float(np.prod(q[list(outcome)])) * node.agreeing_pairs / node.pairs
    assert expected == pytest.approx(float((q**2).sum()))


def test_entropy_among_samples_corrects_for_their_number() -> None:
    assert entropy_among(Node(0, (0, 1, 2), {1: 3})) == 0
    assert entropy_among(Node(0, (0, 1), {1: 1, 2: 1})) == pytest.approx(np.log(2) + 0.25)


def test_a_ratio_of_one_cluster_has_no_interval_however_many_others_are_empty() -> None:
    one = ratio([0.0, 0.0, 0.0], [9.0, 0.0, 0.0], ["a", "b", "c"])
    assert (one.mean, one.low, one.high) == (0.0, None, None)
    both = ([5.0, 3.0, 0.0], [9.0, 9.0, 0.0])
    assert ratio(*both, ["a", "b", "c"]) == ratio(both[0][:2], both[1][:2], ["a", "b"])
    assert change(([0.0, 0.0], [9.0, 0.0]), ([5.0, 3.0], [9.0, 9.0]), ["a", "b"]).low is None


def test_ratios_interval_covers_and_is_clustered() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        level = rng.beta(8, 2, size=40)
        wholes = rng.integers(5, 60, size=40)
        parts = rng.binomial(wholes, level)
        found = ratio(parts.tolist(), wholes.tolist(), [str(i) for i in range(40)])
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.8 <= found.high
    assert 0.91 <= covered / 300 <= 0.99
    twice = ratio([1, 1, 0, 0], [2, 2, 2, 2], ["a", "a", "b", "b"])
    alone = ratio([1, 1, 0, 0], [2, 2, 2, 2], ["a", "b", "c", "d"])
    assert twice.high is not None
    assert alone.high is not None
    assert twice.high > alone.high


def test_change_of_equal_sides_is_zero_without_width() -> None:
    sums = ([3.0, 5.0, 2.0], [4.0, 9.0, 4.0])
    found = change(sums, sums, ["a", "b", "c"])
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert ratio([0.0], [0.0], ["a"]).mean is None


def test_report_is_80_columns_and_steers_no_terminal(analysis: Analysis, tmp_path: Path) -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(analysis.report())
    text = captured.get()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text
    assert f"two of {SAMPLES} samples" in text
    assert "[a]" in text
    draw(analysis.result, tmp_path / "red.png")
    assert (tmp_path / "red.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_plain_and_whole(analysis: Analysis) -> None:
    value = json.loads(json.dumps(analysis.result.to_json(), allow_nan=False))
    assert len(value["sides"]["base"]["choices"]) == len(analysis.result.sides["base"].choices)
    assert [row["decoding"]["temperature"] for row in value["temperatures"]] == [1.0, 1.5]


def invoke(*arguments: object) -> SsdEvalError:
    done = CliRunner().invoke(cli.cli, ["redundancy", *map(str, arguments)])
    assert isinstance(done.exception, SsdEvalError), done.output
    assert done.exception.exit_code == 2
    assert "\n" not in str(done.exception)
    return done.exception


def test_bad_input_is_one_line_with_the_fix(folder: Path, tmp_path: Path) -> None:
    assert "no run folder" in str(invoke(tmp_path))
    assert "1, 1.5" in str(invoke(folder, "--t-eval", "0.3"))
    assert "no problem" in str(invoke(folder, "--problem", "nope"))
    assert ".png" in str(invoke(folder, "--plot", "x.txt"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": "interrupted"}, "not finished"),
        ({"format": 99}, "format 99"),
        ({"training": None}, "no two checkpoints"),
        ({"config": {"benchmark": 3}}, "no two checkpoints"),
        ({"training": {"fingerprint": "0" * 16}}, "no decoding at which both"),
    ],
)
def test_unfit_folder_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    held = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**held, **change}))
    assert says in str(invoke(other))


def test_a_corrupt_line_is_named(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    lines = (other / "completions.jsonl").read_text().splitlines()
    lines[3] = lines[3][:40]
    (other / "completions.jsonl").write_text("\n".join(lines) + "\n")
    assert "line 4 is corrupt" in str(invoke(other))


def test_another_prompt_is_refused(folder: Path) -> None:
    run = finished.read(folder)

    class Other:
        def encode(self, messages: list[dict[str, str]]) -> tuple[int, ...]:
            return (1, 2, 3)

    with pytest.raises(UsageError, match="is not the one"):
        run.prompts(Other())  # type: ignore[arg-type]
