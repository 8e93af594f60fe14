"""Statistics over per-problem scores, in one place: what each module of theirs offers.

`clustering` groups, `intervals` bounds one mean, `paired` compares two, `signflip` tests,
`crossfit` chooses temperatures. docs/statistics.md says what was proven about them, and how.
"""

from __future__ import annotations

from ssd_eval.crossfit import CrossFit, Spread, cross_fitted_best, spread
from ssd_eval.intervals import Estimate, mean_interval
from ssd_eval.paired import ALPHA, Difference, Verdict, holm, paired_difference
from ssd_eval.signflip import mcnemar_p, sign_flip_p

__all__ = [
    "ALPHA",
    "CrossFit",
    "Difference",
    "Estimate",
    "Spread",
    "Verdict",
    "cross_fitted_best",
    "holm",
    "mcnemar_p",
    "mean_interval",
    "paired_difference",
    "sign_flip_p",
    "spread",
]
