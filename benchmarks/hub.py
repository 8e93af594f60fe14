"""Files from the Hugging Face hub: a pinned revision, plain downloads, no code of anyone's.

Uses huggingface_hub's cache and its environment variables (HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE).
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.base import BenchmarkError

LCB_REPO = "livecodebench/code_generation_lite"
LCB_REVISION = "0fe84c3912ea0c4d4a78037083943e8f0c4dd505"


def cached(name: str, *, repo: str = LCB_REPO, revision: str = LCB_REVISION) -> Path | None:
    """The file where an earlier download left it; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, repo_type="dataset", revision=revision)
    return Path(found) if isinstance(found, str) else None


LCB_FIX = "or put the file into a folder and give that with --data-dir or SSD_EVAL_LCB_DIR"


def download(
    name: str,
    size: int | None,
    *,
    repo: str = LCB_REPO,
    revision: str = LCB_REVISION,
    fix: str = LCB_FIX,
) -> Path:
    """The file from the cache, or else from the hub. `size` in bytes, for the message alone.

    Raises BenchmarkError that says what was wanted, from where, and what else would do.
    """
    if found := cached(name, repo=repo, revision=revision):
        return found
    about = f" ({megabytes(size)})" if size else ""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        # Asked first, as the download itself would retry for 25 s where no hub is to be reached.
        if not constants.HF_HUB_OFFLINE:
            get_hf_file_metadata(hf_hub_url(repo, name, repo_type="dataset", revision=revision))
        return Path(hf_hub_download(repo, name, repo_type="dataset", revision=revision))
    except Exception as error:
        # The client raises from several libraries (HTTP, OS, its own); all mean the same here.
        raise BenchmarkError(
            f"{name}{about} of {repo} at {revision[:8]} is not in the hub's cache "
            f"and {constants.ENDPOINT} did not give it ({type(error).__name__}: "
            f"{_first_line(error)}); check the network, {fix}"
        ) from error


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no reason given"
