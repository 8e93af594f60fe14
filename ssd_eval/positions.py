"""Positions: the per-token rows of the lock/fork analysis, and the folder that keeps them.

A run's `positions/` holds `header.json` and one `00000.npz` a problem, in the benchmark's order.
Plain `numpy.load` opens a shard; for its i-th sequence it holds

- `rows/i`: structured array, one row a predicted token (completion tokens in order, and the end
  token where the model wrote it), of `row_dtype(number of decoding configs)`;
- `info/i`: a text, the JSON of a `Sequence` without its rows.

Fields of a row. Probabilities are of the whole vocabulary at T = 1 where nothing else is said,
entropies and divergences in nats, logarithms natural; [C] has one value a decoding config, the
first being the training decoding and the others the evaluation grid (`Header.decodings`).

    token            the token's id                     syntax   index into SYNTAX
    planted          index into PLANTED: the organism's truth
    constant         T·H(q) of the loss (paper.md §2), T = T_train, q = the base's training target
    kl               KL(base ‖ distilled)
    teff[C - 1]      KL of the distilled at T_eval from the base at T_train·T_eval, both on the
                     base's training support
    base, distilled  one record each:
      logprob, rank        of the token; rank 1 is the likeliest, ties share the lowest rank
      top1, top20          mass of the likeliest 1 and 20 tokens
      entropy, renyi_half, renyi_2, renyi_inf   H and Rényi entropies of order 1/2, 2, infinity
      dh_dt                dH/dT at T = 1 without truncation
      support[C]           number of tokens that survive the decoding
      kept[C]              their mass κ at T = 1
      gate[C], head[C], tail[C]   h₂(κ), H(p(·|S)), H(p(·|Sᶜ)): H = gate + κ·head + (1-κ)·tail
      sampled[C]           entropy of what is sampled from: after temperature and truncation
      sensitivity[C]       dH/dT of that inside its fixed support
      power[C]             log Σ_{v in S} p(v)^(1/T): log q(v) = log p(v) / T - power
      beyond[60]           mass outside the likeliest 1, 2, ..., 60 tokens
      top_ids[10], top_logprob[10]    the likeliest tokens (id -1 where the vocabulary ends)
      cross_entropy        E_q[-log p], q the base's training target, p this model
      compression, reshaping, alignment   the loss's terms; with `constant` they sum to it
      residual             cross_entropy less that sum, float64

Greedy decoding (T = 0) has support 1, sampled 0, sensitivity 0, power 0. This module computes
nothing: `teacher` does.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import RunFolderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
HEADER = "header.json"
RANKS = 60  # of the cumulative mass, as in the paper's Figure 6a
TOP = 10
SYNTAX = (
    "keyword",
    "definition",
    "name",
    "operator",
    "literal",
    "bracket",
    "indentation",
    "comment",
    "prose",
)
PLANTED = ("none", "lock", "fork")
MODELS = ("base", "distilled")
T = TypeVar("T")


def model_dtype(configs: int) -> np.dtype[Any]:
    """One model's record within a row."""
    scalars = (
        "logprob top1 top20 entropy renyi_half renyi_2 renyi_inf dh_dt "
        "cross_entropy compression reshaping alignment"
    )
    each = ("kept", "gate", "head", "tail", "sampled", "sensitivity", "power")
    return np.dtype(
        [
            ("rank", "<i4"),
            *((name, "<f4") for name in scalars.split()),
            ("residual", "<f8"),
            ("support", "<i4", (configs,)),
            *((name, "<f4", (configs,)) for name in each),
            ("beyond", "<f4", (RANKS,)),
            ("top_ids", "<i4", (TOP,)),
            ("top_logprob", "<f4", (TOP,)),
        ]
    )


def row_dtype(configs: int) -> np.dtype[Any]:
    """A whole row; `configs` counts the training decoding too."""
    return np.dtype(
        [
            ("token", "<i4"),
            ("syntax", "<i1"),
            ("planted", "<i1"),
            ("constant", "<f4"),
            ("kl", "<f4"),
            ("teff", "<f4", (configs - 1,)),
            *((name, model_dtype(configs)) for name in MODELS),
        ]
    )


@dataclass(frozen=True)
class Header:
    """What all positions of a folder share. `tokens` says whose sequences were read."""

    base: str
    base_fingerprint: str
    distilled: str
    distilled_fingerprint: str
    vocabulary: int
    tokens: str
    training: DecodingConfig
    evaluation: tuple[DecodingConfig, ...]

    @property
    def decodings(self) -> tuple[DecodingConfig, ...]:
        """In the order of every [C] field."""
        return (self.training, *self.evaluation)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Header:
        given = {name: value for name, value in row.items() if name != "format"}
        given["training"] = DecodingConfig(**given["training"])
        given["evaluation"] = tuple(DecodingConfig(**each) for each in given["evaluation"])
        return cls(**given)


@dataclass(frozen=True)
class Sequence:
    """One analysed completion. `pieces` are the texts of the rows' tokens; joined they are it."""

    problem: str
    cluster: str  # problems that share it are not independent: the unit of intervals
    sample: int
    prompt: str
    prompt_tokens: int
    decoding: str  # how it was sampled, in words; empty for references
    pieces: tuple[str, ...]
    rows: NDArray[Any]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def info(self) -> dict[str, Any]:
        """All but the rows."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "rows"}


def write_header(folder: Path, header: Header) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / HEADER, json.dumps(header.to_json(), indent=2).encode())


def read_header(folder: Path) -> Header:
    """Raises RunFolderError where the folder holds no positions, or those of another format."""
    try:
        row = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFolderError(
            f"{folder} holds no positions; make them with `ssd-eval positions`"
        ) from error
    except ValueError as error:
        raise _damaged(folder / HEADER, error) from error
    if row.get("format") != FORMAT:
        raise RunFolderError(
            f"{folder} has positions of format {row.get('format')}, this version reads {FORMAT}; "
            "delete the folder and make them again"
        )
    return Header.from_json(row)


def write_problem(folder: Path, index: int, sequences: Iterable[Sequence]) -> None:
    """One problem's shard, whole or not at all."""
    arrays: dict[str, Any] = {}
    for place, each in enumerate(sequences):
        arrays[f"rows/{place}"] = each.rows
        arrays[f"info/{place}"] = np.array(json.dumps(each.info()))
    out = io.BytesIO()
    np.savez(out, **arrays)
    _replace(shard(folder, index), out.getvalue())


def read_problem(folder: Path, index: int) -> list[Sequence]:
    """A problem's sequences. Raises RunFolderError for a damaged shard, OSError for none."""
    return _opened(
        shard(folder, index),
        lambda held: [_sequence(held, place) for place in range(len(held.files) // 2)],
    )


def _opened(path: Path, take: Callable[[Any], T]) -> T:
    try:
        with np.load(path, allow_pickle=False) as held:
            return take(held)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def read(folder: Path) -> Iterator[Sequence]:
    """Every sequence, problem by problem; one problem is held at a time."""
    for path in sorted(folder.glob("[0-9]*.npz")):
        yield from read_problem(folder, int(path.stem))


def by_cluster(folder: Path) -> Iterator[Sequence]:
    """As `read`, but problems of one cluster stand together; their names are all that is held."""
    indices = [int(path.stem) for path in folder.glob("[0-9]*.npz")]
    for _, index in sorted((_cluster(folder, index), index) for index in indices):
        yield from read_problem(folder, index)


def _cluster(folder: Path, index: int) -> str:
    return _opened(shard(folder, index), lambda held: str(_info(held, 0)["cluster"]))


def shard(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.npz"


def _sequence(held: Any, place: int) -> Sequence:
    info = _info(held, place)
    info["pieces"] = tuple(info["pieces"])
    return Sequence(**info, rows=held[f"rows/{place}"])


def _info(held: Any, place: int) -> dict[str, Any]:
    return dict(json.loads(str(held[f"info/{place}"])))


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def _damaged(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(
        f"{path} is damaged ({type(error).__name__}); delete it and repeat `ssd-eval positions`"
    )
