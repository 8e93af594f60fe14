"""Figure 6: what self-distillation did at locks and at forks, estimated over problems.

Reads positions one problem at a time and keeps sums for each group of positions and quantity, not
for each problem (`moments`): memory does not grow with the corpus. Estimates are means over
problems of the problem's mean position, with intervals of clustered problems. Groups: all, lock and
fork by the rule, the classes of `syntax`, and bins of the base's mass in its likeliest 20 tokens
(the paper's Figure 6d). Draws nothing, prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssd_eval import positions
from ssd_eval.moments import Moments, gather
from ssd_eval.positions import MODELS, RANKS, SYNTAX, Header
from ssd_eval.support import FLOOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssd_eval.intervals import Estimate
    from ssd_eval.locks import Rule
    from ssd_eval.moments import Problem

BINS = (0.999, 0.995, 0.99, 0.98, 0.95)  # of the mass in the likeliest 20 tokens
BIN_NAMES = ("≥ 99.9", "99.5–99.9", "99–99.5", "98–99", "95–98", "< 95")
GROUPS = ("all", "lock", "fork", *SYNTAX, *BIN_NAMES)
TERMS = ("compression", "reshaping", "alignment")
# One number a position and model.
SCALARS = (
    *("top1", "top20", "entropy", "renyi_half", "renyi_2", "renyi_inf", "dh_dt", "logprob"),
    *("cross_entropy", "compression", "reshaping", "alignment"),
)
# One number a position, model and decoding.
VECTORS = ("support", "kept", "gate", "head", "tail", "sampled", "sensitivity")


@dataclass(frozen=True)
class Sums:
    """What `collect` leaves of all positions, however many problems they are of.

    `counts`: positions of each group; `forks_by_syntax`: how many positions of each syntax class
    the rule calls forks.
    """

    header: Header
    rule: str
    quantities: tuple[str, ...]
    problems: int
    moments: Moments
    counts: NDArray[np.int64]
    forks_by_syntax: NDArray[np.int64]
    largest_residual: float  # of the loss's identity, in nats
    largest_relative_residual: float  # over the position's loss

    @property
    def positions(self) -> int:
        return int(self.counts[0])

    def estimate(self, quantity: str, group: str) -> Estimate:
        return self.moments.estimate(GROUPS.index(group), self.quantities.index(quantity))

    def change(self, quantity: str, group: str) -> Estimate:
        """Distilled less base, paired; `quantity` without a model's name."""
        return self.estimate(f"change.{quantity}", group)


def collect(folder: Path, rule: Rule) -> Sums:
    """Raises RunFolderError."""
    header = positions.read_header(folder)
    names = quantities(header)
    counts, forks = np.zeros(len(GROUPS), np.int64), np.zeros(len(SYNTAX), np.int64)
    problems, residual = 0, np.zeros(2)

    def each_problem() -> Iterator[Problem]:
        nonlocal problems
        for _, group in groupby(positions.by_cluster(folder), key=lambda each: each.problem):
            sums, here = np.zeros((len(GROUPS), len(names))), np.zeros(len(GROUPS), np.int64)
            for each in group:
                fork = rule.forks(each.rows)
                members = _members(each.rows, fork)
                sums += members.astype(np.float64) @ _values(each.rows)
                here += members.sum(axis=1)
                forks[:] += np.bincount(each.rows["syntax"][fork], minlength=len(SYNTAX))
                for model in MODELS:
                    np.maximum(residual, _residual(each.rows[model]), out=residual)
            counts[:] += here
            problems += 1
            yield each.cluster, sums, here

    moments = gather(each_problem(), len(GROUPS), len(names))
    return Sums(header, str(rule), names, problems, moments, counts, forks, *residual.tolist())


def _residual(record: NDArray[Any]) -> tuple[float, float]:
    """The largest of one model, in nats and over the position's loss."""
    finite = record[np.isfinite(record["residual"])]
    size, loss = np.abs(finite["residual"]), finite["cross_entropy"].astype(np.float64)
    relative = np.divide(size, loss, out=np.zeros_like(size), where=loss > 0)
    return float(size.max(initial=0)), float(relative.max(initial=0))


def _members(rows: NDArray[Any], fork: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[groups, rows]: who belongs where."""
    bins = np.searchsorted(-np.array(BINS, np.float32), -rows["base"]["top20"])
    return np.stack(
        [
            np.ones(len(rows), bool),
            ~fork,
            fork,
            *(rows["syntax"] == code for code in range(len(SYNTAX))),
            *(bins == place for place in range(len(BIN_NAMES))),
        ]
    )


def quantities(header: Header) -> tuple[str, ...]:
    """Names of `_values`' columns: kl, constant, teff.2, base.entropy, base.kept.0, ..."""
    decodings = range(len(header.decodings))
    names = ["kl", "constant", *(f"teff.{place}" for place in decodings[1:])]
    for model in (*MODELS, "change"):
        names += [f"{model}.{each}" for each in SCALARS]
        names += [f"{model}.{each}.{place}" for each in VECTORS for place in decodings]
        names += [
            f"{model}.{part}.{place}" for part in ("in_head", "in_tail") for place in decodings
        ]
        names += [f"{model}.beyond.{rank}" for rank in range(1, RANKS + 1)]
    return tuple(names)


def _values(rows: NDArray[Any]) -> NDArray[np.float64]:
    """[rows, quantities]. `in_head`, `in_tail`: what they add to the entropy, κ·H and (1-κ)·H.

    A probability of 0 counts as e^-1e4, so that sums stay numbers; `teff` of greedy decoding is 0.
    """
    both = [_of_model(rows[model]) for model in MODELS]
    alone = np.column_stack([rows["kl"], rows["constant"], rows["teff"]])
    return np.concatenate([_numbers(alone), *both, both[1] - both[0]], axis=1)


def _of_model(record: NDArray[Any]) -> NDArray[np.float64]:
    parts = [record[each][:, None] for each in SCALARS]
    parts += [record[each] for each in VECTORS]
    parts += [record["kept"] * record["head"], (1 - record["kept"]) * record["tail"]]
    return _numbers(np.concatenate([*parts, record["beyond"]], axis=1, dtype=np.float64))


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=-FLOOR, neginf=FLOOR)


@dataclass(frozen=True)
class Row:
    """One quantity in one group, before and after."""

    group: str
    quantity: str
    base: Estimate
    distilled: Estimate
    difference: Estimate


def row(sums: Sums, quantity: str, group: str) -> Row:
    return Row(
        group,
        quantity,
        sums.estimate(f"base.{quantity}", group),
        sums.estimate(f"distilled.{quantity}", group),
        sums.change(quantity, group),
    )


@dataclass(frozen=True)
class Share:
    """How much of the loss's change one term explains: its change over the whole change."""

    term: str
    difference: Estimate
    share: float | None  # None where the loss does not change


def shares(sums: Sums, group: str) -> tuple[Share, ...]:
    whole = sums.change("cross_entropy", group).mean
    found = []
    for term in TERMS:
        change = sums.change(term, group)
        known = whole and change.mean is not None
        found.append(Share(term, change, (change.mean or 0.0) / whole if known and whole else None))
    return tuple(found)


def report(sums: Sums) -> dict[str, Any]:
    """Everything of Figure 6 and beside it as plain numbers; estimates as `Estimate`."""
    header = sums.header
    evaluated = list(enumerate(header.evaluation, start=1))
    both = [
        *((name, name) for name in ("top1", "top20", "entropy", "renyi_half", "renyi_2")),
        *((f"{name}_at_training", f"{name}.0") for name in ("kept", "gate", "in_head", "in_tail")),
    ]
    groups: dict[str, Any] = {}
    for group in GROUPS[:3]:
        groups[group] = {
            **{name: asdict(row(sums, quantity, group)) for name, quantity in both},
            "terms": [asdict(each) for each in shares(sums, group)],
            "loss": asdict(row(sums, "cross_entropy", group)),
            "kl": asdict(sums.estimate("kl", group)),
            "by_decoding": [
                {
                    "decoding": decoding.to_json(),
                    "support": asdict(row(sums, f"support.{place}", group)),
                    "sampled_entropy": asdict(row(sums, f"sampled.{place}", group)),
                    "teff_kl": asdict(sums.estimate(f"teff.{place}", group)),
                }
                for place, decoding in evaluated
            ],
            "beyond_rank": {
                model: [
                    sums.estimate(f"{model}.beyond.{r}", group).mean for r in range(1, RANKS + 1)
                ]
                for model in MODELS
            },
        }
    middle = middle_decoding(header)
    return {
        "rule": sums.rule,
        "header": header.to_json(),
        "positions": sums.positions,
        "largest_residual": sums.largest_residual,
        "largest_relative_residual": sums.largest_relative_residual,
        "groups": groups,
        "by_top20_mass": [asdict(row(sums, f"sampled.{middle}", name)) for name in BIN_NAMES],
        "by_syntax": [asdict(row(sums, "entropy", name)) for name in SYNTAX],
    }


def middle_decoding(header: Header) -> int:
    """The evaluation decoding that Figure 6d is drawn at: the median temperature's place."""
    order = sorted(
        range(len(header.evaluation)), key=lambda place: header.evaluation[place].temperature
    )
    return 1 + order[len(order) // 2]
