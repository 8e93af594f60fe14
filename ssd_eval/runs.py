"""The run folders below a directory, for `ssd-eval runs`: what each is, and what it found.

Reads manifests and the tables that a sweep left; loads no records, so that many large runs list at
once. Judges nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval import manifest
from ssd_eval.errors import RunFolderError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

MAIN = Path("tables", "main.json")
ALL = "pass@1 all"  # the main table's column


@dataclass(frozen=True)
class Listed:
    """`when` is the manifest's last change, local time. pass@1 in [0, 1], where a sweep left it."""

    name: str
    status: str
    base: str | None
    benchmark: str | None
    when: str
    base_pass_1: float | None
    distilled_pass_1: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def listed(root: Path) -> list[Listed]:
    """The newest first. Raises UsageError where `root` is no directory."""
    if not root.is_dir():
        raise UsageError(f"{root} is no directory; give the one that holds your run folders")
    folders = [path.parent for path in root.glob(f"*/{manifest.MANIFEST}")]
    if (root / manifest.MANIFEST).exists():
        folders.append(root)
    return sorted(map(_row, folders), key=lambda row: (row.when, row.name), reverse=True)


def runs_table(rows: Sequence[Listed]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in ("run", "status", "base", "benchmark", "when", "pass@1 %"):
        table.add_column(name, overflow="fold")
    for row in rows:
        known = (row.base or "–", row.benchmark or "–", row.when.replace("T", " "), _gain(row))
        table.add_row(*map(Text, (row.name, row.status, *known)))
    return table


def _row(folder: Path) -> Listed:
    when = datetime.fromtimestamp((folder / manifest.MANIFEST).stat().st_mtime)
    stamp = when.isoformat(timespec="minutes")
    try:
        held = manifest.read(folder) or {}
    except RunFolderError:
        return Listed(folder.name, "unreadable", None, None, stamp, None, None)
    config = held.get("config")
    known = config if isinstance(config, dict) else {}
    base = Path(str(known["base"])).name if "base" in known else None
    status = str(held.get("status", "unknown"))
    before, after = _pass_1(folder / MAIN) if status == "finished" else (None, None)
    return Listed(folder.name, status, base, known.get("benchmark"), stamp, before, after)


def _pass_1(path: Path) -> tuple[float | None, float | None]:
    """Base's and distilled's, from the first two rows of the main table."""
    try:
        base, distilled = json.loads(path.read_bytes())["rows"][:2]
        return base[ALL]["mean"], distilled[ALL]["mean"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _gain(row: Listed) -> str:
    if row.base_pass_1 is None or row.distilled_pass_1 is None:
        return "–"
    return f"{100 * row.base_pass_1:.1f} → {100 * row.distilled_pass_1:.1f}"
