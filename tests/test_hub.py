"""Files from the hub: huggingface_hub's own client against a small hub on this machine."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from synthetic_lcb import rows
from test_lcb_cli import ssd_eval

from benchmarks import hub

CONTENT = "".join(json.dumps(row) + "\n" for row in rows("test6.jsonl")).encode()
PATH = f"/datasets/{hub.LCB_REPO}/resolve/{hub.LCB_REVISION}/test6.jsonl"


class FakeHub(BaseHTTPRequestHandler):
    """Serves one file at one revision, as the hub does; remembers what was asked."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if self.path != PATH:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        self.send_header("X-Repo-Commit", hub.LCB_REVISION)
        self.end_headers()
        if body:
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake_hub() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (FakeHub,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def validate(window: str, home: Path, endpoint: str, **more: str) -> tuple[int, str, str]:
    done = ssd_eval("validate", window, "--limit", 1, "--json", HF_HOME=str(home),
                    HF_ENDPOINT=endpoint, **more)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_window_is_fetched_at_the_pinned_revision_once(
    fake_hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, asked = fake_hub
    code, out, err = validate("lcb:v6-v6", tmp_path, endpoint)
    assert code == 0, err
    assert json.loads(out)["window"].startswith("12 INSTEAD OF 175 problems, #")
    assert f"GET {PATH}" in asked
    asked.clear()
    assert validate("lcb:v6-v6", tmp_path, endpoint)[0] == 0
    assert asked == []
    listed = ssd_eval("benchmarks", "--json", HF_HOME=str(tmp_path), HF_ENDPOINT=endpoint)
    found = {row["name"]: row for row in json.loads(listed.stdout)}
    assert found["lcb:paper-v6"]["problems"] == 8
    assert found["lcb:paper-v6"]["from"] == "the hub's cache"
    assert found["lcb:v6"]["problems"] is None
    assert asked == []


def test_a_hub_that_lacks_the_file_is_one_line(
    fake_hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, _ = fake_hub
    code, out, err = validate("lcb:v1", tmp_path, endpoint)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"test.jsonl (1,253 MB) of {hub.LCB_REPO} at 0fe84c39 is not in the hub's cache" in err
    assert endpoint in err


def test_a_hub_out_of_reach_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        code, out, err = validate("lcb:paper-v6", tmp_path, endpoint)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"test6.jsonl (134 MB) of {hub.LCB_REPO}" in err
    assert endpoint in err
    assert "--data-dir or SSD_EVAL_LCB_DIR" in err


def test_offline_mode_asks_nobody(fake_hub: tuple[str, list[str]], tmp_path: Path) -> None:
    endpoint, asked = fake_hub
    code, _, err = validate("lcb:paper-v6", tmp_path, endpoint, HF_HUB_OFFLINE="1")
    assert (code, asked, err.count("\n")) == (2, [], 1)
    assert "test6.jsonl (134 MB)" in err
