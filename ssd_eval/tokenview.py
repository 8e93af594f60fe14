"""The token view: one self-contained HTML page of a run's positions, read from a file, offline.

Completions' tokens, base and distilled side by side, coloured by entropy, support or change, with
the likeliest tokens before and after truncation. Everything that a model or a problem wrote is
data: it goes into one JSON block, out of which no text can break, and the page's script puts it
into text nodes alone. A content security policy admits this page's own script and style and
nothing else. Computes nothing that `positions` does not hold.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval import positions
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.positions import MODELS, PLANTED, SYNTAX, Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssd_eval.locks import Rule

TEMPLATES = Path(__file__).parent / "templates"
POSITIONS = "positions"  # the folder within a run
LIMIT = 40
MOST_TOKENS = 30_000  # about 0.6 kB each: a page of 18 MB
DIGITS = 4
LOWEST = -99.0  # stands for log 0, which JSON has not
Piece = Callable[[int], str]


@dataclass(frozen=True)
class View:
    """What was written: `shown` of `found` completions."""

    file: Path
    shown: int
    found: int


def write(
    run: Path,
    out: Path | None,
    *,
    rule: str = "nucleus",
    threshold: float | None = None,
    limit: int = LIMIT,
) -> View:
    """At most `limit` completions, and as many as fit `MOST_TOKENS`, but at least one.

    Raises RunFolderError, CheckpointError, UsageError with the fix.
    """
    from ssd_eval import locks

    if limit < 1:
        raise UsageError(f"--limit {limit}: show 1 completion or more")
    folder = located(run)
    header = positions.read_header(folder)
    fitted = locks.fitted(rule, folder, threshold=threshold)
    chosen = list(islice(within(spread(folder), MOST_TOKENS), limit))
    if not chosen:
        raise RunFolderError(f"{folder} holds no positions yet; repeat `ssd-eval positions`")
    text = page(header, chosen, fitted, _pieces(header.base))
    file = out or run / "tokens.html"
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {file}: {error.strerror}; give another place") from error
    return View(file, len(chosen), sum(1 for _ in positions.read(folder)))


def located(run: Path) -> Path:
    """A run's positions, or the folder of positions itself."""
    return run if (run / positions.HEADER).exists() else run / POSITIONS


def spread(folder: Path) -> Iterator[positions.Sequence]:
    """The first completion of every problem, then the second ones: few show many problems."""
    paths = sorted(folder.glob("[0-9]*.npz"))
    place, more = 0, True
    while more:
        more = False
        for path in paths:
            held = positions.read_problem(folder, int(path.stem))
            if place < len(held):
                more = True
                yield held[place]
        place += 1


def within(sequences: Iterable[positions.Sequence], tokens: int) -> Iterator[positions.Sequence]:
    """The first ones that have so many tokens together; the very first always."""
    total = 0
    for each in sequences:
        if total and total + len(each.rows) > tokens:
            return
        total += len(each.rows)
        yield each


def _pieces(checkpoint: str) -> Piece:
    from ssd_eval.checkpoint import load_tokenizer

    tokenizer = load_tokenizer(checkpoint)
    return lambda token: str(tokenizer.decode([token], clean_up_tokenization_spaces=False))


def page(header: Header, sequences: Sequence[positions.Sequence], rule: Rule, piece: Piece) -> str:
    """The whole page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    script, style = ((TEMPLATES / name).read_text() for name in ("tokenview.js", "tokenview.css"))
    return environment.get_template("tokenview.html").render(
        title=f"{Path(header.base).name} and {Path(header.distilled).name}: tokens",
        data=embedded(data(header, sequences, rule, piece)),
        script=script,
        style=style,
        policy=f"default-src 'none'; script-src '{policy_hash(script)}'; "
        f"style-src '{policy_hash(style)}'",
    )


def embedded(value: object) -> str:
    """JSON for a script element: no character in it can end the element or start another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def policy_hash(text: str) -> str:
    """What names an inline script or style in a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def data(
    header: Header, sequences: Sequence[positions.Sequence], rule: Rule, piece: Piece
) -> dict[str, Any]:
    """What the script reads. Token texts stand once, in `vocabulary`."""
    tokens = {int(t) for each in sequences for m in MODELS for t in each.rows[m]["top_ids"].flat}
    return {
        "base": header.base,
        "distilled": header.distilled,
        "tokens": header.tokens,
        "rule": str(rule),
        "decodings": [
            {"name": str(d), "greedy": d.temperature == 0, "t": max(d.temperature, 0.01)}
            for d in header.decodings
        ],
        "syntax": SYNTAX,
        "planted": PLANTED,
        "vocabulary": {str(token): piece(token) for token in sorted(tokens - {-1})},
        "sequences": [_sequence(each, rule) for each in sequences],
    }


def _sequence(each: positions.Sequence, rule: Rule) -> dict[str, Any]:
    return {
        "problem": each.problem,
        "sample": each.sample,
        "decoding": each.decoding,
        "prompt": each.prompt,
        "pieces": each.pieces,
        "token": each.rows["token"].tolist(),
        "fork": rule.forks(each.rows).astype(int).tolist(),
        "syntax": each.rows["syntax"].tolist(),
        "planted": each.rows["planted"].tolist(),
        "kl": _rounded(each.rows["kl"]),
        **{name: _model(each.rows[name]) for name in MODELS},
    }


def _model(record: NDArray[Any]) -> dict[str, Any]:
    return {
        **{name: record[name].tolist() for name in ("rank", "support", "top_ids")},
        **{name: _rounded(record[name]) for name in
           ("logprob", "entropy", "kept", "sampled", "power", "top_logprob")},
    }  # fmt: skip


def _rounded(values: NDArray[Any]) -> list[Any]:
    import numpy as np

    finite = np.nan_to_num(values.astype(np.float64), neginf=LOWEST)
    rounded: list[Any] = np.round(finite, DIGITS).tolist()
    return rounded
