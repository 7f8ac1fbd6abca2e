"""JSON-RPC 2.0 over lines, without I/O: bytes in, messages out, and the reverse.

A line that is no message of the protocol is noise (from a login file, or a library that prints): its beginning is kept
for the error message, and it is never fatal. What cannot become a message is dropped as it arrives, so only a message
may grow. Of a line that looks like an answer and cannot be read, its request is told why. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from xpm_remote.link.remote.startup import NOISE_KEPT, Noise
from xpm_remote.workspace.nesting import is_deeper

REQUEST_TIMEOUT = 60.0
"""Seconds without any part of an answer after which a request has failed; a whole answer may take longer."""

MAX_LINE = 128 * 1024 * 1024
"""Bytes in one message: 100,000 jobs in one answer, each record with its tags and times up to a kilobyte."""

MAX_DEPTH = 400
"""Levels of arrays and objects in one message; every supported version of msgspec and Python decodes as many."""

_KEY = b'"jsonrpc"'
"""Stands in every message, so that a million lines of JSON that are no messages need not be decoded."""
_START = b"{" + _KEY
_VERSION = re.compile(rb'"jsonrpc"\s*:\s*"2\.0"')
_CONTENT = re.compile(rb'"(?:result|error|params)"')
_METHOD = re.compile(rb'"method"\s*:\s*"([\w./-]+)"')
_ID = re.compile(rb'"id"\s*:\s*(\d{1,18})\s*[,}]')
_LAST_ID = re.compile(rb'"id"\s*:\s*(\d{1,18})\s*\}\s*\Z')
_AROUND_CONTENT = 256
"""Bytes before and after the content of a message, among which are its id and its method."""


Asked = Sequence[tuple[str, dict[str, Any]]]
"""Requests that are sent before there is a client, each by its method and parameters."""


def first_lines(asked: Asked) -> bytes:
    """Return the first requests of a connection."""
    rpc = JsonRpc()
    return b"".join(rpc.request(*each)[1] for each in asked)


def first_requests(asked: Asked) -> str:
    """Return the first requests of a connection as a list in JSON, for a command line."""
    return f"[{b','.join(first_lines(asked).splitlines()).decode()}]"


class Response(msgspec.Struct, frozen=True):
    """The answer to a request; ``result`` is still encoded."""

    request_id: int
    result: msgspec.Raw


class ErrorResponse(msgspec.Struct, frozen=True):
    """The refusal of a request; ``data`` holds what JSON-RPC lets a server add."""

    request_id: int
    code: int
    message: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Notification(msgspec.Struct, frozen=True):
    """A message that is no answer; ``params`` are still encoded."""

    method: str
    params: msgspec.Raw


class BadResponse(msgspec.Struct, frozen=True):
    """An answer that cannot be read; ``why`` ends a sentence. Without an id it is that of the oldest request."""

    request_id: int | None
    why: str


Message = Response | ErrorResponse | Notification | BadResponse


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct):
    jsonrpc: str
    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class JsonRpc:
    """The client's side of one JSON-RPC connection.

    Feed ``receive`` with what arrives; send what ``request`` returns.
    """

    def __init__(self) -> None:
        self.noise = Noise()
        self._next_id = 1
        # Of the line that has not ended: what may be a message, and the head of what was dropped before that.
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._is_message = False
        self._dropped = bytearray()
        self._too_large: Message | None = None
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(_Envelope)

    @property
    def is_within_message(self) -> bool:
        """Whether something that looks like a message has begun to arrive and has not ended."""
        return self._is_message

    @property
    def partial_size(self) -> int:
        """The bytes that have arrived of a message that has not ended."""
        return self._partial_size if self._is_message else 0

    def request(self, method: str, params: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Encode a request; return its id and its bytes."""
        request_id = self._next_id
        self._next_id += 1
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}, "id": request_id}
        try:
            data = self._encoder.encode(message)
        except UnicodeEncodeError:  # a text of the command line that is not UTF-8
            data = json.dumps(message).encode()
        return request_id, data + b"\n"

    def receive(self, data: bytes) -> list[Message]:
        """Take bytes that have arrived; return the messages that they complete."""
        *lines, rest = data.split(b"\n")
        messages: list[Message] = []
        for line in lines:
            dropped = b""
            if self._partial or self._dropped or len(line) > MAX_LINE:
                self._keep(line)
                dropped, line = bytes(self._dropped), b"".join(self._partial)
                self._drop(b"")
                self._dropped.clear()
            self._add(messages, self._message(dropped, line))
        self._keep(rest)
        if not self._is_message:
            self._drop_noise()
        self._add(messages, None)
        return messages

    def _add(self, messages: list[Message], message: Message | None) -> None:
        """Append a message, and before it one whose line was too large, if there is any."""
        messages += [each for each in (self._too_large, message) if each is not None]
        self._too_large = None

    def _keep(self, part: bytes) -> None:
        if not part:
            return
        self._partial.append(part)
        self._partial_size += len(part)
        if self._partial_size > MAX_LINE:
            text = b"".join(self._partial)
            self._too_large = _unread(text, f"larger than {MAX_LINE / 2**20:g} MiB")
            self._drop(text)

    def _drop_noise(self) -> None:
        """Drop what precedes a message, or its possible first bytes, in an unfinished line."""
        text = b"".join(self._partial)
        start = text.find(_START)
        if not self._dropped and text.lstrip().startswith(b"{"):
            start = 0
        end = start if start >= 0 else max(0, len(text) - len(_START) + 1)
        self._drop(text[:end])
        self._keep(text[end:])
        self._is_message = start >= 0

    def _drop(self, noise: bytes) -> None:
        """Drop the line so far; keep the head of the noise in it."""
        self._dropped += noise[: NOISE_KEPT - len(self._dropped)]
        self._partial.clear()
        self._partial_size = 0
        self._is_message = False

    def _message(self, dropped: bytes, line: bytes) -> Message | None:
        """Decode a complete line, whose beginning may have been dropped before; note the noise in it."""
        if _KEY not in line:
            if line.strip() or dropped.strip():
                self.noise.add(dropped + line + b"\n")
            return None
        message = self._decode(line)
        noise = dropped if message is not None else dropped + line
        if message is None:
            # Text without a newline was printed just before the message.
            for start in (line.find(_START), line.rfind(_START)):
                if start > 0 and message is None:
                    message = self._decode(line[start:])
                    noise = dropped + (line if message is None else line[:start])
        if noise.strip():
            self.noise.add(noise + b"\n")
        return _unread(line, before=dropped) if message is None else message

    def _envelope(self, line: bytes) -> _Envelope | None:
        try:
            return self._decoder.decode(line)
        except msgspec.ValidationError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not line.startswith(_START):
                return None
        try:
            return self._decoder.decode(_strict_json(line))
        except ValueError:  # all decoding errors are ValueErrors
            return None

    def _decode(self, line: bytes) -> Message | None:
        envelope = None if is_deeper(line, MAX_DEPTH) else self._envelope(line)
        if envelope is None or envelope.jsonrpc != "2.0":
            return None
        if envelope.method is not None:
            return Notification(envelope.method, envelope.params)
        if not isinstance(envelope.id, int):
            return None
        if envelope.error is not None:
            error = envelope.error
            return ErrorResponse(envelope.id, error.code, error.message, error.data)
        return Response(envelope.id, envelope.result)


def _unread(text: bytes, limit: str = "", before: bytes = b"") -> Message | None:
    """Return what is told of a message that cannot be read; None where nothing shows that it is one.

    Args:
        text: The line, or its beginning, perhaps with other text before the message.
        limit: The limit that it exceeds, if that is known.
        before: What was dropped before it.
    """
    start = text.find(_START)
    if start < 0 and text.lstrip().startswith(b"{"):
        start = 0
    head = _CONTENT.split(text[start : start + _AROUND_CONTENT], 1)[0] if start >= 0 else b""
    if _VERSION.search(head) is None:
        return None
    if not limit and is_deeper(text[start:], MAX_DEPTH):
        limit = f"nested more deeply than {MAX_DEPTH} levels"
    if (before + text[:start]).strip() and not limit:  # a line of a log, which quotes a message
        return None
    method = _METHOD.search(head)
    if method is not None:
        return Notification(method[1].decode(), msgspec.Raw(b"null"))
    found = _ID.search(head) or _LAST_ID.search(text, max(start, len(text) - _AROUND_CONTENT))
    if found is None:
        return BadResponse(None, limit) if limit else None
    return BadResponse(int(found[1]), limit or "no message of JSON-RPC 2.0")


def _strict_json(line: bytes) -> bytes:
    """Rewrite what Python's json writes beyond the standard: NaN and Infinity as null, a lone surrogate as "?".

    A tag ``lr=nan``, or a file name that is not UTF-8, is enough to get one.
    """
    value = json.loads(line, parse_constant=lambda _: None)
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
