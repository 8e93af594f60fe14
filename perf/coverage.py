"""Coverage of the intervals and type-I error of the tests: the tables of docs/statistics.md.

    python perf/coverage.py            # about 20 minutes on one core
    python perf/coverage.py --runs 200 # a quick look
    python perf/coverage.py --sizes    # one sample a problem at many sizes, exact
    python perf/coverage.py --only differences --runs 4000

Prints Markdown. Every number comes from `ssd_eval.coverage` with the seeds below.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from ssd_eval import coverage
from ssd_eval.clustering import by_cluster
from ssd_eval.coverage import Design
from ssd_eval.intervals import Estimate, mean_interval, t_limits
from ssd_eval.paired import holm

NULL_RUNS = 20_000


def exact() -> Iterator[str]:
    """One sample a problem, every outcome: nothing is simulated."""
    rates = [round(rate, 3) for rate in np.arange(0.005, 0.9951, 0.005)]
    methods = {"auto": mean_interval, "t, unrefused": _plain_t}
    yield "| problems | method | plenty: least | most | scarce: least | p = 0.02 | p = 0.98 |"
    yield "|---|---|---|---|---|---|---|"
    for problems, (name, method) in itertools.product((20, 30, 60, 131, 374), methods.items()):
        found = coverage.exact_coverages(problems, rates, method)
        plenty = np.array([Design(problems, 1, rate).plenty for rate in rates])
        cells = (found[plenty].min(), found[plenty].max(), found[~plenty].min())
        ends = [found[rates.index(rate)] for rate in (0.02, 0.98)]
        values = " | ".join(f"{100 * each:.1f}" for each in (*cells, *ends))
        yield f"| {problems} | {name} | {values} |"


SIZES = (*range(12, 161), 164, 166, 175, 200, 250, 300, 374, 400, 401, 454, 600, 880, 1055)


def sizes() -> Iterator[str]:
    """Where plenty leaves 93 to 97 %, and the least that scarce is covered; half a minute."""
    rates = [round(rate, 4) for rate in np.arange(0.0025, 0.9976, 0.0025)]
    least, where = 1.0, (0, 0.0)
    for problems in SIZES:
        found = coverage.exact_coverages(problems, rates)
        for rate, share in zip(rates, found.tolist(), strict=True):
            plenty = Design(problems, 1, rate).plenty
            if plenty and not 0.93 <= share <= 0.97:
                yield f"{problems} problems, p = {rate}: {100 * share:.1f} %"
            if not plenty and share < least:
                least, where = share, (problems, rate)
    yield f"scarce: least {100 * least:.1f} % at {where[0]} problems, p = {where[1]}"


def _plain_t(scores: list[float], families: list[str] | None = None) -> Estimate:
    """What `method="t"` would give where it is refused."""
    data = by_cluster(scores, families)
    if not data.se:
        return Estimate(data.mean, 0.0, None, None, data.problems, data.clusters)
    limits = t_limits(data.mean, data.se, data.clusters)
    return Estimate(data.mean, data.se, *limits, data.problems, data.clusters)


def means(runs: int) -> Iterator[str]:
    yield "| problems | samples | p | spread | family | plenty | covers, % | width, pp |"
    yield "|---|---|---|---|---|---|---|---|"
    shapes = [(30, 10, 1), (96, 10, 2), (131, 10, 1)]
    for problems, samples, size in shapes:
        for rate, spread in itertools.product((0.02, 0.1, 0.42, 0.98), (0.0, 0.5)):
            design = Design(problems, samples, rate, spread, size)
            found = coverage.mean_coverage(design, runs)
            yield _row(design, found)


def posteriors(runs: int) -> Iterator[str]:
    yield "| problems | samples | p | spread | family | plenty | covers, % | width, pp |"
    yield "|---|---|---|---|---|---|---|---|"
    for rate, spread in itertools.product((0.02, 0.1, 0.42), (0.2, 0.5)):
        design = Design(20, 5, rate, spread)
        found = coverage.mean_coverage(design, runs, interval=_posterior(5))
        yield _row(design, found)


def _posterior(samples: int) -> Callable[..., Estimate]:
    def interval(scores: list[float], families: list[str] | None) -> Estimate:
        counts = [(samples, round(score * samples)) for score in scores]
        return mean_interval(scores, families, method="posterior", counts=counts)

    return interval


def differences(runs: int) -> Iterator[str]:
    yield "| problems | samples | p | spread | family | gaining | covers, % | width, pp |"
    yield "|---|---|---|---|---|---|---|---|"
    for problems, samples, size in [(12, 10, 1), (30, 1, 1), (30, 10, 1), (96, 10, 2)]:
        cells = itertools.product(((0.02, 0.0), (0.42, 0.5), (0.98, 0.0)), (0.0, 0.1, 0.4))
        for (rate, spread), gaining in cells:
            design = Design(problems, samples, rate, spread, size)
            found = coverage.paired_coverage(design, gaining, runs)
            yield _row(design, found, f"{gaining:g}")


def _row(design: Design, found: coverage.Coverage, last: str = "") -> str:
    shape = (design.problems, design.samples, design.rate, design.spread, design.size)
    regime = last or ("yes" if design.plenty else "no")
    values = " | ".join(map(str, (*shape, regime)))
    return f"| {values} | {100 * found.share:.1f} | {100 * found.width:.1f} |"


def errors() -> Iterator[str]:
    """Two equal checkpoints: how often a test finds a difference."""
    yield "| test | problems | samples | p | spread | family | p < 5 %, % |"
    yield "|---|---|---|---|---|---|---|"
    for problems, samples, rate, spread, size in [
        (30, 1, 0.02, 0.0, 1),
        (30, 1, 0.5, 0.0, 1),
        (131, 1, 0.42, 0.5, 1),
        (30, 10, 0.02, 0.5, 1),
        (30, 10, 0.42, 0.5, 1),
        (96, 10, 0.3, 0.5, 2),
    ]:
        design = Design(problems, samples, rate, spread, size)
        share = coverage.type_one_error(design, NULL_RUNS)
        name = "McNemar, exact" if samples == 1 else "sign flip"
        values = " | ".join(map(str, (problems, samples, rate, spread, size)))
        yield f"| {name} | {values} | {100 * share:.2f} |"
    cells = [coverage.null_p_values(Design(32, 10, 0.3, 0.5), NULL_RUNS, seed) for seed in range(8)]
    some = np.mean([min(holm(row)) < 0.05 for row in np.stack(cells, axis=1).tolist()])
    yield f"| Holm over 8 cells, any | 32 | 10 | 0.3 | 0.5 | 1 | {100 * some:.2f} |"


PARTS: dict[str, tuple[str, Callable[[int], Iterator[str]]]] = {
    "exact": ("Means, one sample a problem, exact", lambda _: exact()),
    "means": ("Means", means),
    "posteriors": ("Posterior", posteriors),
    "differences": ("Paired differences", lambda runs: differences(max(100, runs // 2))),
    "errors": ("Type-I error", lambda _: errors()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=2_000, help="data sets for each row")
    parser.add_argument("--sizes", action="store_true", help="one sample a problem, every size")
    parser.add_argument("--only", choices=PARTS, help="one of the tables")
    given = parser.parse_args()
    if given.sizes:
        print(*sizes(), sep="\n", flush=True)
        return
    for name in [given.only] if given.only else PARTS:
        title, rows = PARTS[name]
        print(f"\n### {title}\n", *rows(given.runs), sep="\n", flush=True)


if __name__ == "__main__":
    main()
