"""Redundancy: where samples of one prompt agree and where they part, against what the model knew.

The claim (paper.md §4, 1): ten samples agree at locks and differ at forks. Measured on the prefix
tree of each prompt's samples, at every node that two or more of them share. There their next tokens
are independent draws from one known distribution q, so that Σ q² predicts how often a pair agrees
and Σ q^m how often all m do. Locks and forks are told by the base at the node, whoever sampled:
at T = 1, whether its smallest set with 0.8 of the mass has at most two tokens.

Reads a finished run and both checkpoints; samples nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from ssd_eval.decoding import DecodingConfig, truncate
from ssd_eval.errors import RunFolderError, UsageError
from ssd_eval.finished import ROLES, FinishedRun, Role
from ssd_eval.locks import MASS, MOST, Rule
from ssd_eval.metrics import cluster
from ssd_eval.prefix_tree import Node, nodes, shared_runs
from ssd_eval.ratios import Ratio, change, ratio

if TYPE_CHECKING:
    from torch import Tensor

    from ssd_eval.progress import Progress
    from ssd_eval.records import Completion
    from ssd_eval.teacher import Teacher

Kind = Literal["lock", "fork"]
KINDS: tuple[Kind, Kind] = ("lock", "fork")
NUCLEUS = DecodingConfig(1.0, 0, MASS)
RULE = str(Rule("nucleus"))
BANDS = (0.0, 1e-9, 0.1, 0.3, 0.6, 0.9, 1.2, math.inf)  # nats of what is sampled from


@dataclass(frozen=True)
class Choice:
    """One node with what its sampler's distribution said there.

    `entropy`: the sampler's at T = 1, whole vocabulary; `sampled`: of q, after temperature and
    truncation; `collision`: Σ q²; `unanimity`: Σ q^m, m the node's samples. Nats.
    """

    problem: str
    node: Node
    kind: Kind
    entropy: float
    sampled: float
    collision: float
    unanimity: float
    likeliest: Mapping[int, float]  # q of every token that a sample took


@dataclass(frozen=True)
class Band:
    """Choices whose q has an entropy in [low, high). Shares are of pairs, or of samples."""

    low: float
    high: float
    nodes: int
    samples: int
    predicted: float | None
    observed: Ratio
    unanimous_predicted: float | None
    unanimous: Ratio
    entropy: float | None
    entropy_among_samples: float | None


@dataclass(frozen=True)
class Agreement:
    """Over all choices of one kind: how often a pair agrees, and all of a node's samples do."""

    nodes: int
    pairs: Ratio
    unanimous: Ratio


@dataclass(frozen=True)
class Side:
    role: Role
    choices: tuple[Choice, ...]
    all: Agreement
    kinds: Mapping[Kind, Agreement]
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class AtTemperature:
    decoding: DecodingConfig
    base: Ratio
    distilled: Ratio
    change: Ratio


@dataclass(frozen=True)
class Redundancy:
    """`changes`: distilled less base in pair agreement, over all choices and by kind."""

    decoding: DecodingConfig
    samples: int
    problems: int
    sides: Mapping[Role, Side]
    changes: Mapping[str, Ratio]
    temperatures: tuple[AtTemperature, ...]

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        for side in value["sides"].values():
            for band in side["bands"]:
                band["high"] = band["high"] if band["high"] < math.inf else None
            for choice in side["choices"]:
                choice["node"] = {"depth": choice["node"]["depth"], **choice["node"]["counts"]}
        return {"rule": RULE, **value}


def choose(run: FinishedRun, temperature: float | None) -> DecodingConfig:
    """The common decoding at this temperature; without one, the nearest to T = 1."""
    common = run.common()
    if not common:
        raise RunFolderError(f"{run.folder} has no decoding at which both checkpoints were sampled")
    if temperature is None:
        return min(common, key=lambda each: abs(each.temperature - 1))
    for each in common:
        if each.temperature == temperature:
            return each
    known = ", ".join(f"{each.temperature:g}" for each in common)
    raise UsageError(f"no samples of both at T = {temperature:g}; the run has {known}")


def measure(
    run: FinishedRun, decoding: DecodingConfig, prompts: Mapping[str, tuple[int, ...]],
    teachers: Mapping[Role, Teacher], progress: Progress,
) -> Redundancy:  # fmt: skip
    """Raises UsageError where no prompt has two samples."""
    held = {role: run.samples[role, decoding] for role in ROLES}
    largest = max(len(each) for group in held.values() for each in group.values())
    if largest < 2:
        raise UsageError("one sample a problem tells no agreement; sweep with --samples 2 or more")
    clusters = {problem.id: cluster(problem) for problem in run.problems}
    choices: dict[Role, list[Choice]] = {role: [] for role in ROLES}
    with progress.stage("read shared prefixes", sum(map(len, held.values()))) as stage:
        for role in ROLES:
            for problem, completions in held[role].items():
                choices[role] += _choices(
                    problem, completions, prompts[problem], teachers[role], teachers["base"]
                )
                stage.advance()
    sides = {role: _side(role, choices[role], clusters) for role in ROLES}
    return Redundancy(
        decoding,
        largest,
        len({problem for group in held.values() for problem in group}),
        sides,
        _changes(choices, clusters),
        tuple(_at_temperature(run, each, clusters) for each in run.common()),
    )


def trees(completions: Sequence[Completion]) -> list[Node]:
    return nodes([(each.token_ids, each.finish) for each in completions])


def _choices(
    problem: str, completions: Sequence[Completion], prompt: tuple[int, ...],
    sampler: Teacher, base: Teacher,
) -> Iterator[Choice]:  # fmt: skip
    found = trees(completions)
    by_place = {(node.members[0], node.depth): node for node in found}
    decoding = completions[0].decoding
    for index, depths in shared_runs(found):
        ids = (*prompt, *completions[index].token_ids[: depths[-1]])
        logits = _logits(sampler, ids, len(prompt), depths)
        sizes = _nucleus(logits if base is sampler else _logits(base, ids, len(prompt), depths))
        for row, size, depth in zip(logits, sizes, depths, strict=True):
            kind: Kind = "lock" if size <= MOST else "fork"
            yield _choice(problem, by_place[index, depth], kind, row, decoding)


def _logits(teacher: Teacher, ids: Sequence[int], prompt: int, depths: Sequence[int]) -> Tensor:
    """float64 [depths, vocabulary]: what follows the prompt and that many tokens."""
    import torch

    states = teacher.read(ids)[:, [prompt + depth - 1 for depth in depths]]
    parts = torch.split(states, teacher.step(), dim=1)
    return torch.cat([teacher.logits(part).double().cpu() for part in parts])


def _nucleus(logits: Tensor) -> list[int]:
    sizes: list[int] = (truncate(logits, NUCLEUS) > -math.inf).sum(-1).tolist()
    return sizes


def _choice(
    problem: str, node: Node, kind: Kind, logits: Tensor, decoding: DecodingConfig
) -> Choice:
    import torch

    whole = logits.log_softmax(-1)
    q = truncate(logits, decoding).exp()
    # END stands for whichever end token it was: its share is not looked up.
    taken = {token: float(q[token]) for token in node.counts if token >= 0}
    return Choice(
        problem,
        node,
        kind,
        entropy=float(-torch.xlogy(whole.exp(), whole.exp()).sum()),
        sampled=abs(float(torch.xlogy(q, q).sum())),
        collision=float((q**2).sum()),
        unanimity=float((q**node.samples).sum()),
        likeliest=taken,
    )


def _side(role: Role, choices: Sequence[Choice], clusters: Mapping[str, str]) -> Side:
    bands = (
        _band(low, high, [c for c in choices if low <= c.sampled < high], clusters)
        for low, high in pairwise(BANDS)
    )
    return Side(
        role,
        tuple(choices),
        _agreement(choices, clusters),
        {kind: _agreement([c for c in choices if c.kind == kind], clusters) for kind in KINDS},
        tuple(band for band in bands if band.nodes),
    )


Sums = tuple[list[float], list[float]]


def _pairs(choices: Sequence[Choice], clusters: Mapping[str, str]) -> Sums:
    """Agreeing pairs and pairs of each problem, in the order of `clusters`."""
    return _summed(((c.problem, c.node.agreeing_pairs, c.node.pairs) for c in choices), clusters)


def _summed(rows: Iterator[tuple[str, int, int]], clusters: Mapping[str, str]) -> Sums:
    parts, wholes = dict.fromkeys(clusters, 0.0), dict.fromkeys(clusters, 0.0)
    for problem, part, whole in rows:
        parts[problem] += part
        wholes[problem] += whole
    return list(parts.values()), list(wholes.values())


def _unanimous(choices: Sequence[Choice], clusters: Mapping[str, str]) -> Ratio:
    rows = ((c.problem, c.node.samples * c.node.unanimous, c.node.samples) for c in choices)
    return ratio(*_summed(rows, clusters), list(clusters.values()))


def _agreement(choices: Sequence[Choice], clusters: Mapping[str, str]) -> Agreement:
    pairs = ratio(*_pairs(choices, clusters), list(clusters.values()))
    return Agreement(len(choices), pairs, _unanimous(choices, clusters))


def _band(low: float, high: float, choices: Sequence[Choice], clusters: Mapping[str, str]) -> Band:
    pairs = [c.node.pairs for c in choices]
    samples = [c.node.samples for c in choices]
    return Band(
        low,
        high,
        len(choices),
        sum(samples),
        _mean([c.collision for c in choices], pairs),
        ratio(*_pairs(choices, clusters), list(clusters.values())),
        _mean([c.unanimity for c in choices], samples),
        _unanimous(choices, clusters),
        _mean([c.sampled for c in choices], samples),
        _mean([entropy_among(c.node) for c in choices], samples),
    )


def _mean(values: Sequence[float], weights: Sequence[int]) -> float | None:
    total = sum(weights)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / total if total else None


def entropy_among(node: Node) -> float:
    """Of a node's next tokens, in nats, with Miller and Madow's correction for few samples."""
    shares = [count / node.samples for count in node.counts.values()]
    plain = -sum(share * math.log(share) for share in shares)
    return plain + (len(shares) - 1) / (2 * node.samples)


def _changes(
    choices: Mapping[Role, Sequence[Choice]], clusters: Mapping[str, str]
) -> dict[str, Ratio]:
    def of(kinds: Sequence[Kind]) -> Ratio:
        before, after = (
            _pairs([c for c in choices[role] if c.kind in kinds], clusters) for role in ROLES
        )
        return change(before, after, list(clusters.values()))

    return {"all": of(KINDS), "lock": of(["lock"]), "fork": of(["fork"])}


def _at_temperature(
    run: FinishedRun, decoding: DecodingConfig, clusters: Mapping[str, str]
) -> AtTemperature:
    """From the samples alone."""
    sums = [
        _summed(
            (
                (problem, node.agreeing_pairs, node.pairs)
                for problem, completions in run.samples[role, decoding].items()
                for node in trees(completions)
            ),
            clusters,
        )
        for role in ROLES
    ]
    names = list(clusters.values())
    base, distilled = (ratio(*each, names) for each in sums)
    return AtTemperature(decoding, base, distilled, change(sums[0], sums[1], names))
