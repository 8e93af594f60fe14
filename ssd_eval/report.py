"""`report.html`: one offline page of a sweep. The verdict in words first, then tables, pictures,
every problem with its completions, settings, environment and the command.

Up to EMBEDDED characters of completions stand in the page itself; more go into side files, each
loaded when its problem is opened, so that a large run opens at once. Text of models and problems is
escaped by Jinja, or packed (`report_data`) and put into text nodes alone; a content security policy
admits this page's own script and style. Computes no statistics.
"""

from __future__ import annotations

import base64
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval import report_data, table_formats, wording
from ssd_eval.lock import writing
from ssd_eval.tokenview import TEMPLATES, embedded, policy_hash

if TYPE_CHECKING:
    from ssd_eval.recorded import RecordedRun
    from ssd_eval.report_data import Shown
    from ssd_eval.results import SweepResult
    from ssd_eval.sheets import Cell, Sheet

PAGE, SIDE = "report.html", "report-data"
EMBEDDED = 30_000_000
HEADLINES = {
    "better": "Self-distillation helped.",
    "worse": "Self-distillation hurt.",
    "inconclusive": "Inconclusive: this run cannot tell whether self-distillation helped.",
}


def write(
    run: RecordedRun,
    result: SweepResult,
    sheets: Sequence[Sheet],
    folder: Path,
    most: int = EMBEDDED,
    pictures: Collection[Path] | None = None,
) -> Path:
    """Writes `report.html`, and `report-data/` where the completions have more characters than
    `most`. Pictures are the SVGs among `pictures`, or all in `folder/plots`. Raises RunFolderError.
    """
    shown = report_data.shown(run)
    split = shown.characters > most
    blocks = _blocks(shown)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder / SIDE)
        if split:
            _write_sides(folder / SIDE, blocks)
        drawn = (folder / "plots").glob("*.svg") if pictures is None else pictures
        text = page(run, result, sheets, list(drawn), shown, [] if split else list(blocks))
        (folder / PAGE).write_text(text, encoding="utf-8", errors="replace")
    return folder / PAGE


def page(
    run: RecordedRun,
    result: SweepResult,
    sheets: Sequence[Sheet],
    drawn: Collection[Path],
    shown: Shown,
    blocks: Sequence[str],
) -> str:
    """The whole page. Without `blocks` it asks for side files."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    script, style = ((TEMPLATES / name).read_text() for name in ("report.js", "report.css"))
    held = run.store.manifest
    return environment.get_template("report.html").render(
        title=f"{Path(run.config.base).name}: self-distilled on {wording.on(result)}",
        word=result.main[0].groups[0].verdict,
        headline=HEADLINES[result.main[0].groups[0].verdict],
        verdicts=[wording.verdict(each) for each in result.main],
        warnings=[*wording.warnings(result), *_changed(run)],
        scope=_scope(run, result),
        tables=[_table(sheet) for sheet in sheets],
        pictures=list(_pictures(drawn)),
        commands=[shlex.join(["ssd-eval", *argv]) for argv in _commands(held)],
        settings=run.config.to_json(),
        environment=dict(_flat(held, ("environment", "sandbox", "benchmark", "training"))),
        fingerprints=run.fingerprints,
        index=embedded({**report_data.index(shown, result), "side": SIDE}),
        blocks=blocks,
        script=script,
        style=style,
        policy=f"default-src 'none'; img-src data:; style-src '{policy_hash(style)}'; "
        f"script-src '{policy_hash(script)}' 'strict-dynamic'",
    )


def _blocks(shown: Shown) -> Iterator[str]:
    """In the order of the index."""
    for problem in shown.run.problems:
        if problem.id in shown.drawn:
            yield report_data.block(shown, problem)


def _write_sides(folder: Path, blocks: Iterator[str]) -> None:
    folder.mkdir(exist_ok=True)
    for place, block in enumerate(blocks):
        (folder / f"{place}.js").write_text(f'ssdEvalBlock({place},"{block}")\n')


def _clear(folder: Path) -> None:
    """Of an earlier page's side files, and of nothing else."""
    for path in folder.glob("[0-9]*.js"):
        path.unlink()


def _scope(run: RecordedRun, result: SweepResult) -> str:
    setup = result.setup
    return (
        f"{wording.counted(setup.problems, 'problem')} of {wording.on(result)}, "
        f"{wording.counted(setup.samples, 'sample')} of each at each decoding; sandbox tier "
        f"{setup.tier}, verdict profile {setup.profile}; {result.cost.seconds:,.0f} s in all"
    )


def _changed(run: RecordedRun) -> Iterator[str]:
    if run.changed:
        count = wording.counted(len(run.changed), "problem")
        yield f"{count} changed since the run: statements and tests shown here are those of now"


def _table(sheet: Sheet) -> dict[str, Any]:
    return {
        "title": sheet.title,
        "heads": [column.heading for column in sheet.columns],
        "rows": [[_cell(cell, sheet.compact) for cell in row] for row in sheet.rows],
        "notes": table_formats.notes(sheet),
        "latex": table_formats.latex(sheet),
        "markdown": table_formats.markdown(sheet),
    }


def _cell(cell: Cell, compact: bool) -> dict[str, Any]:
    first, *rest = table_formats.lines(cell, compact)
    return {"first": first, "rest": rest, "verdict": getattr(cell, "verdict", None) or ""}


def carried(source: Path, folder: Path) -> list[Path]:
    """The pictures in `source`, copied into `folder` where that is another: those of `claims`,
    `grid` and `positions` need more than a sweep's records to be drawn again."""
    files = [path for path in sorted(source.glob("*")) if path.suffix in (".png", ".svg")]
    if not files or (folder.exists() and folder.samefile(source)):
        return files
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copyfile(path, folder / path.name)) for path in files]


def _pictures(drawn: Collection[Path]) -> Iterator[tuple[str, str]]:
    """Name and data URI. As images, so that no picture's own style or script counts."""
    for path in sorted(path for path in drawn if path.suffix == ".svg"):
        data = base64.b64encode(path.read_bytes()).decode()
        yield path.stem, f"data:image/svg+xml;base64,{data}"


def _commands(held: Mapping[str, Any]) -> list[list[str]]:
    """Every command that made the folder what it is, in order."""
    found = [each["argv"] for each in held.get("earlier", ()) if "argv" in each]
    return [*found, held.get("argv", [])]


def _flat(held: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Nested fields as dotted names."""
    for name in names:
        value = held.get(name)
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", each) for key, each in _flat(value, list(value)))
        elif value is not None:
            yield name, value
