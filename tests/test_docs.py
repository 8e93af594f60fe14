"""Commands in the documents exist, with the flags they show; links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import cli
from ssd_eval.config import EXTENSIBLE, INCIDENTAL, QUICK, RunConfig, resolve

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.split("#")[0].strip() for line in lines if "ssd-eval " in line]
    return [line for line in found if line]


def test_documents_show_commands() -> None:
    assert len(commands()) > 8


@pytest.mark.parametrize("line", commands())
def test_shown_command_exists_with_its_flags(line: str) -> None:
    words = shlex.split(line[line.index("ssd-eval ") :])
    name, arguments = words[1], words[2:]
    assert name in cli.cli.commands, line
    command = cli.cli.commands[name]
    known = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)}
    flags = {word.split("=")[0] for word in arguments if word.startswith("-")}
    assert flags <= known, line


@pytest.mark.parametrize(
    "target", ["install", "sweep", "test", "test-slow", "test-browser", "lint", "types"]
)
def test_make_targets_of_the_documents_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()


def test_every_command_has_help() -> None:
    assert all(isinstance(c, click.Command) and c.help for c in cli.cli.commands.values())


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shown(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def settings_table() -> str:
    resolved = resolve({}, environ={})
    rows = []
    for name, field in RunConfig.model_fields.items():
        kind = "extends" if name in EXTENSIBLE else "free" if name in INCIDENTAL else "new run"
        of_preset = resolved.sources[name] != "default"
        default = "*preset*" if of_preset else shown(getattr(resolved.config, name))
        rows.append((f"`{name}`", default, str(field.description), kind))
    return table(("setting", "default", "what it is", "continue"), rows)


def quick_table() -> str:
    return table(("setting", "value"), [(f"`{n}`", shown(v)) for n, v in QUICK.items()])


@pytest.mark.parametrize(("mark", "makes"), [("settings", settings_table), ("quick", quick_table)])
def test_tables_of_settings_are_what_the_code_says(mark: str, makes: Callable[[], str]) -> None:
    """To write them again: `python tests/test_docs.py`."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert f"<!-- {mark} -->\n{makes()}<!-- /{mark} -->" in page


@pytest.mark.parametrize("name", sorted(RunConfig.model_fields))
def test_every_setting_is_a_flag_of_sweep(name: str) -> None:
    flags = {option for each in cli.sweep.params for option in each.opts}
    assert f"--{name.replace('_', '-')}" in flags


def test_every_flag_of_a_run_is_a_setting_or_named_as_flag_alone() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    for each in cli.sweep.params:
        if each.name not in RunConfig.model_fields:
            assert f"`{each.opts[0]}" in page, each.opts


def write_tables() -> None:
    page = ROOT / "docs" / "configuration.md"
    text = page.read_text()
    for mark, makes in (("settings", settings_table), ("quick", quick_table)):
        pattern = rf"<!-- {mark} -->.*?<!-- /{mark} -->"
        fresh = f"<!-- {mark} -->\n{makes()}<!-- /{mark} -->"
        text = re.sub(pattern, lambda _, fresh=fresh: fresh, text, flags=re.DOTALL)  # type: ignore[misc]
    page.write_text(text)


if __name__ == "__main__":
    write_tables()
