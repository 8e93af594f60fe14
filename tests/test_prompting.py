"""Prompt style, system message and thinking mode as settings: what they change and what refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_lcb import rows, write
from test_lcb_cli import ssd_eval

from benchmarks import livecodebench
from benchmarks.prompts import system_message
from ssd_eval.backends.chat import ChatTokenizer
from ssd_eval.backends.fake import FakeBackend
from ssd_eval.checkpoint import load_tokenizer, thinking_mode
from ssd_eval.config import resolve
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import CheckpointError
from ssd_eval.sample import Prompting, plan

PROBLEM = livecodebench.problem(dict(rows("test6.jsonl")[0]))
SWITCHED = (
    "{{ messages[0].content }}"
    "{% if not enable_thinking | default(true) %}<think></think>{% endif %}"
)


def requested(prompt: str = "simple", **settings: bool) -> tuple[str, str]:
    """The prompt's text and the decoding digest."""
    backend = FakeBackend({PROBLEM.id: ["x"]})
    how: Prompting = {
        "prompt_style": prompt,
        "system": system_message(prompt, settings.get("system")),
        "thinking": settings.get("thinking"),
    }
    (request,) = plan(
        [PROBLEM], DecodingConfig(1.0, 0, 1.0), **how, samples=1, max_tokens=9, seed=0,
        backend=backend,
    )  # fmt: skip
    return backend.decode(request.prompt_ids), request.key.decoding


def test_each_of_them_changes_prompt_and_decoding_digest() -> None:
    made = [requested(), requested("official"), requested("official", system=False),
            requested("paper"), requested("paper", system=True), requested(thinking=True),
            requested(thinking=False)]  # fmt: skip
    assert len({text for text, _ in made}) == len(made)
    assert len({digest for _, digest in made}) == len(made)


def test_what_leaves_the_prompt_alone_leaves_the_digest_alone() -> None:
    assert requested("paper") == requested("paper", system=False)
    assert requested("official") == requested("official", system=True)


def test_a_template_with_a_thinking_mode_is_told() -> None:
    tokenizer = load_tokenizer("organism")
    tokenizer.chat_template = SWITCHED
    chat = ChatTokenizer(tokenizer, None)
    asked = [{"role": "user", "content": "add"}]
    texts = {mode: chat.decode(chat.encode(asked, mode)) for mode in (None, True, False)}
    assert texts[None] == texts[True]
    assert texts[False] == texts[True] + "<think></think>"


def test_a_template_without_one_refuses_either_flag() -> None:
    assert thinking_mode("{{ messages }}", None) == {}
    for mode in (True, False):
        with pytest.raises(CheckpointError, match="no thinking mode to turn on or off"):
            thinking_mode("{{ messages }}", mode)


def test_they_come_from_file_environment_and_flags_alike(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('prompt = "paper"\nsystem = true\nthinking = false\ntests = "private"\n')
    by_file = resolve({}, config_file=file, environ={}).config
    variables = {"SSD_EVAL_PROMPT": "paper", "SSD_EVAL_SYSTEM": "true",
                 "SSD_EVAL_THINKING": "false", "SSD_EVAL_TESTS": "private"}  # fmt: skip
    by_variable = resolve({}, environ=variables).config
    flags = {"prompt": "paper", "system": True, "thinking": False, "tests": "private"}
    by_flag = resolve(flags, environ={}).config
    assert by_file == by_variable == by_flag
    assert by_flag.digest() != resolve({}, environ={}).config.digest()


def test_a_run_is_not_continued_with_another_wording(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "test6.jsonl")
    (tmp_path / "base.json").write_text(json.dumps({PROBLEM.id: ["x"]}))
    style = tmp_path / "style.j2"
    style.write_text("{{ statement }}")
    arguments = ["eval", "--base", tmp_path / "base.json", "--preset", "organism", "--backend",
                 "fake", "--samples", 1, "--k", 1, "--t-eval", 1, "--limit", 1, "--benchmark",
                 "lcb:v6-v6", "--data-dir", folder, "--prompt", style,
                 "--run-dir", tmp_path / "run"]  # fmt: skip
    assert ssd_eval(*arguments).returncode == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["prompts"]["style"] == str(style)
    assert len(manifest["prompts"]["wording"]) == 16
    style.write_text("{{ statement }} Be brief.")
    again = ssd_eval(*arguments)
    assert (again.returncode, again.stdout) == (2, "")
    assert "the wording of prompts has changed since" in again.stderr


def test_a_real_checkpoint_records_its_template_and_refuses_a_mode_it_lacks(
    tmp_path: Path,
) -> None:
    done = ssd_eval("eval", "--samples", 1, "--k", 1, "--t-eval", 1, "--limit", 1,
                    "--no-thinking", "--run-dir", tmp_path / "run")  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "no thinking mode to turn on or off (enable_thinking)" in done.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert len(manifest["chat_template"]) == 16


def test_an_unknown_style_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text('{"p": ["x"]}')
    done = ssd_eval("eval", "--base", tmp_path / "base.json", "--preset", "organism", "--backend",
                    "fake", "--prompt", "chatty", "--run-dir", tmp_path / "run")  # fmt: skip
    assert done.returncode == 2
    assert "unknown prompt style 'chatty'; known styles: simple, official, paper" in done.stderr
    assert not (tmp_path / "run").exists()
