"""The prefix tree against a plain count over all prefixes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ssd_eval.prefix_tree import END, Finish, Node, nodes, shared_runs

Sample = tuple[tuple[int, ...], Finish]
sample_sets = st.lists(
    st.tuples(
        st.lists(st.integers(0, 2), max_size=6).map(tuple), st.sampled_from(["stop", "length"])
    ),
    max_size=8,
)


def plainly(samples: list[Sample]) -> dict[tuple[int, ...], Counter[int]]:
    """Prefix → counts of what comes next, for prefixes that two or more samples go on from."""
    found: dict[tuple[int, ...], Counter[int]] = {}
    for ids, finish in samples:
        symbols = ids + ((END,) if finish == "stop" else ())
        for depth, symbol in enumerate(symbols):
            found.setdefault(ids[:depth], Counter())[symbol] += 1
    return {prefix: counts for prefix, counts in found.items() if counts.total() > 1}


@given(sample_sets)
def test_nodes_are_the_shared_prefixes_with_their_counts(samples: list[Sample]) -> None:
    found = nodes(samples)
    held = {samples[node.members[0]][0][: node.depth]: node for node in found}
    expected = plainly(samples)
    assert len(held) == len(found)
    assert {prefix: Counter(node.counts) for prefix, node in held.items()} == expected
    for prefix, node in held.items():
        assert all(samples[index][0][: node.depth] == prefix for index in node.members)
        assert node.samples == expected[prefix].total()


@given(sample_sets)
def test_parents_come_first_and_runs_name_every_node_once(samples: list[Sample]) -> None:
    found = nodes(samples)
    seen: set[tuple[int, ...]] = set()
    for node in found:
        prefix = samples[node.members[0]][0][: node.depth]
        assert not prefix or prefix[:-1] in seen
        seen.add(prefix)
    runs = [(index, depth) for index, depths in shared_runs(found) for depth in depths]
    assert sorted(samples[index][0][:depth] for index, depth in runs) == sorted(seen)


def test_a_cut_off_sample_is_no_vote_for_the_end() -> None:
    same = (1, 2)
    [first, second] = nodes([(same, "stop"), (same, "length"), (same, "length")])
    assert (first.samples, second.samples) == (3, 3)
    finished = nodes([(same, "stop"), (same, "stop"), (same, "length")])
    assert finished[-1].counts == {END: 2}


def test_pair_agreement() -> None:
    node = Node(0, (0, 1, 2, 3), {7: 3, 5: 1})
    assert (node.pairs, node.agreeing_pairs, node.unanimous) == (6, 3, False)


def test_a_single_sample_shares_nothing() -> None:
    assert nodes([((1, 2, 3), "stop")]) == []
