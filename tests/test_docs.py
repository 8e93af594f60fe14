"""Commands in the documents exist, with the flags they show; links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

import cli

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


@pytest.mark.parametrize("target", ["install", "sweep", "test", "test-slow", "lint", "types"])
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
