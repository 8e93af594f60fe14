"""Redundancy as tables of 80 columns, as code marked where samples part, and as a picture.

Computes nothing but the text around a parting.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval.errors import UsageError
from ssd_eval.finished import ROLES, Role
from ssd_eval.prefix_tree import END
from ssd_eval.ratios import Ratio
from ssd_eval.redundancy import KINDS, RULE, Agreement, Band, Choice, Redundancy, Side

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from ssd_eval.records import Completion

Piece = Callable[[int], str]  # a token's text
Samples = Mapping[Role, Mapping[str, Sequence["Completion"]]]
COLOURS: dict[Role, str] = {"base": "#0072B2", "distilled": "#D55E00"}  # Okabe and Ito
NAMES: dict[Role, str] = {"base": "base", "distilled": "+SSD"}
CONTEXT = 22  # characters before a parting
BRANCHES = 4
MARKS = "abcdefghijklmnopqrstuvwxyz"
PICTURES = (".png", ".svg", ".pdf")


def report(
    result: Redundancy, samples: Samples, piece: Piece, *, problem: str | None, partings: int
) -> RenderableType:
    """`problem`: whose code is shown; None for the one with the most partings at the base."""
    from rich.console import Group

    shown = problem or _most_parted(result.sides["base"])
    codes = [_code(result.sides[role], samples[role], shown, piece) for role in ROLES]
    return Group(
        _agreement(result),
        RULE + "\n",
        _temperatures(result),
        *(_calibration(result.sides[role], result) for role in ROLES),
        "predicted: from the sampler's own distribution, Σq² for a pair, Σq^m for all m\n",
        *(_partings(result.sides[role], samples[role], piece, partings) for role in ROLES),
        *codes,
    )


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place == 0 else "right")
    return table


def _share(value: Ratio, sign: str = "") -> str:
    if value.mean is None:
        return "–"
    mean = f"{100 * value.mean:{sign}.1f}"
    if value.low is None or value.high is None:
        return mean
    return f"{mean} [{100 * value.low:{sign}.1f}, {100 * value.high:{sign}.1f}]"


def _agreement(result: Redundancy) -> Table:
    """Claim 1 of the article in one table."""
    table = _table(
        f"how often two of {result.samples} samples agree on the next token, %\n"
        f"{result.problems} problems at {result.decoding}",
        "where", "base", "+SSD", "change, pp",
    )  # fmt: skip
    sides = [result.sides[role] for role in ROLES]
    rows: dict[str, list[Agreement]] = {"all": [side.all for side in sides]}
    for kind in KINDS:
        rows[kind] = [side.kinds[kind] for side in sides]
    for name, parts in rows.items():
        shares = [_share(part.pairs) for part in parts]
        table.add_row(
            f"{name}s" if name != "all" else name, *shares, _share(result.changes[name], "+")
        )
        table.add_row("  all agree", *(_share(part.unanimous) for part in parts), "")
        table.add_row("  nodes", *(str(part.nodes) for part in parts), "", end_section=True)
    return table


def _temperatures(result: Redundancy) -> Table:
    table = _table("pair agreement by T_eval, %", "T_eval", "base", "+SSD", "change, pp")
    for row in result.temperatures:
        table.add_row(
            f"{row.decoding.temperature:g}",
            _share(row.base),
            _share(row.distilled),
            _share(row.change, "+"),
        )
    return table


def _calibration(side: Side, result: Redundancy) -> Table:
    table = _table(
        f"{NAMES[side.role]}: agreement among samples against the model's own entropy, %",
        "nats", "nodes", "pair: pred.", "seen", "all: pred.", "seen",
    )  # fmt: skip
    for band in side.bands:
        predicted, together = band.predicted, band.unanimous_predicted
        table.add_row(
            _nats(band),
            str(band.nodes),
            "–" if predicted is None else f"{100 * predicted:.1f}",
            _share(band.observed),
            "–" if together is None else f"{100 * together:.1f}",
            "–" if band.unanimous.mean is None else f"{100 * band.unanimous.mean:.1f}",
        )
    return table


def _nats(band: Band) -> str:
    if band.low == 0:
        return "0"
    low = "0" if band.low < 0.01 else f"{band.low:g}"
    return f"{low}–{band.high:g}" if band.high < math.inf else f"≥ {low}"


def _most_parted(side: Side) -> str:
    parted: dict[str, int] = {}
    for choice in side.choices:
        parted[choice.problem] = parted.get(choice.problem, 0) + _lost(choice)
    return max(sorted(parted), key=lambda problem: parted[problem])


def _partings(
    side: Side, samples: Mapping[str, Sequence[Completion]], piece: Piece, count: int
) -> Table:
    """The contexts after which the most pairs of samples are lost, over all problems."""
    from rich.text import Text

    title = f"{NAMES[side.role]}: they part here"
    table = _table(title, "after", "next token × samples", "nodes", "nats", "")
    table.columns[1].justify = "left"
    places: dict[str, list[Choice]] = {}
    for choice in side.choices:
        if not choice.node.unanimous:
            places.setdefault(_before(choice, samples[choice.problem], piece), []).append(choice)
    ranked = sorted(places.items(), key=lambda item: -sum(map(_lost, item[1])))
    for before, choices in ranked[:count]:
        counts = sum((Counter(c.node.counts) for c in choices), Counter[int]())
        nats = sum(c.sampled for c in choices) / len(choices)
        kinds = "/".join(sorted({c.kind for c in choices}))
        branches = _branches(dict(counts.most_common()), piece)
        table.add_row(Text(before), branches, str(len(choices)), f"{nats:.2f}", kinds)
    return table


def _lost(choice: Choice) -> int:
    return choice.node.pairs - choice.node.agreeing_pairs


def _before(choice: Choice, completions: Sequence[Completion], piece: Piece) -> str:
    ids = completions[choice.node.members[0]].token_ids[: choice.node.depth]
    text = "".join(piece(token) for token in ids[-CONTEXT:])
    return _visible(text)[-CONTEXT:] or "(start)"


def _branches(counts: Mapping[int, int], piece: Piece) -> Text:
    from rich.text import Text

    cells = [
        f"{_visible(piece(token)) if token != END else '(end)'}×{count}"
        for token, count in counts.items()
    ]
    more = [f"+{len(cells) - BRANCHES}"] if len(cells) > BRANCHES else []
    return Text("  ".join([*cells[:BRANCHES], *more]))


def _visible(text: str) -> str:
    """On one line, and without what would steer a terminal."""
    shown = text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")
    return "".join(c if c.isprintable() else "�" for c in shown)


def _code(
    side: Side, samples: Mapping[str, Sequence[Completion]], problem: str, piece: Piece
) -> RenderableType:
    """The most frequent path's text: bold where all agree, reversed with a mark where they part."""
    from rich.console import Group
    from rich.text import Text

    if problem not in samples:
        known = ", ".join(sorted(samples)[:3])
        raise UsageError(f"no samples of problem {problem!r}; the run has {known}, ...")
    code = Text()
    notes: list[Text] = []
    for choice in _main_path([c for c in side.choices if c.problem == problem]):
        token = next(iter(choice.node.counts))
        text = "" if token == END else _printable(piece(token))
        if choice.node.unanimous:
            code.append(text, "bold")
            continue
        mark = f"[{MARKS[len(notes) % len(MARKS)]}]"
        code.append(mark, "bold reverse")
        code.append(text, "reverse")
        notes.append(Text(f"{mark} {choice.kind}: ").append(_branches(choice.node.counts, piece)))
    title = Text(
        f"{problem}, {NAMES[side.role]}: bold where all agree, marks where they part", "bold"
    )
    return Group(title, code, *notes, "")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def _main_path(choices: Sequence[Choice]) -> list[Choice]:
    """From the root along the most frequent token, as far as two samples share it."""
    path: list[Choice] = []
    members: set[int] = set()
    for choice in choices_by_depth(choices):
        if choice.node.depth != len(path):
            continue
        if not path or set(choice.node.members) <= members:
            path.append(choice)
            members = set(choice.node.members)
    return path


def choices_by_depth(choices: Sequence[Choice]) -> list[Choice]:
    """The larger group first at each depth."""
    return sorted(choices, key=lambda c: (c.node.depth, -c.node.samples, c.node.members))


def check_picture(file: Path) -> None:
    """Raises UsageError for an ending that says no known format."""
    if file.suffix.lower() not in PICTURES:
        raise UsageError(f"--plot {file}: end the name with one of {', '.join(PICTURES)}")


def draw(result: Redundancy, file: Path) -> None:
    """PNG, SVG or PDF by the file's ending. UsageError for another or where it cannot write."""
    check_picture(file)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    calibration, entropy, temperature = figure.subplots(1, 3)
    for role in ROLES:
        _draw_side(calibration, entropy, result.sides[role])
    for axes, label in ((calibration, "a pair of samples agrees, %"), (entropy, "entropy, nats")):
        axes.set(xlabel=f"the model's own: {label}", ylabel=f"among samples: {label}")
        top = max(axes.get_xlim()[1], axes.get_ylim()[1])
        axes.plot([0, top], [0, top], color="0.6", linewidth=1, zorder=1)
        axes.legend(frameon=False, fontsize="small")
    calibration.set_title("calibration", fontsize="medium")
    entropy.set_title("entropy (Miller–Madow)", fontsize="medium")
    _draw_temperatures(temperature, result)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise UsageError(f"--plot {file}: {error.strerror}; give another place") from error


def _draw_side(calibration: Axes, entropy: Axes, side: Side) -> None:
    style: dict[str, Any] = {
        "color": COLOURS[side.role],
        "label": NAMES[side.role],
        "alpha": 0.8,
        "linestyle": "",
        "marker": "o" if side.role == "base" else "s",
    }
    bands = [b for b in side.bands if b.predicted is not None]
    means, lows, highs = _percent([b.observed for b in bands])
    x = [100 * (b.predicted or 0.0) for b in bands]
    bars = [[m - low for m, low in zip(means, lows, strict=True)],
            [high - m for m, high in zip(means, highs, strict=True)]]  # fmt: skip
    calibration.errorbar(x, means, yerr=bars, capsize=2, **style)
    among = [b.entropy_among_samples or 0.0 for b in bands]
    entropy.plot([b.entropy or 0.0 for b in bands], among, **style)


def _percent(ratios: Sequence[Ratio]) -> tuple[list[float], list[float], list[float]]:
    """Means and limits; where an interval cannot be had it narrows to the mean."""
    means = [100 * (r.mean or 0.0) for r in ratios]
    lows = [m if r.low is None else 100 * r.low for m, r in zip(means, ratios, strict=True)]
    highs = [m if r.high is None else 100 * r.high for m, r in zip(means, ratios, strict=True)]
    return means, lows, highs


def _draw_temperatures(axes: Axes, result: Redundancy) -> None:
    temperatures = [row.decoding.temperature for row in result.temperatures]
    for role, style in zip(ROLES, ("o--", "s-"), strict=True):
        means, lows, highs = _percent([getattr(row, role) for row in result.temperatures])
        axes.plot(temperatures, means, style, color=COLOURS[role], label=NAMES[role])
        axes.fill_between(temperatures, lows, highs, color=COLOURS[role], alpha=0.18, linewidth=0)
    axes.set(xlabel="T_eval", ylabel="a pair of samples agrees, %")
    axes.set_title("agreement on the next token", fontsize="medium")
    axes.legend(frameon=False, fontsize="small")
    axes.grid(alpha=0.25)
