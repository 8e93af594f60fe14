"""`words`: three scored problems, one for each kind of test, and prompts for SSD."""

from __future__ import annotations

from benchmarks.base import Problem, TestCase

LONGEST = Problem(
    id="words/longest",
    statement="Read one line of words and print the longest; of several, the first.",
    tests=(
        TestCase("stdin", "a bee ant\n", "bee\n", public=True),
        TestCase("stdin", "one\n", "one\n"),
        TestCase("stdin", "to be or not\n", "not\n"),
    ),
    difficulty="easy",
    references=("print(max(input().split(), key=len))\n",),
    wrong=("print(input().split()[0])\n",),
)
INITIALS = Problem(
    id="words/initials",
    statement="Write initials(words): the first letters of a list of words, as one text.",
    tests=(
        TestCase("functional", '[["ab", "cd"]]', '"ac"', public=True),
        TestCase("functional", "[[]]", '""'),
    ),
    starter_code="def initials(words):\n",
    entry_point="initials",
    difficulty="easy",
    references=("def initials(words):\n    return ''.join(word[0] for word in words)\n",),
    wrong=("def initials(words):\n    return words[0][0]\n",),
)
COUNTS = Problem(
    id="words/counts",
    statement="Write counts(text): a dict of how often each word of the text occurs.",
    tests=(
        TestCase("assertion", "assert counts('a b a') == {'a': 2, 'b': 1}", ""),
        TestCase(
            "assertion", "assert counts('') == {}\nassert sum(counts('x y').values()) == 2", ""
        ),
    ),
    entry_point="counts",
    difficulty="medium",
    references=("from collections import Counter\ncounts = lambda text: Counter(text.split())\n",),
    wrong=("counts = lambda text: {word: 1 for word in text.split()}\n",),
)
PROMPTS = ("Read a line and print it in capitals.", "Read a line and print how many words it has.")


class Words:
    """A `benchmarks.base.Benchmark`: four attributes and methods, nothing to inherit."""

    name = "words"
    description = "small tasks about words; the example plugin"
    window = "v1"

    def problems(self) -> tuple[Problem, ...]:
        return (LONGEST, INITIALS, COUNTS)

    def prompts(self) -> tuple[Problem, ...]:
        return tuple(Problem(f"words/prompt-{i}", text, ()) for i, text in enumerate(PROMPTS))


def load(*, data_dir: str | None = None) -> Words:
    """The factory that the entry point names. `data_dir` is `--data-dir`; not needed here."""
    return Words()
