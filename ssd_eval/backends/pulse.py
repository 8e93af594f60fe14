"""Whether a server still takes connections, asked while its answers are awaited.

A server told to end may close its port and leave the connections it has unanswered (vLLM's does,
with completions at work): whoever waits for one would wait for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from ssd_eval.backends.base import Generation, Request
from ssd_eval.errors import BackendError

EVERY = 5.0  # seconds between two questions


class Pulse:
    """A lane of `run_lanes` that draws nothing, and ends with the last of `lanes` others."""

    def __init__(self, url: str, lanes: int, tries: int, advice: str) -> None:
        self._url = url
        self._lanes = lanes
        self._tries = tries
        self._advice = advice
        self._lock = threading.Lock()
        self._over = threading.Event()

    def run(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Pulls no request. Raises BackendError after `tries` refused connections in a row."""
        refused = 0
        while not self._over.wait(EVERY):
            reason = self._refusal()
            refused = refused + 1 if reason else 0
            if refused == self._tries:
                raise BackendError(f"the server failed {refused} times ({reason}); {self._advice}")
        yield from ()

    def lane_ended(self) -> None:
        with self._lock:
            self._lanes -= 1
            if self._lanes == 0:
                self.stop()

    def stop(self) -> None:
        self._over.set()

    def _refusal(self) -> str:
        """Why no connection could be made; empty where one could, whatever came over it."""
        import httpx2 as httpx

        try:
            httpx.get(self._url, timeout=10.0)  # a client of its own: none that is kept alive
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return f"{type(error).__name__}: {error}"
        except httpx.HTTPError:
            return ""
        return ""
