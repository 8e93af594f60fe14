"""The toy: the paper's closed-form machine, in which decoding alone cannot do what SSD does.

Root → path A or B → one fork → some locks → PASS; any other token fails (paper.md §3). So

    P = (q_root(0) + q_root(1)) · q_fork(0) · q_lock(0)³

with each q after temperature and truncation (`decoding.truncate`). Teacher: the machine itself.
Student: the ideal fit, which is the machine after the training temperature and truncation. Nothing
is sampled or trained.

A success curve is smooth within one set of supports and jumps where a token enters a nucleus, and
optima tend to sit at such a jump: a grid reads a little less than the supremum. Both are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ssd_eval.decoding import DecodingConfig, truncate
from ssd_eval.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

State = Literal["root", "fork", "lock"]
STATES: tuple[State, ...] = get_args(State)
TOP_PS = (0.65, 0.70, 0.75, 0.80, 0.85, 0.90)
TEMPERATURES = (0.05, 4.0)
POINTS = 1001
MAX_POINTS = 100_000
MAX_VOCABULARY = 4096
Policy = dict[State, "Tensor"]  # float64 log-probabilities [vocabulary]


@dataclass(frozen=True)
class Machine:
    """Head probabilities of each state; the other tokens share the rest as a geometric tail.

    Token 0 passes at the fork and at every lock, tokens below `paths` at the root. The paper does
    not print `ratio`; 0.5 gives its numbers.
    """

    root: tuple[float, ...] = (0.200, 0.190, 0.329, 0.126)
    fork: tuple[float, ...] = (0.148, 0.280, 0.140, 0.144)
    lock: tuple[float, ...] = (0.750, 0.055, 0.050, 0.037)
    paths: int = 2
    locks: int = 3
    vocabulary: int = 16
    ratio: float = 0.5

    def __post_init__(self) -> None:
        if not 2 <= self.vocabulary <= MAX_VOCABULARY:
            raise UsageError(f"vocabulary {self.vocabulary} is outside 2 … {MAX_VOCABULARY}")
        if not 0 < self.ratio <= 1:
            raise UsageError(f"tail ratio {self.ratio:g} is outside (0, 1]; the paper's is 0.5")
        if self.locks < 0:
            raise UsageError(f"{self.locks} locks; give 0 or more")
        if not 1 <= self.paths <= self.vocabulary:
            raise UsageError(f"{self.paths} passing root tokens; give 1 to {self.vocabulary}")
        for state in STATES:
            _check_head(state, getattr(self, state), self.vocabulary)

    def policy(self) -> Policy:
        return {state: self._log_probabilities(state) for state in STATES}

    def _log_probabilities(self, state: State) -> Tensor:
        import torch

        head = torch.tensor(getattr(self, state), dtype=torch.float64)
        rest = self.vocabulary - len(head)
        tail = self.ratio ** torch.arange(rest, dtype=torch.float64)
        return torch.cat([head, (1 - head.sum()) * tail / tail.sum()]).log()

    def success(self, decoded: dict[State, Tensor]) -> Tensor:
        """P from probabilities [..., vocabulary] after decoding."""
        right = decoded["root"][..., : self.paths].sum(-1) * decoded["fork"][..., 0]
        return right * decoded["lock"][..., 0] ** self.locks


def _check_head(state: State, head: tuple[float, ...], vocabulary: int) -> None:
    if not head or not all(0 < each < 1 for each in head):
        raise UsageError(f"{state} {list(head)}: give probabilities between 0 and 1")
    if len(head) >= vocabulary:
        raise UsageError(f"{state} names {len(head)} of {vocabulary} tokens; leave one to the tail")
    if sum(head) >= 1:
        raise UsageError(f"{state} sums to {sum(head):g}; leave some mass for the tail")


@dataclass(frozen=True)
class Optimum:
    """The best temperature: on the grid, and refined. `policy`: token → probability there."""

    grid_temperature: float
    grid_success: float
    temperature: float
    success: float
    policy: dict[State, dict[int, float]]


@dataclass(frozen=True)
class Gap:
    top_p: float
    teacher: Optimum
    student: Optimum

    @property
    def points(self) -> float:
        """The student's lead in percentage points."""
        return 100 * (self.student.success - self.teacher.success)


@dataclass(frozen=True)
class ToyResult:
    """`support`: what the student learnt at each state. Curves: P at each of `temperatures`."""

    machine: Machine
    training: DecodingConfig
    top_k: int
    top_p: float
    support: dict[State, dict[int, float]]
    temperatures: tuple[float, ...]
    teacher: tuple[float, ...]
    student: tuple[float, ...]
    main: Gap
    gaps: tuple[Gap, ...]

    def to_json(self) -> dict[str, Any]:
        gaps = [{**asdict(gap), "gap_pp": gap.points} for gap in self.gaps]
        return {**asdict(self), "main": asdict(self.main) | {"gap_pp": self.main.points},
                "gaps": gaps}  # fmt: skip


def solve(
    machine: Machine,
    training: DecodingConfig,
    *,
    top_k: int = 0,
    top_p: float = 0.8,
    top_ps: Sequence[float] = TOP_PS,
    temperatures: tuple[float, float] = TEMPERATURES,
    points: int = POINTS,
) -> ToyResult:
    """Both curves at (top_k, top_p) and both optima there and at each of `top_ps`."""
    grid = _grid(temperatures, points)
    teacher, student = machine.policy(), _fitted(machine.policy(), training)
    gaps = {p: _gap(machine, teacher, student, grid, top_k, p) for p in dict.fromkeys(top_ps)}
    main = gaps.get(top_p) or _gap(machine, teacher, student, grid, top_k, top_p)
    curves = [curve(machine, policy, grid, top_k, top_p) for policy in (teacher, student)]
    return ToyResult(
        machine,
        training,
        top_k,
        top_p,
        {state: _kept(student[state].exp()) for state in STATES},
        tuple(grid.tolist()),
        tuple(curves[0].tolist()),
        tuple(curves[1].tolist()),
        main,
        tuple(gaps.values()),
    )


def solved(flags: Mapping[str, Any]) -> ToyResult:
    """`solve` by the names of the command's flags; what is left out has its default."""
    given = dict(flags)
    training = DecodingConfig(
        given.pop("t_train"), given.pop("train_top_k"), given.pop("train_top_p")
    )
    machine = {name: given.pop(name) for name in Machine.__annotations__ if name in given}
    if len(given.get("temperatures", TEMPERATURES)) != 2:
        raise UsageError("--temperatures takes two numbers, LOW,HIGH")
    return solve(Machine(**machine), training, **given)


def _grid(temperatures: tuple[float, float], points: int) -> NDArray[Any]:
    import numpy as np

    low, high = temperatures
    if not 0 < low < high:
        raise UsageError(f"temperatures {low:g},{high:g}: give two, LOW,HIGH, with 0 < LOW < HIGH")
    if not 3 <= points <= MAX_POINTS:
        raise UsageError(f"{points} points; a curve takes 3 to {MAX_POINTS:,}")
    return np.linspace(low, high, points)


def _fitted(policy: Policy, training: DecodingConfig) -> Policy:
    """The ideal student: exactly the distribution that its training data are drawn from."""
    return {state: truncate(logits, training) for state, logits in policy.items()}


def curve(
    machine: Machine, policy: Policy, temperatures: Any, top_k: int, top_p: float
) -> NDArray[Any]:
    """P at each temperature."""
    configs = [DecodingConfig(float(t), top_k, top_p) for t in temperatures]
    decoded = {
        state: truncate(logits.expand(len(configs), -1), configs).exp()
        for state, logits in policy.items()
    }
    values: NDArray[Any] = machine.success(decoded).numpy()
    return values


def _gap(
    machine: Machine, teacher: Policy, student: Policy, grid: Any, top_k: int, top_p: float
) -> Gap:
    found = [optimum(machine, policy, grid, top_k, top_p) for policy in (teacher, student)]
    return Gap(top_p, *found)


def optimum(machine: Machine, policy: Policy, grid: Any, top_k: int, top_p: float) -> Optimum:
    """The grid's maximum, then a bounded search between its neighbours."""
    from scipy.optimize import minimize_scalar

    values = curve(machine, policy, grid, top_k, top_p)
    best = int(values.argmax())
    found = minimize_scalar(
        lambda t: -curve(machine, policy, [t], top_k, top_p)[0],
        bounds=(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]),
        method="bounded",
        options={"xatol": 1e-7},
    )
    refined = (float(found.x), float(-found.fun))
    t, success = max(refined, (float(grid[best]), float(values[best])), key=lambda at: at[1])
    config = DecodingConfig(t, top_k, top_p)
    kept = {state: _kept(truncate(logits, config).exp()) for state, logits in policy.items()}
    return Optimum(float(grid[best]), float(values[best]), t, success, kept)


def _kept(probabilities: Tensor) -> dict[int, float]:
    """Token → probability over the support, most probable first."""
    ranked = sorted(enumerate(probabilities.tolist()), key=lambda pair: -pair[1])
    return {token: p for token, p in ranked if p > 0}
