"""Prefix tree of one prompt's samples, over their token ids: where they agree and where they part.

A node is a prefix that two or more samples share and go on from. What they do next there are
independent draws from one distribution, as all of them have that very context. Runs no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

END = -1  # the end token, whichever of the checkpoint's it was
Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Node:
    """`members`: the samples that go on from here, in the order given. `counts`: next token → how
    many take it, the most frequent first. `depth`: tokens before it.
    """

    depth: int
    members: tuple[int, ...]
    counts: Mapping[int, int]

    @property
    def samples(self) -> int:
        return len(self.members)

    @property
    def unanimous(self) -> bool:
        return len(self.counts) == 1

    @property
    def pairs(self) -> int:
        return self.samples * (self.samples - 1) // 2

    @property
    def agreeing_pairs(self) -> int:
        """Over `pairs` it is an unbiased estimate of Σ q(v)², whatever the number of samples."""
        return sum(count * (count - 1) // 2 for count in self.counts.values())


def nodes(samples: Sequence[tuple[Sequence[int], Finish]]) -> list[Node]:
    """Every shared node, a parent before its children, the most frequent branch first.

    `samples`: token ids without the end token, and how the sample finished. One cut off by
    max_tokens says nothing about what came next, and is no member of the node where it ends.
    """
    found: list[Node] = []
    stack = [(0, tuple(range(len(samples))))]
    while stack:
        depth, reaching = stack.pop()
        branches = _branches(samples, depth, reaching)
        members = tuple(sorted(index for branch in branches.values() for index in branch))
        if len(members) < 2:
            continue
        counts = Counter({token: len(branch) for token, branch in branches.items()})
        found.append(Node(depth, members, dict(counts.most_common())))
        ordered = sorted(branches.items(), key=lambda item: len(item[1]))
        stack += [(depth + 1, tuple(b)) for token, b in ordered if token != END and len(b) > 1]
    return found


def _branches(
    samples: Sequence[tuple[Sequence[int], Finish]], depth: int, reaching: Sequence[int]
) -> dict[int, list[int]]:
    branches: dict[int, list[int]] = {}
    for index in reaching:
        ids, finish = samples[index]
        if depth < len(ids):
            branches.setdefault(ids[depth], []).append(index)
        elif finish == "stop":
            branches.setdefault(END, []).append(index)
    return branches


def shared_runs(found: Sequence[Node]) -> Iterator[tuple[int, list[int]]]:
    """For each sample that is needed: (sample, depths of the nodes to read along it).

    Every node is named once, by its first member; a model that reads these prefixes has seen all.
    """
    depths: dict[int, list[int]] = {}
    for node in found:
        depths.setdefault(node.members[0], []).append(node.depth)
    yield from sorted((index, sorted(each)) for index, each in depths.items())
