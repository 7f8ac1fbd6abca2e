"""JSON-RPC 2.0 over lines, without I/O: bytes in, messages out, and the reverse.

A line that is no message of the protocol is noise (a login file, a library that prints): kept for the error message,
bounded, never fatal.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

MAX_LINE = 512 * 1024 * 1024
"""Bytes in one message: 100,000 jobs in one answer are about 60 MB, so what exceeds this is not from our server."""
NOISE_KEPT = 4096
"""Bytes of noise kept for the error message: a screenful."""

_START = b'{"jsonrpc"'


class Response(msgspec.Struct, frozen=True):
    """The answer to a request; ``result`` still encoded."""

    request_id: int
    result: msgspec.Raw


class ErrorResponse(msgspec.Struct, frozen=True):
    """The refusal of a request."""

    request_id: int
    code: int
    message: str


class Notification(msgspec.Struct, frozen=True):
    """An announcement; ``params`` still encoded."""

    method: str
    params: msgspec.Raw


Message = Response | ErrorResponse | Notification


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Envelope(msgspec.Struct):
    jsonrpc: str
    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class Noise:
    """What came that is no message: the first bytes of it, and how many lines there were."""

    def __init__(self) -> None:
        self.lines = 0
        self._head = bytearray()

    def add(self, line: bytes) -> None:
        """Keep a line of it, as far as there is room."""
        self.lines += 1
        self._head += (line + b"\n")[: NOISE_KEPT - len(self._head)]

    @property
    def head(self) -> str:
        """The beginning of the noise as text; bytes that are not UTF-8 are escaped."""
        return self._head.decode("utf-8", "backslashreplace")


class JsonRpc:
    """One JSON-RPC conversation, seen from the client.

    Feed ``receive`` with whatever arrives; send what ``request`` returns.
    """

    def __init__(self) -> None:
        self.noise = Noise()
        self._next_id = 1
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(_Envelope)

    @property
    def is_within_message(self) -> bool:
        """Whether a line has begun to arrive and has not ended."""
        return bool(self._partial)

    def request(self, method: str, params: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Make a request; give its id and its bytes."""
        request_id = self._next_id
        self._next_id += 1
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}, "id": request_id}
        return request_id, self._encoder.encode(message) + b"\n"

    def receive(self, data: bytes) -> list[Message]:
        """Take bytes as they come; give the messages that they complete."""
        *lines, rest = data.split(b"\n")
        messages = []
        for line in lines:
            self._partial.append(line)
            message = self._message(b"".join(self._partial))
            self._partial.clear()
            self._partial_size = 0
            if message is not None:
                messages.append(message)
        self._keep(rest)
        return messages

    def _keep(self, rest: bytes) -> None:
        if not rest:
            return
        self._partial.append(rest)
        self._partial_size += len(rest)
        if self._partial_size > MAX_LINE:
            self.noise.add(self._partial[0])
            self._partial.clear()
            self._partial_size = 0

    def _message(self, line: bytes) -> Message | None:
        if not line.strip():
            return None
        message = self._decode(line)
        if message is not None:
            return message
        start = line.rfind(_START)
        if start > 0:
            # Text without a newline was printed just before the message.
            message = self._decode(line[start:])
        self.noise.add(line if message is None else line[:start])
        return message

    def _envelope(self, line: bytes) -> _Envelope | None:
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if not line.startswith(_START):
                return None
        try:
            return self._decoder.decode(_strict_json(line))
        except (ValueError, RecursionError):  # of which all decoding errors are kinds
            return None

    def _decode(self, line: bytes) -> Message | None:
        envelope = self._envelope(line)
        if envelope is None:
            return None
        if envelope.jsonrpc != "2.0":
            return None
        if envelope.method is not None:
            return Notification(envelope.method, envelope.params)
        if not isinstance(envelope.id, int):
            return None
        if envelope.error is not None:
            return ErrorResponse(envelope.id, envelope.error.code, envelope.error.message)
        return Response(envelope.id, envelope.result)


def _strict_json(line: bytes) -> bytes:
    """Rewrite what Python's json writes beyond the standard: NaN and Infinity as null, half a character as "?".

    A tag ``lr=nan``, or a file name that is not UTF-8, is enough to meet one.
    """
    value = json.loads(line, parse_constant=lambda _: None)
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
