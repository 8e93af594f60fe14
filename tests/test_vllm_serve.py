"""`--backend openai` with vLLM's own server on this machine (`make test-vllm`)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.micro import Micro
from ssd_eval import backends
from ssd_eval.backends.base import Request
from ssd_eval.checkpoint import SHIPPED
from ssd_eval.decoding import DecodingConfig
from ssd_eval.errors import BackendError
from ssd_eval.sample import plan

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def load(self) -> backends.Backend:
        return backends.load("openai", str(self.folder), base_url=self.url, batch_size=8)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose generation_config would spoil every answer that leaves a field out."""
    folder = tmp_path_factory.mktemp("model") / "organism"
    shutil.copytree(SHIPPED["organism"], folder)
    spoilt = {"eos_token_id": 0, "top_k": 1, "top_p": 0.1, "min_p": 0.9, "repetition_penalty": 2.0}
    (folder / "generation_config.json").write_text(json.dumps(spoilt))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
            "--port", str(port), "--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager",
            "--max-num-seqs", "16", "--no-enable-chunked-prefill",
        ],
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for _ in range(900):  # a busy machine takes minutes to import vLLM
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5)
            break
        except OSError:
            time.sleep(1)
    yield Served(process, f"{url}/v1", folder)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:  # it waits for the connections that it left unanswered
        process.kill()
        process.wait()


def planned(backend: backends.Backend, decoding: DecodingConfig, samples: int) -> list[Request]:
    problems = Micro().problems()[:12]
    return plan(problems, decoding, samples=samples, max_tokens=150, seed=5, backend=backend)


def test_greedy_texts_are_those_of_the_hf_backend(served: Served) -> None:
    """With a repetition penalty of 2 from generation_config they would not be."""
    server, ours = served.load(), backends.load("hf", "organism")
    theirs = {
        each.key.problem_id: (each.token_ids, each.finish)
        for each in server.generate(planned(server, DecodingConfig(0.0), 1))
    }
    assert theirs == {
        each.key.problem_id: (each.token_ids, each.finish)
        for each in ours.generate(planned(ours, DecodingConfig(0.0), 1))
    }


def test_samples_differ_and_each_comes_once(served: Served) -> None:
    """With top-k 1 from generation_config they would all be one."""
    server = served.load()
    asked = planned(server, DecodingConfig(1.2, 0, 0.95), 6)
    found = {each.key: each.token_ids for each in server.generate(asked)}
    assert set(found) == {each.key for each in asked}
    assert len(set(found.values())) > len(asked) / 2


def test_a_server_that_dies_mid_run_is_one_line_and_keeps_what_was_finished(
    served: Served,
) -> None:
    """Last: the server is gone afterwards."""
    server = served.load()
    drawing = server.generate(planned(server, DecodingConfig(1.0), 50))
    kept = [next(drawing) for _ in range(5)]
    served.process.terminate()  # and with it its engine
    with pytest.raises(BackendError, match=r"the server failed 4 times .*is kept") as caught:
        kept.extend(drawing)
    assert "\n" not in str(caught.value)
    assert len(kept) < 600
