"""The printed tables of the lock/fork analysis, for terminals of 80 columns: rich renderables.

Formats what `figure6` and `locks` found; computes no statistics and prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ssd_eval import figure6
from ssd_eval.figure6 import BIN_NAMES, GROUPS, Sums
from ssd_eval.positions import SYNTAX

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ssd_eval.intervals import Estimate
    from ssd_eval.locks import Judged

DASH = "–"
SHOWN_RANKS = (1, 2, 3, 5, 10, 20, 40, 60)
KINDS = ("lock", "fork")


def report(sums: Sums, judged: Sequence[Judged]) -> Group:
    """All tables, the rule first."""
    parts: list[RenderableType] = [*summary(sums), "", *_decodings(sums), "", _ranks(sums), ""]
    parts += [_bins(sums), "", _terms(sums), "", _composition(sums), "", _syntax(sums), ""]
    if judged:
        parts += [_judged(judged), ""]
    return Group(*parts, *_notes(sums))


def summary(sums: Sums) -> Iterator[RenderableType]:
    """Base and distilled at locks and at forks: the table that `sweep` prints too."""
    counts = sums.counts
    yield Text(
        f"locks and forks: {sums.positions:,} positions of {sums.problems} problems "
        f"({sums.header.tokens} tokens), {counts[1]:,} locks, {counts[2]:,} forks",
        style="bold",
    )
    yield Text(f"rule {sums.rule}", style="dim")
    yield Text(f"entropy and top-1 at T = 1; kept and tail by {sums.header.training}", style="dim")
    table = _table("", "base", "+SSD", "Δ [95 %]")
    quantities = (
        ("entropy, nats", "entropy"),
        ("top-1 mass", "top1"),
        ("kept mass", "kept.0"),
        ("tokens kept", "support.0"),
        ("entropy in the tail", "in_tail.0"),
    )
    for kind in KINDS:
        for label, quantity in quantities:
            row = figure6.row(sums, quantity, kind)
            table.add_row(
                f"{kind}: {label}",
                _number(row.base),
                _number(row.distilled),
                _delta(row.difference),
            )
    yield table


def _decodings(sums: Sums) -> Iterator[RenderableType]:
    """Figure 6b and 6c."""
    for name, title in (
        ("support", "tokens kept after truncation (Figure 6b)"),
        ("sampled", "entropy after truncation, nats (Figure 6c)"),
    ):
        yield Text(f"{title}, ± half a 95 % interval", style="bold")
        table = _table(
            "T_eval", *(f"{kind}: {model}" for kind in KINDS for model in ("base", "+SSD"))
        )
        for place, decoding in enumerate(sums.header.evaluation, start=1):
            cells = [
                _halved(sums.estimate(f"{model}.{name}.{place}", kind))
                for kind in KINDS
                for model in ("base", "distilled")
            ]
            table.add_row(f"{decoding.temperature:g}", *cells)
        yield table


def _ranks(sums: Sums) -> Group:
    table = _table("tokens", *(f"{kind}: {model}" for kind in KINDS for model in ("base", "+SSD")))
    for rank in SHOWN_RANKS:
        cells = [
            _small(sums.estimate(f"{model}.beyond.{rank}", kind))
            for kind in KINDS
            for model in ("base", "distilled")
        ]
        table.add_row(str(rank), *cells)
    return _titled("mass outside the likeliest tokens (Figure 6a)", table)


def _bins(sums: Sums) -> Group:
    place = figure6.middle_decoding(sums.header)
    table = _table("top-20 mass, %", "positions", "base", "+SSD", "Δ [95 %]")
    for name in BIN_NAMES:
        row = figure6.row(sums, f"sampled.{place}", name)
        count = int(sums.counts[GROUPS.index(name)])
        cells = (_number(row.base), _number(row.distilled), _delta(row.difference))
        table.add_row(name, f"{count:,}", *cells)
    decoding = sums.header.decodings[place]
    return _titled(f"entropy after truncation by the base's top-20 mass, {decoding} (6d)", table)


def _terms(sums: Sums) -> Group:
    table = _table("term", "lock: Δ", "share", "fork: Δ", "share")
    by_kind = [figure6.shares(sums, kind) for kind in KINDS]
    for pair in zip(*by_kind, strict=True):
        cells = [text for each in pair for text in (_halved(each.difference), _percent(each.share))]
        table.add_row(pair[0].term, *cells)
    whole = [_halved(sums.change("cross_entropy", kind)) for kind in KINDS]
    table.add_row("all", whole[0], "", whole[1], "", style="bold")
    return _titled("the SSD loss in its three terms, distilled less base, nats", table)


def _composition(sums: Sums) -> Group:
    table = _table("T_eval", "T_eff", *(f"{kind}: KL, nats" for kind in KINDS))
    t_train = sums.header.training.temperature
    for place, decoding in enumerate(sums.header.evaluation, start=1):
        if decoding.temperature > 0:
            t = decoding.temperature
            cells = [_small(sums.estimate(f"teff.{place}", kind)) for kind in KINDS]
            table.add_row(f"{t:g}", f"{t * t_train:g}", *cells)
    return _titled("distilled at T_eval against base at T_eff, on the training support", table)


def _syntax(sums: Sums) -> Group:
    table = _table("", "positions", "forks", "entropy: base", "+SSD", "Δ")
    for code, name in enumerate(SYNTAX):
        count = int(sums.counts[GROUPS.index(name)])
        if count:
            row = figure6.row(sums, "entropy", name)
            share = f"{sums.forks_by_syntax[code] / count:.1%}"
            cells = (_number(row.base), _number(row.distilled), _halved(row.difference))
            table.add_row(name, f"{count:,}", share, *cells)
    return _titled("by syntax; Δ ± half a 95 % interval", table)


def _judged(judged: Sequence[Judged]) -> Group:
    table = _table("rule", "lock recall", "precision", "fork recall", "precision")
    for each in judged:
        cells = (each.lock_recall, each.lock_precision, each.fork_recall, each.fork_precision)
        table.add_row(each.rule.name, *map(_percent, cells))
    first = judged[0]
    return _titled(
        f"rules against {first.locks:,} planted locks and {first.forks:,} planted forks", table
    )


def _notes(sums: Sums) -> Iterator[Text]:
    yield Text(
        f"largest residual of the loss's identity: {sums.largest_residual:.1e} nats, and "
        f"{sums.largest_relative_residual:.1e} of a position's loss; intervals are over problems, "
        "clustered",
        style="dim",
    )


def _table(first: str, *columns: str) -> Table:
    table = Table()
    table.add_column(first)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _titled(title: str, table: Table) -> Group:
    return Group(Text(title, style="bold"), table)


def _number(estimate: Estimate) -> str:
    return DASH if estimate.mean is None else f"{estimate.mean:.3f}"


def _delta(difference: Estimate) -> str:
    if difference.mean is None:
        return DASH
    text = f"{difference.mean:+.3f}"
    if difference.low is None or difference.high is None:
        return text
    return f"{text} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _halved(estimate: Estimate) -> str:
    text = _number(estimate)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ± {(estimate.high - estimate.low) / 2:.3f}"


def _small(estimate: Estimate) -> str:
    """A number whose size matters more than its digits."""
    return DASH if estimate.mean is None else f"{estimate.mean:.2e}"


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:.0f} %"
