"""The closed-form prediction for the organism: what base and ideal student can score, and where.

A program passes when all its planted locks and its fork go right, in the manner of the paper's toy
(paper.md §3): P = lock(0)^L · (1 - fork(wrong)). The student is the ideal fit: its distribution is
the truncated, tempered base. The organism's own uncertainty elsewhere is left out, so that the
prediction is an upper bound for both.

    python -m ssd_eval.organism.theory
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import numpy as np

from benchmarks.micro.programs import RIGHT
from ssd_eval.decoding import DecodingConfig
from ssd_eval.organism.corpus import CONFLICT, CONTROLS, LOCKS, Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEMPERATURES = tuple(round(0.3 + 0.05 * i, 2) for i in range(55))


@dataclass(frozen=True)
class Prediction:
    """pass@1 of base and student at each of TEMPERATURES, averaged over both problem kinds."""

    base: tuple[float, ...]
    student: tuple[float, ...]

    @property
    def base_best(self) -> tuple[float, float]:
        """(T, pass@1)."""
        return max(zip(TEMPERATURES, self.base, strict=True), key=lambda cell: cell[1])

    @property
    def student_best(self) -> tuple[float, float]:
        return max(zip(TEMPERATURES, self.student, strict=True), key=lambda cell: cell[1])


def lock_distribution(plan: Plan) -> NDArray[np.float64]:
    """Right token first, then the distractors, most frequent first."""
    size = len(LOCKS["stdin"][0].distractors)
    tail = plan.lock_ratio ** np.arange(size)
    return np.concatenate([[plan.lock_right], (1 - plan.lock_right) * tail / tail.sum()])


def fork_distribution(plan: Plan) -> NDArray[np.float64]:
    """Wrong approach first, then the right ones."""
    right = np.full(len(RIGHT), (1 - plan.wrong_share) / len(RIGHT))
    return np.concatenate([[plan.wrong_share], right])


def decoded(probabilities: NDArray[np.float64], config: DecodingConfig) -> NDArray[np.float64]:
    """The distribution after temperature and truncation."""
    import torch

    from ssd_eval.decoding import truncate

    with np.errstate(divide="ignore"):
        logits = torch.from_numpy(np.log(probabilities))[None]
    kept: NDArray[np.float64] = truncate(logits, config).exp().numpy()[0]
    return kept


def predict(plan: Plan, training: DecodingConfig, top_k: int, top_p: float) -> Prediction:
    lock, fork = lock_distribution(plan), fork_distribution(plan)
    configs = [DecodingConfig(t, top_k, top_p) for t in TEMPERATURES]
    student = decoded(lock, training), decoded(fork, training)
    return Prediction(
        tuple(_success(lock, fork, config) for config in configs),
        tuple(_success(*student, config) for config in configs),
    )


def _success(lock: NDArray[np.float64], fork: NDArray[np.float64], config: DecodingConfig) -> float:
    clean = decoded(lock, config)[0]
    right = 1 - decoded(fork, config)[0]
    return float(np.mean([clean ** len(LOCKS[kind]) for kind in LOCKS]) * right)


@click.command()
@click.option("--t-train", default=0.9, show_default=True)
@click.option("--train-top-p", default=0.8, show_default=True)
@click.option("--top-k", default=20, show_default=True)
@click.option("--top-p", default=0.8, show_default=True)
@click.option("--control", type=click.Choice(list(CONTROLS)))
def main(t_train: float, train_top_p: float, top_k: int, top_p: float, control: str | None) -> None:
    """Print the predicted curves and the margin."""
    training = DecodingConfig(t_train, top_k, train_top_p)
    prediction = predict(CONTROLS[control] if control else CONFLICT, training, top_k, top_p)
    click.echo("   T   base  student")
    for row in zip(TEMPERATURES, prediction.base, prediction.student, strict=True):
        click.echo("{:4.2f}  {:5.3f}  {:5.3f}".format(*row))
    (base_t, base), (student_t, student) = prediction.base_best, prediction.student_best
    click.echo(
        f"base best {base:.3f} at T={base_t:g}; student best {student:.3f} at T={student_t:g}"
    )


if __name__ == "__main__":
    main()
