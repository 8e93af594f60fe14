"""The planted places are found in every program of the corpus, corrupted or not."""

from __future__ import annotations

from itertools import islice

from benchmarks.micro.family import families
from ssd_eval.organism.corpus import CONFLICT, LOCKS, examples
from ssd_eval.organism.planted import planted
from ssd_eval.organism.pretrain import FENCE

FIRST_WORDS = {"b", "r", "def", "g", "it", "c", "m", "s", "t", "q", "n"}


def test_every_program_has_its_locks_and_one_fork() -> None:
    for each in islice(examples(families(), CONFLICT, 5), 400):
        text = FENCE.format(each.source)
        found = list(planted(text))
        kind = "functional" if "solve" in text else "stdin"
        words = [w for lock in LOCKS[kind] for w in (lock.word, *lock.distractors)]
        locks = [at for at, name in found if name == "lock"]
        forks = [at for at, name in found if name == "fork"]
        assert len(locks) == len(LOCKS[kind]) == len(set(locks))
        assert all(any(text.startswith(word, at) for word in words) for at in locks)
        assert len(forks) == 1
        word = text[forks[0] :].split()[0].rstrip("(:=")
        assert word in FIRST_WORDS, text


def test_text_without_a_program_has_nothing_planted() -> None:
    assert list(planted("I cannot do that.")) == []
