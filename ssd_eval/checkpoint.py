"""Checkpoint: where a model's folder is, what its content is, and how it is loaded.

Every way in raises CheckpointError with the fix. Trains nothing and generates nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_eval.adapter import Adapter, adapter, merge
from ssd_eval.errors import BackendError, CheckpointError, out_of_memory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHIPPED = {"organism": Path(__file__).parent / "organism" / "weights"}
UNFINISHED = "training.json"  # ssd_eval.train leaves it in a folder until the last step is saved

# What decides a model's behaviour. Read-me files, ssd.json and training states do not.
CONTENT = (
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.tiktoken",
    "chat_template*",
)
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")
DESCRIPTION = tuple(pattern for pattern in CONTENT if pattern not in WEIGHTS)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# Written by some versions of transformers and by PEFT; they hold a folder's name, not its content.
_NAME_KEYS = ("_name_or_path", "name_or_path", "base_model_name_or_path")
_hashes: dict[tuple[str, int, int], str] = {}


def resolve(name: str | Path) -> Path | str:
    """A shipped name or a folder becomes its path; a hub id comes back as it is."""
    text = str(name)
    if text in SHIPPED:
        if not (SHIPPED[text] / "config.json").is_file():
            raise CheckpointError(
                f"the shipped checkpoint {text!r} is not at {SHIPPED[text]}; reinstall ssd-eval"
            )
        return SHIPPED[text]
    path = Path(text).expanduser()
    if path.is_dir():
        return _checked_folder(path)
    if path.exists():
        raise CheckpointError(f"{text} is a file; give the folder that holds config.json")
    if isinstance(name, Path) or not _HUB_ID.fullmatch(text) or text.count("/") == 0:
        raise CheckpointError(
            f"no checkpoint {text!r}: give a folder, a hub id like org/model, or one of "
            f"{', '.join(SHIPPED)}"
        )
    return text


def _checked_folder(path: Path) -> Path:
    if (path / UNFINISHED).exists() and not (path / "ssd.json").exists():
        raise CheckpointError(
            f"the training in {path} is unfinished; repeat its train command to finish it"
        )
    if not any((path / each).is_file() for each in ("config.json", "adapter_config.json")):
        raise CheckpointError(f"{path} holds no config.json; give a Hugging Face checkpoint folder")
    return path


def folder(name: str | Path) -> Path:
    """The checkpoint's local folder; a hub id is taken from the cache or downloaded."""
    return _folder(name, CONTENT)


def whole(name: str | Path) -> tuple[Path, Adapter | None]:
    """(folder of a whole checkpoint, adapter on top of it)."""
    path = folder(name)
    found = adapter(path)
    return (path, None) if found is None else (_base(found, CONTENT), found)


def tokenizer_folder(name: str | Path) -> Path:
    """A folder with all of the checkpoint but its weights, which a server holds."""
    path = _folder(name, DESCRIPTION)
    found = adapter(path)
    return path if found is None else _base(found, DESCRIPTION)


def _base(found: Adapter, patterns: Sequence[str]) -> Path:
    try:
        path = _folder(found.base, patterns)
    except CheckpointError as error:
        raise CheckpointError(
            f"the adapter in {found.path} needs its base: {error} (base_model_name_or_path in its "
            "adapter_config.json)"
        ) from error
    if adapter(path) is not None:
        raise CheckpointError(f"the base of the adapter in {found.path} is an adapter; merge it")
    return path


def _folder(name: str | Path, patterns: Sequence[str]) -> Path:
    found = resolve(name)
    if isinstance(found, Path):
        return found
    import huggingface_hub

    try:
        snapshot = huggingface_hub.snapshot_download(found, allow_patterns=list(patterns))
    except Exception as error:
        # The hub client raises from several libraries (HTTP, OS, its own); all mean the same here.
        raise CheckpointError(
            f"{found!r} is no local folder and the hub did not give it "
            f"({type(error).__name__}: {_first_line(error)}); check the name and the network, "
            "or give a local folder"
        ) from error
    return _checked_folder(Path(snapshot))


def fingerprint(name: str | Path) -> str:
    """16 hex digits of the content: weights, config, tokenizer, chat template.

    Independent of the folder's name, of file order and of files that don't change behaviour. An
    adapter's covers its base.
    """
    path, found = whole(name)
    if found is None:
        return content_hash(path)
    both = f"{content_hash(path)}\0{content_hash(found.path)}"
    return hashlib.sha256(both.encode()).hexdigest()[:16]


def content_hash(path: Path) -> str:
    """The fingerprint of a folder that may still be in training."""
    files = sorted(f for f in path.iterdir() if f.is_file() and _is_content(f.name))
    if not any(f.suffix in (".safetensors", ".bin") for f in files):
        raise CheckpointError(
            f"{path} holds no weights (*.safetensors); give a complete checkpoint"
        )
    return _joint_hash(files)


def description_hash(path: Path) -> str:
    """16 hex digits of config, tokenizer and chat template, whatever the weights."""
    return _joint_hash(
        f
        for f in sorted(path.iterdir())
        if f.is_file() and any(fnmatch(f.name, pattern) for pattern in DESCRIPTION)
    )


def _joint_hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{_file_hash(file)}\n".encode())
    return digest.hexdigest()[:16]


def _is_content(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in CONTENT)


def _file_hash(file: Path) -> str:
    """Cached in this process by path, modification time and size: weights may take minutes."""
    status = file.stat()
    key = (str(file.resolve()), status.st_mtime_ns, status.st_size)
    if key not in _hashes:
        _hashes[key] = _hash_content(file)
    return _hashes[key]


def _hash_content(file: Path) -> str:
    if file.name in ("config.json", "tokenizer_config.json", "adapter_config.json"):
        values = read_json(file)
        kept = {key: value for key, value in values.items() if key not in _NAME_KEYS}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON ({error}); restore the checkpoint") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file} holds no JSON object; restore the checkpoint")
    return values


def pick_device(device: str = "auto") -> torch.device:
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise CheckpointError(f"unknown device {device!r}; use auto, cpu or cuda") from error


def load_model(name: str | Path, dtype: str = "auto", device: str = "auto") -> PreTrainedModel:
    """The model in eval mode, an adapter merged into it.

    dtype auto: float32 on a CPU, otherwise as stored on disk.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    (path, found), place = whole(name), pick_device(device)
    wanted = "float32" if dtype == "auto" and place.type == "cpu" else dtype
    if wanted != "auto" and not isinstance(getattr(torch, wanted, None), torch.dtype):
        raise CheckpointError(f"unknown dtype {dtype!r}; use auto, float32, bfloat16 or float16")
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=wanted, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        if out_of_memory(error):
            raise BackendError(
                f"out of memory while loading {path}; use --dtype bfloat16, a smaller checkpoint "
                "or a machine with more memory"
            ) from error
        # transformers, safetensors and torch each raise their own for a broken folder.
        raise CheckpointError(
            f"{path} cannot be loaded ({type(error).__name__}: {_first_line(error)}); "
            "restore the checkpoint or give another"
        ) from error
    model: PreTrainedModel = loaded[0]
    report: dict[str, Any] = loaded[1]
    if report["missing_keys"] or report["mismatched_keys"]:
        # transformers would fill them with random numbers and only warn.
        raise CheckpointError(f"{path} lacks weights that config.json asks for; restore it")
    if found is not None:
        merge(model, found)
    model.to(place)  # type: ignore[arg-type]
    model.train(False)
    return model


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer, known to have an end token; not every one has a chat template."""
    from transformers import AutoTokenizer

    path = _tokenizer_path(name)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            path, local_files_only=True
        )
    except Exception as error:
        raise CheckpointError(
            f"the tokenizer in {path} cannot be loaded ({type(error).__name__}: "
            f"{_first_line(error)}); restore its files or give another checkpoint"
        ) from error
    end_token(tokenizer)
    return tokenizer


def _tokenizer_path(name: str | Path) -> Path:
    """An adapter may bring a tokenizer of its own."""
    path, found = whole(name)
    own = found is not None and (found.path / "tokenizer_config.json").is_file()
    return found.path if found is not None and own else path


def chat_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The default chat template's source."""
    try:
        return tokenizer.get_chat_template()
    except ValueError as error:
        raise CheckpointError(
            f"{tokenizer.name_or_path} has no chat template; use an instruct checkpoint, add "
            "chat_template.jinja to its folder, or score a benchmark that base models continue, "
            "such as humaneval:base"
        ) from error


def chat_template_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 hex digits."""
    return hashlib.sha256(chat_template(tokenizer).encode()).hexdigest()[:16]


def end_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id of the token that ends an assistant's turn."""
    if tokenizer.eos_token_id is None:
        raise CheckpointError(
            f"{tokenizer.name_or_path} has no end token; set eos_token in tokenizer_config.json"
        )
    return int(tokenizer.eos_token_id)


def stated_ends(path: Path) -> int | list[int] | None:
    """`eos_token_id` as transformers finds it for a model: generation_config, else config."""
    from transformers import AutoConfig, GenerationConfig

    try:
        found: Any = GenerationConfig.from_pretrained(path, local_files_only=True)
    except OSError:
        found = AutoConfig.from_pretrained(path, local_files_only=True)
    ends: int | list[int] | None = found.eos_token_id
    return ends


def stated_vocabulary(path: Path) -> int:
    """How many tokens the model tells apart, which may be more than its tokenizer names."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(path, local_files_only=True)
    return int(config.get_text_config().vocab_size)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no details").splitlines()[0][:200]


def thinking_mode(template: str, thinking: bool | None) -> dict[str, bool]:
    """What the template is given beside messages. CheckpointError where it has no such mode."""
    if thinking is None:
        return {}
    if "enable_thinking" not in template:
        raise CheckpointError(
            "the checkpoint's chat template has no thinking mode to turn on or off "
            "(enable_thinking); leave out --thinking and --no-thinking"
        )
    return {"enable_thinking": thinking}
