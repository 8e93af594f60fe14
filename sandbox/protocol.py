"""Frames between the evaluator and a zygote: one JSON header and any number of byte blobs.

Standard library only; both ends use it. No pickle: whatever the other end sends stays data.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!I")
MOST_HEADER = 1 << 20
MOST_BLOB = 1 << 30


class Closed(Exception):
    """The other end is gone, or sent something that is no frame."""


def send(sock: socket.socket, header: dict[str, Any], *blobs: bytes) -> None:
    head = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
    try:
        sock.sendall(b"".join((_LENGTH.pack(len(head)), head, *blobs)))
    except OSError as error:
        raise Closed(str(error)) from error


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[bytes]]:
    """Raises Closed at the end of the stream; TimeoutError where the socket has a timeout."""
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    if length > MOST_HEADER:
        raise Closed("oversized header")
    header = json.loads(_exactly(sock, length))
    return header, [_exactly(sock, size) for size in header.pop("blobs")]


def send_descriptor(sock: socket.socket, descriptor: int) -> None:
    """A copy of it for the other end. Comes after a frame that announces it."""
    try:
        socket.send_fds(sock, [b"+"], [descriptor])
    except OSError as error:
        raise Closed(str(error)) from error


def receive_descriptor(sock: socket.socket) -> int:
    """Raises Closed where the other end sent none."""
    try:
        _, descriptors, _, _ = socket.recv_fds(sock, 1, 1)
    except OSError as error:
        raise Closed(str(error)) from error
    if len(descriptors) != 1:
        raise Closed("no descriptor came")
    return descriptors[0]


def _exactly(sock: socket.socket, count: int) -> bytes:
    if count > MOST_BLOB:
        raise Closed("oversized blob")
    parts = bytearray()
    while len(parts) < count:
        try:
            part = sock.recv(min(count - len(parts), 1 << 20))
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from error
        if not part:
            raise Closed("end of stream")
        parts += part
    return bytes(parts)
