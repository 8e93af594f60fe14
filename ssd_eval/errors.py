"""Every error this library raises on purpose.

SsdEvalError                exit 1: the run itself failed, what was finished is kept
├── BackendError            the engine died, ran out of memory, or refused a request
└── UsageError              exit 2: wrong input; the message is one line and says the fix
    ├── CheckpointError     a model, tokenizer or chat template is missing or corrupt
    └── RunFolderError      a run folder of another config or format, or a corrupt record

`benchmarks.base.BenchmarkError` and `sandbox.base.SandboxError` (exit 2) live with their packages,
which import nothing of ours.
"""

from __future__ import annotations


class SsdEvalError(Exception):
    exit_code = 1


class BackendError(SsdEvalError):
    pass


class UsageError(SsdEvalError):
    exit_code = 2


class CheckpointError(UsageError):
    pass


class RunFolderError(UsageError):
    pass


def out_of_memory(error: BaseException) -> bool:
    """Python's, or torch's of a CPU or a GPU: each is of another class."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text
    )
